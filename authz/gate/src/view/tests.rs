//! Heads as they come, each hostile one beside the harmless one it resembles.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};
use portcullis_config::{Limits, Namespace};
use proptest::prelude::*;

use super::RequestView;
use crate::destination::tests::routes;
use crate::{Destination, Malformed, OwnPath, RequestHead, TlsFacts, sample};

/// A head to be varied.
struct Raw<'a> {
    version: Version,
    method: &'a str,
    target: &'a str,
    authority: Option<&'a str>,
    server_name: Option<&'a str>,
    headers: &'a [(&'a str, &'a [u8])],
    peer: Option<&'a str>,
}

const GET: Raw<'_> = Raw {
    version: Version::HTTP_11,
    method: "GET",
    target: "/",
    authority: None,
    server_name: None,
    headers: &[("host", b"a.test")],
    peer: Some("192.0.2.7"),
};

const H2: Raw<'_> = Raw { version: Version::HTTP_2, authority: Some("a.test"), headers: &[], ..GET };

fn header_map(headers: &[(&str, &[u8])]) -> HeaderMap {
    let field =
        |(name, value): &(&str, &[u8])| (name.parse::<HeaderName>().unwrap(), HeaderValue::from_bytes(value).unwrap());
    headers.iter().map(field).collect()
}

fn with<T>(raw: &Raw<'_>, limits: &Limits, read: impl FnOnce(Result<RequestView<'_>, Malformed>) -> T) -> T {
    let method: Method = raw.method.parse().unwrap();
    let headers = header_map(raw.headers);
    let head = RequestHead {
        version: raw.version,
        method: &method,
        target: raw.target,
        headers: &headers,
        open: false,
        authority: raw.authority,
        tls: TlsFacts { server_name: raw.server_name, ..TlsFacts::default() },
        peer: raw.peer.map(|peer| peer.parse().unwrap()),
        listener_port: 443,
    };
    read(RequestView::read(
        &head,
        limits,
        &sample::sign_in(Namespace::Portcullis),
        &routes(),
        &crate::ClientRules::default(),
    ))
}

fn cause(raw: &Raw<'_>) -> Option<Malformed> {
    with(raw, &sample::limits(), |view| view.err())
}

fn view<T>(raw: &Raw<'_>, look: impl FnOnce(&RequestView<'_>) -> T) -> T {
    with(raw, &sample::limits(), |view| look(&view.unwrap()))
}

#[test]
fn one_host_is_named_or_the_request_is_refused() {
    use Malformed::{Host, HostDisagrees, HostMissing, HostRepeated, Target};
    let refused: &[(Raw<'_>, Malformed)] = &[
        (Raw { headers: &[], ..GET }, HostMissing),
        (Raw { headers: &[], version: Version::HTTP_10, ..GET }, HostMissing),
        (Raw { headers: &[("host", b"")], ..GET }, Host),
        (Raw { headers: &[("host", b"a.test"), ("host", b"a.test")], ..GET }, HostRepeated),
        (Raw { headers: &[("host", b"a.test,b.test")], ..GET }, Host),
        (Raw { headers: &[("host", b"a.test@evil")], ..GET }, Host),
        (Raw { headers: &[("host", b"a.t\xffst")], ..GET }, Host),
        (Raw { target: "https://b.test/", ..GET }, HostDisagrees),
        (Raw { target: "https://a.test:8443/", ..GET }, HostDisagrees),
        (Raw { target: "http://a.test:443/", ..GET }, HostDisagrees),
        (Raw { target: "https://a.test@b.test/", ..GET }, Host),
        (Raw { target: "https://a.test/", headers: &[], ..GET }, HostMissing),
        (Raw { target: "https:///x", ..GET }, Host),
        (Raw { target: "ftp://a.test/", ..GET }, Target),
        (Raw { headers: &[("host", b"b.test")], ..H2 }, HostDisagrees),
        (Raw { headers: &[("host", b"a.test:8443")], ..H2 }, HostDisagrees),
        (Raw { headers: &[("host", b"a.test"), ("host", b"a.test")], ..H2 }, HostRepeated),
        (Raw { authority: Some("u@a.test"), ..H2 }, Host),
        (Raw { authority: None, ..H2 }, HostMissing),
        (Raw { target: "https://a.test/", ..H2 }, Target),
    ];
    for (raw, expected) in refused {
        assert_eq!(cause(raw), Some(*expected), "{} {:?} {:?}", raw.target, raw.authority, raw.headers);
    }
    let served: &[Raw<'_>] = &[
        GET,
        Raw { headers: &[("host", b"A.Test.:443")], ..GET },
        Raw { version: Version::HTTP_10, ..GET },
        Raw { target: "https://a.test/", ..GET },
        Raw { target: "HTTPS://A.TEST:443", ..GET },
        Raw { target: "http://a.test?x=y", ..GET },
        Raw { target: "http://a.test:80/", ..GET },
        H2,
        Raw { headers: &[("host", b"a.test")], ..H2 },
        Raw { headers: &[("host", b"a.test:443")], ..H2 },
        Raw { headers: &[("host", b"a.test")], authority: None, ..H2 },
    ];
    for raw in served {
        assert_eq!(view(raw, |view| view.host().to_owned()), "a.test", "{} {:?}", raw.target, raw.headers);
    }
}

#[test]
fn targets_have_one_of_three_forms() {
    use Malformed::{Connect, PathCharacter, Query, Target, Trace};
    let table = [
        ("GET", "*", Err(Target)),
        ("OPTIONS", "*", Ok(("*", None))),
        ("GET", "a", Err(Target)),
        ("GET", "", Err(Target)),
        ("GET", "?x", Err(Target)),
        ("CONNECT", "a.test:443", Err(Connect)),
        ("CONNECT", "/", Err(Connect)),
        ("TRACE", "/", Err(Trace)),
        ("GET", "/a?b=/../c&d=%2f", Ok(("/a", Some("b=/../c&d=%2f")))),
        ("GET", "/a?", Ok(("/a", Some("")))),
        ("GET", "/a?b?c", Ok(("/a", Some("b?c")))),
        ("GET", "/a?b#c", Err(Query)),
        ("GET", "/a?b c", Err(Query)),
        ("GET", "/a?b\u{7f}c", Err(Query)),
        ("GET", "/a#c", Err(Target)),
        ("GET", "/a b", Err(PathCharacter)),
        ("GET", "https://a.test", Ok(("/", None))),
        ("GET", "https://a.test?b", Ok(("/", Some("b")))),
        ("GET", "https://a.test/x/../y?b", Ok(("/y", Some("b")))),
        ("GET", "https://a.test#b", Err(Target)),
        ("GET", "//b.test/x", Ok(("/b.test/x", None))),
    ];
    for (method, target, expected) in table {
        with(&Raw { method, target, ..GET }, &sample::limits(), |view| {
            let found = view.as_ref().map(|view| (view.path(), view.query())).map_err(|cause| *cause);
            assert_eq!(found, expected, "{method} {target}");
        });
    }
}

/// Header fields behind a valid host.
fn cause_of(version: Version, method: &str, fields: &[(&str, &[u8])]) -> Option<Malformed> {
    let mut headers: Vec<(&str, &[u8])> = vec![("host", b"a.test")];
    headers.extend_from_slice(fields);
    cause(&Raw { version, method, headers: &headers, authority: None, ..GET })
}

#[test]
fn a_length_is_one_plain_number() {
    use Malformed::{ContentLength, ContentLengthRepeated};
    let table = [
        ("0", None),
        ("5", None),
        ("00005", None),
        ("18446744073709551615", None),
        ("", Some(ContentLength)),
        ("+5", Some(ContentLength)),
        ("-5", Some(ContentLength)),
        ("5 ", Some(ContentLength)),
        ("0x5", Some(ContentLength)),
        ("5.0", Some(ContentLength)),
        ("five", Some(ContentLength)),
        ("18446744073709551616", Some(ContentLength)),
        ("5, 5", Some(ContentLengthRepeated)),
    ];
    for version in [Version::HTTP_10, Version::HTTP_11, Version::HTTP_2] {
        for (value, expected) in table {
            let field: &[(&str, &[u8])] = &[("content-length", value.as_bytes())];
            assert_eq!(cause_of(version, "POST", field), expected, "{value}");
        }
    }
    for second in [b"5", b"6"] {
        let fields: &[(&str, &[u8])] = &[("content-length", b"5"), ("content-length", second)];
        assert_eq!(cause_of(Version::HTTP_11, "POST", fields), Some(ContentLengthRepeated));
    }
}

#[test]
fn a_body_is_chunked_or_has_a_length() {
    use Malformed::{LengthAndEncoding, TransferEncoding};
    const CHUNKED: (&str, &[u8]) = ("transfer-encoding", b"chunked");
    let post = |fields: &[(&str, &[u8])]| cause_of(Version::HTTP_11, "POST", fields);
    assert_eq!(post(&[CHUNKED]), None);
    assert_eq!(post(&[("transfer-encoding", b"Chunked")]), None);
    let others =
        ["gzip", "gzip, chunked", "chunked, chunked", "chunked, identity", "xchunked", "chunked;q=1", "identity", ""];
    for value in others {
        assert_eq!(post(&[("transfer-encoding", value.as_bytes())]), Some(TransferEncoding), "{value}");
    }
    assert_eq!(post(&[CHUNKED, CHUNKED]), Some(TransferEncoding));
    assert_eq!(post(&[("content-length", b"5"), CHUNKED]), Some(LengthAndEncoding));
    assert_eq!(cause_of(Version::HTTP_10, "POST", &[CHUNKED]), Some(TransferEncoding));
}

#[test]
fn connection_fields_do_not_travel_on_http2() {
    let fields = ["connection", "keep-alive", "proxy-connection", "upgrade", "transfer-encoding"];
    for name in fields {
        let field: &[(&str, &[u8])] = &[(name, b"chunked")];
        assert_eq!(cause_of(Version::HTTP_2, "POST", field), Some(Malformed::ConnectionField), "{name}");
        assert_eq!(cause_of(Version::HTTP_11, "POST", field), None, "{name}");
    }
    assert_eq!(cause_of(Version::HTTP_2, "POST", &[("te", b"trailers")]), None);
    assert_eq!(cause_of(Version::HTTP_2, "POST", &[("te", b"gzip")]), Some(Malformed::ConnectionField));
    assert_eq!(cause_of(Version::HTTP_11, "POST", &[("te", b"gzip")]), None);
}

#[test]
fn only_the_one_expectation_is_met() {
    let post = |version, value: &[u8]| cause_of(version, "POST", &[("expect", value)]);
    assert_eq!(post(Version::HTTP_11, b"100-continue"), None);
    assert_eq!(post(Version::HTTP_11, b"100-Continue"), None);
    assert_eq!(post(Version::HTTP_10, b"100-continue"), Some(Malformed::Expectation));
    for value in ["", "100-continue, x", "x-100-continue", "200-ok"] {
        assert_eq!(post(Version::HTTP_11, value.as_bytes()), Some(Malformed::Expectation), "{value}");
    }
}

const HANDSHAKE: [(&str, &[u8]); 4] = [
    ("connection", b"keep-alive, Upgrade"),
    ("upgrade", b"WebSocket"),
    ("sec-websocket-version", b"13"),
    ("sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="),
];

#[test]
fn a_websocket_handshake_is_whole_or_refused() {
    let refused = Some(Malformed::WebSocketHandshake);
    let get = |fields: &[(&str, &[u8])]| cause_of(Version::HTTP_11, "GET", fields);
    assert_eq!(get(&HANDSHAKE), None);
    for (missing, _) in HANDSHAKE {
        let rest: Vec<_> = HANDSHAKE.into_iter().filter(|(name, _)| *name != missing).collect();
        // Without `Upgrade` it is no handshake, whatever else it says.
        let expected = refused.filter(|_| missing != "upgrade");
        assert_eq!(get(&rest), expected, "without {missing}");
    }
    let changes: [(&str, &[u8], _); 7] = [
        ("upgrade", b"websocket, h2c", refused),
        ("upgrade", b"websocket/13", refused),
        ("upgrade", b"h2c", None),
        ("connection", b"close", refused),
        ("sec-websocket-version", b"12", refused),
        ("sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=", refused),
        ("sec-websocket-key", b"dGhlIHNhbXBsZSBub25j!Q==", refused),
    ];
    for (changed, value, expected) in changes {
        let field = |field: (&'static str, &'static [u8])| if field.0 == changed { (changed, value) } else { field };
        assert_eq!(get(&HANDSHAKE.map(field)), expected, "{changed}");
    }
}

#[test]
fn a_websocket_handshake_is_a_get_of_http_1_1_without_a_body() {
    let refused = Some(Malformed::WebSocketHandshake);
    let with = |field: (&'static str, &'static [u8])| {
        let fields: Vec<_> = HANDSHAKE.into_iter().chain([field]).collect();
        cause_of(Version::HTTP_11, "GET", &fields)
    };
    assert_eq!(with(("content-length", b"0")), None);
    assert_eq!(with(("content-length", b"5")), refused);
    assert_eq!(with(("transfer-encoding", b"chunked")), refused);
    assert_eq!(with(("upgrade", b"websocket")), refused);
    assert_eq!(cause_of(Version::HTTP_11, "POST", &HANDSHAKE), refused);
    assert_eq!(cause_of(Version::HTTP_10, "GET", &HANDSHAKE), refused);
}

#[test]
fn values_hold_no_control_characters() {
    // `HeaderValue` itself refuses these; the engine builds its values unchecked, so the check is tested alone.
    for byte in 0..=255_u8 {
        let allowed = byte == b'\t' || (byte >= 0x20 && byte != 0x7f);
        assert_eq!(HeaderValue::from_bytes(&[b'a', byte, b'a']).is_ok(), allowed, "{byte}");
        assert_eq!(!crate::framing::is_forbidden(&byte), allowed, "{byte}");
    }
}

#[test]
fn heads_are_bounded() {
    let limits = Limits { header_fields: 3, head_bytes: 200, ..sample::limits() };
    let read =
        |headers: &[(&str, &[u8])], target: &str| with(&Raw { headers, target, ..GET }, &limits, |view| view.err());
    let host = ("host", b"a.test".as_slice());
    let small = ("x-a", b"a".as_slice());
    let large = ("x-a", [b'a'; 150].as_slice());
    assert_eq!(read(&[host, small, small], "/"), None);
    assert_eq!(read(&[host, small, small, small], "/"), Some(Malformed::TooManyFields));
    assert_eq!(read(&[host, large], "/"), None);
    assert_eq!(read(&[host, large, small], "/aaaaaaaaaaaaaaa"), Some(Malformed::HeadTooLarge));
}

#[test]
fn nothing_confuses_our_paths_with_a_route() {
    use OwnPath::{ApiLogin, Callback, Discovery, Jwks, Ping, Routes, SignOut, Unknown, User};
    let own = |path| Destination::Own(path);
    let table = [
        ("a.test", "/", Destination::Route),
        ("a.test", "/.portcullis/callback?h=x", own(Callback)),
        ("a.test", "/.portcullis/callback/", own(Callback)),
        ("a.test", "/.portcullis/sign_out", own(SignOut)),
        ("a.test", "/.portcullis/routes", own(Routes)),
        ("a.test", "/.portcullis/user", own(User)),
        ("a.test", "/.portcullis/", own(User)),
        ("a.test", "/.portcullis", own(User)),
        ("a.test", "/.portcullis/api/v1/login", own(ApiLogin)),
        ("a.test", "/.well-known/portcullis/jwks.json", own(Jwks)),
        ("a.test", "/.well-known/portcullis/", own(Discovery)),
        ("a.test", "/.well-known/portcullis", own(Discovery)),
        ("a.test", "/ping", own(Ping)),
        ("unknown.test", "/ping", own(Ping)),
        ("auth.corp.test", "/ping", own(Ping)),
        ("a.test", "/ping/", Destination::Route),
        ("a.test", "/healthz", Destination::Route),
        ("a.test", "/.portcullis/anything", own(Unknown)),
        ("a.test", "/.portcullis/user/x", own(Unknown)),
        ("a.test", "/.portcullis/user/../x", own(Unknown)),
        ("a.test", "/.well-known/portcullis/x", own(Unknown)),
        ("a.test", "/%2eportcullis/user", own(User)),
        ("a.test", "/.portcull%69s/user", own(User)),
        ("a.test", "//.portcullis//user", own(User)),
        ("a.test", "/x/../.portcullis/user", own(User)),
        ("a.test", "/.portcullis%2Fuser", own(Unknown)),
        ("a.test", "/.portcullis/%2e/user", own(User)),
        ("a.test", "/.portcullis/../x", Destination::Route),
        ("a.test", "/.portcullis2/user", Destination::Route),
        ("a.test", "/.PORTCULLIS/user", Destination::Route),
        ("a.test", "/x/.portcullis/user", Destination::Route),
        ("a.test", "/.pomerium/user", Destination::Route),
        ("a.test", "/.portcullis%252Fuser", Destination::Route),
        ("auth.corp.test", "/", Destination::SignInHost),
        ("AUTH.corp.test.:443", "/.portcullis/sign_in", Destination::SignInHost),
        ("auth.corp.test.evil", "/", Destination::Route),
    ];
    for (host, target, expected) in table {
        let headers: &[(&str, &[u8])] = &[("host", host.as_bytes())];
        assert_eq!(view(&Raw { target, headers, ..GET }, |view| view.destination()), expected, "{host}{target}");
    }
}

#[test]
fn the_server_name_of_the_handshake_is_a_name() {
    assert_eq!(cause(&Raw { server_name: Some("a.test"), ..H2 }), None);
    // Connections are shared between hosts (RFC 9113 §9.1.1) as long as the hosts ask the same of clients.
    assert_eq!(cause(&Raw { server_name: Some("b.test"), ..H2 }), None);
    assert_eq!(cause(&Raw { server_name: Some("b test"), ..H2 }), Some(Malformed::Misdirected));
}

#[test]
fn an_owned_view_says_the_same() {
    let raw = Raw { target: "/a/../%62?q=1", headers: &[("host", b"A.test:8443")], ..GET };
    with(&raw, &sample::limits(), |view| {
        let view = view.unwrap();
        let owned = view.clone().into_owned();
        assert_eq!(format!("{view:?}"), format!("{owned:?}"));
        assert_eq!((owned.host(), owned.port(), owned.sent_port()), ("a.test", 8443, Some(8443)));
        assert_eq!((owned.path(), owned.query(), &*owned.path_and_query()), ("/b", Some("q=1"), "/b?q=1"));
        assert_eq!(owned.client_address(), Some("192.0.2.7".parse::<IpAddr>().unwrap()));
    });
}

proptest! {
    #[test]
    fn any_head_is_answered(target in ".{0,40}", host in prop::collection::vec(32_u8..=126, 0..20)) {
        let headers: &[(&str, &[u8])] = &[("host", &host)];
        let _cause = cause(&Raw { target: &target, headers, ..GET });
    }
}
