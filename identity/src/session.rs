//! One sign-in of one principal, as proxies see it. Tokens are another record, which never leaves the broker.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::{Subject, Timestamp};

/// SHA-256 of a session's handle: the broker's key for it. Knowing it does not let anybody in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionKey([u8; 32]);

impl SessionKey {
    /// The key with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The key's bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// The first eight bytes in hexadecimal: the session digest of logs and events.
impl fmt::Display for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // In one piece: every access event shows it.
        let mut text = [0; 16];
        for (digits, byte) in text.chunks_exact_mut(2).zip(self.0) {
            let digit = |half: u8| if half < 10 { b'0' + half } else { b'a' - 10 + half };
            digits.copy_from_slice(&[digit(byte >> 4), digit(byte & 0x0f)]);
        }
        f.write_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionKey({self})")
    }
}

/// The name of an identity provider in the configuration's `providers`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProviderName(Arc<str>);

impl ProviderName {
    /// A provider's name as the configuration writes it.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self(name.into())
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<ProviderName> for Arc<str> {
    fn from(name: ProviderName) -> Self {
        name.0
    }
}

impl fmt::Display for ProviderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Who signed in: issuer and subject (OpenID Connect Core 5.7), never an e-mail address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Principal {
    /// The provider's issuer identifier.
    pub issuer: Arc<str>,
    /// The provider's `sub`, unique within the issuer.
    pub subject: Arc<str>,
}

/// One sign-in. Immutable: a change (new claims, later use) is a new value with a higher `version`.
#[derive(Clone, Debug)]
pub struct Session {
    /// The broker's key.
    pub key: SessionKey,
    /// The broker's version of this record; grows with each change.
    pub version: u64,
    /// Who signed in.
    pub principal: Principal,
    /// Where: all later talk about this session goes to this provider.
    pub provider: ProviderName,
    /// The provider's own session id (`sid`), for sign-out from there.
    pub provider_session: Option<Arc<str>>,
    /// What policy sees.
    pub subject: Subject,
    /// When the person proved who they are (`auth_time`, else the time of sign-in).
    pub authenticated_at: Timestamp,
    /// The authentication context class the provider asserted (`acr`).
    pub acr: Option<Arc<str>>,
    /// The last use the broker knows of.
    pub last_used: Timestamp,
    /// The absolute end; it never slides.
    pub expires_at: Timestamp,
    /// The longest pause between two uses, if there is one.
    pub idle: Option<Duration>,
}

impl Session {
    /// Whether the session is over at `now`, by age or by idleness.
    #[must_use]
    pub fn is_over(&self, now: Timestamp) -> bool {
        now >= self.expires_at || self.idle.is_some_and(|idle| now.since(self.last_used) >= idle)
    }
}

/// A session that was made of another one, for a program, as the person of that other one sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DerivedSession {
    /// The broker's key.
    pub key: SessionKey,
    /// The one host that it is for; `None` if it is older than this was kept.
    pub host: Option<Arc<str>>,
    /// When it was made.
    pub made_at: Timestamp,
    /// The last use the broker knows of.
    pub last_used: Timestamp,
}
