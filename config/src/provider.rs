//! An identity provider as the rest of Portcullis sees it.

use std::sync::Arc;
use std::time::Duration;

use portcullis_identity::{ProviderName, SecretText};
use rustls_pki_types::CertificateDer;

/// An OpenID Provider.
#[derive(Debug)]
pub struct Provider {
    /// Its name in the configuration.
    pub name: ProviderName,
    /// What the choice page calls it.
    pub label: Arc<str>,
    /// The issuer identifier; discovery is below it. `https`, or `http` on loopback.
    pub issuer: url::Url,
    /// Our client id there.
    pub client_id: String,
    /// Our client secret; `None` for a public client.
    pub client_secret: Option<SecretText>,
    /// How the secret is presented at the token endpoint; `None`: what discovery prefers.
    pub client_auth: Option<ClientAuth>,
    /// Scopes asked for; contains `openid`.
    pub scopes: Vec<String>,
    /// Further parameters of the authorization request.
    pub request_params: Vec<(String, String)>,
    /// Which claim fills which field of the subject.
    pub claims: ClaimMapping,
    /// How provider calls travel.
    pub transport: ProviderTransport,
}

/// How a client authenticates at the token endpoint (OpenID Connect Core 9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// HTTP Basic.
    Basic,
    /// In the form body.
    Post,
}

/// Which claim fills which field of the subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimMapping {
    /// The e-mail address; `email`.
    pub email: String,
    /// The display name; `name`.
    pub name: String,
    /// The groups, a list or one string; `groups`.
    pub groups: String,
    /// Refuse a sign-in whose `email_verified` is not true.
    pub require_verified_email: bool,
}

/// How provider calls travel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderTransport {
    /// The egress proxy, `http://host:port`.
    pub egress_proxy: Option<url::Url>,
    /// Further roots that are believed, beside the system's.
    pub ca: Vec<CertificateDer<'static>>,
    /// The longest a call may take in all; 10 s.
    pub timeout: Duration,
    /// The most bytes an answer may have; 1 MiB.
    pub max_answer_bytes: usize,
}
