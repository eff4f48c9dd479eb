use http::{Method, Request};
use tokio::io::AsyncWriteExt;

use crate::client::{read_all, status};
use crate::world::{ROUTES, World};

/// Spellings of our headers, and of those by which a proxy tells of its client.
const SPOOFED: &str = "X-Portcullis-Jwt-Assertion: forged\r\nx_portcullis_jwt_assertion: forged\r\n\
    X-PORTCULLIS.JWT-ASSERTION: forged\r\nX-Portcullis-Claim-Email: forged\r\nX-Portcullis-Claim-Email: forged twice\r\n\
    X-Pomerium-Jwt-Assertion: forged\r\nX_Pomerium_Claim_Groups: forged\r\nX_Forwarded_For: forged\r\n\
    X.Real.Ip: forged\r\nForwarded: for=forged\r\nX-Request-Id: forged\r\n\
    X~Portcullis~Claim~Email: forged\r\nX|Portcullis'Claim+Email: forged\r\nX-Forwarded--For: forged\r\n\
    X~Real~Ip: forged\r\nX-Original-URL: forged\r\nX_Rewrite_Url: forged\r\nX-HTTP-Method-Override: forged\r\n\
    X-HTTP-Method: forged\r\nX-Method-Override: forged\r\n";

async fn nothing_forged(world: &World, case: &str) {
    let seen = world.upstream.last();
    let forged: Vec<_> = seen.headers.iter().filter(|(_, value)| value.as_bytes().starts_with(b"for")).collect();
    assert!(forged.is_empty(), "{case}: {forged:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn our_headers_in_any_spelling_reach_no_upstream() {
    let world = World::start().await;
    let (_, cookie) = world.sign_in("wiki.test");
    assert_eq!(status(&world.get("open.test", "/", SPOOFED).await), 200);
    nothing_forged(&world, "public").await;
    assert_eq!(status(&world.get("wiki.test", "/", &format!("Cookie: {cookie}\r\n{SPOOFED}")).await), 200);
    nothing_forged(&world, "protected").await;
    let seen = world.upstream.last();
    assert_eq!(seen.headers.get_all("x-portcullis-jwt-assertion").iter().count(), 1);
    let preflight = format!(
        "OPTIONS / HTTP/1.1\r\nHost: wiki.test\r\nOrigin: https://a.test\r\nAccess-Control-Request-Method: GET\r\n{SPOOFED}Connection: close\r\n\r\n"
    );
    assert_eq!(status(&world.raw("wiki.test", &preflight).await), 200);
    nothing_forged(&world, "preflight").await;
    assert_eq!(world.upstream.last().header("x-portcullis-jwt-assertion"), None);
    // HTTP/2 too, where Pingora cleans less.
    let mut client = world.h2("wiki.test").await;
    let request = Request::get("https://wiki.test/")
        .header("cookie", &cookie)
        .header("x_portcullis_claim_email", "forged")
        .body(())
        .unwrap();
    assert_eq!(client.send_request(request, true).unwrap().0.await.unwrap().status(), 200);
    nothing_forged(&world, "h2").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_is_told_by_no_client_under_the_names_of_other_proxies() {
    const FORGED: &str = "Remote-User: forged\r\nREMOTE_USER: forged\r\nRemote-Groups: forged\r\nX-Remote-User: forged\r\nX-Forwarded-User: forged\r\nx_forwarded.EMAIL: forged\r\nX-Auth-Request-Email: forged\r\nX-WEBAUTH-USER: forged\r\nX-Authentik-Username: forged\r\nCf-Access-Authenticated-User-Email: forged\r\nX-Goog-Authenticated-User-Email: forged\r\nX-Amzn-Oidc-Identity: forged\r\nX-MS-CLIENT-PRINCIPAL: forged\r\nX-Ms-Client-Principal-Name: forged\r\nTailscale-User-Login: forged\r\nX-Ssl-Client-S-Dn: forged\r\nX-Forwarded-Client-Cert: forged\r\n";
    let routes = format!(
        "\n  - {{name: sets, from: https://other.test, path: /set, to: http://UP, allow_public_unauthenticated_access: true, set_request_headers: {{Remote-User: steve, X-Webauth-User: '${{portcullis.request.headers[\"X-Webauth-User\"]}}'}}}}{ROUTES}"
    );
    let world = World::with(&routes, "").await;
    let (_, cookie) = world.sign_in("wiki.test");
    for (host, lines) in [("open.test", String::new()), ("wiki.test", format!("Cookie: {cookie}\r\n"))] {
        let twins = "X-Forwarded-Users: kept\r\nX-Remote: kept\r\nRemote: kept\r\n";
        assert_eq!(status(&world.get(host, "/", &format!("{lines}{FORGED}{twins}")).await), 200);
        nothing_forged(&world, host).await;
        let seen = world.upstream.last();
        assert_eq!(seen.headers.values().filter(|value| value.as_bytes() == b"kept").count(), 3, "{host}");
    }
    // A route may tell its upstream what it likes, even what the client said.
    assert_eq!(status(&world.get("other.test", "/set", FORGED).await), 200);
    let seen = world.upstream.last();
    assert_eq!(seen.header("remote-user").as_deref(), Some("steve"));
    assert_eq!(seen.header("x-webauth-user").as_deref(), Some("forged"));
    assert_eq!(seen.header("x-forwarded-user"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_header_cannot_strip_our_headers() {
    let world = World::start().await;
    let (_, cookie) = world.sign_in("wiki.test");
    let request = format!(
        "GET / HTTP/1.1\r\nHost: wiki.test\r\nCookie: {cookie}\r\nConnection: close, X-Portcullis-Jwt-Assertion, X-Request-Id\r\n\r\n"
    );
    assert_eq!(status(&world.raw("wiki.test", &request).await), 200);
    let seen = world.upstream.last();
    assert!(seen.header("x-portcullis-jwt-assertion").is_some() && seen.header("x-request-id").is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn our_cookies_stay_here_and_the_others_pass() {
    let world = World::start().await;
    let (_, cookie) = world.sign_in("wiki.test");
    world.get("wiki.test", "/", &format!("Cookie: a=1; {cookie}; __Host-portcullis-bind=x; b=2\r\n")).await;
    assert_eq!(world.upstream.last().header("cookie").as_deref(), Some("a=1; b=2"));
    world.get("wiki.test", "/", &format!("Cookie: {cookie}\r\n")).await;
    assert_eq!(world.upstream.last().header("cookie"), None);
    world.get("open.test", "/", "Cookie: __Host-portcullis=whatever; c=3\r\n").await;
    assert_eq!(world.upstream.last().header("cookie").as_deref(), Some("c=3"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_upstream_receives_the_path_that_was_judged() {
    let world = World::start().await;
    for (sent, received) in
        [("/a/./b/../c", "/a/c"), ("/%61/%62", "/a/b"), ("/a//b", "/a/b"), ("/x?y=/../z", "/x?y=/../z")]
    {
        assert_eq!(status(&world.get("open.test", sent, "").await), 200, "{sent}");
        assert_eq!(world.upstream.last().target, received, "{sent}");
    }
    let before = world.upstream.count();
    for sent in ["/a%2fb", "/a%5cb", "/a\\b", "/../a", "/%00", "/a/..%2fb"] {
        assert_eq!(status(&world.get("open.test", sent, "").await), 400, "{sent}");
    }
    assert_eq!(world.upstream.count(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ambiguous_is_refused_and_its_plain_twin_served() {
    let world = World::start().await;
    let cases = [
        ("POST / HTTP/1.1\r\nHost: open.test\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello", 200),
        (
            "POST / HTTP/1.1\r\nHost: open.test\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            200,
        ),
        ("POST / HTTP/1.1\r\nHost: open.test\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: open.test\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: open.test\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 400),
        ("POST / HTTP/1.1\r\nHost: open.test\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello", 400),
        ("POST / HTTP/1.1\r\nHost: open.test\r\nContent-Length: 5, 5\r\n\r\nhello", 400),
        ("POST / HTTP/1.1\r\nHost: open.test\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nConnection: close\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: open.test\r\nHost: open.test\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: open.test\r\nHost: wiki.test\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: open.test, wiki.test\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a@open.test\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: OPEN.test.:443\r\nConnection: close\r\n\r\n", 200),
        ("GET https://open.test/x HTTP/1.1\r\nHost: open.test\r\nConnection: close\r\n\r\n", 200),
        ("GET https://wiki.test/x HTTP/1.1\r\nHost: open.test\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: open.test\r\nX-Folded: a\r\n b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost : open.test\r\n\r\n", 400),
        ("CONNECT open.test:443 HTTP/1.1\r\nHost: open.test:443\r\n\r\n", 405),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    ];
    for (request, expected) in cases {
        let before = world.upstream.count();
        let answer = world.raw("open.test", request).await;
        assert_eq!(status(&answer), expected, "{request:?}\n{answer}");
        assert_eq!(world.upstream.count() > before, expected == 200, "{request:?}");
    }
    assert_eq!(world.upstream.last().target, "/x", "the absolute form does not reach the upstream");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_request_leaves_nothing_for_the_next() {
    let world = World::start().await;
    let mut stream = world.tls("open.test").await;
    let smuggled = "POST / HTTP/1.1\r\nHost: open.test\r\nContent-Length: 35\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: open.test\r\n\r\n";
    stream.write_all(smuggled.as_bytes()).await.unwrap();
    let answer = read_all(&mut stream).await;
    assert_eq!((status(&answer), answer.matches("HTTP/1.1 ").count()), (400, 1), "{answer}");
    assert_eq!(world.upstream.count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelined_requests_are_answered_in_order() {
    let world = World::start().await;
    let two =
        "GET /one HTTP/1.1\r\nHost: open.test\r\n\r\nGET /two HTTP/1.1\r\nHost: open.test\r\nConnection: close\r\n\r\n";
    let answer = world.raw("open.test", two).await;
    assert_eq!(answer.matches("HTTP/1.1 200").count(), 2, "{answer}");
    assert_eq!(world.upstream.last().target, "/two");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_ours_is_served_but_the_namespace() {
    let world = World::start().await;
    let before = world.upstream.count();
    assert_eq!(status(&world.get("open.test", "/ping", "").await), 200);
    assert_eq!(status(&world.get("open.test", "/.portcullis/nothing", "").await), 404);
    assert_eq!(status(&world.get("open.test", "/.well-known/portcullis/nothing", "").await), 404);
    assert_eq!(status(&world.get("open.test", "/.well-known/portcullis/jwks.json", "").await), 200);
    assert_eq!(world.upstream.count(), before);
    for path in ["/metrics", "/livez", "/.well-known/other"] {
        world.get("open.test", path, "").await;
        assert_eq!(world.upstream.last().target, path, "a route's own");
    }
    assert_eq!(status(&world.get("open.test", "/", "Host: nowhere.test\r\n").await), 400);
    let unknown = world.raw("open.test", "GET / HTTP/1.1\r\nHost: nowhere.test\r\nConnection: close\r\n\r\n").await;
    assert_eq!(status(&unknown), 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unsafe_method_is_challenged_without_reaching_the_upstream() {
    let world = World::start().await;
    let mut client = world.h2("wiki.test").await;
    let request = Request::builder().method(Method::POST).uri("https://wiki.test/").body(()).unwrap();
    let (answer, mut body) = client.send_request(request, false).unwrap();
    assert_eq!(answer.await.unwrap().status(), 401);
    drop(body.send_data(bytes::Bytes::from_static(b"late"), true));
    assert_eq!(world.upstream.count(), 0);
}
