//! What a provider hands out at sign-in, and the little of it that may leave the broker again.

use portcullis_identity::{SecretText, Timestamp};

/// The tokens of one sign-in. They go to the broker once and stay there, sealed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// The access token (RFC 6749 section 1.4).
    pub access_token: Option<SecretText>,
    /// The refresh token (RFC 6749 section 1.5); no call gives it back.
    pub refresh_token: Option<SecretText>,
    /// The ID token (OpenID Connect Core 2).
    pub id_token: Option<SecretText>,
    /// When the access token ends, if the provider said.
    pub expires_at: Option<Timestamp>,
}

/// The tokens that a route may inject into requests to its upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamTokens {
    /// The access token.
    pub access_token: Option<SecretText>,
    /// The ID token.
    pub id_token: Option<SecretText>,
    /// When the access token ends, if the provider said.
    pub expires_at: Option<Timestamp>,
}
