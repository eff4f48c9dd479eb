//! Where the broker is, and how it is dialled.

use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use portcullis_keys::ServiceRole;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::watch;
use tokio_rustls::TlsConnector;
use tonic::transport::Channel;
use tower::Service;

/// From the first packet to the end of the TLS handshake.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// A connection that does not answer a ping within this span is dead.
const KEEP_ALIVE: Duration = Duration::from_secs(3);

/// Where the broker listens.
#[derive(Clone)]
pub enum Endpoint {
    /// A Unix socket of this host; dialled anew by path after each loss.
    Unix(PathBuf),
    /// Another host, over mutual TLS with HTTP/2.
    Tls {
        /// `https://broker.corp.test:5443`: where to dial. Whatever the host, the certificate must carry
        /// `ServiceRole::Broker.server_name()`.
        url: Uri,
        /// Roots, and this service's own certificate; read for each connection, for they change with the key ring.
        config: watch::Receiver<Arc<rustls::ClientConfig>>,
    },
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unix(path) => f.debug_tuple("Unix").field(path).finish(),
            Self::Tls { url, config: _ } => f.debug_tuple("Tls").field(url).finish(),
        }
    }
}

impl Endpoint {
    /// What it is dialled by, seen as it is now; `None`: always by the same.
    pub(crate) fn settings(&self) -> Option<watch::Receiver<Arc<rustls::ClientConfig>>> {
        match self {
            Self::Unix(_) => None,
            Self::Tls { url: _, config } => {
                let mut settings = config.clone();
                settings.mark_unchanged();
                Some(settings)
            }
        }
    }

    /// A channel that dials with its first call, and again with the first call after a loss.
    pub(crate) fn channel(self) -> Channel {
        // The name in the channel's own URI is never resolved: the dialler knows the way.
        tonic::transport::Endpoint::from_static("http://broker.portcullis.internal")
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE)
            .keep_alive_while_idle(true)
            .tcp_nodelay(true)
            .connect_with_connector_lazy(Dialler(Arc::new(self)))
    }
}

/// Opens one connection per call.
#[derive(Clone)]
struct Dialler(Arc<Endpoint>);

impl Service<Uri> for Dialler {
    type Response = TokioIo<Stream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<TokioIo<Stream>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let endpoint = Arc::clone(&self.0);
        Box::pin(async move {
            let stream = tokio::time::timeout(CONNECT_TIMEOUT, dial(&endpoint))
                .await
                .map_err(|elapsed| io::Error::new(io::ErrorKind::TimedOut, elapsed))??;
            Ok(TokioIo::new(stream))
        })
    }
}

async fn dial(endpoint: &Endpoint) -> io::Result<Stream> {
    match endpoint {
        Endpoint::Unix(path) => Ok(Stream::Unix(UnixStream::connect(path).await?)),
        Endpoint::Tls { url, config } => {
            let host =
                url.host().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "broker address without host"))?;
            // An IPv6 literal stands in brackets in a URI and without them in a socket address.
            let host = host.trim_start_matches('[').trim_end_matches(']');
            // Siblings are known by role, not by host: the certificate carries the role's name (keys::pki).
            let name = ServerName::try_from(ServiceRole::Broker.server_name()).map_err(io::Error::other)?;
            let tcp = TcpStream::connect((host, url.port_u16().unwrap_or(443))).await?;
            tcp.set_nodelay(true)?;
            let connector = TlsConnector::from(Arc::clone(&config.borrow()));
            let tls = connector.connect(name, tcp).await?;
            Ok(Stream::Tls(Box::new(tls)))
        }
    }
}

/// Either kind of connection.
enum Stream {
    Unix(UnixStream),
    Tls(Box<tokio_rustls::client::TlsStream<TcpStream>>),
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
