//! Following the broker's log: what keeps a replica true.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use portcullis_identity::SessionKey;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::uses::REPORT_EVERY;
use super::{Change, Replica};
use crate::client::{FETCH_BATCH, Fetched, TOUCH_BATCH};
use crate::{BrokerError, Feed, FeedEvent, ServerId};

/// A stream without a word for this long is dead: the broker speaks each second.
const SILENCE: Duration = Duration::from_secs(4);
/// The pauses between two attempts to reach the broker: a restarted one is found at once.
const PAUSE: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_millis(500);
/// The sessions that a reset fetches again by itself, most recently used first; the rest come when asked for.
const REFILL: usize = 8192;
/// How often a stale replica looks whether it is fresh again, only to say so.
pub(super) const FRESH_AGAIN: Duration = Duration::from_millis(200);
/// How long the last report of uses may delay the end of `run`.
const LAST_REPORT: Duration = Duration::from_secs(1);

/// Why a stream ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum StreamEnd {
    #[error(transparent)]
    Broker(#[from] BrokerError),
    #[error("stream silent")]
    Silent,
    #[error("stream closed")]
    Closed,
    #[error("stream without a start")]
    NoStart,
}

impl Replica {
    /// Follows the broker until `stop`: applies its log, reports uses, and says when the copy goes stale.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        tokio::select! {
            // Dropping the loops anywhere is safe: the table is whole between two awaits, and a stream that
            // broke off resumes from the version applied last.
            () = stop.cancelled() => {}
            () = self.follow() => {}
            () = self.report() => {}
            () = self.tell_staleness() => {}
            () = self.follow_records() => {}
            () = self.tell_record_staleness() => {}
        }
        self.following.store(false, Ordering::Relaxed);
        self.records.end();
        self.report_last().await;
    }

    async fn report_last(&self) {
        if tokio::time::timeout(LAST_REPORT, self.report_once()).await.is_err() {
            tracing::warn!("last uses not reported");
        }
    }

    async fn follow(self: &Arc<Self>) {
        let mut attempts = Attempts::new();
        loop {
            let end = self.follow_once().await;
            if attempts.over(self.following.swap(false, Ordering::Relaxed)) {
                tracing::warn!(error = &end as &dyn std::error::Error, "broker stream lost");
            }
            attempts.pause().await;
        }
    }

    async fn follow_once(self: &Arc<Self>) -> StreamEnd {
        match self.client.watch(self.table.cursor()).await {
            Ok(mut feed) => match self.apply_all(&mut feed).await {
                Ok(never) => match never {},
                Err(end) => end,
            },
            Err(error) => error.into(),
        }
    }

    async fn apply_all(self: &Arc<Self>, feed: &mut Feed) -> Result<std::convert::Infallible, StreamEnd> {
        let FeedEvent::Start { server, version, reset } = word(feed.next()).await? else {
            return Err(StreamEnd::NoStart);
        };
        // Aborted with the stream: a new one may reset again.
        let _refill = self.begin((server, version), reset, Instant::now());
        self.following.store(true, Ordering::Relaxed);
        tracing::info!(broker.server = %server, broker.version = version, broker.reset = reset, "following the broker");
        loop {
            self.apply(word(feed.next()).await?)?;
            self.freshness.heard(Instant::now());
        }
    }

    /// Begins a stream. One that resumes is no news: what is held is as old as it was until something that came later is
    /// applied, or a beat says that there is nothing. An entry that cannot be read would keep old knowledge fresh for ever.
    pub(super) fn begin(
        self: &Arc<Self>,
        (server, version): (ServerId, u64),
        reset: bool,
        now: Instant,
    ) -> Option<AbortOnDropHandle<()>> {
        (reset || !self.table.follows(server)).then(|| self.start_over((server, version), now))
    }

    /// Drops everything held, after which nothing is outdated, and fetches what was used last again.
    fn start_over(self: &Arc<Self>, (server, version): (ServerId, u64), now: Instant) -> AbortOnDropHandle<()> {
        let keys = self.table.reset(server, version, REFILL);
        self.announce(Change::Reset);
        self.freshness.heard(now);
        AbortOnDropHandle::new(tokio::spawn(refill(Arc::clone(self), keys)))
    }

    fn apply(&self, event: FeedEvent) -> Result<(), StreamEnd> {
        match event {
            FeedEvent::Ended { key, version, reason } => {
                self.table.end(&key, version);
                self.announce(Change::Ended(key));
                tracing::debug!(session.key = %key, reason = reason.as_str(), "session ended");
            }
            FeedEvent::Changed { version, session } => {
                let key = session.key;
                self.table.change(*session, version);
                self.announce(Change::Changed(key));
            }
            FeedEvent::Dormant { key, version } => {
                self.table.let_go(&key, version);
                self.tell(Change::Dormant(key));
            }
            FeedEvent::Heartbeat { version } => self.table.advance(version),
            FeedEvent::Start { server: _, version: _, reset: _ } => return Err(StreamEnd::NoStart),
        }
        Ok(())
    }

    async fn report(&self) {
        loop {
            tokio::time::sleep(REPORT_EVERY).await;
            self.report_once().await;
        }
    }

    /// Writes down what waits and reports what is due. Reports that do not arrive are lost; the next use makes new ones.
    async fn report_once(&self) {
        loop {
            let uses = self.uses.take(TOUCH_BATCH);
            if uses.is_empty() {
                return;
            }
            let due = self.table.refresh(&uses);
            let count = due.len();
            if due.is_empty() {
                continue;
            }
            if let Err(error) = self.client.touch(due).await {
                tracing::debug!(error = &error as &dyn std::error::Error, count, "last uses not reported");
                return;
            }
        }
    }

    async fn tell_staleness(&self) {
        loop {
            self.freshness.until_stale().await;
            self.announce(Change::Stale);
            tracing::error!("replica is stale");
            while self.freshness.is_stale(Instant::now()) {
                tokio::time::sleep(FRESH_AGAIN).await;
            }
        }
    }
}

/// The attempts at a stream that is followed again and again.
pub(super) struct Attempts {
    begun: Instant,
    pause: Duration,
    told: bool,
}

impl Attempts {
    /// The first one begins.
    pub(super) fn new() -> Self {
        Self { begun: Instant::now(), pause: PAUSE, told: false }
    }

    /// One is over, and had a stream to follow or not. Whether that is to be told: of those in a row, the first is.
    pub(super) fn over(&mut self, followed: bool) -> bool {
        // A stream that breaks off as soon as it begins may do so for long.
        if followed && self.begun.elapsed() >= PAUSE_MAX {
            (self.pause, self.told) = (PAUSE, false);
        }
        !std::mem::replace(&mut self.told, true)
    }

    /// Waits until the next one begins.
    pub(super) async fn pause(&mut self) {
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        self.begun = Instant::now();
    }
}

/// The next event of a feed, which may not be silent for long.
pub(super) async fn word<E>(next: impl Future<Output = Result<Option<E>, BrokerError>>) -> Result<E, StreamEnd> {
    match tokio::time::timeout(SILENCE, next).await {
        Err(_) => Err(StreamEnd::Silent),
        Ok(Ok(None)) => Err(StreamEnd::Closed),
        Ok(Ok(Some(event))) => Ok(event),
        Ok(Err(error)) => Err(error.into()),
    }
}

/// Fetches what a reset dropped, most recently used first. A batch that does not arrive ends it: whatever
/// is missing comes when it is asked for.
async fn refill(replica: Arc<Replica>, keys: Vec<SessionKey>) {
    for batch in keys.chunks(FETCH_BATCH) {
        let fetched = replica.client.fetch_ahead(batch).await;
        let Ok(Fetched { server, head, mut sessions, dormant }) = fetched else { return };
        for key in batch.iter().filter(|key| !dormant.contains(key)) {
            let session = sessions.iter().position(|session| session.key == *key).map(|at| sessions.swap_remove(at));
            replica.table.land(Some(server), head, key, session.map(|session| replica.table.shared(session)));
        }
    }
}
