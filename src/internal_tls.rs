//! TLS between services on several hosts: TLS 1.3 only, certificates on both sides, roots from the cluster secret.

use std::sync::Arc;

use portcullis_keys::pki::{IssueError, ServiceCertificate};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

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
pub(crate) fn server(own: &ServiceCertificate) -> Result<Arc<ServerConfig>, InternalTlsError> {
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
pub(crate) fn client(own: &ServiceCertificate) -> Result<Arc<ClientConfig>, InternalTlsError> {
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
