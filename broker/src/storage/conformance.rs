//! What every engine must do; run on each of them.

use portcullis_broker_api::EndReason;
use portcullis_identity::SessionKey;

use super::{Change, Expect, Kind, LOG_ENTRIES, LogEntry, News, Outcome, Storage, Stored, Write};

/// The whole suite on one new, empty engine.
pub(crate) fn check(storage: &dyn Storage) {
    new_store_is_empty(storage);
    puts_are_conditional(storage);
    a_change_is_all_or_nothing(storage);
    changes_of_one_commit_see_each_other(storage);
    scans_are_ordered_and_by_kind(storage);
    the_log_is_ordered_and_resumes(storage);
    the_log_is_bounded(storage);
}

fn write(kind: Kind, id: &[u8], expect: Expect, value: Option<&[u8]>) -> Write {
    Write { kind, id: id.to_vec(), expect, value: value.map(<[u8]>::to_vec) }
}

fn one(kind: Kind, id: &[u8], expect: Expect, value: Option<&[u8]>) -> Change {
    Change { writes: vec![write(kind, id, expect, value)], log: None }
}

fn end(number: u64) -> Change {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&number.to_be_bytes());
    Change {
        writes: vec![],
        log: Some(LogEntry { key: SessionKey::from_bytes(key), news: News::Ended(EndReason::Revoked) }),
    }
}

fn new_store_is_empty(storage: &dyn Storage) {
    assert_eq!(storage.head().unwrap(), 0);
    assert_eq!(storage.get(Kind::Session, b"a").unwrap(), None);
    let logged = storage.changes(0).unwrap();
    assert_eq!((logged.floor, logged.entries.len()), (0, 0));
}

fn puts_are_conditional(storage: &dyn Storage) {
    let commit = |change: Change| storage.commit(&[change]).unwrap()[0];
    let Outcome::Applied { version: first } = commit(one(Kind::Session, b"a", Expect::Absent, Some(b"1"))) else {
        panic!("absent was expected and absent it was")
    };
    assert_eq!(storage.get(Kind::Session, b"a").unwrap(), Some(Stored { version: first, value: b"1".to_vec() }));
    assert_eq!(commit(one(Kind::Session, b"a", Expect::Absent, Some(b"2"))), Outcome::Conflict);
    assert_eq!(commit(one(Kind::Session, b"a", Expect::Version(first + 7), Some(b"2"))), Outcome::Conflict);
    assert_eq!(commit(one(Kind::Session, b"b", Expect::Present, Some(b"2"))), Outcome::Conflict);
    assert_eq!(storage.head().unwrap(), first, "a conflict is no change");
    let Outcome::Applied { version: second } = commit(one(Kind::Session, b"a", Expect::Version(first), Some(b"2")))
    else {
        panic!("the version was right")
    };
    assert!(second > first);
    assert_eq!(storage.get(Kind::Session, b"a").unwrap(), Some(Stored { version: second, value: b"2".to_vec() }));
    assert!(matches!(commit(one(Kind::Session, b"a", Expect::Present, None)), Outcome::Applied { version: _ }));
    assert_eq!(storage.get(Kind::Session, b"a").unwrap(), None);
    assert_eq!(commit(one(Kind::Session, b"a", Expect::Present, None)), Outcome::Conflict);
}

fn a_change_is_all_or_nothing(storage: &dyn Storage) {
    let head = storage.head().unwrap();
    let both = Change {
        writes: vec![
            write(Kind::Tokens, b"whole", Expect::Absent, Some(b"1")),
            write(Kind::Session, b"missing", Expect::Present, None),
        ],
        log: end(1).log,
    };
    assert_eq!(storage.commit(&[both]).unwrap(), [Outcome::Conflict]);
    assert_eq!(storage.get(Kind::Tokens, b"whole").unwrap(), None);
    assert_eq!(storage.head().unwrap(), head);
    assert!(storage.changes(head).unwrap().entries.is_empty());
}

fn changes_of_one_commit_see_each_other(storage: &dyn Storage) {
    let spend = one(Kind::Redeemed, b"id", Expect::Absent, Some(b"u"));
    let outcomes = storage.commit(&[spend.clone(), spend]).unwrap();
    assert!(matches!(outcomes[..], [Outcome::Applied { version: _ }, Outcome::Conflict]));
}

fn scans_are_ordered_and_by_kind(storage: &dyn Storage) {
    let changes = [b"c", b"a", b"b"].map(|id| one(Kind::Use, id, Expect::Anything, Some(id)));
    storage.commit(&changes).unwrap();
    let mut seen = Vec::new();
    let mut note = |id: &[u8], stored: Stored| {
        assert_eq!(id, stored.value);
        seen.push(id.to_vec());
        Ok(())
    };
    storage.scan(Kind::Use, &mut note).unwrap();
    assert_eq!(seen, [b"a", b"b", b"c"]);
}

fn the_log_is_ordered_and_resumes(storage: &dyn Storage) {
    let before = storage.head().unwrap();
    storage.commit(&[end(1), end(2)]).unwrap();
    storage.commit(&[one(Kind::Use, b"a", Expect::Anything, None), end(3)]).unwrap();
    let logged = storage.changes(before).unwrap();
    let versions: Vec<u64> = logged.entries.iter().map(|(version, _)| *version - before).collect();
    assert_eq!(versions, [1, 2, 4]);
    assert_eq!(Some(logged.entries[2].1), end(3).log);
    assert_eq!(storage.changes(before + 2).unwrap().entries.len(), 1);
}

fn the_log_is_bounded(storage: &dyn Storage) {
    let before = storage.head().unwrap();
    let many: Vec<Change> = (0..LOG_ENTRIES as u64 + 10).map(end).collect();
    storage.commit(&many).unwrap();
    let logged = storage.changes(0).unwrap();
    assert_eq!(logged.entries.len(), LOG_ENTRIES);
    assert_eq!(logged.floor, before + 10);
    assert_eq!(logged.entries[0].0, logged.floor + 1);
}
