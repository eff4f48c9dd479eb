//! What is asked of clients' certificates.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::PemText;

/// Client certificates on the public listener.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct DownstreamMtlsSection {
    /// Roots that clients' certificates must come from, as PEM or PEM in base64. Without any, no client is asked for one.
    pub(crate) ca: Option<PemText>,
    /// The file of such roots.
    pub(crate) ca_file: Option<PathBuf>,
    /// Lists of revoked certificates, as PEM or PEM in base64. An issuer without a list has revoked nothing.
    pub(crate) crl: Option<PemText>,
    /// The file of such lists.
    pub(crate) crl_file: Option<PathBuf>,
    /// What becomes of a client without a valid certificate. Default: `policy_with_default_deny`.
    pub(crate) enforcement: EnforcementName,
    /// Names, one of which a certificate must have, each by an expression that matches it as a whole. Default: any name.
    pub(crate) match_subject_alt_names: Vec<NameEntry>,
    /// The most certificates of issuers between a client and what signs it, the root among them: 1 (default) means signed by the root itself; 0: any number.
    pub(crate) max_verify_depth: u32,
}

impl Default for DownstreamMtlsSection {
    fn default() -> Self {
        Self {
            ca: None,
            ca_file: None,
            crl: None,
            crl_file: None,
            enforcement: EnforcementName::PolicyWithDefaultDeny,
            match_subject_alt_names: Vec::new(),
            max_verify_depth: 1,
        }
    }
}

/// What becomes of a client without a valid certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum EnforcementName {
    /// Every route behind such roots denies it, besides what its policy says.
    #[default]
    PolicyWithDefaultDeny,
    /// Only policies with `client_certificate` or `invalid_client_certificate` look at it.
    Policy,
    /// It gets no connection, and every route denies it.
    RejectConnection,
}

/// A name of a certificate: exactly one of these.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NameEntry {
    /// A DNS name.
    #[serde(default)]
    pub(crate) dns: Option<String>,
    /// An e-mail address.
    #[serde(default)]
    pub(crate) email: Option<String>,
    /// An IP address.
    #[serde(default)]
    pub(crate) ip_address: Option<String>,
    /// A URI.
    #[serde(default)]
    pub(crate) uri: Option<String>,
    /// A user principal name, as Active Directory writes it.
    #[serde(default)]
    pub(crate) user_principal_name: Option<String>,
}
