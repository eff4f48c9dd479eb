//! What a provider publishes about itself, read and judged: metadata (OpenID Connect Discovery 4.2) and keys.

use std::sync::Arc;

use openidconnect::core::{
    CoreAuthDisplay, CoreClaimName, CoreClaimType, CoreClientAuthMethod, CoreGrantType, CoreJsonWebKey,
    CoreJsonWebKeySet, CoreJsonWebKeyType, CoreJweContentEncryptionAlgorithm, CoreJweKeyManagementAlgorithm,
    CoreResponseMode, CoreResponseType, CoreSubjectIdentifierType,
};
use openidconnect::{AdditionalProviderMetadata, JsonWebKey, JsonWebKeySet, ProviderMetadata};
use portcullis_config::ClientAuth;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use url::{Host, Url};

use crate::error::{DiscoveryError, Document, SafeText};

/// The most signing keys of one provider; what its document lists beyond them is ignored.
const MAX_KEYS: usize = 128;

/// The endpoints and habits of a provider, each address judged.
#[derive(Clone, Debug)]
pub(crate) struct Metadata {
    /// The issuer identifier exactly as the provider writes it: what `iss` is compared with.
    pub(crate) issuer: String,
    pub(crate) authorization_endpoint: Url,
    pub(crate) token_endpoint: Url,
    pub(crate) keys_endpoint: Url,
    pub(crate) userinfo_endpoint: Option<Url>,
    pub(crate) end_session_endpoint: Option<Url>,
    pub(crate) revocation_endpoint: Option<Url>,
    /// How a client secret is presented, if the configuration does not say.
    pub(crate) client_auth: ClientAuth,
    /// RFC 9207: every authorization response carries `iss`.
    pub(crate) names_issuer: bool,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct Further {
    end_session_endpoint: Option<Url>,
    revocation_endpoint: Option<Url>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

impl AdditionalProviderMetadata for Further {}

type Published = ProviderMetadata<
    Further,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;

/// Where the metadata of `issuer` is (OpenID Connect Discovery 4: a terminating slash is removed first).
pub(crate) fn metadata_address(issuer: &Url) -> String {
    format!("{}/.well-known/openid-configuration", issuer.as_str().trim_end_matches('/'))
}

impl Metadata {
    /// Reads the document that was found below `configured`.
    pub(crate) fn parse(text: &[u8], configured: &Url) -> Result<Self, DiscoveryError> {
        let published: Published = serde_json::from_slice(text)
            .map_err(|source| DiscoveryError::Malformed { document: Document::Metadata, source: Arc::new(source) })?;
        let issuer = published.issuer().as_str();
        // OpenID Connect Discovery 4.3: compared exactly. An address without a path has lost the difference
        // between "" and "/" when it was read from the configuration, so there both are the same issuer.
        let same = issuer == configured.as_str()
            || (configured.path() == "/" && configured.as_str().strip_suffix('/') == Some(issuer));
        if !same {
            return Err(DiscoveryError::IssuerMismatch { found: SafeText::new(issuer) });
        }
        let Further { end_session_endpoint, revocation_endpoint, authorization_response_iss_parameter_supported } =
            published.additional_metadata().clone();
        let judge = |endpoint: &'static str, address: &Url| judged(endpoint, address, configured);
        let token_endpoint =
            published.token_endpoint().ok_or(DiscoveryError::NoEndpoint { endpoint: "token_endpoint" })?;
        let optional =
            |endpoint: &'static str, address: Option<&Url>| address.map(|address| judge(endpoint, address)).transpose();
        Ok(Self {
            issuer: issuer.to_owned(),
            authorization_endpoint: judge("authorization_endpoint", published.authorization_endpoint().url())?,
            token_endpoint: judge("token_endpoint", token_endpoint.url())?,
            keys_endpoint: judge("jwks_uri", published.jwks_uri().url())?,
            userinfo_endpoint: optional(
                "userinfo_endpoint",
                published.userinfo_endpoint().map(|address| address.url()),
            )?,
            end_session_endpoint: optional("end_session_endpoint", end_session_endpoint.as_ref())?,
            revocation_endpoint: optional("revocation_endpoint", revocation_endpoint.as_ref())?,
            client_auth: preferred_client_auth(published.token_endpoint_auth_methods_supported()),
            names_issuer: authorization_response_iss_parameter_supported,
        })
    }
}

/// `client_secret_basic` is what a provider supports that says nothing (OpenID Connect Discovery 3).
fn preferred_client_auth(methods: Option<&Vec<CoreClientAuthMethod>>) -> ClientAuth {
    let Some(methods) = methods else {
        return ClientAuth::Basic;
    };
    let basic = methods.contains(&CoreClientAuthMethod::ClientSecretBasic);
    let post = methods.contains(&CoreClientAuthMethod::ClientSecretPost);
    if post && !basic { ClientAuth::Post } else { ClientAuth::Basic }
}

/// An endpoint must be `https`; beside an issuer on plain loopback it may be there too.
fn judged(endpoint: &'static str, address: &Url, issuer: &Url) -> Result<Url, DiscoveryError> {
    let plain_allowed = issuer.scheme() == "http" && is_loopback(issuer);
    let secure = address.scheme() == "https";
    if address.has_host() && (secure || (plain_allowed && address.scheme() == "http" && is_loopback(address))) {
        Ok(address.clone())
    } else {
        Err(DiscoveryError::InsecureEndpoint { endpoint })
    }
}

fn is_loopback(address: &Url) -> bool {
    match address.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    }
}

/// The keys that can check a signature. Whatever is unreadable, symmetric, or not for signatures is left
/// out: one odd key must not take the good ones with it.
pub(crate) fn parse_keys(text: &[u8]) -> Result<CoreJsonWebKeySet, DiscoveryError> {
    #[derive(Deserialize)]
    struct KeySet<'a> {
        #[serde(borrow)]
        keys: Vec<&'a RawValue>,
    }
    let set: KeySet<'_> = serde_json::from_slice(text)
        .map_err(|source| DiscoveryError::Malformed { document: Document::Keys, source: Arc::new(source) })?;
    let readable = set.keys.into_iter().filter_map(|key| serde_json::from_str::<CoreJsonWebKey>(key.get()).ok());
    let usable = readable.filter(|key| *key.key_type() != CoreJsonWebKeyType::Symmetric);
    Ok(JsonWebKeySet::new(usable.take(MAX_KEYS).collect()))
}
