//! The door: accepts sockets under the caps, and says how long a client may take.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use portcullis_config::Limits;
use tokio::net::{TcpListener, TcpStream};

use super::caps::{Caps, Full, Place};
use crate::metrics::Metrics;
use crate::published::Published;

/// How long we wait after an accept that failed for want of descriptors or memory, before we try again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts connections for every listener; the caps are common to all.
#[derive(Debug)]
pub(crate) struct Gatekeeper {
    caps: Arc<Caps>,
    published: Arc<arc_swap::ArcSwap<Published>>,
    metrics: Arc<Metrics>,
}

impl Gatekeeper {
    /// A gatekeeper that reads its limits from the newest generation.
    pub(crate) fn new(published: Arc<arc_swap::ArcSwap<Published>>, metrics: Arc<Metrics>) -> Self {
        Self { caps: Arc::default(), published, metrics }
    }

    /// The newest limits.
    pub(crate) fn limits(&self) -> Limits {
        self.published.load().config.limits.clone()
    }

    /// The next connection on `listener`. Cancel-safe.
    pub(crate) async fn next(&self, listener: &TcpListener) -> (TcpStream, SocketAddr) {
        loop {
            match listener.accept().await {
                Ok(accepted) => return accepted,
                // One client gave up before we got to it: not our trouble.
                Err(error) if is_the_clients(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, "cannot accept connections");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// A place for a connection from `address`; `None` if the caps say no, and the caller drops the socket.
    pub(crate) fn admit(&self, address: SocketAddr) -> Option<Place> {
        let published = self.published.load();
        let limits = &published.config.limits;
        match self.caps.take(address.ip(), limits.connections, limits.connections_per_prefix) {
            Ok(place) => {
                self.metrics.connections_open.set(i64::try_from(self.caps.open()).unwrap_or(i64::MAX));
                self.metrics.connections_accepted.inc();
                Some(place)
            }
            Err(Full::Total) => {
                self.metrics.connections_refused_total.inc();
                None
            }
            Err(Full::Prefix) => {
                self.metrics.connections_refused_prefix.inc();
                None
            }
        }
    }

    /// The gauge of open connections follows a close.
    pub(crate) fn closed(&self, place: Place) {
        drop(place);
        self.metrics.connections_open.set(i64::try_from(self.caps.open()).unwrap_or(i64::MAX));
    }
}

fn is_the_clients(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}
