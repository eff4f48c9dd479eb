//! An entry of `providers`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{ByteSize, OneOrMany, Ordered, PemFile, Period, Reference};

/// An OpenID Provider.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProviderEntry {
    /// The issuer identifier; discovery is below it. https, or http on loopback.
    pub(crate) issuer: String,
    /// Our client id there.
    pub(crate) client_id: String,
    /// Our client secret; none for a public client.
    #[serde(default)]
    pub(crate) client_secret: Option<Reference>,
    /// How the secret is presented: `basic` or `post`. Default: what the provider prefers.
    #[serde(default)]
    pub(crate) client_auth: Option<ClientAuthName>,
    /// What the choice page calls it. Default: its name.
    #[serde(default)]
    pub(crate) label: Option<String>,
    /// Scopes asked for; `openid` is added. Default: openid, profile, email.
    #[serde(default)]
    pub(crate) scopes: Option<Vec<String>>,
    /// Further parameters of the authorization request.
    #[serde(default)]
    pub(crate) request_params: Ordered<String>,
    /// Which claim fills which field of the subject.
    #[serde(default)]
    pub(crate) claims: ClaimNames,
    /// The proxy through which the provider is reached: `http://host:port`.
    #[serde(default)]
    pub(crate) egress_proxy: Option<String>,
    /// Further roots that are believed, beside the system's: paths of PEM files, or references.
    #[serde(default)]
    pub(crate) ca: Option<OneOrMany<PemFile>>,
    /// The longest a call may take in all. Default: `10s`.
    #[serde(default)]
    pub(crate) timeout: Option<Period>,
    /// The most bytes an answer may have. Default: `1MiB`.
    #[serde(default)]
    pub(crate) max_answer_bytes: Option<ByteSize>,
}

/// How a client authenticates at the token endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ClientAuthName {
    /// HTTP Basic.
    Basic,
    /// In the form.
    Post,
}

/// Which claim fills which field of the subject.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ClaimNames {
    /// The e-mail address. Default: `email`.
    pub(crate) email: String,
    /// The display name. Default: `name`.
    pub(crate) name: String,
    /// The groups, a list or one string. Default: `groups`.
    pub(crate) groups: String,
    /// Refuse a sign-in whose `email_verified` is not true. Default: `false`.
    pub(crate) require_verified_email: bool,
}

impl Default for ClaimNames {
    fn default() -> Self {
        Self {
            email: "email".to_owned(),
            name: "name".to_owned(),
            groups: "groups".to_owned(),
            require_verified_email: false,
        }
    }
}
