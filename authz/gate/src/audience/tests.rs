//! Browsers, scripts and programs by their headers.

use http::{HeaderName, HeaderValue};

use super::Audience;

/// Header fields by name.
type Fields<'a> = &'a [(&'a str, &'a [u8])];

#[test]
fn callers_are_told_apart() {
    use Audience::{Grpc, Navigation, Preflight, Script, Unsafe};
    let html: (&str, &[u8]) = ("accept", b"text/html,application/xhtml+xml,*/*;q=0.8");
    let table: &[(&str, Fields<'_>, Audience)] = &[
        ("GET", &[("sec-fetch-mode", b"navigate")], Navigation),
        ("HEAD", &[("sec-fetch-mode", b"navigate")], Navigation),
        ("GET", &[("sec-fetch-mode", b"cors"), html], Script),
        ("GET", &[("sec-fetch-dest", b"empty"), html], Script),
        ("GET", &[html], Navigation),
        ("GET", &[("accept", b"Text/HTML")], Navigation),
        ("GET", &[("accept", b"application/json"), ("accept", b"text/html;q=0.1")], Navigation),
        ("GET", &[("accept", b"application/json, text/html;q=0")], Script),
        ("GET", &[("accept", b"text/html; level=1; q=0.000")], Script),
        ("GET", &[("accept", b"text/htmlx")], Script),
        ("GET", &[("accept", b"*/*")], Script),
        ("GET", &[], Script),
        ("POST", &[("sec-fetch-mode", b"navigate"), html], Unsafe),
        ("DELETE", &[], Unsafe),
        ("PROPFIND", &[html], Unsafe),
        ("OPTIONS", &[], Script),
        ("OPTIONS", &[("origin", b"https://b.test"), ("access-control-request-method", b"PUT")], Preflight),
        ("OPTIONS", &[("origin", b""), ("access-control-request-method", b"PUT")], Script),
        ("OPTIONS", &[("origin", b"https://b.test")], Script),
        ("GET", &[("origin", b"https://b.test"), ("access-control-request-method", b"PUT")], Script),
        ("POST", &[("content-type", b"application/grpc")], Grpc),
        ("POST", &[("content-type", b"Application/gRPC+proto")], Grpc),
        ("POST", &[("content-type", b"application/grpc-web-text")], Grpc),
        ("POST", &[("content-type", b"application/grpcx")], Unsafe),
        ("POST", &[("content-type", b"application/json")], Unsafe),
    ];
    for (method, fields, expected) in table {
        let field = |(name, value): &(&str, &[u8])| {
            (name.parse::<HeaderName>().unwrap(), HeaderValue::from_bytes(value).unwrap())
        };
        let headers = fields.iter().map(field).collect();
        assert_eq!(Audience::of(&method.parse().unwrap(), &headers, false), *expected, "{method} {fields:?}");
    }
}
