//! What tests break at the provider, in process.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::StatusCode;

/// Something wrong with the provider's answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Paths that begin with this text are affected; `/` is all.
    pub path: String,
    /// The answer is held back this long.
    pub delay: Duration,
    /// Answered with this status instead of the real answer.
    pub status: Option<StatusCode>,
}

/// The faults in force; none at first.
#[derive(Debug, Default)]
pub(crate) struct Faults(
    // A lock because tests write from anywhere and a request reads once; it is never held while waiting.
    Mutex<Vec<Fault>>,
);

impl Faults {
    /// One more fault.
    pub(crate) fn inject(&self, fault: Fault) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(fault);
    }

    /// No fault any more.
    pub(crate) fn heal(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The first fault that affects `path`.
    pub(crate) fn at(&self, path: &str) -> Option<Fault> {
        let faults = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        faults.iter().find(|fault| path.starts_with(&fault.path)).cloned()
    }
}
