//! A proxy's copy of the sessions it uses, and of all external data.
//!
//! Reads take no lock and allocate nothing; everything else happens here, off the request path or in the
//! one bounded fetch of a miss. The copy never honours a session that the broker's stream has ended, nor
//! any session once the stream has been silent for too long.

mod flight;
mod follow;
mod follow_records;
mod freshness;
mod held;
mod record_table;
mod size;
mod table;
mod uses;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use portcullis_identity::{Records, Session, SessionKey, Timestamp};
use tokio::sync::broadcast;
use tokio::time::Instant;

use crate::client::Redeemed;
use crate::{BrokerClient, BrokerError, EndReason, EndSelector, RedeemError, ServerId};
use flight::Flights;
use freshness::Freshness;
use record_table::RecordTable;
pub use record_table::RecordsStatus;
use table::{Landing, Table};
use uses::Uses;

/// Changes that a slow listener may be behind before it is told that it lost some.
const CHANGES: usize = 4096;

/// How much a replica holds, and how long it trusts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplicaBounds {
    /// Estimated bytes of all held sessions; beyond it the least used go.
    pub max_bytes: usize,
    /// After this long without a word on the stream nothing held is believed.
    pub max_staleness: Duration,
}

/// What the replica, or the broker through it, says of a key.
#[derive(Clone, Debug)]
pub enum Resolved {
    /// The session, live as far as the stream has told.
    Session(Arc<Session>),
    /// There is no such session and there never will be.
    Absent,
    /// From `resolve`: not held, ask [`Replica::fetch`]. From `fetch`: the broker did not answer in time.
    Missing,
    /// The stream has been silent for longer than the bound: neither yes nor no. `fetch` may still know.
    Stale,
}

/// What a holder of open streams must look at again. A listener that lags behind treats it as `Reset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The session is over.
    Ended(SessionKey),
    /// The session has a newer version.
    Changed(SessionKey),
    /// The session is not held any more: at its next use the broker asks its provider first.
    Dormant(SessionKey),
    /// Changes were missed: every session has to be resolved again.
    Reset,
    /// The stream has been silent for longer than the bound.
    Stale,
    /// External data has changed, or is believed no longer, or again.
    Records,
}

/// Where a replica stands, for `portcullis status`, readiness and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplicaStatus {
    /// Whether the stream is up now.
    pub following: bool,
    /// The store that is followed; `None` before the first stream.
    pub server: Option<ServerId>,
    /// Every change up to this version has been applied.
    pub version: u64,
    /// Sessions held.
    pub sessions: usize,
    /// Their estimated bytes.
    pub bytes: usize,
    /// Time since the last word on the stream.
    pub silent_for: Duration,
    /// Whether that is longer than the bound.
    pub stale: bool,
}

/// The copy. Shared as an `Arc`; somebody must drive [`Replica::run`], or the copy goes stale.
#[derive(Debug)]
pub struct Replica {
    client: BrokerClient,
    table: Table,
    flights: Flights,
    freshness: Freshness,
    uses: Uses,
    epoch: AtomicU64,
    following: AtomicBool,
    records: RecordTable,
    /// Whether somebody was told that the records are stale.
    records_stale: AtomicBool,
    changes: broadcast::Sender<Change>,
}

impl Replica {
    /// An empty replica of the broker behind `client`.
    #[must_use]
    pub fn new(client: BrokerClient, bounds: ReplicaBounds) -> Arc<Self> {
        let ReplicaBounds { max_bytes, max_staleness } = bounds;
        Arc::new(Self {
            client,
            table: Table::new(max_bytes),
            flights: Flights::default(),
            freshness: Freshness::new(max_staleness, Instant::now()),
            uses: Uses::new(),
            epoch: AtomicU64::new(0),
            following: AtomicBool::new(false),
            records: RecordTable::new(max_staleness, Instant::now()),
            records_stale: AtomicBool::new(false),
            changes: broadcast::Sender::new(CHANGES),
        })
    }

    /// Looks a key up: no lock, no allocation, no wait.
    #[must_use]
    pub fn resolve(&self, key: &SessionKey, now: Timestamp) -> Resolved {
        if self.freshness.is_stale(Instant::now()) {
            return Resolved::Stale;
        }
        self.table.look(key, now)
    }

    /// All external data: no lock, no allocation, no wait. `None`: it has not all arrived yet, or its stream has been
    /// silent for longer than the bound; then nobody knows what there is.
    #[must_use]
    pub fn records(&self) -> Option<Arc<Records>> {
        self.records.look(Instant::now())
    }

    /// Asks the broker for a session that is not held; callers who ask for the same key share one call of
    /// at most 2 s. Never [`Resolved::Stale`].
    pub async fn fetch(self: &Arc<Self>, key: &SessionKey) -> Resolved {
        flight::fetch(self, key).await
    }

    /// Spends a hand-over and holds its session at once, so that the caller's next look-up hits.
    ///
    /// # Errors
    /// [`RedeemError`].
    pub async fn redeem(&self, id: [u8; 16], until: Timestamp, key: &SessionKey) -> Result<Arc<Session>, RedeemError> {
        let Redeemed { server, session } = self.client.redeem_for_replica(id, until, key).await?;
        let session = self.table.shared(session);
        match self.table.land(Some(server), session.version, key, Some(Arc::clone(&session))) {
            Landing::Held(newest) => Ok(newest),
            // Ended between the broker's answer and now: the hand-over is spent and worth nothing.
            Landing::Gone { was_held: _ } => Err(RedeemError::NoSession),
            // Older than something this replica was told: not held, the next look-up asks.
            Landing::TooOld => Ok(session),
        }
    }

    /// Holds a session that the broker has just answered, unless the stream has told of something newer.
    pub fn put(&self, session: Session) {
        let key = session.key;
        let session = self.table.shared(session);
        // Too old, or ended since: then it is not held, and the next look-up asks the broker.
        self.table.land(None, session.version, &key, Some(session));
    }

    /// Ends a session on every host; when this returns, this replica has let go of it already.
    ///
    /// # Errors
    /// [`BrokerError`]; the session may or may not be over.
    pub async fn end(&self, key: &SessionKey, reason: EndReason) -> Result<(), BrokerError> {
        for ended in self.client.end(EndSelector::Key(*key), reason).await? {
            self.table.end_early(&ended.key);
            self.announce(Change::Ended(ended.key));
        }
        Ok(())
    }

    /// Takes note of a use; the broker hears of it within a minute, or a tenth of the session's idle time.
    pub fn used(&self, key: &SessionKey, now: Timestamp) {
        self.uses.note(&self.table, key, now);
    }

    /// A number that grows with every end, change, reset, change of external data and going stale: who has seen the same number
    /// before need not look again.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Listens to changes from now on; also to those of sessions that are not held.
    #[must_use]
    pub fn changes(&self) -> broadcast::Receiver<Change> {
        self.changes.subscribe()
    }

    /// Where the replica stands.
    #[must_use]
    pub fn status(&self) -> ReplicaStatus {
        let now = Instant::now();
        let (server, version, sessions, bytes) = self.table.totals();
        ReplicaStatus {
            following: self.following.load(Ordering::Relaxed),
            server,
            version,
            sessions,
            bytes,
            silent_for: self.freshness.silent_for(now),
            stale: self.freshness.is_stale(now),
        }
    }

    /// Where the external data stands.
    #[must_use]
    pub fn records_status(&self) -> RecordsStatus {
        self.records.status(Instant::now())
    }

    /// Announces a change. The table is already as the change says: who sees the new epoch finds it so.
    fn announce(&self, change: Change) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
        self.tell(change);
    }

    /// Announces what changes no judgement.
    fn tell(&self, change: Change) {
        // No listener is no failure.
        drop(self.changes.send(change));
    }
}

#[cfg(test)]
mod tests;
