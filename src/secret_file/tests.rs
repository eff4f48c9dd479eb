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

#[test]
fn what_a_crash_left_beside_a_file_is_not_written_to() {
    let folder = tempfile::tempdir().unwrap();
    let (path, beside) = (folder.path().join("file"), folder.path().join("file.new"));
    let elsewhere = folder.path().join("elsewhere");
    fs::write(&elsewhere, b"another's").unwrap();
    std::os::unix::fs::symlink(&elsewhere, &beside).unwrap();
    write_new(&path, b"first").unwrap();
    assert_eq!((fs::read(&elsewhere).unwrap().as_slice(), mode(&path)), (b"another's".as_slice(), 0o600));
    fs::write(&beside, b"left").unwrap();
    fs::set_permissions(&beside, fs::Permissions::from_mode(0o666)).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    replace(&path, b"second").unwrap();
    assert_eq!((fs::read(&path).unwrap().as_slice(), mode(&path)), (b"second".as_slice(), 0o600));
    assert!(!beside.exists());
}

#[test]
fn a_folder_that_others_may_enter_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state");
    own_folder(&path).unwrap();
    assert_eq!(mode(&path), 0o700);
    own_folder(&path).unwrap();
    for open in [0o755, 0o701, 0o770] {
        fs::set_permissions(&path, fs::Permissions::from_mode(open)).unwrap();
        let refused = own_folder(&path).unwrap_err().to_string();
        assert!(refused.contains("chmod 700"), "{refused}");
        assert_eq!(mode(&path), open, "it is not ours to change");
    }
}
