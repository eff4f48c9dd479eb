//! New tokens for old, and what the provider says of the person by now (RFC 6749 §6; OpenID Connect Core 12).

use std::sync::Arc;

use portcullis_identity::{Groups, SecretText, Timestamp};

use crate::claims::{ClaimsError, RawClaims};
use crate::error::{DiscoveryError, ExchangeError, OauthErrorCode, UserinfoError};
use crate::id_token::IdTokenError;
use crate::transport::CallError;

/// What a session holds that is to be refreshed.
#[derive(Clone, Copy)]
pub struct Held<'a> {
    /// The issuer that the session came from, as the provider wrote it.
    pub issuer: &'a str,
    /// Its subject there.
    pub subject: &'a str,
    /// The refresh token. The provider may spend it.
    pub refresh_token: &'a str,
    /// The last ID token, which was checked when it came: what it says holds where the provider sends no new one.
    pub id_token: Option<&'a str>,
}

impl std::fmt::Debug for Held<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Held").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

/// What a refresh brought. The tokens are good, and the old refresh token may be spent, whatever became of the rest.
#[derive(Debug)]
pub struct Refreshed {
    /// In place of the old ones.
    pub tokens: RefreshedTokens,
    /// What the provider says of the person by now; `None`: nothing that was not said before.
    pub facts: Result<Option<RefreshedFacts>, RefreshError>,
}

/// The tokens of a refresh.
#[derive(Clone, Debug)]
pub struct RefreshedTokens {
    /// The new access token.
    pub access_token: SecretText,
    /// The new refresh token; `None`: the old one goes on (RFC 6749 §6).
    pub refresh_token: Option<SecretText>,
    /// The new ID token, checked; `None`: the old one goes on, for there is no new one or it does not pass.
    pub id_token: Option<SecretText>,
    /// When the access token ends, if the provider says so.
    pub expires_at: Option<Timestamp>,
}

/// What a provider says of a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefreshedFacts {
    /// All claims as one JSON object of at most [`MAX_CLAIMS_BYTES`](portcullis_identity::MAX_CLAIMS_BYTES).
    pub claims_json: String,
    /// The e-mail address; empty if there is none.
    pub email: Arc<str>,
    /// The display name; empty if there is none.
    pub name: Arc<str>,
    /// The groups; `None` if the provider says nothing of groups.
    pub groups: Option<Groups>,
}

/// Why a refresh brought nothing, or not all.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    /// The provider's metadata or keys are not known.
    #[error("the provider is not known yet")]
    Discovery(#[from] DiscoveryError),
    /// The provider was too slow, before it was asked for tokens or after it had given them.
    #[error("the provider did not answer in time")]
    Late,
    /// The session is of another issuer than the provider has by now.
    #[error("the session comes from another issuer")]
    OtherIssuer,
    /// The token endpoint could not be reached, or its answer not be read: it may have spent the refresh token.
    #[error("the token endpoint gave no answer")]
    Call(#[source] CallError),
    /// The token endpoint refused.
    #[error("the token endpoint refused: {}", code.as_str())]
    Refused {
        /// Why, from the closed set.
        code: OauthErrorCode,
    },
    /// The token endpoint answered with a status and no OAuth error.
    #[error("the token endpoint answered {status}")]
    Status {
        /// The status.
        status: u16,
    },
    /// The token endpoint's answer is not a token response (RFC 6749, 5.1).
    #[error("the token response cannot be read")]
    Malformed,
    /// The new ID token does not pass.
    #[error("the id token is not acceptable")]
    IdToken(#[from] IdTokenError),
    /// OpenID Connect Core 12.2: the new ID token is about somebody else.
    #[error("the id token is about another subject")]
    OtherSubject,
    /// The userinfo endpoint does not confirm it.
    #[error("the userinfo endpoint does not confirm the subject")]
    Userinfo(#[from] UserinfoError),
    /// The claims cannot become a subject any more.
    #[error("the claims are not acceptable")]
    Claims(#[from] ClaimsError),
}

impl RefreshError {
    /// Whether the provider says that the grant behind the session is over.
    #[must_use]
    pub const fn is_end_of_grant(&self) -> bool {
        matches!(self, Self::Refused { code: OauthErrorCode::InvalidGrant })
    }

    /// Whether nobody knows if the provider has spent the refresh token.
    #[must_use]
    pub fn is_unsure(&self) -> bool {
        match self {
            Self::Call(error) => match error {
                CallError::Unreachable(error) => !error.is_connect(),
                CallError::TimedOut | CallError::TooLarge { .. } => true,
                CallError::NotARequest => false,
            },
            Self::Malformed => true,
            // A gateway's word, or an error in the middle of it; 503 says that nothing was done.
            Self::Status { status } => *status >= 500 && *status != 503,
            Self::Refused { code } => matches!(code, OauthErrorCode::ServerError),
            Self::Discovery(_)
            | Self::Late
            | Self::OtherIssuer
            | Self::IdToken(_)
            | Self::OtherSubject
            | Self::Userinfo(_)
            | Self::Claims(_) => false,
        }
    }

    /// Whether the new ID token is not known to be good.
    pub(crate) const fn leaves_id_token_unchecked(&self) -> bool {
        matches!(self, Self::IdToken(_) | Self::OtherSubject | Self::Late)
    }

    /// Whether the provider contradicts what the session says: the session cannot go on as it is.
    #[must_use]
    pub const fn is_contradiction(&self) -> bool {
        match self {
            Self::IdToken(error) => error.is_for_somebody_else(),
            Self::OtherSubject | Self::Claims(_) => true,
            Self::Userinfo(error) => match error {
                UserinfoError::SubjectMismatch => true,
                UserinfoError::Call(_)
                | UserinfoError::Status { .. }
                | UserinfoError::Malformed
                | UserinfoError::Signature
                | UserinfoError::Issuer
                | UserinfoError::Audience => false,
            },
            Self::Discovery(_)
            | Self::Late
            | Self::OtherIssuer
            | Self::Call(_)
            | Self::Refused { .. }
            | Self::Status { .. }
            | Self::Malformed => false,
        }
    }
}

/// Of the errors of a code exchange, those that a token endpoint's answer has.
pub(crate) fn of_answer(error: ExchangeError) -> RefreshError {
    match error {
        ExchangeError::Refused { code, description: _ } => RefreshError::Refused { code },
        ExchangeError::Status { status } => RefreshError::Status { status },
        ExchangeError::Call(error) => RefreshError::Call(error),
        ExchangeError::Discovery(error) => RefreshError::Discovery(error),
        ExchangeError::IdToken(error) => RefreshError::IdToken(error),
        ExchangeError::Userinfo(error) => RefreshError::Userinfo(error),
        ExchangeError::Claims(error) => RefreshError::Claims(error),
        ExchangeError::IssuerMissing
        | ExchangeError::IssuerMismatch
        | ExchangeError::MalformedTokens
        | ExchangeError::TokenType
        | ExchangeError::NoIdToken => RefreshError::Malformed,
    }
}

/// The claims after a refresh: those of a new ID token as at a sign-in; else those of the old one, with what userinfo
/// says by now in place of what they said.
pub(crate) fn claims(new: Option<&str>, old: Option<&str>, userinfo: RawClaims) -> Result<RawClaims, ClaimsError> {
    match (new, old) {
        (Some(new), _) => Ok(RawClaims::merged(RawClaims::of_verified_token(new)?, userinfo)),
        (None, Some(old)) => Ok(RawClaims::updated(RawClaims::of_verified_token(old)?, userinfo)),
        (None, None) => Ok(RawClaims::merged(RawClaims::default(), userinfo)),
    }
}
