//! How long ago the stream last said anything.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// The stream's last word. Monotonic: a wall clock set back does not make old news fresh.
#[derive(Debug)]
pub(super) struct Freshness {
    base: Instant,
    heard_millis: AtomicU64,
    bound: Duration,
}

impl Freshness {
    /// A replica starts fresh and empty: it has `bound` to reach the broker.
    pub(super) const fn new(bound: Duration, now: Instant) -> Self {
        Self { base: now, heard_millis: AtomicU64::new(0), bound }
    }

    pub(super) fn heard(&self, now: Instant) {
        let millis = u64::try_from(now.saturating_duration_since(self.base).as_millis()).unwrap_or(u64::MAX);
        self.heard_millis.fetch_max(millis, Ordering::Release);
    }

    pub(super) fn silent_for(&self, now: Instant) -> Duration {
        let heard = Duration::from_millis(self.heard_millis.load(Ordering::Acquire));
        now.saturating_duration_since(self.base).saturating_sub(heard)
    }

    pub(super) fn is_stale(&self, now: Instant) -> bool {
        self.silent_for(now) >= self.bound
    }

    /// Waits until the last word is good for nothing any more.
    pub(super) async fn until_stale(&self) {
        loop {
            let left = self.left(Instant::now());
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left).await;
        }
    }

    /// How long the last word is still good for.
    fn left(&self, now: Instant) -> Duration {
        self.bound.saturating_sub(self.silent_for(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_goes_stale_at_the_bound_and_a_word_ends_it() {
        let start = Instant::now();
        let freshness = Freshness::new(Duration::from_secs(300), start);
        assert!(!freshness.is_stale(start + Duration::from_millis(299_999)));
        assert!(freshness.is_stale(start + Duration::from_secs(300)));
        freshness.heard(start + Duration::from_secs(301));
        assert!(!freshness.is_stale(start + Duration::from_secs(600)));
        assert_eq!(freshness.left(start + Duration::from_secs(600)), Duration::from_secs(1));
        assert!(freshness.is_stale(start + Duration::from_secs(601)));
    }
}
