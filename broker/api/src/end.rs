//! Which sessions end, why, and what a sign-out at the provider needs afterwards.

use std::sync::Arc;

use portcullis_identity::{Principal, ProviderName, SecretText, SessionKey};

/// Which sessions to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndSelector {
    /// One session, on every host.
    Key(SessionKey),
    /// All sessions of a principal.
    Principal(Principal),
    /// All sessions that came of one session at the provider (OpenID Connect Back-Channel Logout 2.3).
    ProviderSession {
        /// The issuer identifier.
        issuer: Arc<str>,
        /// The provider's `sid`.
        id: Arc<str>,
    },
    /// All sessions whose profile has this user id, whatever their provider.
    User(Arc<str>),
}

/// Why sessions end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EndReason {
    /// The person asked for it.
    SignedOut,
    /// The provider asked for it.
    Provider,
    /// An operator asked for it.
    Revoked,
    /// A newer sign-in took its place.
    Replaced,
    /// Age or idleness: the broker's own reason, nobody else's.
    Expired,
}

impl EndReason {
    /// Every reason, in the order of the enum.
    pub const ALL: [Self; 5] = [Self::SignedOut, Self::Provider, Self::Revoked, Self::Replaced, Self::Expired];

    /// The reason as metric label and log field.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SignedOut => "signed_out",
            Self::Provider => "provider",
            Self::Revoked => "revoked",
            Self::Replaced => "replaced",
            Self::Expired => "expired",
        }
    }
}

/// One session that a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Its key.
    pub key: SessionKey,
    /// What a sign-out at the provider needs: for authn alone, and once.
    pub logout: Option<LogoutHint>,
}

/// What a sign-out at the session's own provider needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogoutHint {
    /// The session's provider.
    pub provider: ProviderName,
    /// For `id_token_hint` (OpenID Connect RP-Initiated Logout 2).
    pub id_token: Option<SecretText>,
    /// For revocation (RFC 7009).
    pub access_token: Option<SecretText>,
}
