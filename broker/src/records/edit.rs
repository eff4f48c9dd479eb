//! Changes of records: what each writes, and the bounds it must keep.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use portcullis_broker_api::{MAX_RECORDS_BYTES, MAX_RECORDS_OF_A_TYPE, NewRecord, Pushed, RecordKey};

use super::{MARK, RecordIndex, Row};
use crate::plan::{Plan, Planned, Settled, Step, answered, applied, delete, put};
use crate::queue::{Refusal, Reply, answer};
use crate::state::Known;
use crate::storage::{Change, Expect, Kind, Outcome, Write};
use crate::vault::Vault;

/// What somebody wants of the records.
#[derive(Debug)]
pub(crate) enum RecordEdit {
    /// These beside the others. Of two with the same type and id the later one counts.
    Put(Vec<NewRecord>),
    /// These in the place of all of a type, which is theirs.
    Replace(Arc<str>, Vec<NewRecord>),
    /// Without those.
    Delete(Vec<RecordKey>),
    /// Without any of a type.
    Clear(Arc<str>),
}

/// A change of records that is in the group.
#[derive(Debug)]
pub(crate) struct Edited {
    puts: Vec<(Row, NewRecord)>,
    gone: Vec<RecordKey>,
    reply: Reply<Pushed>,
}

/// What differs from what is held.
#[derive(Debug, Default)]
struct Difference {
    puts: Vec<(Row, NewRecord)>,
    gone: Vec<(Row, RecordKey)>,
}

impl Plan<'_> {
    /// One change, whatever its size: all of it or nothing.
    pub(crate) fn edit_records(&self, edit: RecordEdit, reply: Reply<Pushed>) -> Planned {
        let vault = &self.shared.vault;
        let difference = {
            let known = self.shared.known();
            let difference = Difference::of(edit, &known.records, vault);
            difference.and_then(|difference| difference.fits(&known.records).map(|()| difference))
        };
        let Difference { puts, gone } = match difference {
            Ok(difference) => difference,
            Err(refusal) => return answered(reply, Err(refusal)),
        };
        if puts.is_empty() && gone.is_empty() {
            return answered(reply, Ok(Pushed { version: self.shared.head(), written: 0, deleted: 0 }));
        }
        let mut writes: Vec<Write> = Vec::with_capacity(puts.len().saturating_add(gone.len()).saturating_add(1));
        for (row, record) in &puts {
            writes.push(put(Kind::Record, row.to_vec(), Expect::Anything, vault.seal_record(row, record)));
        }
        writes.extend(gone.iter().map(|(row, _)| delete(Kind::Record, row.to_vec(), Expect::Anything)));
        writes.push(put(Kind::Record, MARK.to_vec(), Expect::Anything, Vec::new()));
        let gone = gone.into_iter().map(|(_, key)| key).collect();
        Some((Step::Records(Edited { puts, gone, reply }), vec![Change { writes, log: None }]))
    }
}

impl Difference {
    fn of(edit: RecordEdit, index: &RecordIndex, vault: &Vault) -> Result<Self, Refusal> {
        let row = |key: &RecordKey| index.get(key).map(|held| (held.row, key.clone()));
        match edit {
            RecordEdit::Put(records) => Ok(Self { puts: puts(records, index, vault).1, gone: Vec::new() }),
            RecordEdit::Replace(kind, records) => {
                if records.iter().any(|record| record.key().kind != kind) {
                    return Err(Refusal::OtherType);
                }
                let (kept, puts) = puts(records, index, vault);
                let others = index.of_type(&kind).filter(|(key, _)| !kept.contains(*key));
                Ok(Self { puts, gone: others.map(|(key, held)| (held.row, key.clone())).collect() })
            }
            RecordEdit::Delete(keys) => {
                let keys: BTreeSet<RecordKey> = keys.into_iter().collect();
                Ok(Self { puts: Vec::new(), gone: keys.iter().filter_map(row).collect() })
            }
            RecordEdit::Clear(kind) => {
                let gone = index.of_type(&kind).map(|(key, held)| (held.row, key.clone())).collect();
                Ok(Self { puts: Vec::new(), gone })
            }
        }
    }

    /// Whether what comes of it is within the bounds; a change that only takes away always is.
    fn fits(&self, index: &RecordIndex) -> Result<(), Refusal> {
        if self.puts.is_empty() {
            return Ok(());
        }
        let size = |key: &RecordKey| index.get(key).map(|held| held.record.bytes());
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        let mut bytes = index.bytes();
        for (_, key) in &self.gone {
            let count = counts.entry(&key.kind).or_insert_with(|| index.count_of(&key.kind));
            *count = count.saturating_sub(1);
            bytes = bytes.saturating_sub(size(key).unwrap_or_default());
        }
        for (_, record) in &self.puts {
            let key = record.key();
            let before = size(key);
            let count = counts.entry(&key.kind).or_insert_with(|| index.count_of(&key.kind));
            *count = count.saturating_add(usize::from(before.is_none()));
            bytes = bytes.saturating_sub(before.unwrap_or_default()).saturating_add(record.bytes());
        }
        if counts.values().any(|count| *count > MAX_RECORDS_OF_A_TYPE) {
            return Err(Refusal::TooManyOfType);
        }
        if bytes > MAX_RECORDS_BYTES { Err(Refusal::TooManyRecordBytes) } else { Ok(()) }
    }
}

/// Every key of `records`, and those of them that are new or say something else than what is held.
fn puts(records: Vec<NewRecord>, index: &RecordIndex, vault: &Vault) -> (BTreeSet<RecordKey>, Vec<(Row, NewRecord)>) {
    let latest: BTreeMap<RecordKey, NewRecord> =
        records.into_iter().map(|record| (record.key().clone(), record)).collect();
    let mut keys = BTreeSet::new();
    let mut puts = Vec::new();
    for (key, record) in latest {
        match index.get(&key) {
            Some(held) if held.record == record => {}
            Some(held) => puts.push((held.row, record)),
            None => puts.push((vault.fresh_row(), record)),
        }
        keys.insert(key);
    }
    (keys, puts)
}

impl Edited {
    /// Shows what was written.
    pub(crate) fn apply(self, outcomes: &[Outcome], known: &mut Known) -> Settled {
        let Self { puts, gone, reply } = self;
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        let (written, deleted) = (count(puts.len()), count(gone.len()));
        let pushed = outcomes.first().and_then(|outcome| applied(*outcome)).map(|version| {
            known.records.apply(version, puts, gone);
            Pushed { version, written, deleted }
        });
        Settled::Recorded { pushed, reply }
    }

    pub(crate) fn refuse(self, refusal: Refusal) {
        answer(self.reply, Err(refusal));
    }
}
