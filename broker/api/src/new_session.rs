//! A sign-in that the broker is asked to keep.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use portcullis_identity::{Groups, Principal, ProviderName, SessionKey, Timestamp};

use crate::Tokens;

/// What policy sees of a principal, its claims apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// The provider's `sub`; empty if there is none.
    pub user_id: Arc<str>,
    /// The e-mail address; empty if there is none.
    pub email: Arc<str>,
    /// The display name; empty if there is none.
    pub name: Arc<str>,
    /// The directory's groups; `None` where the directory does not know the user.
    pub groups: Option<Groups>,
}

/// One sign-in, made by authn after the provider's answer was checked in full.
#[derive(Clone)]
pub struct NewSession {
    /// SHA-256 of the fresh handle.
    pub key: SessionKey,
    /// Who signed in.
    pub principal: Principal,
    /// Where.
    pub provider: ProviderName,
    /// The provider's own session id (`sid`).
    pub provider_session: Option<Arc<str>>,
    /// What policy sees, claims apart.
    pub profile: Profile,
    /// The claims as one JSON object, at most [`portcullis_identity::MAX_CLAIMS_BYTES`] bytes.
    pub claims_json: String,
    /// When the person proved who they are.
    pub authenticated_at: Timestamp,
    /// The class of that proof (`acr`).
    pub acr: Option<Arc<str>>,
    /// The absolute end.
    pub expires_at: Timestamp,
    /// The longest pause between two uses, if there is one.
    pub idle: Option<Duration>,
    /// What the provider handed out.
    pub tokens: Tokens,
}

/// Shows whose session it is and no claim.
impl fmt::Debug for NewSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewSession").field("key", &self.key).field("provider", &self.provider).finish_non_exhaustive()
    }
}
