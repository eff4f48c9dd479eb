//! Accepting connections, and learning who is at their other end before a call is read.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use portcullis_broker_api::{ServerTls, disowned};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::Connected;

use crate::peer::Peer;

/// From the first byte to a verified certificate.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Connections at a time; services make one each.
const CONNECTIONS: usize = 1024;
/// The pause after an accept that failed for want of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// An accepted connection.
pub(crate) struct Conn {
    stream: Stream,
    peer: Peer,
    belief: Belief,
    _place: OwnedSemaphorePermit,
}

/// Whether the peer is still believed to be who it was found to be.
enum Belief {
    /// For as long as the connection lasts.
    Lasting,
    /// Until this ends.
    Until(Pin<Box<dyn Future<Output = ()> + Send>>),
    /// Not any more.
    Lost,
}

enum Stream {
    Unix(UnixStream),
    Tls(Box<tokio_rustls::server::TlsStream<TcpStream>>),
}

impl Connected for Conn {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer
    }
}

/// Accepts on a Unix socket until `stop`.
pub(crate) async fn accept_unix(
    listener: UnixListener,
    conns: mpsc::Sender<io::Result<Conn>>,
    stop: CancellationToken,
) {
    let Some(ours) = own_uid() else {
        tracing::error!("own uid unknown, socket not served");
        return;
    };
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    while let Some((stream, place)) = next(&places, &stop, || listener.accept()).await {
        // A peer that cannot be asked is a stranger; its calls are answered as such.
        let peer = stream.peer_cred().map_or(Peer::Stranger, |credentials| Peer::of_uid(credentials.uid(), ours));
        if conns
            .send(Ok(Conn { stream: Stream::Unix(stream), peer, belief: Belief::Lasting, _place: place }))
            .await
            .is_err()
        {
            return;
        }
    }
}

/// Accepts on a TCP socket until `stop`; handshakes run side by side, each with a deadline.
pub(crate) async fn accept_tls(
    listener: TcpListener,
    mut tls: watch::Receiver<Arc<ServerTls>>,
    conns: mpsc::Sender<io::Result<Conn>>,
    stop: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    // Dropped with this function, and every handshake with it.
    let mut handshakes = JoinSet::new();
    while let Some((stream, place)) = next(&places, &stop, || listener.accept()).await {
        while handshakes.try_join_next().is_some() {}
        let acceptor = TlsAcceptor::from(tls.borrow_and_update().config());
        handshakes.spawn(handshake((acceptor, tls.clone()), stream, place, conns.clone()));
    }
}

async fn handshake(
    (acceptor, tls): (TlsAcceptor, watch::Receiver<Arc<ServerTls>>),
    stream: TcpStream,
    place: OwnedSemaphorePermit,
    conns: mpsc::Sender<io::Result<Conn>>,
) {
    let shaken = async {
        stream.set_nodelay(true)?;
        tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await.map_err(io::Error::from)?
    };
    match shaken.await {
        Ok(stream) => {
            let chain: Vec<_> = stream.get_ref().1.peer_certificates().unwrap_or_default().to_vec();
            let peer = chain.first().map_or(Peer::Stranger, |leaf| Peer::of_certificate(leaf));
            let belief = Belief::Until(Box::pin(disowned(tls, chain)));
            let conn = Conn { stream: Stream::Tls(Box::new(stream)), peer, belief, _place: place };
            // The server has ended: so does the connection.
            drop(conns.send(Ok(conn)).await);
        }
        Err(error) => tracing::debug!(error = &error as &dyn std::error::Error, "handshake of a service not finished"),
    }
}

/// The next connection with a place for it; `None`: told to stop.
async fn next<S, A, F>(
    places: &Arc<Semaphore>,
    stop: &CancellationToken,
    accept: impl Fn() -> F,
) -> Option<(S, OwnedSemaphorePermit)>
where
    F: Future<Output = io::Result<(S, A)>>,
{
    loop {
        let accepted = async {
            let place = Arc::clone(places).acquire_owned().await.map_err(io::Error::other)?;
            Ok::<_, io::Error>((accept().await?.0, place))
        };
        tokio::select! {
            // Accepting is cancel-safe: a connection not accepted stays with the kernel.
            () = stop.cancelled() => return None,
            accepted = accepted => match accepted {
                Ok(accepted) => return Some(accepted),
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "connection not accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
}

/// Our uid as peers see it: that of a socket to ourselves.
fn own_uid() -> Option<u32> {
    let (one, _other) = UnixStream::pair().ok()?;
    one.peer_cred().ok().map(|credentials| credentials.uid())
}

impl Belief {
    /// An error once it is lost, at once and for good; wakes whoever asks when that happens.
    fn poll(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if let Self::Until(disowned) = self
            && disowned.as_mut().poll(cx).is_ready()
        {
            *self = Self::Lost;
        }
        match self {
            Self::Lasting | Self::Until(_) => Ok(()),
            Self::Lost => Err(io::ErrorKind::ConnectionAborted.into()),
        }
    }
}

impl AsyncRead for Conn {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let conn = self.get_mut();
        conn.belief.poll(cx)?;
        match &mut conn.stream {
            Stream::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
            Stream::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Conn {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let conn = self.get_mut();
        conn.belief.poll(cx)?;
        match &mut conn.stream {
            Stream::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
            Stream::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Unix(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_connection_beyond_the_bound_waits_for_a_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let (places, stop) = (Arc::new(Semaphore::new(1)), CancellationToken::new());
        let _clients = [UnixStream::connect(&path).await.unwrap(), UnixStream::connect(&path).await.unwrap()];
        let (_first, place) = next(&places, &stop, || listener.accept()).await.unwrap();
        let second = next(&places, &stop, || listener.accept());
        tokio::pin!(second);
        assert!(futures_util::poll!(&mut second).is_pending());
        drop(place);
        assert!(second.await.is_some());
        stop.cancel();
        assert!(next(&places, &stop, || listener.accept()).await.is_none());
    }
}
