//! What proxies say, and who is believed.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;

use super::client_address;
use crate::Malformed;

/// Header fields by name.
type Fields<'a> = &'a [(&'a str, &'a [u8])];

/// The client's address as text.
type Answer = Result<Option<String>, Malformed>;

fn read(trusted: &[&str], peer: Option<&str>, fields: Fields<'_>) -> Answer {
    let trusted: Vec<IpNet> = trusted.iter().map(|text| text.parse().unwrap()).collect();
    let peer = peer.map(|peer| peer.parse::<IpAddr>().unwrap());
    let field =
        |(name, value): &(&str, &[u8])| (name.parse::<HeaderName>().unwrap(), HeaderValue::from_bytes(value).unwrap());
    let headers: HeaderMap = fields.iter().map(field).collect();
    client_address(peer, &headers, &trusted).map(|address| address.map(|address| address.to_string()))
}

#[test]
fn forwarded_addresses_are_believed_from_right_to_left() {
    let trusting = ["10.0.0.0/8", "2001:db8::/32"];
    let address = |text: &str| Ok(Some(text.to_owned()));
    let bad = Err(Malformed::ForwardedAddress);
    let xff = "x-forwarded-for";
    let table: &[(Option<&str>, Fields<'_>, Answer)] = &[
        // Not a trusted peer: nothing it says counts, not even nonsense.
        (Some("192.0.2.7"), &[(xff, b"10.0.0.9")], address("192.0.2.7")),
        (Some("192.0.2.7"), &[(xff, b"!"), ("forwarded", b"!")], address("192.0.2.7")),
        (Some("::ffff:192.0.2.7"), &[], address("192.0.2.7")),
        (None, &[(xff, b"192.0.2.1")], Ok(None)),
        // A trusted peer: the rightmost that is not trusted.
        (Some("10.0.0.1"), &[], address("10.0.0.1")),
        (Some("::ffff:10.0.0.1"), &[(xff, b"192.0.2.1")], address("192.0.2.1")),
        (Some("10.0.0.1"), &[(xff, b"198.51.100.1, 192.0.2.1")], address("192.0.2.1")),
        (Some("10.0.0.1"), &[(xff, b"192.0.2.1 ,\t10.0.0.2")], address("192.0.2.1")),
        (Some("10.0.0.1"), &[(xff, b"198.51.100.1"), (xff, b"192.0.2.1")], address("192.0.2.1")),
        (Some("10.0.0.1"), &[(xff, b"10.0.0.3, 10.0.0.2")], address("10.0.0.3")),
        (Some("10.0.0.1"), &[(xff, b"192.0.2.1:4711")], address("192.0.2.1")),
        (Some("10.0.0.1"), &[(xff, b"[2001:db9::1]:4711")], address("2001:db9::1")),
        (Some("10.0.0.1"), &[(xff, b"2001:db9::1")], address("2001:db9::1")),
        (Some("10.0.0.1"), &[(xff, b"::ffff:192.0.2.1")], address("192.0.2.1")),
        // What stands left of the client is the client's own word and is not read.
        (Some("10.0.0.1"), &[(xff, b"nonsense, 192.0.2.1")], address("192.0.2.1")),
        (Some("10.0.0.1"), &[(xff, b"192.0.2.1, nonsense")], bad.clone()),
        (Some("10.0.0.1"), &[(xff, b"192.0.2.1,")], bad.clone()),
        (Some("10.0.0.1"), &[(xff, b"\xff")], bad.clone()),
        (Some("10.0.0.1"), &[(xff, b"192.0.2.1, unknown")], Ok(None)),
        (Some("10.0.0.1"), &[("forwarded", b"for=192.0.2.1;proto=https, For=10.0.0.2")], address("192.0.2.1")),
        (Some("10.0.0.1"), &[("forwarded", b"for=\"[2001:db9::1]:4711\"")], address("2001:db9::1")),
        (Some("10.0.0.1"), &[("forwarded", b"for=_hidden")], Ok(None)),
        (Some("10.0.0.1"), &[("forwarded", b"proto=https")], Ok(None)),
        (Some("10.0.0.1"), &[("forwarded", b"for=192.0.2.1;for=192.0.2.2")], bad.clone()),
        (Some("10.0.0.1"), &[("forwarded", b"for=\"192.0.2.1")], bad.clone()),
        (Some("10.0.0.1"), &[("forwarded", b"192.0.2.1")], bad.clone()),
        // Both, and the client may have written one of them.
        (Some("10.0.0.1"), &[("forwarded", b"for=192.0.2.1"), (xff, b"192.0.2.1")], address("192.0.2.1")),
        (Some("10.0.0.1"), &[("forwarded", b"for=192.0.2.2"), (xff, b"192.0.2.1")], bad),
    ];
    for (peer, fields, expected) in table {
        assert_eq!(&read(&trusting, *peer, fields), expected, "{peer:?} {fields:?}");
    }
    // By default nobody is trusted.
    assert_eq!(read(&[], Some("10.0.0.1"), &[(xff, b"192.0.2.1")]), address("10.0.0.1"));
}
