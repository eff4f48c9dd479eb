//! All talk with an identity provider: discovery, keys, authorization requests, the code exchange, token checks.
//!
//! A [`RelyingParty`] stands for one configured OpenID Provider. It learns the provider's metadata and keys
//! when they are first needed and keeps them while the provider is away, so a provider that is down at start
//! delays nobody but those who sign in there. Every answer of a provider is read under a deadline and a size
//! cap, redirects are not followed, and what a provider writes is never repeated as markup or into a log
//! without being made harmless ([`SafeText`]).
//!
//! This crate is a client: it never listens, keeps no session and decides nothing about access.
//!
//! ```
//! use portcullis_oidc::SafeText;
//! // Text of a provider loses its control characters and its length before anybody sees it.
//! assert_eq!(SafeText::new("denied\r\nSet-Cookie: x").as_str(), "denied Set-Cookie: x");
//! ```

mod claims;
mod discovery;
mod error;
mod exchange;
mod id_token;
mod metadata;
mod observe;
mod refresh;
mod relying_party;
mod settings;
mod signature;
mod transport;
mod userinfo;

#[cfg(test)]
mod tests;

pub use claims::ClaimsError;
pub use discovery::{KEY_REFRESH_PAUSE, METADATA_MAX_AGE, STALE_RETRY_PAUSE};
pub use error::{
    DiscoveryError, Document, ExchangeError, OauthErrorCode, RevokeError, SafeText, SetupError, UserinfoError,
};
pub use exchange::{Callback, Identity, Tokens};
pub use id_token::{IdTokenError, PROVIDER_LEEWAY};
pub use observe::{Call, CallObserver, CallOutcome, ProviderStatus, Unobserved};
pub use refresh::{Held, RefreshError, Refreshed, RefreshedFacts, RefreshedTokens};
pub use relying_party::{Account, AuthorizationRequest, LogoutRequest, RelyingParty};
pub use transport::CallError;
