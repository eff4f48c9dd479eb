//! An engine without a disk, for tests: the plainest thing that passes the conformance suite.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{
    Change, Kind, LOG_ENTRIES, LogEntry, Logged, OpenError, Outcome, Storage, StorageError, Stored, Visit, Write,
};

/// Records in memory.
#[derive(Debug)]
pub(crate) struct Memory {
    server: [u8; 16],
    // A lock because readers and the writer are different threads, as with any engine.
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    head: u64,
    floor: u64,
    records: BTreeMap<(Kind, Vec<u8>), Stored>,
    log: BTreeMap<u64, LogEntry>,
}

impl Memory {
    pub(crate) fn new(server: [u8; 16]) -> Self {
        Self { server, inner: Mutex::default() }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Storage for Memory {
    fn server_id(&self) -> [u8; 16] {
        self.server
    }

    fn head(&self) -> Result<u64, StorageError> {
        Ok(self.inner().head)
    }

    fn get(&self, kind: Kind, id: &[u8]) -> Result<Option<Stored>, StorageError> {
        Ok(self.inner().records.get(&(kind, id.to_vec())).cloned())
    }

    fn commit(&self, changes: &[Change]) -> Result<Vec<Outcome>, StorageError> {
        let mut inner = self.inner();
        Ok(changes.iter().map(|change| inner.apply(change)).collect())
    }

    fn scan(&self, kind: Kind, visit: Visit<'_>) -> Result<(), OpenError> {
        let records = self.inner().records.clone();
        records.into_iter().filter(|((of, _), _)| *of == kind).try_for_each(|((_, id), stored)| visit(&id, stored))
    }

    fn changes(&self, version: u64) -> Result<Logged, StorageError> {
        let inner = self.inner();
        let entries = inner.log.range(version + 1..).map(|(at, entry)| (*at, *entry)).collect();
        Ok(Logged { floor: inner.floor, entries })
    }
}

impl Inner {
    fn apply(&mut self, change: &Change) -> Outcome {
        let Change { writes, log } = change;
        let version = self.head + 1;
        let found = |kind, id: &[u8]| self.records.get(&(kind, id.to_vec())).map(|stored: &Stored| stored.version);
        if !writes.iter().all(|write| write.expect.met_by(found(write.kind, &write.id))) {
            return Outcome::Conflict;
        }
        for Write { kind, id, expect: _, value } in writes.iter().cloned() {
            match value {
                Some(value) => drop(self.records.insert((kind, id), Stored { version, value })),
                None => drop(self.records.remove(&(kind, id))),
            }
        }
        if let Some(entry) = log {
            self.log.insert(version, *entry);
        }
        while self.log.len() > LOG_ENTRIES {
            self.floor = self.log.pop_first().map_or(self.floor, |(version, _)| version);
        }
        self.head = version;
        Outcome::Applied { version }
    }
}
