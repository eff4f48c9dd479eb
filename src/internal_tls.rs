//! TLS between services on several hosts: TLS 1.3 only, certificates on both sides, roots from the cluster secret.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use portcullis_broker_api::ServerTls;
use portcullis_config::{Certificate, Config, Siblings};
use portcullis_identity::Timestamp;
use portcullis_keys::pki::{IssueError, LEAF_LIFETIME, ServiceCertificate};
use portcullis_keys::{KeyRing, ServiceRole};
use portcullis_proxy::AuthnEndpoint;
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::sync::watch;

/// How long before the end of its certificates a process has them issued anew: at half of their life.
const RENEWED_BEFORE: Duration = Duration::from_secs(LEAF_LIFETIME.as_secs() / 2);

/// How long before that end `status` says so.
const TOLD_BEFORE: Duration = Duration::from_secs(30 * 86_400);

/// The settings of every connection between services of this process, which follow the key ring. What is dialled or
/// accepted from then on speaks by the new ring, and resumes nothing of the old one; who dials moves over at once, and
/// what was accepted is cut when the key of its certificate is gone.
pub(crate) struct InternalTls {
    siblings: Siblings,
    /// Where the sockets of services in this process are.
    run_dir: PathBuf,
    // A lock: starting and reloading take it, connections never do.
    standing: Mutex<Standing>,
}

#[derive(Default)]
struct Standing {
    followed: Vec<Followed>,
    /// Whether the proxy of this process shows a certificate to the sign-in service.
    dials_authn: bool,
    /// The end of the certificate that ends first; `None`: there is none.
    not_after: Option<Timestamp>,
}

#[derive(Clone)]
enum Followed {
    Server(ServiceRole, watch::Sender<Arc<ServerTls>>),
    Client(ServiceRole, watch::Sender<Arc<ClientConfig>>),
}

/// Settings of another key ring, before they count.
#[derive(Default)]
pub(crate) struct NextInternalTls {
    swaps: Vec<Box<dyn FnOnce() + Send>>,
    not_after: Option<Timestamp>,
}

impl InternalTls {
    /// Nobody's settings yet.
    pub(crate) fn new(config: &Config) -> Self {
        let (siblings, run_dir) = (config.siblings.clone(), config.directories.run.clone());
        Self { siblings, run_dir, standing: Mutex::default() }
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
    ) -> Result<watch::Receiver<Arc<ServerTls>>, InternalTlsError> {
        let own = ring.service_certificate(role, now)?;
        let (settings, followed) = watch::channel(server(&own)?);
        self.standing().follow(Followed::Server(role, settings), own.not_after);
        Ok(followed)
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
    ) -> Result<watch::Receiver<Arc<ClientConfig>>, InternalTlsError> {
        let own = ring.service_certificate(role, now)?;
        let (settings, followed) = watch::channel(client(&own)?);
        self.standing().follow(Followed::Client(role, settings), own.not_after);
        Ok(followed)
    }

    /// The proxy's way to the sign-in service, by the certificate that `ring` gives a proxy. Another certificate is
    /// another way, which new requests take.
    ///
    /// # Errors
    /// See [`InternalTlsError`].
    pub(crate) fn authn(&self, ring: &KeyRing, now: Timestamp) -> Result<AuthnEndpoint, InternalTlsError> {
        let Some(url) = &self.siblings.authn else {
            return Ok(AuthnEndpoint::Unix(self.run_dir.join("authn.sock")));
        };
        let own = ring.service_certificate(ServiceRole::Proxy, now)?;
        {
            let mut standing = self.standing();
            standing.dials_authn = true;
            standing.holds(own.not_after);
        }
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
        let (followed, dials_authn) = {
            let standing = self.standing();
            (standing.followed.clone(), standing.dials_authn)
        };
        let mut next = NextInternalTls::default();
        for one in followed {
            let (Followed::Server(role, _) | Followed::Client(role, _)) = one;
            let own = ring.service_certificate(role, now)?;
            next.not_after = earlier(next.not_after, own.not_after);
            next.swaps.push(match one {
                Followed::Server(_, settings) => {
                    let new = server(&own)?;
                    Box::new(move || drop(settings.send_replace(new)))
                }
                Followed::Client(_, settings) => {
                    let new = client(&own)?;
                    Box::new(move || drop(settings.send_replace(new)))
                }
            });
        }
        if dials_authn {
            // The proxy's way to the sign-in service is of the same age.
            let own = ring.service_certificate(ServiceRole::Proxy, now)?;
            next.not_after = earlier(next.not_after, own.not_after);
        }
        Ok(next)
    }

    /// From now on.
    pub(crate) fn take_over(&self, NextInternalTls { swaps, not_after }: NextInternalTls) {
        if not_after.is_some() {
            self.standing().not_after = not_after;
        }
        swaps.into_iter().for_each(|swap| swap());
    }

    /// Whether half of the life of some certificate is over at `now`.
    pub(crate) fn is_due(&self, now: Timestamp) -> bool {
        self.not_after().is_some_and(|end| now >= end.saturating_sub(RENEWED_BEFORE))
    }

    /// What is said while the end of some certificate is near: issued ones are renewed long before, exported ones wait
    /// for their operator.
    pub(crate) fn ending(&self, now: Timestamp) -> Option<String> {
        let end = self.not_after().filter(|end| now >= end.saturating_sub(TOLD_BEFORE))?;
        let day = jiff::Timestamp::from_second(end.unix_seconds()).map(|end| end.strftime("%Y-%m-%d").to_string());
        let day = day.unwrap_or_default();
        Some(format!("the certificate towards other hosts ends on {day}: put a new `portcullis keys export` there"))
    }

    /// The end of the certificate that ends first.
    fn not_after(&self) -> Option<Timestamp> {
        self.standing().not_after
    }

    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Standing {
    fn follow(&mut self, one: Followed, not_after: Timestamp) {
        self.followed.push(one);
        self.holds(not_after);
    }

    fn holds(&mut self, not_after: Timestamp) {
        self.not_after = earlier(self.not_after, not_after);
    }
}

fn earlier(one: Option<Timestamp>, other: Timestamp) -> Option<Timestamp> {
    Some(one.map_or(other, |one| one.min(other)))
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
fn server(own: &ServiceCertificate) -> Result<Arc<ServerTls>, InternalTlsError> {
    let verifier = WebPkiClientVerifier::builder(Arc::new(roots(own)?)).build()?;
    let mut config = ServerConfig::builder_with_protocol_versions(&[&rustls::version::TLS13])
        .with_client_cert_verifier(Arc::clone(&verifier))
        .with_single_cert(vec![own.certificate.clone()], own.private_key())?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(Arc::new(ServerTls::new(Arc::new(config), verifier)))
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

#[cfg(test)]
mod tests;
