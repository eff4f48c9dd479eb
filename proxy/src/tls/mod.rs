//! TLS towards clients: which certificate, which protocols, how sessions resume.

mod asking;
mod handshakes;
mod resolver;
mod tickets;

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::server::NoServerSessionStorage;
use rustls::server::danger::ClientCertVerifier;

pub(crate) use handshakes::{Doors, Handshakes};
pub(crate) use resolver::Certificates;
pub use resolver::{CertificateFault, UnusableCertificate};
pub(crate) use tickets::Tickets;

/// Protocols offered by ALPN (RFC 7301), best first.
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// The cryptography of this process.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// A configuration of the public listeners: TLS 1.2 and 1.3, no early data (it can be replayed), no
/// renegotiation (rustls has none). With `asking`, clients are asked for a certificate.
///
/// # Errors
/// The provider lacks a protocol version, which ours does not.
fn server_config(
    certificates: Arc<arc_swap::ArcSwap<Certificates>>,
    tickets: Option<Tickets>,
    asking: Option<Arc<dyn ClientCertVerifier>>,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let builder = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?;
    let builder = match asking {
        Some(asking) => builder.with_client_cert_verifier(asking),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::new(resolver::Resolver::new(certificates)));
    config.alpn_protocols = ALPN.iter().map(|name| name.to_vec()).collect();
    // Tickets alone resume sessions: they work on every proxy of the cluster and across restarts.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    if let Some(tickets) = tickets {
        config.ticketer = Arc::new(tickets);
    }
    Ok(Arc::new(config))
}
