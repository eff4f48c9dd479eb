//! Who may connect: processes of our own user over a Unix socket, or proxies by their certificate over TLS.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use portcullis_broker_api::{ServerTls, disowned};
use portcullis_keys::ServiceRole;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::service::Authn;
use crate::sessions::Sessions;

/// Connections of proxies at a time; each carries up to [`MAX_STREAMS`] requests.
pub const MAX_CONNECTIONS: usize = 256;
/// Requests at a time on one connection.
pub const MAX_STREAMS: u32 = 256;
/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How often a silent peer is asked whether it is alive, and how long it may think about it.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// After an accept that did not work, for want of descriptors for example.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why the service cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The system does not say who we are.
    #[error("our own user id is not known")]
    OwnUser(#[source] std::io::Error),
}

impl<S: Sessions> Authn<S> {
    /// Serves HTTP/2 over a Unix socket until `stop`; then finishes what is open. Peers of another user are
    /// turned away.
    ///
    /// # Errors
    /// If our own user id cannot be found out, which would leave nobody to compare peers with.
    pub async fn serve_unix(&self, listener: UnixListener, stop: CancellationToken) -> Result<(), ListenError> {
        let own = own_user().map_err(ListenError::OwnUser)?;
        let house = House::new(stop);
        while let Some((stream, permit)) = house.next(|| listener.accept()).await {
            match stream.peer_cred() {
                Ok(peer) if peer.uid() == own => house.serve(self.clone(), stream, permit),
                Ok(peer) => tracing::warn!(peer.uid = peer.uid(), "connection of another user turned away"),
                Err(error) => tracing::warn!(error = %error, "connection of an unknown user turned away"),
            }
        }
        drop(listener); // nobody waits in its queue while what is open ends
        house.close().await;
        Ok(())
    }

    /// Serves HTTP/2 over TLS until `stop`; then finishes what is open. Of those whose certificates `tls` accepts, only
    /// `portcullis://proxy` comes in.
    ///
    /// Each connection is accepted with what `tls` holds then, for it changes with the key ring, and cut once it does
    /// not believe the connection's certificate any more.
    pub async fn serve_tls(
        &self,
        listener: TcpListener,
        mut tls: watch::Receiver<Arc<ServerTls>>,
        stop: CancellationToken,
    ) {
        let house = House::new(stop);
        while let Some((stream, permit)) = house.next(|| listener.accept()).await {
            let acceptor = TlsAcceptor::from(tls.borrow_and_update().config());
            let (authn, tls, stop) = (self.clone(), tls.clone(), house.stop.clone());
            house.guests.spawn(async move {
                if let Some(stream) = admitted(acceptor, stream).await {
                    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default().to_vec();
                    // Cancel-safe: either end is the connection's.
                    tokio::select! {
                        () = connection(authn, stream, stop) => {}
                        () = disowned(tls, chain) => {}
                    }
                }
                drop(permit);
            });
        }
        drop(listener);
        house.close().await;
    }
}

/// The connections of one listener: how many, and their end.
struct House {
    stop: CancellationToken,
    guests: TaskTracker,
    room: Arc<Semaphore>,
}

impl House {
    fn new(stop: CancellationToken) -> Self {
        Self { stop, guests: TaskTracker::new(), room: Arc::new(Semaphore::new(MAX_CONNECTIONS)) }
    }

    /// The next connection, once there is room for it; `None`: it is time to stop.
    async fn next<T, X, A>(&self, accept: impl Fn() -> A) -> Option<(T, OwnedSemaphorePermit)>
    where
        A: Future<Output = std::io::Result<(T, X)>>,
    {
        loop {
            let arrival = async {
                let permit = Arc::clone(&self.room).acquire_owned().await;
                (permit, accept().await)
            };
            // Both arms are cancel-safe: an accept that is dropped has taken no connection.
            let (permit, arrival) = tokio::select! {
                () = self.stop.cancelled() => return None,
                arrival = arrival => arrival,
            };
            match (permit, arrival) {
                (Ok(permit), Ok((stream, _address))) => return Some((stream, permit)),
                (Err(_closed), _) => return None,
                (_, Err(error)) => {
                    tracing::warn!(error = %error, "connection was not accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn serve<S: Sessions>(&self, authn: Authn<S>, stream: UnixStream, permit: OwnedSemaphorePermit) {
        let stop = self.stop.clone();
        self.guests.spawn(async move {
            connection(authn, stream, stop).await;
            drop(permit);
        });
    }

    async fn close(self) {
        self.guests.close();
        self.guests.wait().await;
    }
}

/// The TLS stream of a proxy; `None` for everybody else.
async fn admitted(acceptor: TlsAcceptor, stream: TcpStream) -> Option<tokio_rustls::server::TlsStream<TcpStream>> {
    let stream = match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            tracing::warn!(error = %error, "handshake of a service was refused");
            return None;
        }
        Err(_elapsed) => return None,
    };
    let (_io, session) = stream.get_ref();
    let role = session.peer_certificates().and_then(<[_]>::first).and_then(|leaf| role_of(leaf));
    if role == Some(ServiceRole::Proxy) {
        Some(stream)
    } else {
        tracing::warn!(service.role = ?role, "connection of another service turned away");
        None
    }
}

/// The service that a verified certificate names by its only URI.
fn role_of(leaf: &[u8]) -> Option<ServiceRole> {
    let (_rest, certificate) = X509Certificate::from_der(leaf).ok()?;
    let names = certificate.subject_alternative_name().ok()??;
    let mut uris = names
        .value
        .general_names
        .iter()
        .filter_map(|name| if let GeneralName::URI(uri) = name { Some(*uri) } else { None });
    let uri = uris.next()?;
    if uris.next().is_some() { None } else { ServiceRole::from_uri(uri) }
}

async fn connection<S: Sessions, I>(authn: Authn<S>, stream: I, stop: CancellationToken)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(|request| {
        let authn = authn.clone();
        async move { Ok::<_, Infallible>(authn.answer(request).await.map(Full::new)) }
    });
    let mut server = http2::Builder::new(TokioExecutor::new());
    server
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    let mut serving = std::pin::pin!(server.serve_connection(TokioIo::new(stream), service));
    // Cancel-safe: the connection is pinned outside and polled on after the shutdown began.
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = stop.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error = %error, "connection of a proxy ended early");
    }
}

/// Our own user id, as the other end of a socket pair sees it.
fn own_user() -> std::io::Result<u32> {
    let (one, _other) = UnixStream::pair()?;
    Ok(one.peer_cred()?.uid())
}
