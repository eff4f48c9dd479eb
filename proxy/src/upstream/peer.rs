//! How one upstream is spoken to: a template that becomes Pingora's peer with an address.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use pingora_core::connectors::http::v2::H2HandshakeSettings;
use pingora_core::protocols::{ALPN, TcpKeepalive};
use pingora_core::upstreams::peer::HttpPeer;
use pingora_core::utils::tls::{CertKey, WrappedX509, parse_x509};
use portcullis_config::Certificate;
use portcullis_config::{Scheme, Upstream, UpstreamTls};
use portcullis_gate::own_name;
use rustls::RootCertStore;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::idle::IDLE;

/// TCP and, for each of the two, TLS.
const CONNECT: Duration = Duration::from_secs(3);

/// From nothing to a usable connection.
const CONNECT_IN_ALL: Duration = Duration::from_secs(5);

/// One write to the upstream.
pub(crate) const WRITE: Duration = Duration::from_secs(30);

/// Streams on one HTTP/2 connection.
const H2_STREAMS: usize = 100;

/// Between two HTTP/2 pings: a dead connection is noticed although nothing is sent.
const H2_PING: Duration = Duration::from_secs(30);

/// Bytes an HTTP/2 upstream may send ahead of a slow client.
const H2_WINDOW: u32 = 256 * 1024;

/// Bytes it may send ahead of all clients of one connection: many slow ones hold up no other.
const H2_CONNECTION_WINDOW: u32 = 64 * H2_WINDOW;

/// Upstream TLS settings that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum UnusableUpstream {
    /// The host cannot stand in a header.
    #[error("host of upstream {host} is not one")]
    Host {
        /// The upstream's host.
        host: Arc<str>,
    },
    /// `tls_custom_ca` is not a certificate.
    #[error("custom CA of upstream {host} is not a certificate")]
    Ca {
        /// The upstream's host.
        host: Arc<str>,
    },
    /// `tls_client_cert` and `tls_client_key` are not a certificate with its key.
    #[error("client certificate of upstream {host} cannot be used")]
    ClientCertificate {
        /// The upstream's host.
        host: Arc<str>,
        /// What rustls says.
        #[source]
        source: Option<rustls::Error>,
    },
}

/// Everything about a peer but its address.
#[derive(Clone, Debug)]
pub(crate) struct PeerTemplate {
    scheme: Scheme,
    server_name: Arc<str>,
    skip_verify: bool,
    ca: Option<Arc<[WrappedX509]>>,
    client: Option<Arc<CertKey>>,
    group_key: u64,
    /// Which upstream.
    pub(crate) upstream: Upstream,
    /// What it is called in `Host`, unless the route says otherwise.
    pub(crate) host: HeaderValue,
}

impl PeerTemplate {
    /// A template for `upstream`.
    ///
    /// # Errors
    /// A CA or client certificate that cannot be used.
    pub(crate) fn new(upstream: &Upstream, tls: &UpstreamTls) -> Result<Self, UnusableUpstream> {
        let Upstream { scheme, host, port: _, weight: _ } = upstream;
        let UpstreamTls { ca, server_name, skip_verify, client_certificate, digest } = tls;
        let ca = if ca.is_empty() {
            None
        } else {
            let mut roots = RootCertStore::empty();
            for certificate in ca {
                roots.add(certificate.clone()).map_err(|_| UnusableUpstream::Ca { host: Arc::clone(host) })?;
            }
            // Pingora panics on what is no certificate; the store above has parsed it, this parses as Pingora does.
            if ca.iter().any(|certificate| X509Certificate::from_der(certificate).is_err()) {
                return Err(UnusableUpstream::Ca { host: Arc::clone(host) });
            }
            Some(ca.iter().map(|certificate| WrappedX509::new(certificate.to_vec(), parse_x509)).collect())
        };
        let client = client_certificate.as_ref().map(|certificate| client_key(host, certificate)).transpose()?;
        Ok(Self {
            scheme: *scheme,
            server_name: server_name.clone().unwrap_or_else(|| Arc::clone(host)),
            skip_verify: *skip_verify,
            ca,
            client,
            group_key: group_key(digest, *scheme),
            upstream: upstream.clone(),
            host: HeaderValue::from_str(&own_name(upstream))
                .map_err(|_| UnusableUpstream::Host { host: Arc::clone(host) })?,
        })
    }

    /// The peer at `address`. `upgrade`: a WebSocket handshake, which is HTTP/1.1 always.
    pub(crate) fn peer(&self, address: SocketAddr, upgrade: bool, read: Option<Duration>) -> HttpPeer {
        let tls = self.scheme == Scheme::Https;
        // An address, not a name: nothing is resolved here.
        let mut peer = HttpPeer::new(address, tls, if tls { self.server_name.to_string() } else { String::new() });
        let options = &mut peer.options;
        options.connection_timeout = Some(CONNECT);
        options.total_connection_timeout = Some(CONNECT_IN_ALL);
        options.read_timeout = read;
        options.write_timeout = Some(WRITE);
        options.idle_timeout = Some(IDLE);
        options.tcp_keepalive = Some(TcpKeepalive {
            idle: Duration::from_secs(60),
            interval: Duration::from_secs(15),
            count: 4,
            user_timeout: Duration::ZERO,
        });
        options.max_h2_streams = H2_STREAMS;
        options.h2_ping_interval = Some(H2_PING);
        options.h2_stream_window_size = Some(H2_WINDOW);
        options.h2_connection_window_size = Some(H2_CONNECTION_WINDOW);
        options.alpn = match self.scheme {
            Scheme::H2c => ALPN::H2,
            Scheme::Https if !upgrade => ALPN::H2H1,
            Scheme::Https | Scheme::Http => ALPN::H1,
        };
        if self.skip_verify {
            options.verify_cert = false;
            options.verify_hostname = false;
        }
        options.ca.clone_from(&self.ca);
        peer.client_cert_key.clone_from(&self.client);
        // Pingora's pool key leaves ALPN out: an upgrade must not get a pooled HTTP/2 connection.
        peer.group_key = self.group_key ^ u64::from(upgrade);
        peer
    }
}

/// How HTTP/2 is begun with `peer` on a connection that was made without a word about it.
pub(crate) fn h2_settings(peer: &HttpPeer) -> H2HandshakeSettings {
    let options = &peer.options;
    let mut settings = H2HandshakeSettings::new();
    settings.max_streams = options.max_h2_streams;
    settings.ping_interval = options.h2_ping_interval;
    settings.stream_window_size = options.h2_stream_window_size;
    settings.connection_window_size = options.h2_connection_window_size;
    settings
}

fn client_key(host: &Arc<str>, certificate: &Certificate) -> Result<Arc<CertKey>, UnusableUpstream> {
    let Certificate { chain, key, origin: _ } = certificate;
    let unusable = |source| UnusableUpstream::ClientCertificate { host: Arc::clone(host), source };
    if chain.is_empty() || chain.iter().any(|certificate| X509Certificate::from_der(certificate).is_err()) {
        return Err(unusable(None));
    }
    rustls::sign::CertifiedKey::from_der(chain.clone(), key.clone_key(), &crate::tls::provider())
        .map_err(|error| unusable(Some(error)))?;
    let chain = chain.iter().map(|certificate| certificate.to_vec()).collect();
    Ok(Arc::new(CertKey::new(chain, key.secret_der().to_vec())))
}

/// Which connections may be shared: Pingora's own key leaves CA and ALPN out.
fn group_key(tls: &[u8; 32], scheme: Scheme) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = *tls;
    // The lowest bit is left to upgrades.
    (u64::from_be_bytes([a, b, c, d, e, f, g, h]) ^ ((scheme as u64) << 1)) & !1
}
