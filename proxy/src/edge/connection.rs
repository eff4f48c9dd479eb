//! A TLS connection from a client, as Pingora's transport: counts what passes, knows its facts, and can be
//! told to stop. Never parses anything.

use std::fmt;
use std::io::{self, IoSlice};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use async_trait::async_trait;
use http::HeaderValue;
use pingora_core::protocols::raw_connect::ProxyDigest;
use pingora_core::protocols::tls::SslDigest;
use pingora_core::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, TimingDigest, UniqueID,
    UniqueIDType,
};
use portcullis_gate::PresentedCertificate;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufStream, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::exchange::Watch;

/// Bytes of the read buffer between the socket and TLS: larger ones cost memory on idle connections and
/// measure no faster (pingora.md §8).
const READ_BUFFER_BYTES: usize = 8 * 1024;

/// Bytes of the write buffer: about one segment, so that a head and a short body leave together.
const WRITE_BUFFER_BYTES: usize = 1460;

/// What is known of a client's connection, the same for all its requests.
#[derive(Debug)]
pub(crate) struct Peer {
    /// The other end of the TCP connection.
    pub(crate) address: SocketAddr,
    /// Our end: which listener it came to.
    pub(crate) local: SocketAddr,
    /// The name of the TLS handshake (SNI), lower case.
    pub(crate) server_name: Option<Box<str>>,
    /// The client's certificate; whether it is valid is for routes to say.
    pub(crate) client_certificate: PresentedCertificate,
    /// The TLS version, for the access event.
    pub(crate) tls_version: &'static str,
    /// The address as `X-Forwarded-For` says it.
    pub(crate) forwarded_for: HeaderValue,
    /// Bytes of plaintext written to the client.
    pub(crate) written: AtomicU64,
    /// What the head that is being read may still take.
    pub(crate) head: HeadRoom,
    /// Its exchanges' deadlines.
    pub(crate) watch: Watch,
    /// Whether the client broke the connection off.
    pub(crate) reset: AtomicBool,
}

/// The room for an HTTP/1 head that is not complete yet: Pingora would keep up to a megabyte of one. Between a
/// head's end and the next wait for one nothing is counted.
#[derive(Debug)]
pub(crate) struct HeadRoom(AtomicU64);

impl HeadRoom {
    /// Bytes beyond `limits.head_bytes`: what the gate does not count, such as white space around values.
    const SLACK: u64 = 1024;
    /// No head is awaited.
    const FREE: u64 = u64::MAX;
    /// A head took more than its room.
    const SPENT: u64 = u64::MAX - 1;

    /// Room that nothing fills: no head is awaited.
    pub(crate) const fn free() -> Self {
        Self(AtomicU64::new(Self::FREE))
    }

    /// A head of at most `bytes` is awaited from now on.
    pub(crate) fn await_head(&self, bytes: usize) {
        let room = u64::try_from(bytes).unwrap_or(Self::FREE).saturating_add(Self::SLACK).min(Self::SPENT - 1);
        self.0.store(room, Ordering::Relaxed);
    }

    /// The head is complete.
    pub(crate) fn head_read(&self) {
        self.0.store(Self::FREE, Ordering::Relaxed);
    }

    /// Whether a head was refused for its size.
    pub(crate) fn is_spent(&self) -> bool {
        self.0.load(Ordering::Relaxed) == Self::SPENT
    }

    /// Whether no further byte of the head may be read.
    fn refuses(&self) -> bool {
        let full = self.0.load(Ordering::Relaxed) == 0;
        if full {
            self.0.store(Self::SPENT, Ordering::Relaxed);
        }
        full || self.is_spent()
    }

    fn take(&self, bytes: usize) {
        let room = self.0.load(Ordering::Relaxed);
        if room < Self::SPENT {
            // Only the connection's own task gets here: nobody writes in between.
            self.0.store(room.saturating_sub(u64::try_from(bytes).unwrap_or(room)), Ordering::Relaxed);
        }
    }
}

/// The answer to a head that is too large to be read: nobody can be asked how the client likes its pages.
const HEAD_TOO_LARGE: &[u8] =
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

impl Peer {
    /// The other end of a connection from `address` to `local`; nothing is known of its handshake yet.
    pub(crate) fn new(address: SocketAddr, local: SocketAddr) -> Self {
        let forwarded_for = HeaderValue::try_from(address.ip().to_string());
        Self {
            address,
            local,
            server_name: None,
            client_certificate: PresentedCertificate::Absent,
            tls_version: "unknown",
            // Addresses are digits, dots and colons: always a value.
            forwarded_for: forwarded_for.unwrap_or_else(|_| HeaderValue::from_static("")),
            written: AtomicU64::new(0),
            head: HeadRoom::free(),
            watch: Watch::new(),
            reset: AtomicBool::new(false),
        }
    }

    /// Notes who ended the connection.
    #[cold]
    fn failed(&self, error: &io::Error) {
        if matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe) {
            self.reset.store(true, Ordering::Relaxed);
        }
    }

    /// Nobody.
    pub(crate) fn unknown() -> Self {
        let address = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
        Self::new(address, address)
    }
}

/// A client's socket before TLS, buffered.
pub(crate) type Socket = BufStream<TcpStream>;

/// Buffers a client's socket.
pub(crate) fn buffered(socket: TcpStream) -> Socket {
    BufStream::with_capacity(READ_BUFFER_BYTES, WRITE_BUFFER_BYTES, socket)
}

/// A client's TLS connection.
pub(crate) struct Connection {
    tls: TlsStream<Socket>,
    peer: Arc<Peer>,
    socket_digest: Arc<SocketDigest>,
    ssl_digest: Arc<SslDigest>,
    /// What is left to write of [`HEAD_TOO_LARGE`].
    farewell: &'static [u8],
}

impl Connection {
    /// Wraps a connection whose handshake is done.
    pub(crate) fn new(tls: TlsStream<Socket>, peer: Arc<Peer>) -> Self {
        let socket_digest = SocketDigest::from_raw_fd(tls.get_ref().0.get_ref().as_raw_fd());
        // A new cell is empty: setting it cannot fail, and a failure would only cost a system call.
        _ = socket_digest.peer_addr.set(Some(peer.address.into()));
        _ = socket_digest.local_addr.set(Some(peer.local.into()));
        let ssl_digest = SslDigest::new("", peer.tls_version, None, None, Vec::new());
        Self {
            tls,
            peer,
            socket_digest: Arc::new(socket_digest),
            ssl_digest: Arc::new(ssl_digest),
            farewell: HEAD_TOO_LARGE,
        }
    }

    fn count(&self, written: &Poll<io::Result<usize>>) {
        match written {
            Poll::Ready(Ok(bytes)) => {
                self.peer.written.fetch_add(u64::try_from(*bytes).unwrap_or(u64::MAX), Ordering::Relaxed);
            }
            Poll::Ready(Err(error)) => self.peer.failed(error),
            Poll::Pending => {}
        }
    }

    /// Answers a head that outgrew its room; the connection ends with the error.
    fn refuse_head(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.farewell.is_empty() {
            let rest = self.farewell;
            let written = ready!(self.as_mut().poll_write(cx, rest))?;
            self.farewell = rest.get(written..).unwrap_or_default();
        }
        ready!(self.poll_flush(cx))?;
        Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "head of the request is too large")))
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("peer", &self.peer.address).finish_non_exhaustive()
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.peer.head.refuses() {
            return self.refuse_head(cx);
        }
        let before = buf.filled().len();
        let read = Pin::new(&mut self.tls).poll_read(cx, buf);
        self.peer.head.take(buf.filled().len().saturating_sub(before));
        if let Poll::Ready(Err(error)) = &read {
            self.peer.failed(error);
        }
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.tls).poll_write(cx, buf);
        self.count(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.tls).poll_write_vectored(cx, bufs);
        self.count(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.tls.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_shutdown(cx)
    }
}

#[async_trait]
impl Shutdown for Connection {
    async fn shutdown(&mut self) {
        // The client may be gone already; there is nobody left to tell.
        drop(AsyncWriteExt::shutdown(&mut self.tls).await);
    }
}

impl UniqueID for Connection {
    fn id(&self) -> UniqueIDType {
        self.tls.get_ref().0.get_ref().as_raw_fd()
    }
}

impl Ssl for Connection {
    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        Some(Arc::clone(&self.ssl_digest))
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        match self.tls.get_ref().1.alpn_protocol() {
            Some(b"h2") => Some(ALPN::H2),
            Some(_) | None => Some(ALPN::H1),
        }
    }
}

impl GetTimingDigest for Connection {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}

impl GetProxyDigest for Connection {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        None
    }
}

impl GetSocketDigest for Connection {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        Some(Arc::clone(&self.socket_digest))
    }
}

impl Peek for Connection {}
