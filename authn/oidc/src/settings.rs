//! One provider's configuration, taken over by its relying party.

use portcullis_config::{ClaimMapping, ClientAuth, Provider, ProviderTransport};
use portcullis_identity::{ProviderName, SecretText};
use url::Url;

/// What a relying party knows before it has talked to its provider. Equal settings mean that whatever was
/// learnt from the provider still holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) name: ProviderName,
    pub(crate) issuer: Url,
    pub(crate) client: Client,
    pub(crate) scopes: Vec<String>,
    pub(crate) request_params: Vec<(String, String)>,
    pub(crate) claims: ClaimMapping,
    pub(crate) transport: ProviderTransport,
    /// Where the provider sends the browser back to.
    pub(crate) redirect_uri: Url,
}

/// Who we are at the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Client {
    pub(crate) id: String,
    pub(crate) secret: Option<SecretText>,
    pub(crate) auth: Option<ClientAuth>,
}

impl Settings {
    pub(crate) fn of(provider: &Provider, redirect_uri: Url) -> Self {
        let Provider {
            name,
            label: _, // for pages only
            issuer,
            client_id,
            client_secret,
            client_auth,
            scopes,
            request_params,
            claims,
            transport,
        } = provider;
        Self {
            name: name.clone(),
            issuer: issuer.clone(),
            client: Client { id: client_id.clone(), secret: client_secret.clone(), auth: *client_auth },
            scopes: scopes.clone(),
            request_params: request_params.clone(),
            claims: claims.clone(),
            transport: transport.clone(),
            redirect_uri,
        }
    }
}
