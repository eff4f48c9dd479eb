//! Requests that must be refused, each beside the nearest one that must not.

use serde_json::Value;

use super::edge::Edge;
use super::raw::{Answer, Wire, ask};

/// Everybody may use these hosts: what is refused here is refused for its form.
fn open_routes(hello: &str, port: u16) -> String {
    let route = |name: &str, further: &str| {
        format!(
            "  - name: {name}\n    from: https://{name}.localhost:{port}\n    to: http://{hello}\n    timeout: 0s\n    \
             allow_public_unauthenticated_access: true\n{further}"
        )
    };
    route("open", "") + &route("api", "    encoded_slashes: keep\n")
}

async fn edge() -> Edge {
    let mut edge = Edge::prepare().await;
    let (hello, port) = (edge.demo.hello().address(), edge.demo.public_port());
    edge.run("", &open_routes(&hello.to_string(), port)).await;
    edge
}

/// What must become of a request.
#[derive(Clone, Copy, Debug)]
enum Fate {
    /// The upstream sees it.
    Passes,
    /// It does not, and the answer is one of ours with this status (0: the connection may just end).
    Refused(u16),
}

/// (what it is, the bytes, their fate); `HOST` is replaced by the host with its port.
const REQUESTS: &[(&str, &str, Fate)] = &[
    // Hosts: RFC 9112 3.2.
    ("one host", "GET /json HTTP/1.1\r\nHost: HOST\r\n\r\n", Fate::Passes),
    ("no host", "GET /json HTTP/1.1\r\n\r\n", Fate::Refused(400)),
    ("two hosts", "GET /json HTTP/1.1\r\nHost: HOST\r\nHost: HOST\r\n\r\n", Fate::Refused(400)),
    ("two different hosts", "GET /json HTTP/1.1\r\nHost: HOST\r\nHost: vault.localhost\r\n\r\n", Fate::Refused(400)),
    ("empty host", "GET /json HTTP/1.1\r\nHost:\r\n\r\n", Fate::Refused(400)),
    ("host with userinfo", "GET /json HTTP/1.1\r\nHost: x@HOST\r\n\r\n", Fate::Refused(400)),
    ("host with a path", "GET /json HTTP/1.1\r\nHost: HOST/x\r\n\r\n", Fate::Refused(400)),
    ("host list", "GET /json HTTP/1.1\r\nHost: HOST, vault.localhost\r\n\r\n", Fate::Refused(400)),
    ("absolute form that agrees", "GET https://HOST/json HTTP/1.1\r\nHost: HOST\r\n\r\n", Fate::Passes),
    (
        "absolute form that disagrees",
        "GET https://vault.localhost/json HTTP/1.1\r\nHost: HOST\r\n\r\n",
        Fate::Refused(400),
    ),
    // Framing: RFC 9112 6.
    ("one length", "POST /json HTTP/1.1\r\nHost: HOST\r\nContent-Length: 3\r\n\r\nabc", Fate::Passes),
    (
        "chunked",
        "POST /json HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        Fate::Passes,
    ),
    (
        "length and chunked",
        "POST /json HTTP/1.1\r\nHost: HOST\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        Fate::Refused(400),
    ),
    (
        "two lengths that differ",
        "POST /json HTTP/1.1\r\nHost: HOST\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
        Fate::Refused(400),
    ),
    ("length with a sign", "POST /json HTTP/1.1\r\nHost: HOST\r\nContent-Length: +3\r\n\r\nabc", Fate::Refused(400)),
    (
        "length in hexadecimal",
        "POST /json HTTP/1.1\r\nHost: HOST\r\nContent-Length: 0x3\r\n\r\nabc",
        Fate::Refused(400),
    ),
    (
        "unknown transfer coding",
        "POST /json HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: xchunked\r\n\r\n",
        Fate::Refused(0),
    ),
    (
        "chunked twice",
        "POST /json HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        Fate::Refused(0),
    ),
    (
        "two transfer codings",
        "POST /json HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        Fate::Refused(0),
    ),
    (
        "chunked in HTTP/1.0",
        "POST /json HTTP/1.0\r\nHost: HOST\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        Fate::Refused(0),
    ),
    // Field lines: RFC 9112 5.
    ("a field", "GET /json HTTP/1.1\r\nHost: HOST\r\nX-A: b\r\n\r\n", Fate::Passes),
    ("folded field", "GET /json HTTP/1.1\r\nHost: HOST\r\nX-A: b\r\n c\r\n\r\n", Fate::Refused(400)),
    ("space before the colon", "GET /json HTTP/1.1\r\nHost: HOST\r\nX-A : b\r\n\r\n", Fate::Refused(400)),
    ("space before the first field", "GET /json HTTP/1.1\r\n Host: HOST\r\n\r\n", Fate::Refused(400)),
    ("NUL in a value", "GET /json HTTP/1.1\r\nHost: HOST\r\nX-A: b\0c\r\n\r\n", Fate::Refused(400)),
    ("bare CR in a value", "GET /json HTTP/1.1\r\nHost: HOST\r\nX-A: b\rc\r\n\r\n", Fate::Refused(400)),
    ("field without a name", "GET /json HTTP/1.1\r\nHost: HOST\r\n: b\r\n\r\n", Fate::Refused(400)),
    // Request line.
    ("unknown version", "GET /json HTTP/9.9\r\nHost: HOST\r\n\r\n", Fate::Refused(0)),
    ("not HTTP", "\u{1}\u{2}\u{3}\u{4}\r\n\r\n", Fate::Refused(0)),
    // Paths: design §3.
    ("a path", "GET /json/a HTTP/1.1\r\nHost: HOST\r\n\r\n", Fate::Passes),
    ("encoded letter", "GET /json/%61 HTTP/1.1\r\nHost: HOST\r\n\r\n", Fate::Passes),
    ("encoded slash", "GET /json/a%2Fb HTTP/1.1\r\nHost: HOST\r\n\r\n", Fate::Refused(400)),
    ("encoded slash in lower case", "GET /json/a%2fb HTTP/1.1\r\nHost: HOST\r\n\r\n", Fate::Refused(400)),
    ("backslash", "GET /json/a\\b HTTP/1.1\r\nHost: HOST\r\n\r\n", Fate::Refused(400)),
    ("encoded backslash", "GET /json/a%5Cb HTTP/1.1\r\nHost: HOST\r\n\r\n", Fate::Refused(400)),
    ("encoded NUL", "GET /json/%00 HTTP/1.1\r\nHost: HOST\r\n\r\n", Fate::Refused(400)),
    ("broken escape", "GET /json/%zz HTTP/1.1\r\nHost: HOST\r\n\r\n", Fate::Refused(400)),
    ("half an escape", "GET /json/% HTTP/1.1\r\nHost: HOST\r\n\r\n", Fate::Refused(400)),
];

#[tokio::test(flavor = "multi_thread")]
async fn the_ambiguous_is_refused_and_its_twin_is_not() {
    let edge = edge().await;
    let host = format!("open.localhost:{}", edge.demo.public_port());
    let mut wrong = Vec::new();
    for (what, bytes, fate) in REQUESTS {
        let before = edge.demo.hello().requests();
        let answer = ask(&edge, "open", bytes.replace("HOST", &host).as_bytes()).await;
        let reached = edge.demo.hello().requests() - before;
        let status = answer.as_ref().map_or(0, |answer| answer.status);
        let right = match fate {
            Fate::Passes => status == 200 && reached == 1,
            Fate::Refused(0) => reached == 0 && (status == 0 || (400..600).contains(&status)),
            Fate::Refused(expected) => reached == 0 && status == *expected,
        };
        if !right {
            wrong.push(format!("{what}: wanted {fate:?}, got status {status}, {reached} at the upstream"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// After a refusal nothing that follows on the connection is taken for a request.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_smuggled_behind_a_refusal() {
    let edge = edge().await;
    let host = format!("open.localhost:{}", edge.demo.public_port());
    let hidden = format!("GET /json/hidden HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let fronts = [
        format!(
            "POST /json HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        ),
        format!("POST /json HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\nContent-Length: {}\r\n\r\n", hidden.len()),
        format!("GET /json HTTP/1.1\r\nHost: {host}\r\nHost: evil.localhost\r\n\r\n"),
        format!("POST /json HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: xchunked\r\n\r\n"),
    ];
    for front in fronts {
        let before = edge.demo.hello().requests();
        let mut wire = Wire::connect(&edge, "open").await;
        wire.send(format!("{front}{hidden}").as_bytes()).await;
        let _refusal = wire.answer().await;
        assert!(wire.is_closed().await, "the connection ends: {front:?}");
        assert_eq!(edge.demo.hello().requests(), before, "nothing reached the upstream: {front:?}");
    }
    // The twin: two proper requests on one connection are both answered.
    let mut wire = Wire::connect(&edge, "open").await;
    wire.send(format!("{hidden}{hidden}").as_bytes()).await;
    assert_eq!(wire.answer().await.unwrap().status, 200);
    assert_eq!(wire.answer().await.unwrap().status, 200);
}

/// What is judged is what is sent.
#[tokio::test(flavor = "multi_thread")]
async fn the_upstream_sees_the_canonical_path() {
    let edge = edge().await;
    let cases = [
        ("open", "/json/./a", "/json/a"),
        ("open", "/x/../json/a", "/json/a"),
        ("open", "/x/%2e%2e/json/a", "/json/a"),
        ("open", "/json/%61%62", "/json/ab"),
        ("open", "/json?q=%2F&r=../x", "/json?q=%2F&r=../x"),
        // The engine escapes a space before anybody judges: what is judged is still what is sent.
        ("open", "/json/a b", "/json/a%20b"),
        ("api", "/json/a%2Fb", "/json/a%2Fb"),
    ];
    for (host, sent, seen) in cases {
        let authority = format!("{host}.localhost:{}", edge.demo.public_port());
        let answer =
            ask(&edge, host, format!("GET {sent} HTTP/1.1\r\nHost: {authority}\r\n\r\n").as_bytes()).await.unwrap();
        assert_eq!(answer.status, 200, "{sent}");
        assert_eq!(answer.json()["target"], seen, "{sent}");
    }
}

/// Names of the request's headers as the upstream saw them.
fn names(answer: &Answer) -> Vec<String> {
    let headers = answer.json()["headers"].as_array().cloned().unwrap_or_default();
    headers.iter().filter_map(|pair| pair[0].as_str()).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_client_can_say_who_it_is() {
    let edge = edge().await;
    let host = format!("open.localhost:{}", edge.demo.public_port());
    let spellings = [
        "X-Portcullis-Jwt-Assertion",
        "x-portcullis-claim-email",
        "X-PORTCULLIS-CLAIM-GROUPS",
        "X_Portcullis_Claim_Email",
        "X.Portcullis.Claim.Email",
        "X-Portcullis_Claim-Never-Configured",
    ];
    for name in spellings {
        let request = format!(
            "GET /json HTTP/1.1\r\nHost: {host}\r\n{name}: forged\r\n{name}: forged-again\r\nX-Harmless: kept\r\n\r\n"
        );
        let answer = ask(&edge, "open", request.as_bytes()).await.unwrap();
        if answer.status == 400 {
            continue; // a spelling that is refused altogether is as good
        }
        assert_eq!(answer.status, 200, "{name}");
        assert!(!answer.body.contains("forged"), "{name} reached the upstream");
        assert!(names(&answer).contains(&"x-harmless".to_owned()), "what is not ours passes");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_says_who_it_is_whatever_the_client_adds() {
    let edge = edge().await;
    let alice = edge.signed_in("alice").await;
    let cookie = alice.cookie("hello.localhost", "__Host-portcullis").unwrap().to_owned();
    let host = format!("hello.localhost:{}", edge.demo.public_port());
    let request = format!(
        "GET /json HTTP/1.1\r\nHost: {host}\r\nCookie: theme=dark; __Host-portcullis={cookie}; lang=en\r\n\
         X-Portcullis-Claim-Email: mallory@evil.example\r\nX-Portcullis-Jwt-Assertion: forged\r\n\
         Connection: x-portcullis-jwt-assertion, x-portcullis-claim-email\r\n\r\n"
    );
    let answer = ask(&edge, "hello", request.as_bytes()).await.unwrap();
    assert_eq!(answer.status, 200);
    let seen = answer.json();
    assert_eq!(seen["assertion"]["state"], "verified", "{}", seen["assertion"]);
    assert_eq!(seen["assertion"]["claims"]["email"], "alice@corp.example");
    assert_eq!(seen["identity"]["x-portcullis-claim-email"], "alice@corp.example");
    assert!(!answer.body.contains("mallory"));
    assert!(!answer.body.contains(&cookie), "our cookie stays with us");
    let cookies: Vec<&str> = seen["headers"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|pair| pair[0] == "cookie")
        .filter_map(|pair| pair[1].as_str())
        .collect();
    assert!(
        cookies.concat().contains("theme=dark") && cookies.concat().contains("lang=en"),
        "the others pass: {cookies:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_is_worth_nothing_elsewhere_or_changed() {
    let edge = edge().await;
    let alice = edge.signed_in("alice").await;
    let cookie = alice.cookie("hello.localhost", "__Host-portcullis").unwrap().to_owned();
    let ask_with = async |host: &str, cookies: &str| {
        let authority = format!("{host}.localhost:{}", edge.demo.public_port());
        let request =
            format!("GET /json HTTP/1.1\r\nHost: {authority}\r\nAccept: application/json\r\nCookie: {cookies}\r\n\r\n");
        ask(&edge, host, request.as_bytes()).await.unwrap().status
    };
    let own = format!("__Host-portcullis={cookie}");
    assert_eq!(ask_with("hello", &own).await, 200);
    assert_eq!(ask_with("vault", &own).await, 401, "another host");
    assert_eq!(ask_with("hello", &format!("{own}; {own}")).await, 401, "two of them");
    for at in [0, cookie.len() / 2, cookie.len() - 1] {
        let mut forged = cookie.clone().into_bytes();
        forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
        let forged = String::from_utf8(forged).unwrap();
        assert_eq!(ask_with("hello", &format!("__Host-portcullis={forged}")).await, 401, "changed at {at}");
    }
    assert_eq!(
        ask_with("hello", &format!("__Host-portcullis={}", cookie.split_at(cookie.len() - 2).0)).await,
        401,
        "cut short"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_ours_is_served_beside_the_namespace() {
    let edge = edge().await;
    for path in ["/metrics", "/livez", "/readyz", "/.portcullis/nothing-of-the-kind", "/debug/pprof"] {
        let authority = format!("open.localhost:{}", edge.demo.public_port());
        let answer =
            ask(&edge, "open", format!("GET {path} HTTP/1.1\r\nHost: {authority}\r\n\r\n").as_bytes()).await.unwrap();
        assert!(!answer.body.contains("portcullis_requests"), "{path}");
        let own = path.starts_with("/.portcullis");
        assert_eq!(answer.status, if own { 404 } else { 200 }, "{path}: the rest belongs to the upstream");
    }
    let keys = ask(
        &edge,
        "hello",
        format!(
            "GET /.well-known/portcullis/jwks.json HTTP/1.1\r\nHost: hello.localhost:{}\r\n\r\n",
            edge.demo.public_port()
        )
        .as_bytes(),
    )
    .await
    .unwrap();
    assert_eq!(keys.status, 200);
    assert!(keys.json()["keys"].as_array().is_some_and(|keys| !keys.is_empty()));
    assert_eq!(keys.json()["keys"][0]["d"], Value::Null, "no private part");
}
