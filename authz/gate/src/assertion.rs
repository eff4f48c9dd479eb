//! The claims of the signed assertion: what an upstream can verify of whoever asks.

use std::time::Duration;

use portcullis_identity::{Session, Timestamp};
use serde_json::{Map, Value};

use crate::IdentityHeaders;

/// How long an assertion is good for.
const LIFETIME: Duration = Duration::from_secs(300);

/// The most bytes the claims of an assertion may have as JSON. Beyond it the configured claims go first, then
/// the groups; what is left says so with `"truncated": true`.
pub const MAX_ASSERTION_BYTES: usize = 12 * 1024;

/// The claims of one assertion, ready to be signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssertionClaims {
    json: String,
    expires_at: Timestamp,
}

impl AssertionClaims {
    /// The claims for a session on a route's host.
    ///
    /// `iss`, `aud` (the host), `jti`, `iat`, `exp` (five minutes later), `sub`, `user`, `email`, `groups` (ids,
    /// then names; `[]` without any), `sid` (the session's digest), `name`, and the claims that have a claim
    /// header. These can add to the former but never replace them.
    #[must_use]
    pub fn new(identity: &IdentityHeaders, host: &str, session: &Session, now: Timestamp, jti: &str) -> Self {
        let expires_at = now.saturating_add(LIFETIME);
        let mut base = Map::new();
        let mut put = |name: &str, value: Value| base.insert(name.to_owned(), value);
        put("iss", Value::from(identity.issuer(host)));
        put("aud", Value::from(host));
        put("jti", Value::from(jti));
        put("iat", Value::from(now.unix_seconds()));
        put("exp", Value::from(expires_at.unix_seconds()));
        put("sid", Value::from(session.key.to_string()));
        for name in ["sub", "user", "email", "name", "groups"] {
            if let Some(BaseValues { values, list }) = base_values(session, name) {
                put(name, if list { Value::from(values) } else { Value::from(values.concat()) });
            }
        }
        let mut full = base.clone();
        let mut claims = if identity.claims().next().is_some() { session.subject.claims.to_json() } else { Map::new() };
        for (name, _) in identity.claims() {
            if let Some((name, value)) = claims.remove_entry(name).filter(|(name, _)| !base.contains_key(name)) {
                full.insert(name, value);
            }
        }
        Self { json: bounded(full, base), expires_at }
    }

    /// The claims as JSON, at most [`MAX_ASSERTION_BYTES`].
    #[must_use]
    pub fn as_json(&self) -> &str {
        &self.json
    }

    /// When the assertion ends.
    #[must_use]
    pub const fn expires_at(&self) -> Timestamp {
        self.expires_at
    }
}

/// The values of a claim that we make ourselves.
pub(crate) struct BaseValues<'a> {
    pub(crate) values: Vec<&'a str>,
    pub(crate) list: bool,
}

/// What `claim` says where it is one of ours; `None` where only the provider's claims can tell.
pub(crate) fn base_values<'a>(session: &'a Session, claim: &str) -> Option<BaseValues<'a>> {
    let subject = &session.subject;
    let one: &'a str = match claim {
        "sub" => &session.principal.subject,
        "user" if subject.user_id.is_empty() => &session.principal.subject,
        "user" => &subject.user_id,
        "email" => &subject.email,
        "name" => &subject.name,
        "groups" => return Some(BaseValues { values: groups(session), list: true }),
        _ => return None,
    };
    Some(BaseValues { values: vec![one], list: false })
}

/// The ids of the directory's groups, then their names; the `groups` claim where there is no directory.
fn groups(session: &Session) -> Vec<&str> {
    let Some(groups) = &session.subject.groups else {
        return session.subject.claims.get("groups").iter().map(|value| value.as_text()).collect();
    };
    let mut values: Vec<&str> = groups.iter().map(|group| &*group.id).collect();
    for group in groups.iter().filter(|group| !group.name.is_empty()) {
        if !values.contains(&&*group.name) {
            values.push(&group.name);
        }
    }
    values
}

/// The fullest of the claims that fit.
fn bounded(full: Map<String, Value>, mut base: Map<String, Value>) -> String {
    let whole = Value::Object(full).to_string();
    if whole.len() <= MAX_ASSERTION_BYTES {
        return whole;
    }
    base.insert("truncated".to_owned(), Value::Bool(true));
    let without_claims = Value::Object(base.clone()).to_string();
    if without_claims.len() <= MAX_ASSERTION_BYTES {
        return without_claims;
    }
    base.insert("groups".to_owned(), Value::Array(Vec::new()));
    for name in ["name", "email", "user", "sub"] {
        // Even these come from a provider, and nobody promised that they are short. (OpenID Connect Core §2
        // gives `sub` 255 characters; who is nobody here is nobody to the upstream.)
        if base.get(name).is_some_and(|value| value.to_string().len() > MAX_ASSERTION_BYTES / 8) {
            base.insert(name.to_owned(), Value::from(""));
        }
    }
    Value::Object(base).to_string()
}
