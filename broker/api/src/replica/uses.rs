//! Last uses on their way to the broker.

use std::time::Duration;

use portcullis_identity::{SessionKey, Timestamp};
use tokio::sync::mpsc;

use super::table::Table;

/// The most uses that wait; a session whose use finds no place tries again with its next one.
const WAITING: usize = 65_536;
/// How often waiting uses are written into their sessions, and reported where a report is due.
pub(super) const REPORT_EVERY: Duration = Duration::from_secs(1);

/// The queue of uses. A session enters it at most every few seconds, and is reported at most once a minute.
#[derive(Debug)]
pub(super) struct Uses {
    sender: mpsc::Sender<(SessionKey, Timestamp)>,
    // A lock because the one reader is whoever drives `run`, and the type cannot say that there is one.
    receiver: std::sync::Mutex<mpsc::Receiver<(SessionKey, Timestamp)>>,
}

impl Uses {
    pub(super) fn new() -> Self {
        let (sender, receiver) = mpsc::channel(WAITING);
        Self { sender, receiver: std::sync::Mutex::new(receiver) }
    }

    /// Takes note of a use, and queues it if the last one queued is old enough.
    pub(super) fn note(&self, table: &Table, key: &SessionKey, now: Timestamp) {
        table.note_use(key, now, || self.sender.try_send((*key, now)).is_ok());
    }

    /// Takes up to `most` uses out.
    pub(super) fn take(&self, most: usize) -> Vec<(SessionKey, Timestamp)> {
        let mut receiver = self.receiver.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        std::iter::from_fn(|| receiver.try_recv().ok()).take(most).collect()
    }
}
