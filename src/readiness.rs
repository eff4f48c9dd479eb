//! Whether this process should get traffic, and why not.

use std::sync::atomic::{AtomicU8, Ordering};

/// Where the process is in its life; only ever moves forward.
#[derive(Debug, Default)]
pub(crate) struct Readiness(AtomicU8);

/// A stage of the process's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Sockets are bound, services are coming up.
    Starting,
    /// Traffic is welcome.
    Ready,
    /// On the way out: no new traffic, please.
    Draining,
}

impl Readiness {
    /// Moves on to `stage`; going back is ignored.
    pub(crate) fn reach(&self, stage: Stage) {
        self.0.fetch_max(stage as u8, Ordering::SeqCst);
    }

    /// The present stage.
    pub(crate) fn stage(&self) -> Stage {
        match self.0.load(Ordering::SeqCst) {
            0 => Stage::Starting,
            1 => Stage::Ready,
            _ => Stage::Draining,
        }
    }
}
