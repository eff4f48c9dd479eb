//! Connections between two requests, for upstreams in the clear: whoever ends a request leaves its connection here, and the
//! next one takes the newest, which is the warmest.

use std::collections::VecDeque;
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

/// Idle connections to all upstreams together, as a rule. Too few cost a handshake per request.
pub(crate) const ALL_IDLE: usize = 1024;

/// What every address may keep, however many others keep.
const FEW: usize = 8;

/// The idle connections of one address.
#[derive(Debug)]
pub(crate) struct Idle {
    // A lock: one push or pop a request, never held across an await.
    held: Mutex<VecDeque<Held>>,
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
            let held = self.held.lock().unwrap_or_else(PoisonError::into_inner).pop_back()?;
            self.all.fetch_sub(1, Ordering::Relaxed);
            let Held { mut stream, since } = held;
            if since.elapsed() < IDLE && is_open(&mut stream) {
                return Some(stream);
            }
        }
    }

    /// Leaves a connection for the next request. If there are too many, the oldest one of this address goes.
    pub(crate) fn leave(&self, stream: Stream) {
        let since = Instant::now();
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.push_back(Held { stream, since });
        let full = self.all.fetch_add(1, Ordering::Relaxed) >= ALL_IDLE;
        let excess = if full && held.len() > FEW { held.pop_front() } else { None };
        drop(held);
        if excess.is_some() {
            self.all.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Closes what is too old, or was closed by the other end.
    pub(super) fn tidy(&self) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let before = held.len();
        held.retain_mut(|held| held.since.elapsed() < IDLE && is_open(&mut held.stream));
        self.all.fetch_sub(before - held.len(), Ordering::Relaxed);
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
    // Unconstrained: a task that has done much in one go would be told to wait, whatever has come.
    tokio::task::unconstrained(stream.read(&mut [0; 1])).now_or_never().is_none()
}

/// Tidies until `stop`.
pub(crate) async fn keep_tidy(targets: Arc<Targets>, stop: CancellationToken) {
    while stop.run_until_cancelled(tokio::time::sleep(ROUND)).await.is_some() {
        for target in targets.in_use() {
            target.endpoints().iter().for_each(|endpoint| endpoint.tidy());
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    /// A connection, and its other end.
    async fn pair() -> (Stream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let one = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (other, _) = listener.accept().await.unwrap();
        (Box::new(pingora_core::protocols::l4::stream::Stream::from(one)), other)
    }

    #[tokio::test]
    async fn the_newest_comes_first_and_none_that_was_closed_or_spoke() {
        let all = Arc::<AtomicUsize>::default();
        let idle = Idle::new(Arc::clone(&all));
        let (one, _one) = pair().await;
        let (two, _two) = pair().await;
        let (closed, other) = pair().await;
        drop(other);
        let (spoke, mut other) = pair().await;
        other.write_all(b"HTTP/1.1 408 Request Timeout\r\n\r\n").await.unwrap();
        let ids = [one.id(), two.id()];
        for stream in [one, two, closed, spoke] {
            idle.leave(stream);
        }
        // What the kernel knows, the runtime has to hear first.
        tokio::task::yield_now().await;
        assert_eq!(idle.take().map(|stream| stream.id()), Some(ids[1]));
        assert_eq!(idle.take().map(|stream| stream.id()), Some(ids[0]));
        assert!(idle.take().is_none());
        assert_eq!(all.load(Ordering::Relaxed), 0);
        drop(other);
    }

    #[tokio::test]
    async fn what_is_too_old_or_too_many_is_closed_and_counted_out() {
        let all = Arc::<AtomicUsize>::default();
        let idle = Idle::new(Arc::clone(&all));
        let (old, mut other) = pair().await;
        idle.leave(old);
        tokio::time::pause();
        tokio::time::advance(IDLE).await;
        idle.tidy();
        tokio::time::resume();
        assert_eq!((other.read(&mut [0; 1]).await.unwrap(), all.load(Ordering::Relaxed)), (0, 0));

        // Others keep as many as there may be: the oldest beyond the few that each may have goes.
        all.store(ALL_IDLE, Ordering::Relaxed);
        let mut others = Vec::new();
        for _ in 0..=FEW {
            let (stream, other) = pair().await;
            idle.leave(stream);
            others.push(other);
        }
        assert_eq!((others[0].read(&mut [0; 1]).await.unwrap(), all.load(Ordering::Relaxed)), (0, ALL_IDLE + FEW));
        drop(idle);
        assert_eq!((others[FEW].read(&mut [0; 1]).await.unwrap(), all.load(Ordering::Relaxed)), (0, ALL_IDLE));
    }

    #[tokio::test]
    async fn many_that_were_closed_at_once_hide_behind_nobodys_budget() {
        let idle = Idle::new(Arc::default());
        for _ in 0..300 {
            let (stream, other) = pair().await;
            drop(other);
            idle.leave(stream);
        }
        tokio::task::yield_now().await;
        assert!(idle.take().is_none());
    }
}
