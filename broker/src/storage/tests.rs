//! The conformance suite on every engine, and what only the embedded one has: a file.

use std::os::unix::fs::PermissionsExt as _;

use portcullis_keys::SystemRandom;

use super::{Change, Embedded, Expect, Kind, Memory, OpenError, Storage as _, Write, conformance};

#[test]
fn memory_conforms() {
    conformance::check(&Memory::new([1; 16]));
}

#[test]
fn embedded_conforms() {
    let folder = tempfile::tempdir().unwrap();
    conformance::check(&Embedded::open(&folder.path().join("store"), &SystemRandom).unwrap());
}

#[test]
fn embedded_store_is_private_and_keeps_id_version_and_records() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let store = Embedded::open(&path, &SystemRandom).unwrap();
    let server = store.server_id();
    let write = Write { kind: Kind::Session, id: b"a".to_vec(), expect: Expect::Absent, value: Some(b"1".to_vec()) };
    store.commit(&[Change { writes: vec![write], log: None }]).unwrap();
    assert!(matches!(Embedded::open(&path, &SystemRandom), Err(OpenError::InUse { .. })));
    drop(store);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let store = Embedded::open(&path, &SystemRandom).unwrap();
    assert_eq!((store.server_id(), store.head().unwrap()), (server, 1));
    assert_eq!(store.get(Kind::Session, b"a").unwrap().unwrap().value, b"1");
}

#[test]
fn a_store_from_before_a_kind_of_record_opens_and_holds_it_from_then_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    drop(Embedded::open(&path, &SystemRandom).unwrap());
    let older = redb::Database::open(&path).unwrap();
    let transaction = older.begin_write().unwrap();
    for kind in [Kind::Refreshing, Kind::Record] {
        let table = redb::TableDefinition::<&[u8], (u64, &[u8])>::new(kind.name());
        assert!(transaction.delete_table(table).unwrap());
    }
    transaction.commit().unwrap();
    drop(older);
    let store = Embedded::open(&path, &SystemRandom).unwrap();
    assert!(store.get(Kind::Refreshing, b"a").unwrap().is_none());
    let write = Write { kind: Kind::Refreshing, id: b"a".to_vec(), expect: Expect::Absent, value: Some(b"1".to_vec()) };
    store.commit(&[Change { writes: vec![write], log: None }]).unwrap();
    assert_eq!(store.get(Kind::Refreshing, b"a").unwrap().unwrap().value, b"1");
}

#[test]
fn a_file_of_something_else_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.txt");
    std::fs::write(&path, "not a database at all, only somebody's notes").unwrap();
    assert!(matches!(Embedded::open(&path, &SystemRandom), Err(OpenError::NotAStore { .. })));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "not a database at all, only somebody's notes");

    let path = folder.path().join("other.redb");
    let other = redb::Database::create(&path).unwrap();
    let transaction = other.begin_write().unwrap();
    transaction.open_table(redb::TableDefinition::<u64, u64>::new("other")).unwrap();
    transaction.commit().unwrap();
    drop(other);
    assert!(matches!(Embedded::open(&path, &SystemRandom), Err(OpenError::Foreign { .. })));
}

#[test]
fn a_damaged_store_is_refused_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    drop(Embedded::open(&path, &SystemRandom).unwrap());
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[..4096].fill(0xff);
    std::fs::write(&path, &bytes).unwrap();
    let error = Embedded::open(&path, &SystemRandom).unwrap_err();
    assert!(matches!(error, OpenError::NotAStore { .. }), "{error:?}");
    assert!(error.to_string().contains("store"));
    assert_eq!(std::fs::read(&path).unwrap(), bytes, "nothing was lost on top");
}
