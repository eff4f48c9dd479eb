//! Signed identity assertions, made when first needed and kept while they are fresh: one per session version
//! and host. Signing costs as much as a dozen requests.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderValue;
use papaya::HashMap;
use portcullis_gate::{AssertionClaims, IdentityHeaders};
use portcullis_identity::{Session, SessionKey, Timestamp};
use portcullis_keys::{AssertionKeys, Random};

/// An assertion with less than this left is not given out any more.
const LEAST_REST: Duration = Duration::from_secs(120);

/// The most assertions kept; a full cache starts anew, which costs a signature each.
const CAPACITY: usize = 65_536;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    session: SessionKey,
    version: u64,
    host: Arc<str>,
    generation: [u8; 32],
}

#[derive(Clone, Debug)]
struct Signed {
    value: HeaderValue,
    expires_at: Timestamp,
}

/// What an assertion is about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct About<'a> {
    pub(crate) identity: &'a IdentityHeaders,
    pub(crate) session: &'a Session,
    pub(crate) host: &'a str,
    pub(crate) generation: [u8; 32],
    pub(crate) now: Timestamp,
}

/// The cache.
#[derive(Debug, Default)]
pub(crate) struct Assertions(HashMap<Key, Signed>);

impl Assertions {
    /// The assertion about `about`; `fresh` is told when one was signed.
    pub(crate) fn signed(
        &self,
        about: About<'_>,
        keys: &AssertionKeys,
        random: &dyn Random,
        fresh: impl FnOnce(),
    ) -> HeaderValue {
        let About { identity, session, host, generation, now } = about;
        let key = Key { session: session.key, version: session.version, host: host.into(), generation };
        let cache = self.0.pin();
        if let Some(kept) = cache.get(&key).filter(|kept| kept.expires_at.since(now) >= LEAST_REST) {
            return kept.value.clone();
        }
        let mut id = [0; 16];
        random.fill(&mut id);
        let claims = AssertionClaims::new(identity, host, session, now, &URL_SAFE_NO_PAD.encode(id));
        let mut value = HeaderValue::try_from(keys.sign(claims.as_json()))
            // Base64url and dots are always a header value; an upstream that checks refuses an empty one.
            .unwrap_or_else(|_| HeaderValue::from_static(""));
        value.set_sensitive(true);
        if cache.len() >= CAPACITY {
            cache.clear();
        }
        cache.insert(key, Signed { value: value.clone(), expires_at: claims.expires_at() });
        fresh();
        value
    }
}
