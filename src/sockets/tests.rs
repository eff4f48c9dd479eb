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
    let taken = tcp("127.0.0.1:0".parse().unwrap(), &[]).unwrap();
    let address = taken.local_addr().unwrap();
    let error = tcp(address, &[]).unwrap_err().to_string();
    assert!(error.contains(&address.to_string()), "{error}");
}

#[test]
fn both_families_of_one_port_live_side_by_side() {
    let four = tcp("0.0.0.0:0".parse().unwrap(), &[]).unwrap();
    let every_ipv4 = four.local_addr().unwrap();
    let every_ipv6 = SocketAddr::from((Ipv6Addr::UNSPECIFIED, every_ipv4.port()));
    let alone = tcp(every_ipv6, &[]);
    assert!(alone.is_err(), "alone it would serve IPv4 too");
    let six = tcp(every_ipv6, &[every_ipv4, every_ipv6]);
    assert!(six.is_ok() || !has_ipv6(), "{six:?}");
}
