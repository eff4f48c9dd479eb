//! The bounded way into one of the broker's threads.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use portcullis_broker_api::{MAX_RECORDS_BYTES, MAX_RECORDS_OF_A_TYPE, RECORD_OVERHEAD_BYTES};
use tokio::sync::oneshot;

use crate::storage::StorageError;

/// Why a thread did not do what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// The session's key is taken.
    #[error("session key exists")]
    Exists,
    /// There is no such session.
    #[error("no such session")]
    NoSession,
    /// The queue is full: the disk does not keep up.
    #[error("broker busy")]
    Busy,
    /// The broker is closing.
    #[error("broker closing")]
    Closed,
    /// The engine did not write or read; the cause is in the log.
    #[error("store unavailable")]
    Store,
    /// Beyond [`MAX_RECORDS_OF_A_TYPE`].
    #[error("more than {MAX_RECORDS_OF_A_TYPE} records of one type")]
    TooManyOfType,
    /// Beyond [`MAX_RECORDS_BYTES`].
    #[error(
        "all records would take more than {MAX_RECORDS_BYTES} bytes, {RECORD_OVERHEAD_BYTES} for each beside its texts"
    )]
    TooManyRecordBytes,
    /// A replacement of one type brings records of another.
    #[error("a record is of another type than the one that is replaced")]
    OtherType,
}

/// Where a thread answers.
pub(crate) type Reply<T> = oneshot::Sender<Result<T, Refusal>>;

/// The sending side.
#[derive(Debug)]
pub(crate) struct Queue<C>(SyncSender<C>);

impl<C> Clone for Queue<C> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<C> Queue<C> {
    /// A queue that holds up to `bound` commands.
    pub(crate) fn new(bound: usize) -> (Self, Receiver<C>) {
        let (sender, receiver) = sync_channel(bound);
        (Self(sender), receiver)
    }

    /// Asks and waits for the answer; a full queue refuses at once.
    pub(crate) async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> C + Send) -> Result<T, Refusal> {
        let (reply, answer) = oneshot::channel();
        self.0.try_send(command(reply)).map_err(|error| match error {
            TrySendError::Full(_) => Refusal::Busy,
            TrySendError::Disconnected(_) => Refusal::Closed,
        })?;
        // A thread that ends drops what it did not answer.
        answer.await.unwrap_or(Err(Refusal::Closed))
    }

    /// Waits for room; for the broker's own orders, from a thread that may block.
    pub(crate) fn order(&self, command: C) {
        // A thread that has ended needs no order to end.
        drop(self.0.send(command));
    }
}

/// Answers; a caller who went away is no failure.
pub(crate) fn answer<T>(reply: Reply<T>, outcome: Result<T, Refusal>) {
    drop(reply.send(outcome));
}

/// Logs the engine's failure where it happened; callers learn only that there was one.
pub(crate) fn store_failed(error: &StorageError) -> Refusal {
    tracing::error!(error = error as &dyn std::error::Error, "store failed");
    Refusal::Store
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_full_queue_refuses_and_a_closed_one_says_so() {
        let (queue, commands) = Queue::<Reply<u8>>::new(1);
        let waiting = tokio::spawn({
            let queue = queue.clone();
            async move { queue.ask(|reply| reply).await }
        });
        tokio::task::yield_now().await;
        assert_eq!(queue.ask(|reply| reply).await, Err(Refusal::Busy));
        answer(commands.recv().unwrap(), Ok(7));
        assert_eq!(waiting.await.unwrap(), Ok(7));
        drop(commands);
        assert_eq!(queue.ask(|reply| reply).await, Err(Refusal::Closed));
    }
}
