//! The calls about external data: pushing, deleting and reading on the broker's host, following in a proxy.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream;
use portcullis_identity::Record;
use tonic::Streaming;

use crate::client::CALL_TIMEOUT;
use crate::line::Renewal;
use crate::wire::generated as proto;
use crate::wire::{self, WireError};
use crate::{BrokerClient, BrokerError, NewRecord, RecordKey, RecordsError, ServerId};

/// The longest a push may take: all there may be, over a slow link, onto a slow disk.
const PUSH_TIMEOUT: Duration = Duration::from_secs(120);
/// When a message of records is full, in bytes of them.
const BATCH_BYTES: usize = 256 * 1024;
/// The most ids of one deletion.
const DELETE_BATCH: usize = 1024;

/// What a push or a deletion came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pushed {
    /// The version of the change; of the newest one, if nothing changed.
    pub version: u64,
    /// Records that are new or say something else now.
    pub written: u64,
    /// Records that are gone.
    pub deleted: u64,
}

/// Which records of a type to delete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deletion {
    /// Those with these ids.
    Ids(Vec<String>),
    /// All of them.
    All,
}

/// Which records to read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Only of this type.
    pub kind: Option<String>,
    /// Only with this id.
    pub id: Option<String>,
    /// Only those after this one.
    pub after: Option<RecordKey>,
}

/// A page of records.
#[derive(Debug)]
pub struct RecordPage {
    /// By type and id.
    pub records: Vec<NewRecord>,
    /// Whether there are more after them.
    pub more: bool,
}

impl BrokerClient {
    /// Puts records beside the others or, with `replaces`, in the place of all of that type: all of them or none,
    /// answered once it is on disk.
    ///
    /// # Errors
    /// [`RecordsError`].
    pub async fn push_records(
        &self,
        records: Vec<NewRecord>,
        replaces: Option<Arc<str>>,
    ) -> Result<Pushed, RecordsError> {
        use proto::push_records_request::Step;
        let end = proto::PushEnd {
            count: u64::try_from(records.len()).unwrap_or(u64::MAX),
            replaces: replaces.map(|kind| (*kind).to_owned()),
        };
        let step = |step| proto::PushRecordsRequest { step: Some(step) };
        let batches = Batches { records: records.into_iter().peekable() };
        let steps = batches.map(Step::Batch).chain(std::iter::once(Step::End(end))).map(step);
        let sending = stream::iter(steps);
        let answer =
            self.call(PUSH_TIMEOUT, sending, |mut stub, request| async move { stub.push_records(request).await });
        let proto::PushRecordsAnswer { version, written, deleted } = answer.await?;
        Ok(Pushed { version, written, deleted })
    }

    /// Deletes records of a type and answers once that is on disk; those that are not there are no failure. More than
    /// 1024 ids go in several steps, each by itself.
    ///
    /// # Errors
    /// [`RecordsError`].
    pub async fn delete_records(&self, kind: &str, which: Deletion) -> Result<Pushed, RecordsError> {
        let request = |id, all| proto::DeleteRecordsRequest { r#type: kind.to_owned(), id, all };
        let requests = match which {
            Deletion::All => vec![request(Vec::new(), true)],
            Deletion::Ids(ids) => ids.chunks(DELETE_BATCH).map(|ids| request(ids.to_vec(), false)).collect(),
        };
        let mut total = Pushed::default();
        for request in requests {
            let answer =
                self.call(PUSH_TIMEOUT, request, |mut stub, request| async move { stub.delete_records(request).await });
            let proto::DeleteRecordsAnswer { version, deleted } = answer.await?;
            total = Pushed { version, written: 0, deleted: total.deleted.saturating_add(deleted) };
        }
        Ok(total)
    }

    /// Reads a page of records.
    ///
    /// # Errors
    /// [`RecordsError`].
    pub async fn list_records(&self, listing: Listing) -> Result<RecordPage, RecordsError> {
        let Listing { kind, id, after } = listing;
        let after = after.as_ref().map(wire::record_key_message);
        let request = proto::ListRecordsRequest { r#type: kind, id, after };
        let answer =
            self.call(CALL_TIMEOUT, request, |mut stub, request| async move { stub.list_records(request).await });
        let proto::ListRecordsAnswer { record, more } = answer.await?;
        Ok(RecordPage { records: record.into_iter().map(wire::record).collect::<Result<_, _>>()?, more })
    }

    /// Follows the records after `cursor`; `None`: all there is, and what comes. The first event is always a start.
    ///
    /// # Errors
    /// [`BrokerError`].
    pub async fn watch_records(&self, cursor: Option<(ServerId, u64)>) -> Result<RecordsFeed, BrokerError> {
        let (server_id, version) =
            cursor.map_or_else(Default::default, |(server, version)| (server.as_bytes().to_vec(), version));
        let request = proto::WatchRecordsRequest { server_id, version };
        let renewal = self.line.renewal();
        let stream =
            self.call(CALL_TIMEOUT, request, |mut stub, request| async move { stub.watch_records(request).await });
        Ok(RecordsFeed { stream: stream.await?, renewal })
    }
}

/// Records in messages of a bounded size.
struct Batches<I: Iterator<Item = NewRecord>> {
    records: std::iter::Peekable<I>,
}

impl<I: Iterator<Item = NewRecord>> Iterator for Batches<I> {
    type Item = proto::RecordBatch;

    fn next(&mut self) -> Option<proto::RecordBatch> {
        self.records.peek()?;
        let mut bytes = 0_usize;
        let mut batch = proto::RecordBatch { record: Vec::new() };
        while bytes < BATCH_BYTES {
            let Some(record) = self.records.next() else { break };
            bytes = bytes.saturating_add(record.bytes());
            batch.record.push(wire::record_message(&record));
        }
        Some(batch)
    }
}

/// The stream of one [`BrokerClient::watch_records`] call, oldest first.
#[derive(Debug)]
pub struct RecordsFeed {
    stream: Streaming<proto::RecordsEvent>,
    renewal: Renewal,
}

/// One step of the records.
#[derive(Debug)]
pub enum RecordsFeedEvent {
    /// Where the stream starts.
    Start {
        /// The store that is followed.
        server: ServerId,
        /// The version that the stream starts after.
        version: u64,
        /// The records held are too old to go on from: the next pages are all there is.
        reset: bool,
    },
    /// Some of the records of a change.
    Page {
        /// The version that they are of.
        version: u64,
        /// Those that are new or say something else now.
        changed: Vec<Record>,
        /// Those that are gone.
        gone: Vec<RecordKey>,
        /// Whether this change is all there is.
        whole: bool,
        /// Whether the change goes on.
        more: bool,
    },
    /// Nothing happened, and the broker lives.
    Heartbeat {
        /// The follower knows every record as of this version.
        version: u64,
    },
}

impl RecordsFeed {
    /// The next event; `None`: the broker closed the stream, or this service speaks by other settings now. A caller that drops this future loses nothing.
    ///
    /// # Errors
    /// [`BrokerError`]; the stream is over.
    pub async fn next(&mut self) -> Result<Option<RecordsFeedEvent>, BrokerError> {
        // Both arms are cancel-safe: a message stays in the stream, a change stays to be seen.
        let message = tokio::select! {
            () = self.renewal.due() => None,
            message = self.stream.message() => message?,
        };
        match message {
            None => Ok(None),
            Some(event) => Ok(Some(event_of(event)?)),
        }
    }
}

fn event_of(event: proto::RecordsEvent) -> Result<RecordsFeedEvent, WireError> {
    use proto::records_event::Event;
    let proto::RecordsEvent { version, event } = event;
    Ok(match event {
        None => RecordsFeedEvent::Heartbeat { version },
        Some(Event::Start(proto::RecordsStart { server_id, reset })) => {
            RecordsFeedEvent::Start { server: ServerId::from_bytes(&server_id)?, version, reset }
        }
        Some(Event::Page(proto::RecordsPage { changed, gone, whole, more })) => RecordsFeedEvent::Page {
            version,
            changed: changed.into_iter().map(wire::read_record).collect::<Result<_, _>>()?,
            gone: gone.into_iter().map(wire::record_key).collect::<Result<_, _>>()?,
            whole,
            more,
        },
    })
}
