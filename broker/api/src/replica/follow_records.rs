//! Following external data, on a stream of its own: however much of it a change brings, no session's end waits behind it.

use std::convert::Infallible;
use std::sync::atomic::Ordering;

use tokio::time::Instant;

use super::follow::{Attempts, FRESH_AGAIN, StreamEnd, word};
use super::record_table::RecordChange;
use super::{Change, Replica};
use crate::{RecordsFeed, RecordsFeedEvent, ServerId};

impl Replica {
    /// Follows the records for as long as it is polled.
    pub(super) async fn follow_records(&self) {
        let mut attempts = Attempts::new();
        loop {
            let end = self.follow_records_once().await;
            if attempts.over(self.records.end()) {
                tracing::warn!(error = &end as &dyn std::error::Error, "stream of external data lost");
            }
            attempts.pause().await;
        }
    }

    async fn follow_records_once(&self) -> StreamEnd {
        match self.client.watch_records(self.records.cursor()).await {
            Ok(mut feed) => match self.apply_records(&mut feed).await {
                Ok(never) => match never {},
                Err(end) => end,
            },
            Err(error) => error.into(),
        }
    }

    async fn apply_records(&self, feed: &mut RecordsFeed) -> Result<Infallible, StreamEnd> {
        let RecordsFeedEvent::Start { server, version, reset } = word(feed.next()).await? else {
            return Err(StreamEnd::NoStart);
        };
        if self.records.begin(server) {
            self.announce(Change::Records);
        }
        tracing::info!(broker.server = %server, broker.version = version, broker.reset = reset, "following external data");
        let mut under_way = RecordChange::default();
        loop {
            let heard = self.apply_record_event(server, word(feed.next()).await?, &mut under_way)?;
            // A change whose rest is not here yet proves nothing of what is held.
            if heard {
                self.records.freshness.heard(Instant::now());
                self.records_were_stale();
            }
        }
    }

    /// Takes one event in; whether the records held are those of the broker now.
    fn apply_record_event(
        &self,
        server: ServerId,
        event: RecordsFeedEvent,
        under_way: &mut RecordChange,
    ) -> Result<bool, StreamEnd> {
        match event {
            RecordsFeedEvent::Start { .. } => Err(StreamEnd::NoStart),
            RecordsFeedEvent::Heartbeat { version } => {
                self.records.advance(version);
                Ok(true)
            }
            RecordsFeedEvent::Page { version, changed, mut gone, whole, more } => {
                under_way.changed.extend(changed.into_iter().map(|record| self.records.shared(record)));
                under_way.gone.append(&mut gone);
                under_way.whole = whole;
                if more {
                    return Ok(false);
                }
                if !self.records.apply(server, version, std::mem::take(under_way)) {
                    return Err(StreamEnd::NoStart);
                }
                self.announce(Change::Records);
                Ok(true)
            }
        }
    }

    /// Says that stale records are believed again.
    fn records_were_stale(&self) {
        if self.records_stale.swap(false, Ordering::AcqRel) {
            self.announce(Change::Records);
        }
    }

    /// Says when the records go stale.
    pub(super) async fn tell_record_staleness(&self) {
        loop {
            self.records.freshness.until_stale().await;
            if !self.records_stale.swap(true, Ordering::AcqRel) {
                self.announce(Change::Records);
                tracing::error!("external data is stale");
            }
            tokio::time::sleep(FRESH_AGAIN).await;
        }
    }
}
