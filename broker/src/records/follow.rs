//! The stream of one follower of the records: a cursor, pages of what has changed, and a heartbeat when there is
//! nothing to tell.

use std::sync::Arc;

use futures_util::stream::{self, Stream};
use portcullis_broker_api::wire::{self, generated as proto};
use portcullis_broker_api::{NewRecord, RecordKey, ServerId};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::Since;
use crate::pulse::{Pulse, Woken};
use crate::state::Shared;

/// When a page is full, in bytes of records.
const PAGE_BYTES: usize = 256 * 1024;
/// The most names of records that are gone in one page.
const PAGE_GONE: usize = 1024;

/// One follower.
struct Follower {
    shared: Arc<Shared>,
    pulse: Pulse,
    /// What was told, or is being told; `None`: all there is must be told.
    cursor: Option<u64>,
    start: Option<proto::RecordsEvent>,
    pages: Option<Pages>,
}

/// A change that is being told.
struct Pages {
    version: u64,
    whole: bool,
    changed: std::vec::IntoIter<NewRecord>,
    gone: std::vec::IntoIter<RecordKey>,
}

/// The events after `cursor`, beginning with a start; all there is, where the cursor is too old, of the future, or of
/// another store. The stream ends when the broker does.
pub(crate) fn follow(
    shared: Arc<Shared>,
    cursor: Option<(ServerId, u64)>,
    stop: CancellationToken,
) -> impl Stream<Item = Result<proto::RecordsEvent, Status>> {
    let pulse = Pulse::new(&shared, stop);
    let cursor = cursor.filter(|(server, version)| *server == shared.server && *version <= shared.head());
    let cursor = cursor.map(|(_, version)| version).filter(|version| shared.known().records.reaches(*version));
    let start = proto::RecordsStart { server_id: shared.server.as_bytes().to_vec(), reset: cursor.is_none() };
    let version = cursor.unwrap_or_default();
    let start = Some(event(version, Some(proto::records_event::Event::Start(start))));
    let follower = Follower { shared, pulse, cursor, start, pages: None };
    stream::unfold(follower, async |mut follower| {
        let event = follower.next().await?;
        Some((Ok(event), follower))
    })
}

impl Follower {
    async fn next(&mut self) -> Option<proto::RecordsEvent> {
        loop {
            if let Some(start) = self.start.take() {
                return Some(start);
            }
            if let Some(pages) = &mut self.pages {
                let (page, last) = pages.next();
                if last {
                    self.pages = None;
                }
                self.pulse.said();
                return Some(page);
            }
            self.pulse.mark();
            let head = self.read();
            if self.pages.is_some() {
                continue;
            }
            if self.pulse.wait().await? == Woken::Beat {
                return Some(event(head, None));
            }
        }
    }

    /// Takes what has not been told, as of one version, which is answered.
    fn read(&mut self) -> u64 {
        let known = self.shared.known();
        let head = known.ring.head();
        let since = self.cursor.map_or_else(|| known.records.whole(), |cursor| known.records.since(cursor));
        drop(known);
        self.cursor = Some(head);
        let pages = |whole, changed: Vec<NewRecord>, gone: Vec<RecordKey>| {
            Some(Pages { version: head, whole, changed: changed.into_iter(), gone: gone.into_iter() })
        };
        self.pages = match since {
            Since::Nothing => None,
            Since::Some { changed, gone } => pages(false, changed, gone),
            Since::Whole(all) => pages(true, all, Vec::new()),
        };
        head
    }
}

impl Pages {
    /// The next page, and whether it is the last.
    fn next(&mut self) -> (proto::RecordsEvent, bool) {
        let Self { version, whole, changed, gone } = self;
        let mut page = proto::RecordsPage { whole: *whole, ..proto::RecordsPage::default() };
        let mut bytes = 0_usize;
        while bytes < PAGE_BYTES {
            let Some(record) = changed.next() else { break };
            bytes = bytes.saturating_add(record.bytes());
            page.changed.push(wire::record_message(&record));
        }
        if bytes < PAGE_BYTES {
            page.gone = gone.take(PAGE_GONE).map(|key| wire::record_key_message(&key)).collect();
        }
        page.more = changed.len() > 0 || gone.len() > 0;
        let last = !page.more;
        (event(*version, Some(proto::records_event::Event::Page(page))), last)
    }
}

const fn event(version: u64, event: Option<proto::records_event::Event>) -> proto::RecordsEvent {
    proto::RecordsEvent { version, event }
}
