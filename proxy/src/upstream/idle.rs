//! Connections between two requests, for upstreams in the clear: whoever ends a request leaves its connection here, and the
//! next one takes the newest, which is the warmest.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use pingora_core::protocols::Stream;
use tokio::io::AsyncReadExt as _;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Targets;

/// How long an unused connection is kept: below what origins commonly allow (60 s and more).
pub(super) const IDLE: Duration = Duration::from_secs(55);

/// Between two rounds that close what is too old, or was closed by the other end.
const ROUND: Duration = Duration::from_secs(5);

/// Idle connections to all upstreams together.
const ALL: usize = 1024;

/// The idle connections of one address.
#[derive(Debug)]
pub(crate) struct Idle {
    // A lock: one push or pop a request, never held across an await.
    held: Mutex<Vec<Held>>,
    all: Arc<AtomicUsize>,
}

#[derive(Debug)]
struct Held {
    stream: Stream,
    since: Instant,
}

impl Idle {
    /// None yet; `all` counts those of every address.
    pub(super) fn new(all: Arc<AtomicUsize>) -> Self {
        Self { held: Mutex::default(), all }
    }

    /// The newest connection that the other end has left open.
    pub(crate) fn take(&self) -> Option<Stream> {
        loop {
            let held = self.held.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
            self.all.fetch_sub(1, Ordering::Relaxed);
            let Held { mut stream, since } = held;
            if since.elapsed() < IDLE && is_open(&mut stream) {
                return Some(stream);
            }
        }
    }

    /// Leaves a connection for the next request; it is closed if there are too many.
    pub(crate) fn leave(&self, stream: Stream) {
        if self.all.fetch_add(1, Ordering::Relaxed) >= ALL {
            self.all.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        let since = Instant::now();
        self.held.lock().unwrap_or_else(PoisonError::into_inner).push(Held { stream, since });
    }

    /// Closes what is too old, or was closed by the other end.
    fn tidy(&self) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let closed: Vec<Held> =
            held.extract_if(.., |held| held.since.elapsed() >= IDLE || !is_open(&mut held.stream)).collect();
        drop(held);
        self.all.fetch_sub(closed.len(), Ordering::Relaxed);
    }
}

impl Drop for Idle {
    fn drop(&mut self) {
        let held = self.held.get_mut().unwrap_or_else(PoisonError::into_inner);
        self.all.fetch_sub(held.len(), Ordering::Relaxed);
    }
}

/// Whether nothing has come: an upstream that is not asked has nothing to say but its end.
fn is_open(stream: &mut Stream) -> bool {
    stream.read(&mut [0; 1]).now_or_never().is_none()
}

/// Tidies until `stop`.
pub(crate) async fn keep_tidy(targets: Arc<Targets>, stop: CancellationToken) {
    while stop.run_until_cancelled(tokio::time::sleep(ROUND)).await.is_some() {
        for target in targets.in_use() {
            target.endpoints().iter().for_each(|endpoint| endpoint.idle.tidy());
        }
    }
}
