//! External data as a proxy holds it: whole, or not at all.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use portcullis_identity::{Pool, Record, Records};
use tokio::time::Instant;

use super::freshness::Freshness;
use crate::{RecordKey, ServerId};

/// The records held. Readers take no lock; one follower writes.
#[derive(Debug)]
pub(super) struct RecordTable {
    held: ArcSwapOption<Records>,
    pub(super) freshness: Freshness,
    following: AtomicBool,
    // A lock because `status` reads what the follower writes; no request takes it.
    ledger: Mutex<Ledger>,
}

#[derive(Debug, Default)]
struct Ledger {
    server: Option<ServerId>,
    /// Every record as of this version is held.
    version: u64,
    /// What records have in common.
    pool: Pool,
}

/// A change of records as its pages arrive.
#[derive(Debug, Default)]
pub(super) struct RecordChange {
    pub(super) changed: Vec<Record>,
    pub(super) gone: Vec<RecordKey>,
    /// Whether it is all there is.
    pub(super) whole: bool,
}

/// Where a replica's external data stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordsStatus {
    /// Whether their stream is up now.
    pub following: bool,
    /// Whether they are held and believed: if not, what policies say of them is unknown.
    pub known: bool,
    /// Every record as of this version is held.
    pub version: u64,
    /// Records held.
    pub records: usize,
    /// Time since the last word on their stream.
    pub silent_for: Duration,
}

impl RecordTable {
    pub(super) fn new(bound: Duration, now: Instant) -> Self {
        Self {
            held: ArcSwapOption::empty(),
            freshness: Freshness::new(bound, now),
            following: AtomicBool::new(false),
            ledger: Mutex::default(),
        }
    }

    /// All records; `None`: not all are here yet, or they are too old to be believed.
    pub(super) fn look(&self, now: Instant) -> Option<Arc<Records>> {
        if self.freshness.is_stale(now) { None } else { self.held.load_full() }
    }

    /// Where a new stream resumes; `None`: from nothing.
    pub(super) fn cursor(&self) -> Option<(ServerId, u64)> {
        let ledger = self.ledger();
        ledger.server.map(|server| (server, ledger.version))
    }

    /// A stream of `server` begins. What another store held says nothing here: it is dropped, which is answered.
    pub(super) fn begin(&self, server: ServerId) -> bool {
        let mut ledger = self.ledger();
        let foreign = ledger.server.is_some_and(|held| held != server);
        if foreign {
            self.held.store(None);
            ledger.server = None;
        }
        drop(ledger);
        self.following.store(true, Ordering::Relaxed);
        foreign
    }

    /// The stream is over.
    pub(super) fn end(&self) -> bool {
        self.following.swap(false, Ordering::Relaxed)
    }

    /// The record with a type and names that others have too.
    pub(super) fn shared(&self, record: Record) -> Record {
        self.ledger().pool.share_record(record)
    }

    /// Makes a change in one step; `false`: there is nothing that it could change.
    pub(super) fn apply(&self, server: ServerId, version: u64, change: RecordChange) -> bool {
        let RecordChange { changed, gone, whole } = change;
        let before = if whole { Some(Arc::default()) } else { self.held.load_full() };
        let Some(before) = before else { return false };
        let gone = gone.into_iter().map(|RecordKey { kind, id }| (kind, id)).collect();
        self.held.store(Some(Arc::new(before.with(changed, gone))));
        let mut ledger = self.ledger();
        (ledger.server, ledger.version) = (Some(server), version);
        true
    }

    /// Nothing has changed up to `version`.
    pub(super) fn advance(&self, version: u64) {
        let mut ledger = self.ledger();
        ledger.version = ledger.version.max(version);
    }

    pub(super) fn status(&self, now: Instant) -> RecordsStatus {
        RecordsStatus {
            following: self.following.load(Ordering::Relaxed),
            known: self.look(now).is_some(),
            version: self.ledger().version,
            records: self.held.load().as_ref().map_or(0, |held| held.len()),
            silent_for: self.freshness.silent_for(now),
        }
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
