//! One session that is held, and when it was used.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use portcullis_identity::{Session, Timestamp};

use super::size;

/// A session's uses are reported no more often than this, and no more rarely.
const REPORT_MIN: Duration = Duration::from_secs(1);
const REPORT_MAX: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct Held {
    pub(super) session: Arc<Session>,
    pub(super) bytes: usize,
    /// Where the session stands in the ledger.
    pub(super) slot: AtomicUsize,
    /// The second of the last look-up, for eviction.
    pub(super) looked_up: AtomicU32,
    /// The last use known here or at the broker, in milliseconds.
    pub(super) last_used: AtomicI64,
    /// The last use that was queued for [`Table::refresh`].
    pub(super) noted: AtomicI64,
    /// The last use that was reported to the broker.
    pub(super) reported: AtomicI64,
}

impl Held {
    pub(super) fn new(session: Arc<Session>) -> Self {
        let last_used = session.last_used;
        Self {
            bytes: size::of(&session),
            slot: AtomicUsize::new(0),
            looked_up: AtomicU32::new(second(last_used)),
            last_used: AtomicI64::new(last_used.unix_millis()),
            noted: AtomicI64::new(last_used.unix_millis()),
            reported: AtomicI64::new(last_used.unix_millis()),
            session,
        }
    }

    pub(super) fn inherit(&self, old: &Self) {
        self.slot.store(old.slot.load(Ordering::Relaxed), Ordering::Relaxed);
        self.looked_up.fetch_max(old.looked_up.load(Ordering::Relaxed), Ordering::Relaxed);
        self.last_used.fetch_max(old.last_used.load(Ordering::Relaxed), Ordering::Relaxed);
        self.noted.fetch_max(old.noted.load(Ordering::Relaxed), Ordering::Relaxed);
        self.reported.fetch_max(old.reported.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    pub(super) fn look(&self, now: Timestamp) {
        let now = second(now);
        // Stored only when it changes: a hot session's line stays shared between cores.
        if self.looked_up.load(Ordering::Relaxed) != now {
            self.looked_up.store(now, Ordering::Relaxed);
        }
    }

    pub(super) fn is_idle(&self, now: Timestamp) -> bool {
        let last_used = Timestamp::from_unix_millis(self.last_used.load(Ordering::Relaxed));
        self.session.idle.is_some_and(|idle| now.since(last_used) >= idle)
    }

    /// Milliseconds between two reports: short enough that the broker's idea of idleness is never far off.
    pub(super) fn report_after(&self) -> i64 {
        let tenth = self.session.idle.map_or(REPORT_MAX, |idle| (idle / 10).clamp(REPORT_MIN, REPORT_MAX));
        millis(tenth)
    }
}

pub(super) fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

/// Whole seconds, enough to tell which of two look-ups was the earlier one.
fn second(at: Timestamp) -> u32 {
    u32::try_from(at.unix_seconds().max(0)).unwrap_or(u32::MAX)
}
