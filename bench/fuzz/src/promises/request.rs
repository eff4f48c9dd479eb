//! What a stranger sends: paths and heads of requests, up to the verdict.

use std::sync::{Arc, LazyLock};

use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};
use portcullis_config::from_text;
use portcullis_gate::{CanonicalHost, CanonicalPath, Gate, Presented, RequestHead, Snapshot, TlsFacts, Verdict};
use portcullis_identity::Timestamp;

use super::configuration::Nothing;
use crate::Shape;

pub(super) const PATH_WORDS: &[&str] = &[
    "/", "//", "/.", "/..", "/../", "/./", "%2e", "%2E%2e", "%2f", "%2F", "%5c", "\\", "%00", "%25", "%252e", ";",
    "%3b", "%3B", "..;", "..;x", ";/", "%20", "+", "%c3%a9", "é", "%ff", "%", "%4", "%zz", "?", "#", "~", "%7e", "!",
    "%21",
];

pub(super) const HEAD_WORDS: &[&str] = &[
    "GET ",
    "POST ",
    "OPTIONS ",
    "CONNECT ",
    "TRACE ",
    "HEAD ",
    " h2",
    " h1",
    "*",
    "https://wiki.corp.test/",
    "http://",
    "host: ",
    "wiki.corp.test",
    "auth.corp.test",
    "evil.test",
    ":443",
    ":0",
    "[::1]",
    ".",
    "\n",
    "content-length: ",
    "5",
    "transfer-encoding: chunked",
    "connection: upgrade",
    "upgrade: websocket",
    "sec-websocket-key: ",
    "sec-websocket-version: 13",
    "te: trailers",
    "expect: 100-continue",
    "forwarded: for=10.0.0.1",
    "x-forwarded-for: ",
    "cookie: ",
    "accept: text/html",
    "origin: ",
    "access-control-request-method: GET",
    "/.portcullis/callback",
    "/admin/",
    "/a;b=c",
    "%2F",
    "?q=1",
    "authorization: Bearer x",
    "\x7f",
];

/// A path has one spelling, in which nothing hides.
pub(super) fn path(input: &[u8]) -> Shape {
    let Ok(text) = std::str::from_utf8(input) else { return Shape::NEW };
    match CanonicalPath::parse(text) {
        Ok(path) => {
            canonical(&path);
            let changed = [path.to_send() != text, path.to_match() != path.to_send(), path.decoded() != path.to_send()];
            let facts = changed.map(u64::from);
            Shape::NEW
                .with_facts(&facts)
                .with_facts(&[u64::from(path.has_encoded_slash())])
                .with_count(path.to_send().len())
        }
        Err(cause) => Shape::NEW.with_message(&format!("{cause:?}")),
    }
}

fn canonical(path: &CanonicalPath<'_>) {
    let sent = path.to_send();
    let again = CanonicalPath::parse(sent).expect("what is sent can be read");
    assert_eq!(again.to_send(), sent, "spelled anew");
    assert_eq!((again.to_match(), again.decoded()), (path.to_match(), path.decoded()), "read in two ways: {sent}");
    assert!(sent.starts_with('/') && !sent.contains("//"), "{sent}");
    assert!(sent.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'?' | b'#')), "{sent}");
    for reading in [sent, path.to_match(), path.decoded()] {
        // What is left of a segment when a server cuts its parameters off.
        let names = reading.split('/').map(|segment| segment.split(';').next().unwrap_or_default());
        assert!(names.clone().all(|name| name != "." && name != ".."), "dots in {reading}");
    }
    let lower = sent.to_ascii_lowercase();
    assert!(["%2e", "%5c", "%00", "%7f"].iter().all(|hidden| !lower.contains(hidden)), "{sent}");
    assert_eq!(path.has_encoded_slash(), lower.contains("%2f"), "{sent}");
}

const CONFIGURATION: &str = "
routes:
  - from: https://wiki.corp.test
    prefix: /admin/
    to: http://10.0.0.7:8080
    policy: [{allow: {and: [{reject: 1}]}}]
  - from: https://wiki.corp.test
    to: http://10.0.0.7:8080
    allow_public_unauthenticated_access: true
  - from: https://*.apps.corp.test
    to: http://10.0.0.8:8080
    allow_public_unauthenticated_access: true
";

static GATE: LazyLock<Gate> = LazyLock::new(|| {
    let loaded = from_text(CONFIGURATION, "fuzz.yaml", std::path::Path::new("/nowhere"), &Nothing);
    Gate::new(Snapshot::build(&loaded.expect("a configuration").config, None).expect("a snapshot"))
});

/// A head has one meaning or none, and `/admin/` is not reached, however it is spelled.
///
/// The first line is method, target and protocol, the others are fields.
pub(super) fn head(input: &[u8]) -> Shape {
    let Ok(text) = std::str::from_utf8(input) else { return Shape::NEW };
    let mut lines = text.split('\n');
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (Some(Ok(method)), Some(target)) = (words.next().map(|word| Method::from_bytes(word.as_bytes())), words.next())
    else {
        return Shape::NEW;
    };
    let version = if words.next() == Some("h2") { Version::HTTP_2 } else { Version::HTTP_11 };
    let mut headers = HeaderMap::new();
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        let name = HeaderName::from_bytes(name.as_bytes());
        let value = HeaderValue::from_bytes(value.trim().as_bytes());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    let head = RequestHead {
        version,
        method: &method,
        target,
        headers: &headers,
        open: false,
        authority: None,
        tls: TlsFacts::default(),
        peer: Some([192, 0, 2, 7].into()),
        listener_port: 443,
    };
    let view = match GATE.read(&head) {
        Ok(view) => view,
        Err(cause) => return Shape::NEW.with_message(&format!("{cause:?}")),
    };
    let host = CanonicalHost::parse(view.host()).expect("a canonical host");
    assert_eq!((host.name(), host.port()), (view.host(), None), "a host of two spellings");
    assert_eq!(view.client_address(), Some([192, 0, 2, 7].into()), "nobody is trusted");
    if view.path() != "*" {
        canonical(view.canonical_path());
    }
    let verdict = GATE.admit(&view, &Presented::Anonymous, Timestamp::EPOCH);
    if let Verdict::Forward(grant) = &verdict {
        let admin = view.decoded_path().starts_with("/admin/") && view.host() == "wiki.corp.test";
        assert!(!admin, "behind the route that refuses: {:?}", grant.route.name);
    }
    let audience = format!("{:?} {:?}", view.audience(), view.destination());
    let facts = [u64::from(verdict.route().is_some()), u64::from(matches!(verdict, Verdict::Forward(_)))];
    let owned = Arc::new(view.into_owned());
    Shape::NEW.with_message(&audience).with_facts(&facts).with_facts(&[u64::from(owned.query().is_some())])
}
