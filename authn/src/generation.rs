//! What the sign-in service works with between two reloads: configuration, keys, providers.

use std::sync::Arc;

use portcullis_config::{Config, Cookie, Namespace, Provider, SignIn};
use portcullis_identity::{Clock, Needs, ProviderName};
use portcullis_keys::{CredentialKeys, FlowKeys, KeyRing, NotHeld, SealKeys};
use portcullis_oidc::{CallObserver, ProviderStatus, RelyingParty, SetupError};
use url::Url;

/// The keys this service holds.
#[derive(Debug)]
pub(crate) struct AuthnKeys {
    pub(crate) credential: CredentialKeys,
    pub(crate) handover: SealKeys,
    pub(crate) flow: FlowKeys,
}

impl AuthnKeys {
    pub(crate) fn of(ring: &KeyRing) -> Result<Self, NotHeld> {
        Ok(Self { credential: ring.credential()?, handover: ring.handover()?, flow: ring.flow()? })
    }
}

/// Why a configuration cannot be taken over; the one before it stays.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The key ring lacks a key that sign-in needs.
    #[error("the keys of the sign-in service are missing")]
    Keys(#[from] NotHeld),
    /// A provider's transport settings do not work.
    #[error("the provider {provider} cannot be set up")]
    Provider {
        /// Its name.
        provider: ProviderName,
        /// What is wrong.
        #[source]
        source: SetupError,
    },
    /// The sign-in host does not make an address.
    #[error("the sign-in host does not make an address")]
    Host(#[source] url::ParseError),
    /// Metrics of these names are registered already.
    #[error("the metrics cannot be registered")]
    Metrics(#[from] prometheus::Error),
}

/// How one provider is doing, for readiness and status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadProvider {
    /// Its name in the configuration.
    pub name: ProviderName,
    /// As far as its own answers tell; nobody asks it for this.
    pub status: ProviderStatus,
}

/// One generation; immutable.
#[derive(Debug)]
pub(crate) struct Generation {
    pub(crate) config: Arc<Config>,
    pub(crate) keys: AuthnKeys,
    /// The cookies of the sign-in host.
    pub(crate) cookie: Cookie,
    /// One for each of the configuration's providers, in its order.
    relying_parties: Vec<Arc<RelyingParty>>,
}

/// A provider as a sign-in sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Offered<'a> {
    pub(crate) provider: &'a Provider,
    pub(crate) relying_party: &'a RelyingParty,
}

impl Generation {
    /// A generation of `config`. Providers that are configured as before go on with all they have learnt.
    pub(crate) fn build(
        config: Arc<Config>,
        keys: AuthnKeys,
        previous: Option<&Self>,
        clock: &Arc<dyn Clock>,
        observer: &Arc<dyn CallObserver>,
    ) -> Result<Self, PublishError> {
        let redirect_uri = redirect_uri(&config).map_err(PublishError::Host)?;
        let party = |provider: &Provider| {
            let kept = previous.and_then(|previous| {
                previous.relying_parties.iter().find(|party| party.serves(provider, &redirect_uri))
            });
            if let Some(kept) = kept {
                return Ok(Arc::clone(kept));
            }
            RelyingParty::new(provider, redirect_uri.clone(), Arc::clone(clock), Arc::clone(observer))
                .map(Arc::new)
                .map_err(|source| PublishError::Provider { provider: provider.name.clone(), source })
        };
        let relying_parties = config.providers.iter().map(party).collect::<Result<_, _>>()?;
        let cookie = own_cookie(&config.sign_in);
        Ok(Self { config, keys, cookie, relying_parties })
    }

    /// The providers whose sessions meet `needs`, in the order of the file.
    pub(crate) fn offered<'a>(&'a self, needs: &'a Needs) -> impl Iterator<Item = Offered<'a>> {
        self.all().filter(|offered| needs.providers.is_empty() || needs.providers.contains(&offered.provider.name))
    }

    pub(crate) fn provider(&self, name: &ProviderName) -> Option<Offered<'_>> {
        self.all().find(|offered| offered.provider.name == *name)
    }

    pub(crate) fn statuses(&self) -> Vec<ReadProvider> {
        let read = |party: &Arc<RelyingParty>| ReadProvider { name: party.name().clone(), status: party.status() };
        self.relying_parties.iter().map(read).collect()
    }

    pub(crate) fn host(&self) -> &str {
        &self.config.sign_in.host
    }

    /// Whether a route serves this host. A session goes to no other: a name that only resolves to us, or whose
    /// owner speaks as a client, is not ours to hand anything over to, whatever a sealed message says.
    pub(crate) fn serves(&self, host: &str) -> bool {
        self.config.routes.iter().any(|route| route.host.serves(host))
    }

    /// The address of one of our pages on the sign-in host, below the namespace prefix.
    pub(crate) fn path(&self, page: &str) -> String {
        format!("{}{page}", self.config.sign_in.namespace.path_prefix())
    }

    fn all(&self) -> impl Iterator<Item = Offered<'_>> {
        let pairs = self.config.providers.iter().zip(&self.relying_parties);
        pairs.map(|(provider, relying_party)| Offered { provider, relying_party })
    }
}

/// The sign-in host's own cookies. With the reference's names a session cookie may have a `Domain`, and those of
/// route hosts then come here too, each bound to its own host: ours has a name of its own, as in the reference,
/// and never a `Domain`.
fn own_cookie(sign_in: &SignIn) -> Cookie {
    let cookie = sign_in.cookie.clone();
    match sign_in.namespace {
        Namespace::Portcullis => cookie,
        Namespace::Pomerium => Cookie { name: format!("{}_authenticate", cookie.name).into(), domain: None, ..cookie },
    }
}

fn redirect_uri(config: &Config) -> Result<Url, url::ParseError> {
    let mut uri = Url::parse(&format!("https://{}", config.sign_in.host))?;
    // Fails only for addresses without a host; the default port is left out by itself.
    let _port_is_set = uri.set_port(Some(config.listen.public_port));
    uri.set_path(config.sign_in.namespace.provider_callback_path());
    Ok(uri)
}
