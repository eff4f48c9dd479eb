//! The cluster secret's file: made once, private, never half-written.

use std::os::unix::fs::PermissionsExt;

use portcullis_keys::SystemRandom;

use super::*;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn the_secret_is_made_once_and_then_read() {
    let folder = tempfile::tempdir().unwrap();
    let source = SecretSource::StateFile(folder.path().join("secret"));
    let made = key_ring(&source, &SystemRandom).unwrap();
    let read = key_ring(&source, &SystemRandom).unwrap();
    assert_eq!(made.key_ids(), read.key_ids());
    assert_eq!(mode(&folder.path().join("secret")), 0o600);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
}

#[test]
fn a_secret_that_others_may_read_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    let source = SecretSource::StateFile(path.clone());
    key_ring(&source, &SystemRandom).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(key_ring(&source, &SystemRandom), Err(SecretError::TooOpen { mode: 0o640, .. })));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(key_ring(&source, &SystemRandom).is_ok());
}

#[test]
fn an_emptied_secret_is_an_error_and_not_a_new_secret() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    write_new(&path, b"").unwrap();
    assert!(matches!(key_ring(&SecretSource::StateFile(path), &SystemRandom), Err(SecretError::KeyRing(_))));
}

#[test]
fn an_existing_file_is_never_overwritten_as_new() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    write_new(&path, b"first").unwrap();
    assert_eq!(write_new(&path, b"second").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(fs::read(&path).unwrap(), b"first");
}

#[test]
fn replacing_keeps_the_mode() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    write_new(&path, b"first").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
    replace(&path, b"second").unwrap();
    assert_eq!((fs::read(&path).unwrap().as_slice(), mode(&path)), (b"second".as_slice(), 0o400));
}
