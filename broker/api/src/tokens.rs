//! What a provider hands out at sign-in, and the little of it that may leave the broker again.

use std::fmt;

use portcullis_identity::Timestamp;
use zeroize::Zeroizing;

/// A token: no `Display`, a `Debug` that shows nothing, wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// A token as the provider wrote it.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The token's text, for the one who sends it on.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// The tokens of one sign-in. They go to the broker once and stay there, sealed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// The access token (RFC 6749 section 1.4).
    pub access_token: Option<Secret>,
    /// The refresh token (RFC 6749 section 1.5); no call gives it back.
    pub refresh_token: Option<Secret>,
    /// The ID token (OpenID Connect Core 2).
    pub id_token: Option<Secret>,
    /// When the access token ends, if the provider said.
    pub expires_at: Option<Timestamp>,
}

/// The tokens that a route may inject into requests to its upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamTokens {
    /// The access token.
    pub access_token: Option<Secret>,
    /// The ID token.
    pub id_token: Option<Secret>,
    /// When the access token ends, if the provider said.
    pub expires_at: Option<Timestamp>,
}
