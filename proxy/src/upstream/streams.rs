//! HTTP/2 connections to upstreams in the clear. Requests share them: each has a stream.

use std::sync::{Mutex, PoisonError};

use pingora_core::Result;
use pingora_core::connectors::http::v2::ConnectionRef;
use pingora_core::protocols::http::v2::client::Http2Session;
use tokio::time::Instant;

use super::idle::IDLE;

/// Idle connections that an address may keep.
const FEW: usize = 2;

/// The HTTP/2 connections of one address.
#[derive(Default)]
pub(crate) struct Streams {
    // A lock: one look a request, never held across an await.
    open: Mutex<Vec<Open>>,
}

struct Open {
    connection: ConnectionRef,
    used: Instant,
}

impl std::fmt::Debug for Streams {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Streams").finish_non_exhaustive()
    }
}

impl Streams {
    /// A stream of the first connection that has room; `None` if there is none.
    pub(crate) async fn begin(&self) -> Option<Http2Session> {
        while let Some(connection) = self.with_room() {
            match connection.spawn_stream().await {
                Ok(Some(stream)) => return Some(stream),
                // Another request was faster, or the other end has had enough.
                Ok(None) => {}
                Err(error) => {
                    tracing::debug!(%error, "an HTTP/2 connection to an upstream broke while it waited");
                    connection.mark_shutdown();
                }
            }
        }
        None
    }

    /// A stream of a connection that was just made; others may share it.
    ///
    /// # Errors
    /// The other end has closed it, or allows no stream.
    pub(crate) async fn begin_on(&self, connection: ConnectionRef) -> Result<Option<Http2Session>> {
        let stream = connection.spawn_stream().await?;
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.push(Open { connection, used: Instant::now() });
        Ok(stream)
    }

    fn with_room(&self) -> Option<ConnectionRef> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let usable = |open: &&mut Open| !open.connection.is_closed() && open.connection.more_streams_allowed();
        let open = open.iter_mut().find(usable)?;
        open.used = Instant::now();
        Some(open.connection.clone())
    }

    /// Has new requests go by new connections: these do not answer, and nobody can tell a slow upstream from one that is gone.
    pub(crate) fn retire(&self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.drain(..).for_each(|open| open.connection.mark_shutdown());
    }

    /// Lets go of connections that are over, that nobody has used for long, or that only a crowd needed.
    pub(super) fn tidy(&self) {
        let mut idle = 0;
        self.open.lock().unwrap_or_else(PoisonError::into_inner).retain(|open| {
            let connection = &open.connection;
            if connection.is_closed() || connection.is_shutting_down() {
                return false;
            }
            if !connection.is_idle() {
                return true;
            }
            idle += 1;
            idle <= FEW && open.used.elapsed() < IDLE
        });
    }
}
