//! The generator's TLS: version 1.3 with X25519 alone, so that every system does the same work in a handshake.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::order::Order;

/// Whether a connection may take up the session of an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tickets {
    /// Kept and shown.
    Kept,
    /// Thrown away.
    Dropped,
}

/// A client that believes one root and offers these protocols. Its tickets are its own: two workers never compete.
///
/// # Errors
/// The root cannot be read.
pub fn config(roots: &Path, protocols: &[&str], tickets: Tickets) -> io::Result<Arc<ClientConfig>> {
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&fs::read(roots)?) {
        store.add(certificate.map_err(io::Error::other)?).map_err(io::Error::other)?;
    }
    let mut provider = aws_lc_rs::default_provider();
    provider.kx_groups = vec![aws_lc_rs::kx_group::X25519];
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(io::Error::other)?
        .with_root_certificates(store)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    if tickets == Tickets::Dropped {
        config.resumption = Resumption::disabled();
    }
    Ok(Arc::new(config))
}

/// The name that is asked for in the handshake.
///
/// # Errors
/// The host is no name.
pub fn server_name(host: &str) -> io::Result<ServerName<'static>> {
    ServerName::try_from(host.to_owned()).map_err(io::Error::other)
}

/// A connection to the system of the order.
///
/// # Errors
/// No connection, or no handshake.
pub async fn connect(order: &Order, config: &Arc<ClientConfig>) -> io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(order.address).await?;
    stream.set_nodelay(true)?;
    TlsConnector::from(Arc::clone(config)).connect(server_name(&order.host)?, stream).await
}
