//! Signed identity assertions, made when first needed and kept while they are fresh: one per session version
//! and host. Signing costs as much as a dozen requests; one that is kept costs a look-up and allocates nothing.

use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderValue;
use papaya::{Equivalent, HashMap};
use portcullis_identity::{Session, SessionKey, Timestamp};
use portcullis_keys::{AssertionKeys, Random};

use crate::{AssertionClaims, IdentityHeaders};

/// An assertion with less than this left is not given out any more.
const LEAST_REST: Duration = Duration::from_secs(120);

/// The most assertions kept; a full cache starts anew, which costs a signature each.
const CAPACITY: usize = 65_536;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Key {
    session: SessionKey,
    version: u64,
    host: Arc<str>,
    generation: [u8; 32],
}

/// A key as a request has it: nothing is copied to look one up.
#[derive(Clone, Copy)]
struct Sought<'a> {
    session: &'a SessionKey,
    version: u64,
    host: &'a str,
    generation: &'a [u8; 32],
}

impl Key {
    fn sought(&self) -> Sought<'_> {
        let Self { session, version, host, generation } = self;
        Sought { session, version: *version, host, generation }
    }
}

impl Sought<'_> {
    fn kept(&self) -> Key {
        let Self { session, version, host, generation } = self;
        Key { session: **session, version: *version, host: (*host).into(), generation: **generation }
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.sought().hash(state);
    }
}

impl Hash for Sought<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // A session may visit any number of hosts, so the host counts: keys that hash alike crowd the table for
        // everybody. Generations are few, and a session's key says enough with its first bytes.
        if let Some((first, _)) = self.session.as_bytes().split_first_chunk::<8>() {
            state.write_u64(u64::from_le_bytes(*first) ^ self.version);
        }
        state.write(self.host.as_bytes());
    }
}

impl Equivalent<Key> for Sought<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        *self.session == key.session
            && self.version == key.version
            && *self.host == *key.host
            && *self.generation == key.generation
    }
}

#[derive(Clone, Debug)]
struct Signed {
    value: HeaderValue,
    expires_at: Timestamp,
}

/// What an assertion is about.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    /// Which claims go in, and under which issuer.
    pub identity: &'a IdentityHeaders,
    /// Who asks.
    pub session: &'a Session,
    /// The canonical host of the route: the audience.
    pub host: &'a str,
    /// The generation that decided; another one may give other claims.
    pub generation: [u8; 32],
    /// The instant of the request.
    pub now: Timestamp,
}

/// The assertions kept. Reads take no lock.
#[derive(Debug, Default)]
pub struct Assertions(HashMap<Key, Signed>);

impl Assertions {
    /// The assertion about `about`, marked as sensitive; `fresh` is told when one was signed.
    #[must_use]
    pub fn signed(
        &self,
        about: About<'_>,
        keys: &AssertionKeys,
        random: &dyn Random,
        fresh: impl FnOnce(),
    ) -> HeaderValue {
        let About { identity, session, host, generation, now } = about;
        let sought = Sought { session: &session.key, version: session.version, host, generation: &generation };
        let cache = self.0.pin();
        if let Some(kept) = cache.get(&sought).filter(|kept| kept.expires_at.since(now) >= LEAST_REST) {
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
        cache.insert(sought.kept(), Signed { value: value.clone(), expires_at: claims.expires_at() });
        fresh();
        value
    }
}
