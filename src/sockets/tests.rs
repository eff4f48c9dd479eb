//! Binding: what a dead process left is replaced, what a live one uses is not.

use super::*;

#[test]
fn a_socket_that_nobody_serves_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.sock");
    drop(unix(&path).unwrap());
    assert!(path.exists(), "a dropped listener leaves its file");
    let listener = unix(&path).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    drop(listener);
}

#[test]
fn a_socket_in_use_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.sock");
    let _serving = unix(&path).unwrap();
    assert!(matches!(unix(&path), Err(BindError::Taken { .. })));
}

#[test]
fn a_file_that_is_no_socket_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.sock");
    std::fs::write(&path, b"precious").unwrap();
    assert!(matches!(unix(&path), Err(BindError::Unix { .. })));
    assert_eq!(std::fs::read(&path).unwrap(), b"precious");
}

#[test]
fn a_port_in_use_is_named() {
    let taken = tcp("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = taken.local_addr().unwrap();
    let error = tcp(address).unwrap_err().to_string();
    assert!(error.contains(&address.to_string()), "{error}");
}
