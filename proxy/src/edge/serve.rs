//! Serves the public listeners: handshake, then Pingora's request loop around our exchanges.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use pingora_core::apps::{HttpServerApp, HttpServerOptions, ReusedHttpStream, ServerApp};
use pingora_core::protocols::http::ServerSession;
use pingora_core::protocols::http::v2::server::{H2Options, default_h2_options};
use pingora_core::server::ShutdownWatch;
use pingora_proxy::HttpProxy;
use portcullis_gate::Malformed;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Connection, Gatekeeper, Peer, buffered};
use crate::exchange::{Cut, Exchange};
use crate::metrics::Metrics;
use crate::tls::Handshakes;
use crate::traffic::Traffic;

/// Streams one HTTP/2 connection may have open.
const H2_STREAMS: u32 = 100;

/// Bytes of one body that a client may send ahead of its upstream over HTTP/2. The protocol's own 64 KiB less one byte cut
/// every body of that size in two, and its connection's streams share them: each waits for leave all the time.
const H2_STREAM_WINDOW: u32 = 128 * 1024;

/// The same for all bodies of one HTTP/2 connection: the most of them that waits here unread.
const H2_CONNECTION_WINDOW: u32 = 512 * 1024;

/// Serves connections until told to stop.
pub(crate) struct Edge {
    proxy: Arc<HttpProxy<Traffic>>,
    tls: Arc<Handshakes>,
    door: Arc<Gatekeeper>,
    metrics: Arc<Metrics>,
}

/// Pingora's application for one connection: it knows the peer of every request. The task of each HTTP/2 stream holds
/// it until its end, which may come after that of the connection's own task.
struct Guest {
    proxy: Arc<HttpProxy<Traffic>>,
    peer: Arc<Peer>,
    head: Duration,
    head_bytes: usize,
    metrics: Arc<Metrics>,
    options: HttpServerOptions,
    h2: H2Options,
    /// Whether a request was begun on this connection.
    met: AtomicBool,
}

/// The two signals a connection heeds.
#[derive(Clone)]
struct Signals {
    /// No new requests: keep-alive off, GOAWAY.
    drain: ShutdownWatch,
    /// No more patience.
    close: CancellationToken,
}

impl Edge {
    /// An edge that serves `proxy` behind `tls`.
    pub(crate) fn new(
        proxy: Arc<HttpProxy<Traffic>>,
        tls: Arc<Handshakes>,
        door: Arc<Gatekeeper>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self { proxy, tls, door, metrics }
    }

    /// Accepts on `listeners` until `stop`; then lets what is open finish within the drain time, and closes
    /// the rest.
    pub(crate) async fn serve(self: Arc<Self>, listeners: Vec<TcpListener>, stop: CancellationToken) {
        let (drain, drained) = watch::channel(false);
        let signals = Signals { drain: drained, close: CancellationToken::new() };
        let connections = TaskTracker::new();
        let mut doors = tokio::task::JoinSet::new();
        for listener in listeners {
            doors.spawn(Arc::clone(&self).accept(listener, stop.clone(), signals.clone(), connections.clone()));
        }
        while doors.join_next().await.is_some() {}
        let patience = self.door.limits().drain.timeout;
        drain.send_replace(true);
        // Idle HTTP/1 connections wait for a request inside Pingora: this ends their wait.
        self.proxy.http_cleanup().await;
        connections.close();
        if tokio::time::timeout(patience, connections.wait()).await.is_err() {
            tracing::warn!(connections.open = connections.len(), "drain time is over, closing what is open");
        }
        signals.close.cancel();
        connections.wait().await;
    }

    async fn accept(
        self: Arc<Self>,
        listener: TcpListener,
        stop: CancellationToken,
        signals: Signals,
        connections: TaskTracker,
    ) {
        loop {
            // Cancel-safe: an accept that was not polled to its end has taken no connection.
            let (socket, address) = tokio::select! {
                () = stop.cancelled() => return,
                accepted = self.door.next(&listener) => accepted,
            };
            let Some(place) = self.door.admit(address) else { continue };
            let (edge, signals) = (Arc::clone(&self), signals.clone());
            connections.spawn(async move {
                edge.connection(socket, address, signals).await;
                edge.door.closed(place);
            });
        }
    }

    /// Serves one connection from handshake to end.
    async fn connection(&self, socket: TcpStream, address: SocketAddr, signals: Signals) {
        let limits = self.door.limits();
        let connection = tokio::select! {
            done = tokio::time::timeout(limits.handshake, self.handshake(socket, address)) => match done {
                Ok(Ok(connection)) => connection,
                Ok(Err(error)) => {
                    self.metrics.handshakes_failed.inc();
                    tracing::debug!(client.address = %address.ip(), %error, "handshake failed");
                    return;
                }
                Err(_) => {
                    self.metrics.handshakes_late.inc();
                    return;
                }
            },
            () = signals.close.cancelled() => return,
        };
        let h2 = matches!(
            pingora_core::protocols::Ssl::selected_alpn_proto(&connection.0),
            Some(pingora_core::protocols::ALPN::H2)
        );
        let guest = Arc::new(Guest::new(self, connection.1, &limits));
        let peer = Arc::clone(&guest.peer);
        let Signals { drain, close } = signals;
        let closing = async {
            // An error means that the edge itself is gone, which ends connections too.
            drop(drain.clone().wait_for(|draining| *draining).await);
            if h2 {
                // Pingora leaves a client that ignores GOAWAY alone for ever.
                tokio::select! {
                    () = tokio::time::sleep(limits.drain.h2) => {}
                    () = close.cancelled() => {}
                }
            } else {
                close.cancelled().await;
            }
        };
        let silent = async {
            // Pingora waits for an HTTP/2 preface without end; streams and HTTP/1 heads have their exchanges.
            tokio::time::sleep(limits.head).await;
            if guest.met.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
            self.metrics.cut(Cut::Head);
        };
        // Polled only when one of them is woken; side by side in the select, each byte would poll both.
        let deadlines = peer.watch.keep();
        let ends: [Pin<Box<dyn Future<Output = ()> + Send + '_>>; 3] =
            [Box::pin(closing), Box::pin(silent), Box::pin(deadlines)];
        let mut ends = FuturesUnordered::from_iter(ends);
        tokio::select! {
            biased;
            _ = guest.process_new(Box::new(connection.0), &drain) => {}
            _ = ends.next() => {}
        }
        drop(ends);
        drop(guest);
        if peer.reset.load(Ordering::Relaxed) {
            self.metrics.connections_reset.inc();
        }
        // HTTP/2 streams may outlive their connection while they talk to their upstream. They are not cut for it, as what
        // was asked for may be done although nobody hears the answer; but their time passes, the session's too.
        tokio::select! {
            () = peer.watch.keep() => {}
            () = close.cancelled() => {}
        }
    }

    async fn handshake(&self, socket: TcpStream, address: SocketAddr) -> io::Result<(Connection, Arc<Peer>)> {
        // Small answers must not wait for the client's acknowledgement of the last one.
        socket.set_nodelay(true)?;
        let local = socket.local_addr()?;
        let (tls, client_certificate) = self.tls.accept(buffered(socket)).await?;
        let facts = tls.get_ref().1;
        let mut peer = Peer::new(SocketAddr::new(address.ip().to_canonical(), address.port()), local);
        peer.server_name = facts.server_name().map(|name| name.to_ascii_lowercase().into_boxed_str());
        peer.tls_version = facts.protocol_version().and_then(|version| version.as_str()).unwrap_or("unknown");
        peer.client_certificate = client_certificate;
        let peer = Arc::new(peer);
        Ok((Connection::new(tls, Arc::clone(&peer)), peer))
    }
}

impl Guest {
    fn new(edge: &Edge, peer: Arc<Peer>, limits: &portcullis_config::Limits) -> Self {
        let mut options = HttpServerOptions::default();
        options.h2_idle_timeout = Some(limits.head);
        let mut h2 = default_h2_options();
        h2.max_concurrent_streams(H2_STREAMS);
        h2.initial_window_size(H2_STREAM_WINDOW);
        h2.initial_connection_window_size(H2_CONNECTION_WINDOW);
        h2.max_header_list_size(u32::try_from(limits.head_bytes).unwrap_or(u32::MAX));
        Self {
            proxy: Arc::clone(&edge.proxy),
            peer,
            head: limits.head,
            head_bytes: limits.head_bytes,
            metrics: Arc::clone(&edge.metrics),
            options,
            h2,
            met: AtomicBool::new(false),
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.peer.watch.end();
    }
}

#[async_trait]
impl HttpServerApp for Guest {
    async fn process_new_http(
        self: &Arc<Self>,
        session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        let h2 = session.is_http2();
        self.met.store(true, Ordering::Relaxed);
        let exchange = Exchange::new(Arc::clone(&self.peer), self.head);
        if h2 {
            // Pingora hands over an HTTP/2 stream when its head is complete.
            exchange.head_read();
        } else {
            self.peer.head.await_head(self.head_bytes);
        }
        let work = self.proxy.process_new_http(session, shutdown);
        let outcome = exchange.run(work, |cut| self.metrics.cut(cut)).await;
        let answered = self.peer.written.load(Ordering::Relaxed) > exchange.written_before;
        if !exchange.has_context() && outcome.is_ok() && (h2 || answered) {
            if self.peer.head.is_spent() {
                crate::access::unreadable(&self.peer, h2, Malformed::HeadTooLarge.label(), 431);
                self.metrics.malformed(Malformed::HeadTooLarge.label());
            } else {
                // Pingora answered itself: a head it cannot parse, or CONNECT.
                crate::access::unreadable(&self.peer, h2, "unreadable", 400);
                self.metrics.malformed("unreadable");
            }
        }
        outcome.ok().flatten()
    }

    fn h2_options(&self) -> Option<H2Options> {
        Some(self.h2.clone())
    }

    fn server_options(&self) -> Option<&HttpServerOptions> {
        Some(&self.options)
    }
}

/// Turns listeners made before the runtime into the runtime's.
///
/// # Errors
/// The operating system's, with none of them lost silently.
pub(crate) fn adopt(listeners: Vec<std::net::TcpListener>) -> io::Result<Vec<TcpListener>> {
    listeners
        .into_iter()
        .map(|listener| {
            listener.set_nonblocking(true)?;
            TcpListener::from_std(listener)
        })
        .collect()
}
