//! The way to the sign-in service: a Unix socket in this process's `run_dir`, or mutual TLS to another host.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pingora_core::protocols::ALPN;
use pingora_core::upstreams::peer::HttpPeer;
use portcullis_config::{Certificate, Scheme, Upstream, UpstreamTls};
use rustls_pki_types::CertificateDer;
use url::Url;

use crate::upstream::{RouteUpstreams, Targets, UnusableUpstream};

/// The longest the sign-in service may take for the head of an answer: it waits for a provider itself.
const ANSWER: Duration = Duration::from_secs(60);

/// Where the sign-in service is.
#[derive(Debug)]
pub enum AuthnEndpoint {
    /// HTTP/2 without TLS on this socket.
    Unix(PathBuf),
    /// HTTP/2 over TLS 1.3 with client certificates.
    Tls {
        /// `https://authn.corp.test:5443`.
        url: Url,
        /// The roots that are believed, no others.
        ca: Vec<CertificateDer<'static>>,
        /// The name its certificate must carry; `None`: the URL's host.
        server_name: Option<Arc<str>>,
        /// This proxy's own certificate.
        certificate: Certificate,
    },
}

/// The sign-in service as an upstream.
#[derive(Debug)]
pub(crate) enum AuthnPeer {
    Unix(Box<HttpPeer>),
    Tls(RouteUpstreams),
}

/// A sign-in service that cannot be reached as configured.
#[derive(Debug, thiserror::Error)]
pub enum UnusableAuthn {
    /// The socket's path is too long for the operating system, or no text.
    #[error("path of the sign-in service's socket cannot be used: {}", .0.display())]
    Socket(PathBuf),
    /// The URL has no host.
    #[error("address of the sign-in service has no host: {0}")]
    Url(Url),
    /// Its TLS settings.
    #[error(transparent)]
    Tls(#[from] UnusableUpstream),
}

impl AuthnPeer {
    /// The way to `endpoint`.
    ///
    /// # Errors
    /// It cannot be reached as configured.
    pub(crate) fn new(endpoint: AuthnEndpoint, targets: &Targets) -> Result<Self, UnusableAuthn> {
        match endpoint {
            AuthnEndpoint::Unix(path) => {
                let unusable = || UnusableAuthn::Socket(path.clone());
                let text = path.to_str().ok_or_else(unusable)?;
                let mut peer = HttpPeer::new_uds(text, false, String::new()).map_err(|_| unusable())?;
                patience(&mut peer);
                peer.options.alpn = ALPN::H2;
                peer.options.max_h2_streams = 100;
                peer.options.connection_timeout = Some(Duration::from_secs(2));
                Ok(Self::Unix(Box::new(peer)))
            }
            AuthnEndpoint::Tls { url, ca, server_name, certificate } => {
                let host: Arc<str> = url.host_str().ok_or_else(|| UnusableAuthn::Url(url.clone()))?.into();
                let port = url.port_or_known_default().unwrap_or(443);
                let upstream = Upstream { scheme: Scheme::Https, host, port, weight: 1 };
                // Another certificate, another connection: it may be of another key ring.
                let leaf = certificate.chain.first().map(|leaf| leaf.as_ref()).unwrap_or_default();
                let digest = portcullis_keys::sha256(&[b"portcullis/authn", leaf].concat());
                let tls =
                    UpstreamTls { ca, server_name, skip_verify: false, client_certificate: Some(certificate), digest };
                Ok(Self::Tls(targets.of_upstream(&upstream, &tls)?))
            }
        }
    }

    /// The peer for one try; `None` if the name does not resolve.
    pub(crate) async fn peer(&self, tried: &[SocketAddr]) -> Option<(HttpPeer, Option<crate::upstream::Chosen>)> {
        match self {
            Self::Unix(peer) => Some((HttpPeer::clone(peer), None)),
            Self::Tls(upstreams) => {
                upstreams.first_resolution().await;
                let chosen = upstreams.choose(tried)?;
                let mut peer = chosen.template.peer(chosen.endpoint.address, false, None);
                patience(&mut peer);
                Some((peer, Some(chosen)))
            }
        }
    }
}

fn patience(peer: &mut HttpPeer) {
    peer.options.read_timeout = Some(ANSWER);
    peer.options.write_timeout = Some(Duration::from_secs(30));
    peer.options.idle_timeout = Some(Duration::from_secs(55));
}
