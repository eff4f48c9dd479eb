//! Why talk with a provider fails: one enum per operation, none of which ever holds a token or a code.

use std::fmt;
use std::sync::Arc;

use crate::claims::ClaimsError;
use crate::id_token::IdTokenError;
use crate::transport::CallError;

/// The most characters of a provider's own words that are ever shown.
const MAX_SAFE_CHARACTERS: usize = 200;

/// Text that a provider wrote, made harmless: one line, no control characters, at most 200 characters. It is
/// still a stranger's text; pages escape it and say whose it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SafeText(String);

impl SafeText {
    /// Takes what is harmless of `text`; runs of control characters and white space become one space.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let mut safe = String::new();
        let words = text.split(|c: char| c.is_whitespace() || c.is_control() || is_direction_mark(c));
        for word in words.filter(|word| !word.is_empty()) {
            if !safe.is_empty() {
                safe.push(' ');
            }
            safe.push_str(word);
        }
        Self(safe.chars().take(MAX_SAFE_CHARACTERS).collect())
    }

    /// The text; may be empty.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Marks that reorder the text around them (Unicode bidirectional controls).
const fn is_direction_mark(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

impl fmt::Display for SafeText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a relying party cannot be made of its configuration.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The HTTP client refuses the egress proxy or a private root.
    #[error("the http client for provider calls cannot be built")]
    Client(#[source] reqwest::Error),
    /// A private root is not a certificate.
    #[error("a private root certificate is not usable")]
    Root(#[source] reqwest::Error),
}

/// A document of discovery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Document {
    /// `.well-known/openid-configuration`.
    Metadata,
    /// What `jwks_uri` names.
    Keys,
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Metadata => "metadata",
            Self::Keys => "keys",
        })
    }
}

/// Why a provider's metadata or keys are not known.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DiscoveryError {
    /// The provider could not be reached, or not in time, or its answer was too large.
    #[error("the provider's {document} could not be fetched")]
    Call {
        /// Which document.
        document: Document,
        /// How the call went wrong.
        #[source]
        source: CallError,
    },
    /// The provider answered with something else than 200.
    #[error("the provider answered {status} for its {document}")]
    Status {
        /// Which document.
        document: Document,
        /// The status.
        status: u16,
    },
    /// The document is not what the standard says.
    #[error("the provider's {document} cannot be read")]
    Malformed {
        /// Which document.
        document: Document,
        /// Where it goes wrong.
        #[source]
        source: Arc<serde_json::Error>,
    },
    /// OpenID Connect Discovery 4.3: the document speaks for another issuer.
    #[error("the provider calls itself {found:?}")]
    IssuerMismatch {
        /// What the document says.
        found: SafeText,
    },
    /// An endpoint that is neither `https` nor, beside an issuer on loopback, on loopback too.
    #[error("the provider's {endpoint} is not an https address")]
    InsecureEndpoint {
        /// The metadata field.
        endpoint: &'static str,
    },
    /// The metadata lacks something that signing in needs.
    #[error("the provider's metadata has no {endpoint}")]
    NoEndpoint {
        /// The metadata field.
        endpoint: &'static str,
    },
}

/// The closed set of error codes that OAuth 2.0 and OpenID Connect give a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OauthErrorCode {
    /// `access_denied`.
    AccessDenied,
    /// `invalid_client`.
    InvalidClient,
    /// `invalid_grant`: the code is spent, too old or somebody else's.
    InvalidGrant,
    /// `invalid_request`.
    InvalidRequest,
    /// `invalid_scope`.
    InvalidScope,
    /// `login_required`, `interaction_required`, `consent_required`, `account_selection_required`.
    InteractionRequired,
    /// `server_error`.
    ServerError,
    /// `temporarily_unavailable`.
    TemporarilyUnavailable,
    /// `unauthorized_client`, `unsupported_grant_type`, `unsupported_response_type`.
    Unsupported,
    /// `unmet_authentication_requirements` (OpenID Connect Unmet Authentication Requirements 1.0).
    UnmetRequirements,
    /// Anything else.
    Other,
}

impl OauthErrorCode {
    /// The code that `text` names.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        match text {
            "access_denied" => Self::AccessDenied,
            "invalid_client" => Self::InvalidClient,
            "invalid_grant" => Self::InvalidGrant,
            "invalid_request" => Self::InvalidRequest,
            "invalid_scope" => Self::InvalidScope,
            "login_required" | "interaction_required" | "consent_required" | "account_selection_required" => {
                Self::InteractionRequired
            }
            "server_error" => Self::ServerError,
            "temporarily_unavailable" => Self::TemporarilyUnavailable,
            "unauthorized_client" | "unsupported_grant_type" | "unsupported_response_type" => Self::Unsupported,
            "unmet_authentication_requirements" => Self::UnmetRequirements,
            _ => Self::Other,
        }
    }

    /// The code as the standards write it; one name stands for each group.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AccessDenied => "access_denied",
            Self::InvalidClient => "invalid_client",
            Self::InvalidGrant => "invalid_grant",
            Self::InvalidRequest => "invalid_request",
            Self::InvalidScope => "invalid_scope",
            Self::InteractionRequired => "interaction_required",
            Self::ServerError => "server_error",
            Self::TemporarilyUnavailable => "temporarily_unavailable",
            Self::Unsupported => "unsupported",
            Self::UnmetRequirements => "unmet_authentication_requirements",
            Self::Other => "other",
        }
    }

    /// Whether the provider says that it is not well, rather than that the request is wrong.
    #[must_use]
    pub const fn is_outage(self) -> bool {
        matches!(self, Self::ServerError | Self::TemporarilyUnavailable)
    }
}

/// Why a callback did not become an identity.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// The provider's metadata or keys are not known.
    #[error("the provider is not known yet")]
    Discovery(#[from] DiscoveryError),
    /// RFC 9207: the provider announces `iss` and the callback has none.
    #[error("the callback does not name its issuer")]
    IssuerMissing,
    /// RFC 9207: the callback comes from another issuer.
    #[error("the callback comes from another issuer")]
    IssuerMismatch,
    /// The token endpoint could not be reached, or not in time, or its answer was too large.
    #[error("the token endpoint could not be called")]
    Call(#[source] CallError),
    /// The token endpoint refused the code.
    #[error("the token endpoint refused: {}", code.as_str())]
    Refused {
        /// Why, from the closed set.
        code: OauthErrorCode,
        /// Why, in the provider's words.
        description: SafeText,
    },
    /// The token endpoint answered with a status and no OAuth error.
    #[error("the token endpoint answered {status}")]
    Status {
        /// The status.
        status: u16,
    },
    /// The token endpoint's answer is not a token response (RFC 6749, 5.1).
    #[error("the token response cannot be read")]
    MalformedTokens,
    /// The access token is not a bearer token.
    #[error("the access token is not a bearer token")]
    TokenType,
    /// OpenID Connect Core 3.1.3.3: there is no ID token.
    #[error("the token response has no id token")]
    NoIdToken,
    /// The ID token does not pass OpenID Connect Core 3.1.3.7.
    #[error("the id token is not acceptable")]
    IdToken(#[from] IdTokenError),
    /// The userinfo endpoint does not confirm it.
    #[error("the userinfo endpoint does not confirm the sign-in")]
    Userinfo(#[from] UserinfoError),
    /// The claims cannot become a subject.
    #[error("the claims are not acceptable")]
    Claims(#[from] ClaimsError),
}

impl ExchangeError {
    /// Whether waiting may help: the provider is away or says that it is not well.
    #[must_use]
    pub fn is_outage(&self) -> bool {
        match self {
            Self::Discovery(_) => true,
            Self::Call(error) => error.is_outage(),
            Self::Refused { code, .. } => code.is_outage(),
            Self::Status { status } => *status >= 500,
            Self::Userinfo(error) => match error {
                UserinfoError::Call(error) => error.is_outage(),
                UserinfoError::Status { status } => *status >= 500,
                UserinfoError::Malformed
                | UserinfoError::SubjectMismatch
                | UserinfoError::Signature
                | UserinfoError::Issuer
                | UserinfoError::Audience => false,
            },
            Self::IssuerMissing
            | Self::IssuerMismatch
            | Self::MalformedTokens
            | Self::TokenType
            | Self::NoIdToken
            | Self::IdToken(_)
            | Self::Claims(_) => false,
        }
    }
}

/// Why the userinfo endpoint does not confirm a sign-in.
#[derive(Debug, thiserror::Error)]
pub enum UserinfoError {
    /// It could not be reached, or not in time, or its answer was too large.
    #[error("the userinfo endpoint could not be called")]
    Call(#[source] CallError),
    /// It answered with something else than 200.
    #[error("the userinfo endpoint answered {status}")]
    Status {
        /// The status.
        status: u16,
    },
    /// Its answer is neither a JSON object nor a signed one.
    #[error("the userinfo answer cannot be read")]
    Malformed,
    /// OpenID Connect Core 5.3.2: it speaks about somebody else.
    #[error("the userinfo answer is about another subject")]
    SubjectMismatch,
    /// A signed answer whose signature does not hold.
    #[error("the signature of the userinfo answer does not hold")]
    Signature,
    /// A signed answer of another issuer.
    #[error("the userinfo answer comes from another issuer")]
    Issuer,
    /// A signed answer for another client.
    #[error("the userinfo answer is for another client")]
    Audience,
}

/// Why a token was not revoked.
#[derive(Debug, thiserror::Error)]
pub enum RevokeError {
    /// The provider's metadata is not known.
    #[error("the provider is not known yet")]
    Discovery(#[from] DiscoveryError),
    /// The provider has no revocation endpoint.
    #[error("the provider has no revocation endpoint")]
    Unsupported,
    /// The endpoint could not be reached, or not in time.
    #[error("the revocation endpoint could not be called")]
    Call(#[source] CallError),
    /// It answered with something else than 200.
    #[error("the revocation endpoint answered {status}")]
    Status {
        /// The status.
        status: u16,
    },
}
