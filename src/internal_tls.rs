//! TLS between services on several hosts: TLS 1.3 only, certificates on both sides, roots from the cluster secret.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use portcullis_config::{Certificate, Config, Siblings};
use portcullis_identity::Timestamp;
use portcullis_keys::pki::{IssueError, ServiceCertificate};
use portcullis_keys::{KeyRing, ServiceRole};
use portcullis_proxy::AuthnEndpoint;
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

/// The settings of every connection between services of this process, which follow the key ring. What is open stays
/// open; what is dialled or accepted from then on speaks by the new ring, and resumes nothing of the old one.
pub(crate) struct InternalTls {
    siblings: Siblings,
    /// Where the sockets of services in this process are.
    run_dir: PathBuf,
    // A lock: starting and reloading take it, connections never do.
    followed: Mutex<Vec<Followed>>,
}

#[derive(Clone)]
enum Followed {
    Server(ServiceRole, Arc<ArcSwap<ServerConfig>>),
    Client(ServiceRole, Arc<ArcSwap<ClientConfig>>),
}

/// Settings of another key ring, before they count.
#[derive(Default)]
pub(crate) struct NextInternalTls(Vec<Box<dyn FnOnce() + Send>>);

impl InternalTls {
    /// Nobody's settings yet.
    pub(crate) fn new(config: &Config) -> Self {
        let (siblings, run_dir) = (config.siblings.clone(), config.directories.run.clone());
        Self { siblings, run_dir, followed: Mutex::default() }
    }

    /// The settings of `role`'s listener, which follow the key ring.
    ///
    /// # Errors
    /// See [`InternalTlsError`].
    pub(crate) fn server(
        &self,
        ring: &KeyRing,
        role: ServiceRole,
        now: Timestamp,
    ) -> Result<Arc<ArcSwap<ServerConfig>>, InternalTlsError> {
        let settings = Arc::new(ArcSwap::new(server(&ring.service_certificate(role, now)?)?));
        self.follow(Followed::Server(role, Arc::clone(&settings)));
        Ok(settings)
    }

    /// The settings by which `role` dials, which follow the key ring.
    ///
    /// # Errors
    /// See [`InternalTlsError`].
    pub(crate) fn client(
        &self,
        ring: &KeyRing,
        role: ServiceRole,
        now: Timestamp,
    ) -> Result<Arc<ArcSwap<ClientConfig>>, InternalTlsError> {
        let settings = Arc::new(ArcSwap::new(client(&ring.service_certificate(role, now)?)?));
        self.follow(Followed::Client(role, Arc::clone(&settings)));
        Ok(settings)
    }

    /// The proxy's way to the sign-in service, by the certificate that `ring` gives a proxy.
    ///
    /// # Errors
    /// See [`InternalTlsError`].
    pub(crate) fn authn(&self, ring: &KeyRing, now: Timestamp) -> Result<AuthnEndpoint, InternalTlsError> {
        let Some(url) = &self.siblings.authn else {
            return Ok(AuthnEndpoint::Unix(self.run_dir.join("authn.sock")));
        };
        let own = ring.service_certificate(ServiceRole::Proxy, now)?;
        let certificate = Certificate {
            chain: vec![own.certificate.clone()],
            key: own.private_key(),
            origin: Path::new("the cluster secret").to_owned(),
        };
        Ok(AuthnEndpoint::Tls {
            url: url.clone(),
            ca: own.anchors,
            server_name: Some(ServiceRole::Authn.server_name().into()),
            certificate,
        })
    }

    /// What `ring` makes of all settings that follow it.
    ///
    /// # Errors
    /// See [`InternalTlsError`]; nothing has changed.
    pub(crate) fn prepare(&self, ring: &KeyRing, now: Timestamp) -> Result<NextInternalTls, InternalTlsError> {
        let followed = self.followed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let next = followed.into_iter().map(|one| -> Result<Box<dyn FnOnce() + Send>, InternalTlsError> {
            match one {
                Followed::Server(role, settings) => {
                    let new = server(&ring.service_certificate(role, now)?)?;
                    Ok(Box::new(move || settings.store(new)))
                }
                Followed::Client(role, settings) => {
                    let new = client(&ring.service_certificate(role, now)?)?;
                    Ok(Box::new(move || settings.store(new)))
                }
            }
        });
        next.collect::<Result<_, _>>().map(NextInternalTls)
    }

    fn follow(&self, one: Followed) {
        self.followed.lock().unwrap_or_else(PoisonError::into_inner).push(one);
    }
}

impl NextInternalTls {
    /// From now on.
    pub(crate) fn take_over(self) {
        self.0.into_iter().for_each(|swap| swap());
    }
}

impl fmt::Debug for InternalTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InternalTls")
    }
}

/// HTTP/2 and nothing else.
const ALPN: &[u8] = b"h2";

/// Why a service has no TLS.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InternalTlsError {
    /// No certificate to show.
    #[error("no certificate for this service")]
    Certificate(#[from] IssueError),
    /// The library refused what we gave it.
    #[error("the certificate cannot be used")]
    Tls(#[from] rustls::Error),
    /// The roots make no verifier.
    #[error("the cluster's roots make no verifier")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
}

/// The side that listens: every caller must show a certificate of the cluster. Which service it names, and what
/// that service may ask for, is the listener's own business.
///
/// # Errors
/// See [`InternalTlsError`].
fn server(own: &ServiceCertificate) -> Result<Arc<ServerConfig>, InternalTlsError> {
    let verifier = WebPkiClientVerifier::builder(Arc::new(roots(own)?)).build()?;
    let mut config = ServerConfig::builder_with_protocol_versions(&[&rustls::version::TLS13])
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![own.certificate.clone()], own.private_key())?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(Arc::new(config))
}

/// The side that dials. The name it checks is the role's (`broker.portcullis.internal`), whatever host it dials.
///
/// # Errors
/// See [`InternalTlsError`].
fn client(own: &ServiceCertificate) -> Result<Arc<ClientConfig>, InternalTlsError> {
    let mut config = ClientConfig::builder_with_protocol_versions(&[&rustls::version::TLS13])
        .with_root_certificates(roots(own)?)
        .with_client_auth_cert(vec![own.certificate.clone()], own.private_key())?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(Arc::new(config))
}

fn roots(own: &ServiceCertificate) -> Result<RootCertStore, rustls::Error> {
    let mut roots = RootCertStore::empty();
    for anchor in &own.anchors {
        roots.add(anchor.clone())?;
    }
    Ok(roots)
}
