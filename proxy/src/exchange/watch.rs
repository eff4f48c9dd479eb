//! The deadlines of one connection's exchanges, kept by one timer: a request costs it nothing.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::{Exchange, NEVER, milliseconds};

/// From look to look while requests come and go: a deadline further away wakes nobody when it is set.
const LOOK: u64 = 1_000;

/// The longest sleep: the timer wheel has an end.
const DAY: u64 = 86_400_000;

/// Watches the exchanges that are open on a connection.
#[derive(Debug)]
pub(crate) struct Watch {
    born: Instant,
    // The connection's own lock: held to add or remove one exchange, contended by its own streams at most.
    open: Mutex<Vec<Arc<Exchange>>>,
    /// When the next look is; [`NEVER`] while it is going on.
    next_look: AtomicU64,
    /// Whether an exchange began since the last look.
    busy: AtomicBool,
    /// Whether the connection and the last of its exchanges have ended.
    over: AtomicBool,
    wake: Notify,
}

/// An exchange's place on its watch; left when dropped.
pub(super) struct Entry<'a>(&'a Arc<Exchange>);

impl Watch {
    /// A watch over nothing, whose clock begins now.
    pub(crate) fn new() -> Self {
        Self {
            born: Instant::now(),
            open: Mutex::default(),
            next_look: AtomicU64::new(NEVER),
            busy: AtomicBool::new(false),
            over: AtomicBool::new(false),
            wake: Notify::new(),
        }
    }

    /// Milliseconds since the connection began.
    pub(super) fn now(&self) -> u64 {
        milliseconds(self.born.elapsed())
    }

    /// Puts `exchange` on the watch of its connection.
    pub(super) fn enter(exchange: &Arc<Exchange>) -> Entry<'_> {
        let watch = &exchange.peer.watch;
        watch.open.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(exchange));
        watch.busy.store(true, Ordering::Relaxed);
        exchange.rearm();
        Entry(exchange)
    }

    /// A deadline was set: sees to it that the next look is not after it.
    pub(super) fn expect(&self, due: u64) {
        // Pairs with the one in `keep`: either the look sees the deadline, or we see that it goes on.
        fence(Ordering::SeqCst);
        if due < self.next_look.load(Ordering::SeqCst) {
            self.wake.notify_one();
        }
    }

    /// No exchange is left and none will come: nobody needs to keep the watch any more.
    pub(crate) fn end(&self) {
        self.over.store(true, Ordering::SeqCst);
        self.wake.notify_one();
    }

    /// Cuts exchanges when their time is over, as long as it is polled and until the watch has [ended](Self::end).
    pub(crate) async fn keep(&self) {
        while !self.over.load(Ordering::SeqCst) {
            // Whoever sets a deadline from here on wakes us: it may be too late for this look.
            self.next_look.store(NEVER, Ordering::SeqCst);
            fence(Ordering::SeqCst);
            let now = self.now();
            let due = self.look(now).min(now.saturating_add(DAY));
            // While requests come, their deadlines are not worth a wake-up each: a look a second finds them.
            let busy = self.busy.swap(false, Ordering::Relaxed);
            let next = if busy { due.min(now.saturating_add(LOOK)) } else { due };
            self.next_look.store(next, Ordering::SeqCst);
            // Both arms are cancel-safe: a permit of `notified` that is not taken stays, a sleep has no state.
            tokio::select! {
                () = self.wake.notified() => {}
                () = tokio::time::sleep(Duration::from_millis(next.saturating_sub(now))) => {}
            }
        }
    }

    /// Whether no exchange is open.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Cuts what is due; answers the next deadline.
    fn look(&self, now: u64) -> u64 {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.iter().map(|exchange| exchange.look(now)).min().unwrap_or(NEVER)
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        let mut open = self.0.peer.watch.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = open.iter().position(|exchange| Arc::ptr_eq(exchange, self.0)) {
            open.swap_remove(place);
        }
    }
}
