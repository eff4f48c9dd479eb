//! External data as the broker knows it: every record, by type and id, and what has changed lately. Rebuilt from the
//! store at each start.

pub(crate) mod calls;
pub(crate) mod edit;
pub(crate) mod follow;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use portcullis_broker_api::{Listing, NewRecord, RecordKey};

use crate::storage::{Change, Expect, Kind, LOG_ENTRIES, OpenError, Storage, StorageError, Write};
use crate::vault::Vault;

/// Where a record stands in the store: a number of its own, so that a row tells nothing of type or id.
pub(crate) type Row = [u8; 16];

/// The id of the row that every change of records writes: its version is that of the newest one.
const MARK: &[u8] = b"";

/// All records.
#[derive(Debug, Default)]
pub(crate) struct RecordIndex {
    held: BTreeMap<RecordKey, Held>,
    counts: BTreeMap<Arc<str>, usize>,
    bytes: usize,
    /// The version of the newest change of records.
    version: u64,
    /// What changed at which version, oldest first.
    news: VecDeque<(u64, RecordKey)>,
    /// Every change after this version is in `news`.
    floor: u64,
}

#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) row: Row,
    pub(crate) record: NewRecord,
}

/// What a follower has not been told.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Since {
    /// Nothing.
    Nothing,
    /// These: records as they are by now, and those that are gone.
    Some { changed: Vec<NewRecord>, gone: Vec<RecordKey> },
    /// Nobody knows any more; this is all there is.
    Whole(Vec<NewRecord>),
}

impl RecordIndex {
    /// Reads all records. Where another key of the ring sealed some, all are sealed anew.
    pub(crate) fn load(storage: &dyn Storage, vault: &Vault) -> Result<Self, OpenError> {
        let mut index = Self::default();
        let mut older = false;
        storage.scan(Kind::Record, &mut |id, stored| {
            if id == MARK {
                index.version = stored.version;
                return Ok(());
            }
            let row: Row = id.try_into().map_err(|_| StorageError::Malformed { kind: Kind::Record.name() })?;
            let record = vault.open_record(&row, &stored.value)?;
            older |= !vault.is_newest(&stored.value);
            index.insert(row, record);
            Ok(())
        })?;
        if older {
            storage.commit(&[index.resealed(vault)])?;
        }
        index.floor = index.version;
        Ok(index)
    }

    /// Every record, sealed by the key that seals now: unlike sessions they have no end, and an old key must come to have
    /// nothing left to open. Nobody has news of it.
    pub(crate) fn resealed(&self, vault: &Vault) -> Change {
        let writes = self.held.values().map(|Held { row, record }| {
            let value = Some(vault.seal_record(row, record));
            Write { kind: Kind::Record, id: row.to_vec(), expect: Expect::Present, value }
        });
        tracing::info!(count = self.held.len(), "external data is sealed with the newest key");
        Change { writes: writes.collect(), log: None }
    }

    pub(crate) fn get(&self, key: &RecordKey) -> Option<&Held> {
        self.held.get(key)
    }

    /// The records of a type, by id.
    pub(crate) fn of_type(&self, kind: &Arc<str>) -> impl Iterator<Item = (&RecordKey, &Held)> {
        let first = RecordKey { kind: Arc::clone(kind), id: Arc::default() };
        self.held.range(first..).take_while(move |(key, _)| key.kind == *kind)
    }

    pub(crate) fn count_of(&self, kind: &str) -> usize {
        self.counts.get(kind).copied().unwrap_or_default()
    }

    pub(crate) fn len(&self) -> usize {
        self.held.len()
    }

    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Up to about `most` bytes of records, and whether there are more.
    pub(crate) fn page(&self, listing: &Listing, most: usize) -> (Vec<NewRecord>, bool) {
        let Listing { kind, id, after } = listing;
        let (kind, id) = (kind.as_deref(), id.as_deref());
        let first = RecordKey { kind: kind.unwrap_or_default().into(), id: Arc::default() };
        let from = match after {
            Some(after) if *after >= first => Bound::Excluded(after.clone()),
            Some(_) | None => Bound::Included(first),
        };
        let all = self.held.range((from, Bound::Unbounded)).map(|(_, held)| &held.record);
        let of_type = all.take_while(|record| kind.is_none_or(|kind| *record.key().kind == *kind));
        let mut wanted = of_type.filter(|record| id.is_none_or(|id| *record.key().id == *id));
        let (mut page, mut bytes) = (Vec::new(), 0_usize);
        while bytes < most {
            let Some(record) = wanted.next() else { return (page, false) };
            bytes = bytes.saturating_add(record.bytes());
            page.push(record.clone());
        }
        (page, wanted.next().is_some())
    }

    /// Whether what has changed after version `cursor` is still known.
    pub(crate) const fn reaches(&self, cursor: u64) -> bool {
        cursor >= self.floor
    }

    /// What has changed after version `cursor`.
    pub(crate) fn since(&self, cursor: u64) -> Since {
        if cursor >= self.version {
            return Since::Nothing;
        }
        if !self.reaches(cursor) {
            return self.whole();
        }
        let start = self.news.partition_point(|(version, _)| *version <= cursor);
        let keys: BTreeSet<&RecordKey> = self.news.range(start..).map(|(_, key)| key).collect();
        let (mut changed, mut gone) = (Vec::new(), Vec::new());
        for key in keys {
            match self.held.get(key) {
                Some(held) => changed.push(held.record.clone()),
                None => gone.push(key.clone()),
            }
        }
        Since::Some { changed, gone }
    }

    /// All there is.
    pub(crate) fn whole(&self) -> Since {
        Since::Whole(self.held.values().map(|held| held.record.clone()).collect())
    }

    /// Shows a change that is written.
    pub(crate) fn apply(&mut self, version: u64, puts: Vec<(Row, NewRecord)>, gone: Vec<RecordKey>) {
        self.version = version;
        for (row, record) in puts {
            self.news.push_back((version, record.key().clone()));
            self.insert(row, record);
        }
        for key in gone {
            self.remove(&key);
            self.news.push_back((version, key));
        }
        while self.news.len() > LOG_ENTRIES {
            // A change is told whole: who has seen less than all of it starts over.
            self.floor = self.news.pop_front().map_or(self.floor, |(version, _)| version);
        }
    }

    fn insert(&mut self, row: Row, record: NewRecord) {
        let key = record.key().clone();
        self.remove(&key);
        self.bytes = self.bytes.saturating_add(record.bytes());
        let count = self.counts.entry(Arc::clone(&key.kind)).or_default();
        *count = count.saturating_add(1);
        self.held.insert(key, Held { row, record });
    }

    fn remove(&mut self, key: &RecordKey) {
        let Some(held) = self.held.remove(key) else { return };
        self.bytes = self.bytes.saturating_sub(held.record.bytes());
        if let Some(count) = self.counts.get_mut(&key.kind) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.counts.remove(&key.kind);
            }
        }
    }
}

#[cfg(test)]
mod tests;
