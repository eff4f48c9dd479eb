//! One request from its first byte to its last: deadlines Pingora lacks, and a way to end it from outside.
//!
//! An exchange wraps the future that serves a request. When it is cut, the future is dropped: an HTTP/1
//! connection closes, an HTTP/2 stream is reset (`CANCEL`). It never looks into what passes.

mod registry;
mod watch;

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use futures_util::task::AtomicWaker;

pub(crate) use registry::{Registration, Registry, Standing};
pub(crate) use watch::Watch;

use crate::edge::Peer;

tokio::task_local! {
    /// The exchange that the running task serves; `ProxyHttp::new_ctx` finds it here.
    static CURRENT: Arc<Exchange>;
}

/// How long whoever is warned that an upstream is late has to tell the client.
pub(crate) const GRACE: Duration = Duration::from_millis(250);

/// No deadline.
const NEVER: u64 = u64::MAX;

/// Why an exchange was cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// The head did not arrive in time, idle time included.
    Head,
    /// The route's `timeout`.
    Timeout,
    /// The route's `idle_timeout`.
    Idle,
    /// The request's body stopped coming.
    Body,
    /// Who asked may no longer.
    Revoked,
}

impl Cut {
    /// One word for metrics and events.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Head => "head",
            Self::Timeout => "timeout",
            Self::Idle => "idle",
            Self::Body => "body",
            Self::Revoked => "revoked",
        }
    }
}

/// Deadlines of an exchange once its route is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Deadlines {
    /// The whole exchange.
    pub(crate) total: Option<Duration>,
    /// A pause in both directions.
    pub(crate) idle: Option<Duration>,
    /// An unfinished request body without progress.
    pub(crate) body: Option<Duration>,
    /// When `total` begins.
    pub(crate) begins: Begins,
    /// Whether `total` and `idle` are no reason to be cut before [`Exchange::is_late`] had its [`GRACE`].
    pub(crate) warned: bool,
}

/// When the total time of an exchange begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Begins {
    /// With the head.
    #[default]
    Now,
    /// With the last byte of the request's body: a slow upload is no slow answer.
    AfterBody,
}

/// The state that an exchange's future, its context and the registry share. Times are milliseconds on the clock
/// of the connection's [`Watch`].
#[derive(Debug)]
pub(crate) struct Exchange {
    /// The client's connection.
    pub(crate) peer: Arc<Peer>,
    /// What the connection had written when the exchange began.
    pub(crate) written_before: u64,
    /// The instant of the poll that is going on, if anybody has asked for it. Polls are short, and a clock read is not
    /// free: one serves them all.
    polled_at: AtomicU64,
    head: AtomicU64,
    head_at: AtomicU64,
    total: AtomicU64,
    total_after_body: AtomicU64,
    idle: AtomicU64,
    body: AtomicU64,
    /// The end of what permits it: nobody is warned of that.
    end: AtomicU64,
    activity: AtomicU64,
    body_progress: AtomicU64,
    /// Whether lateness is to be told before it cuts.
    warned: AtomicBool,
    /// The cut that lateness will come to; 0: it is not late.
    late: AtomicU8,
    /// Until when lateness may be told.
    grace: AtomicU64,
    cut: AtomicU8,
    context: AtomicBool,
    waker: AtomicWaker,
}

impl Exchange {
    /// An exchange on `peer` whose head must be there within `head`.
    pub(crate) fn new(peer: Arc<Peer>, head: Duration) -> Arc<Self> {
        let written_before = peer.written.load(Ordering::Relaxed);
        let now = peer.watch.now();
        let head = now.saturating_add(milliseconds(head));
        Arc::new(Self {
            peer,
            written_before,
            polled_at: AtomicU64::new(now),
            head: AtomicU64::new(head),
            head_at: AtomicU64::new(0),
            total: AtomicU64::new(NEVER),
            total_after_body: AtomicU64::new(NEVER),
            idle: AtomicU64::new(NEVER),
            body: AtomicU64::new(NEVER),
            end: AtomicU64::new(NEVER),
            activity: AtomicU64::new(0),
            body_progress: AtomicU64::new(0),
            warned: AtomicBool::new(false),
            late: AtomicU8::new(0),
            grace: AtomicU64::new(NEVER),
            cut: AtomicU8::new(0),
            context: AtomicBool::new(false),
            waker: AtomicWaker::new(),
        })
    }

    /// The exchange of the running task, if it serves one; from now on somebody tells its access event.
    pub(crate) fn adopt_current() -> Option<Arc<Self>> {
        let exchange = CURRENT.try_with(Arc::clone).ok()?;
        exchange.context.store(true, Ordering::Relaxed);
        Some(exchange)
    }

    /// An exchange of nobody: for a context that is made outside any.
    pub(crate) fn detached() -> Arc<Self> {
        Self::new(Arc::new(Peer::unknown()), Duration::MAX)
    }

    /// How long ago the head was there.
    pub(crate) fn since_head(&self) -> Duration {
        let had = self.head_at.load(Ordering::Relaxed);
        Duration::from_millis(self.now().saturating_sub(had))
    }

    /// Whether somebody tells its access event.
    pub(crate) fn has_context(&self) -> bool {
        self.context.load(Ordering::Relaxed)
    }

    /// Runs `work` as this exchange; `Err` says why it was cut, and `told` hears it before the client can know. Its
    /// deadlines are kept by [`Watch::keep`].
    pub(crate) async fn run<F: Future>(self: &Arc<Self>, work: F, told: impl FnOnce(Cut)) -> Result<F::Output, Cut> {
        let entry = Watch::enter(self);
        let mut work = pin!(CURRENT.scope(Arc::clone(self), work));
        let mut begun = false;
        let outcome = poll_fn(|cx| {
            if std::mem::replace(&mut begun, true) {
                self.polled_at.store(NEVER, Ordering::Relaxed);
            }
            self.waker.register(cx.waker());
            // After the registration: a cut in between is seen here or wakes us.
            match self.why_cut() {
                Some(cut) => Poll::Ready(Err(cut)),
                None => work.as_mut().poll(cx).map(Ok),
            }
        })
        .await;
        if let Err(cut) = &outcome {
            told(*cut);
        }
        drop(entry);
        outcome
    }

    /// The head is there: its deadline no longer counts.
    pub(crate) fn head_read(&self) {
        self.head.store(NEVER, Ordering::Relaxed);
        let now = self.now();
        self.head_at.store(now, Ordering::Relaxed);
        self.activity.store(now, Ordering::Relaxed);
        self.body_progress.store(now, Ordering::Relaxed);
    }

    /// Sets the deadlines of the route.
    pub(crate) fn limit(&self, deadlines: Deadlines) {
        let Deadlines { total, idle, body, begins, warned } = deadlines;
        let now = self.now();
        let until = |limit: Option<Duration>| limit.map_or(NEVER, |limit| now.saturating_add(milliseconds(limit)));
        let (at_once, later) = match begins {
            Begins::Now => (until(total), NEVER),
            Begins::AfterBody => (NEVER, total.map_or(NEVER, milliseconds)),
        };
        self.total.store(at_once, Ordering::Relaxed);
        self.total_after_body.store(later, Ordering::Relaxed);
        self.idle.store(idle.map_or(NEVER, milliseconds), Ordering::Relaxed);
        self.body.store(body.map_or(NEVER, milliseconds), Ordering::Relaxed);
        self.warned.store(warned, Ordering::Relaxed);
        self.late.store(0, Ordering::Relaxed);
        self.grace.store(NEVER, Ordering::Relaxed);
        self.activity.store(now, Ordering::Relaxed);
        self.body_progress.store(now, Ordering::Relaxed);
        self.rearm();
    }

    /// The client has the head of its answer: there is nothing left to tell it of lateness.
    pub(crate) fn answered(&self) {
        self.warned.store(false, Ordering::Relaxed);
    }

    /// Whether it may last for ever, and be silent.
    pub(crate) fn is_unlimited(&self) -> bool {
        [&self.total, &self.idle].iter().all(|limit| limit.load(Ordering::Relaxed) == NEVER)
    }

    /// Ends the exchange after `rest`, if nothing ends it before, and without a warning.
    pub(crate) fn end_within(&self, rest: Duration) {
        self.end.fetch_min(self.now().saturating_add(milliseconds(rest)), Ordering::Relaxed);
        self.rearm();
    }

    /// Bytes passed in any direction.
    pub(crate) fn active(&self) {
        // Whoever has no limit needs no clock.
        if self.idle.load(Ordering::Relaxed) != NEVER {
            self.activity.store(self.now(), Ordering::Relaxed);
        }
    }

    /// Bytes of the request's body passed; `ended` when they were the last.
    pub(crate) fn body_passed(&self, ended: bool) {
        let waited_for = [&self.body, &self.idle, &self.total_after_body];
        if ended && waited_for.iter().all(|limit| limit.load(Ordering::Relaxed) == NEVER) {
            // The end of a body that was over, or never was.
            return;
        }
        let now = self.now();
        self.activity.store(now, Ordering::Relaxed);
        self.body_progress.store(now, Ordering::Relaxed);
        if ended {
            self.body.store(NEVER, Ordering::Relaxed);
            let total = self.total_after_body.swap(NEVER, Ordering::Relaxed);
            if total != NEVER {
                self.total.fetch_min(now.saturating_add(total), Ordering::Relaxed);
                self.rearm();
            }
        }
    }

    /// Ends the exchange now.
    pub(crate) fn cut(&self, cause: Cut) {
        // The first cause stays: later ones only follow from it.
        _ = self.cut.compare_exchange(0, code(cause), Ordering::AcqRel, Ordering::Acquire);
        self.waker.wake();
    }

    /// Why the exchange was cut, if it was.
    pub(crate) fn why_cut(&self) -> Option<Cut> {
        coded(self.cut.load(Ordering::Acquire))
    }

    /// Whether the upstream has not answered in time. Whoever waits for it asks at every poll; one comes when it is so.
    pub(crate) fn is_late(&self) -> bool {
        self.late.load(Ordering::Relaxed) != 0
    }

    /// Warns or cuts the exchange if a deadline has passed; else answers the next one.
    fn look(&self, now: u64) -> u64 {
        let (due, cause) = self.next_due();
        if due > now {
            return due;
        }
        let may_go_on = now < self.end.load(Ordering::Relaxed) && matches!(cause, Cut::Timeout | Cut::Idle);
        if may_go_on && self.warned.swap(false, Ordering::Relaxed) {
            let grace = now.saturating_add(milliseconds(GRACE));
            self.total.store(NEVER, Ordering::Relaxed);
            self.idle.store(NEVER, Ordering::Relaxed);
            self.grace.store(grace, Ordering::Relaxed);
            self.late.store(code(cause), Ordering::Relaxed);
            self.waker.wake();
            return self.next_due().0;
        }
        self.cut(cause);
        NEVER
    }

    fn next_due(&self) -> (u64, Cut) {
        let after = |mark: &AtomicU64, limit: &AtomicU64| {
            mark.load(Ordering::Relaxed).saturating_add(limit.load(Ordering::Relaxed))
        };
        [
            (self.head.load(Ordering::Relaxed), Cut::Head),
            (self.total.load(Ordering::Relaxed), Cut::Timeout),
            (self.end.load(Ordering::Relaxed), Cut::Timeout),
            (after(&self.activity, &self.idle), Cut::Idle),
            (after(&self.body_progress, &self.body), Cut::Body),
            (self.grace.load(Ordering::Relaxed), coded(self.late.load(Ordering::Relaxed)).unwrap_or(Cut::Timeout)),
        ]
        .into_iter()
        .min_by_key(|(due, _)| *due)
        .unwrap_or((NEVER, Cut::Timeout))
    }

    /// Wakes the watch if it would sleep past the next deadline.
    fn rearm(&self) {
        self.peer.watch.expect(self.next_due().0);
    }

    /// The instant of the poll that is going on.
    fn now(&self) -> u64 {
        match self.polled_at.load(Ordering::Relaxed) {
            NEVER => {
                let now = self.peer.watch.now();
                self.polled_at.store(now, Ordering::Relaxed);
                now
            }
            now => now,
        }
    }
}

const fn code(cause: Cut) -> u8 {
    match cause {
        Cut::Head => 1,
        Cut::Timeout => 2,
        Cut::Idle => 3,
        Cut::Body => 4,
        Cut::Revoked => 5,
    }
}

/// The cause with this code; `None` for 0.
fn coded(number: u8) -> Option<Cut> {
    if number == 0 {
        return None;
    }
    [Cut::Head, Cut::Timeout, Cut::Idle, Cut::Body, Cut::Revoked].into_iter().find(|cause| code(*cause) == number)
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(NEVER)
}

#[cfg(test)]
mod tests;
