//! What the stream of a follower waits for: the next commit, the next heartbeat, or the broker's end.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::state::Shared;

/// How often a follower hears that the broker lives.
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(1);

/// One follower's pulse.
pub(crate) struct Pulse {
    head: watch::Receiver<u64>,
    stop: CancellationToken,
    /// When the next heartbeat is due, if nothing else is said before. An instant, not a pause: commits that tell
    /// followers nothing must not put it off.
    beat: Instant,
}

/// What a wait ended with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Woken {
    /// There is a commit since [`Pulse::mark`].
    Commit,
    /// A heartbeat is due.
    Beat,
}

impl Pulse {
    /// The pulse of a new follower; every commit up to now is marked as seen.
    pub(crate) fn new(shared: &Shared, stop: CancellationToken) -> Self {
        Self { head: shared.follow_head(), stop, beat: Instant::now() + HEARTBEAT }
    }

    /// Makes the next heartbeat due at once: a follower that resumes hears without delay that there is nothing.
    pub(crate) fn beat_now(&mut self) {
        self.beat = Instant::now();
    }

    /// Marks every commit up to now as seen. Whoever reads what was committed marks first: a commit in between ends
    /// the next wait at once.
    pub(crate) fn mark(&mut self) {
        self.head.borrow_and_update();
    }

    /// Something is said: the next heartbeat is a whole interval away.
    pub(crate) fn said(&mut self) {
        self.beat = Instant::now() + HEARTBEAT;
    }

    /// Waits; `None`: the broker ends. A caller that drops this future loses nothing.
    pub(crate) async fn wait(&mut self) -> Option<Woken> {
        tokio::select! {
            // Each arm only waits; dropping the others loses nothing.
            () = self.stop.cancelled() => None,
            changed = self.head.changed() => changed.ok().map(|()| Woken::Commit),
            () = tokio::time::sleep_until(self.beat) => {
                self.said();
                Some(Woken::Beat)
            }
        }
    }
}
