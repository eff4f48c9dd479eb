use bytes::Bytes;
use http::Request;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::client::{read_until, status, values};
use crate::decisions::kept;
use crate::world::{ROUTES, World};

#[tokio::test(flavor = "multi_thread")]
async fn h1_is_forwarded_with_our_headers_and_kept_alive() {
    let world = World::start().await;
    let mut stream = world.tls("open.test").await;
    for path in ["/a?b=c", "/second"] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: open.test\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let answer = read_until(&mut stream, "hello").await;
        assert_eq!(status(&answer), 200, "{answer}");
        assert_eq!(values(&answer, "x-from"), ["upstream"]);
        assert_eq!(world.upstream.last().target, path);
    }
    let seen = world.upstream.last();
    assert_eq!(seen.header("x-forwarded-for").as_deref(), Some("127.0.0.1"));
    assert_eq!(seen.header("x-forwarded-proto").as_deref(), Some("https"));
    assert_eq!(seen.header("x-forwarded-host").as_deref(), Some("open.test"));
    assert_eq!(seen.header("x-request-id").unwrap().len(), 32);
    assert_eq!(seen.host, world.upstream.address.to_string());
    assert!(world.metric(r#"portcullis_proxy_requests_total{route="open",status="2xx"}"#) >= 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn h2_is_forwarded_and_many_streams_share_a_connection() {
    let world = World::start().await;
    let (_, cookie) = world.sign_in("wiki.test");
    let mut client = world.h2("wiki.test").await;
    let mut answers = Vec::new();
    for number in 0..10 {
        let request = Request::get(format!("https://wiki.test/{number}"))
            .header("cookie", &cookie)
            .header("x-plain", "1")
            .body(())
            .unwrap();
        answers.push(client.send_request(request, true).unwrap().0);
    }
    for answer in answers {
        let answer = answer.await.unwrap();
        assert_eq!(answer.status(), 200);
        let body = answer.into_body().data().await.unwrap().unwrap();
        assert_eq!(body, Bytes::from_static(b"hello"));
    }
    let seen = world.upstream.last();
    assert_eq!(seen.host, "wiki.test", "preserve_host_header");
    assert_eq!(seen.header("cookie"), None, "our cookie never leaves");
    assert!(seen.header("x-portcullis-jwt-assertion").is_some_and(|assertion| assertion.split('.').count() == 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn header_edits_and_rewrites_of_a_route_apply() {
    let world = World::start().await;
    let answer = world.get("other.test", "/raw/x?q=1", "X-Secret: s\r\n").await;
    assert_eq!(status(&answer), 200, "{answer}");
    assert_eq!(world.upstream.last().target, "/cooked/x?q=1");
    let answer = world.get("other.test", "/y", "X-Secret: s\r\nX-Token: mine\r\n").await;
    assert_eq!(values(&answer, "x-frame-options"), ["DENY"]);
    let seen = world.upstream.last();
    assert_eq!(seen.host, "inner.test");
    assert_eq!(seen.header("x-secret"), None);
    assert_eq!(seen.header("x-fixed").as_deref(), Some("a"));
    assert_eq!(seen.header("x-token").as_deref(), Some("Bearer"), "nobody signed in, nothing to inject");
    let (_, cookie) = world.sign_in("other.test");
    world.get("other.test", "/y", &format!("Cookie: {cookie}\r\n")).await;
    assert_eq!(world.upstream.last().header("x-token").as_deref(), Some("Bearer access-of-alice"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_swaps_routes_and_keeps_connections() {
    let world = World::start().await;
    let mut stream = world.tls("open.test").await;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: open.test\r\n\r\n").await.unwrap();
    assert_eq!(status(&read_until(&mut stream, "hello").await), 200);
    let fixed = "\n  - {name: open, from: https://open.test, response: {status: 200, body: new generation}, allow_public_unauthenticated_access: true}";
    world.publish(fixed, "");
    stream.write_all(b"GET / HTTP/1.1\r\nHost: open.test\r\n\r\n").await.unwrap();
    assert_eq!(status(&read_until(&mut stream, "new generation").await), 200);
    world.publish(ROUTES, "");
    stream.write_all(b"GET / HTTP/1.1\r\nHost: open.test\r\n\r\n").await.unwrap();
    assert_eq!(status(&read_until(&mut stream, "hello").await), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn upstreams_set_their_own_cookies_but_not_ours() {
    let world = World::start().await;
    let answer = world.get("open.test", "/", "").await;
    assert_eq!(values(&answer, "set-cookie"), ["app=1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shadow_policy_is_counted_and_kept_and_never_acted_upon() {
    let routes = "\n  - {name: open, from: https://open.test, to: http://UP, allow_public_unauthenticated_access: true, shadow_policy: {allow: {and: [{accept: true}]}, deny: {or: [{http_path: {starts_with: /admin}}]}}}\n  - {name: wiki, from: https://wiki.test, to: http://UP, policy: {allow: {and: [{email: bob@corp.test}]}}, shadow_policy: {allow: {and: [{email: alice@corp.test}]}}}";
    let world = World::with(routes, "").await;
    let (_, cookie) = world.sign_in("wiki.test");
    let cookie = format!("Cookie: {cookie}\r\n");
    let answered = [
        status(&world.get("open.test", "/a", "").await),
        status(&world.get("open.test", "/admin", "").await),
        status(&world.get("wiki.test", "/", &cookie).await),
    ];
    assert_eq!(answered, [200, 200, 403], "the live policy alone decides");
    let records = kept(&world, 3).await;
    let shadows: Vec<_> =
        records.iter().map(|record| record.shadow.as_ref().map(|shadowed| shadowed.shadow.label())).collect();
    assert_eq!(shadows, [None, Some("deny"), Some("permit")]);
    let denied = records[1].shadow.as_ref().unwrap();
    assert_eq!(denied.decision.reasons.iter().collect::<Vec<_>>(), ["http-path-ok"]);
    assert_eq!(denied.decision.rule, Some(1), "the rule of the shadow policy");
    let metrics = prometheus::TextEncoder::new().encode_to_string(&world.registry.gather()).unwrap();
    let counted: Vec<&str> =
        metrics.lines().filter(|line| line.starts_with("portcullis_proxy_shadow_differences_total{")).collect();
    assert_eq!(
        counted,
        [
            r#"portcullis_proxy_shadow_differences_total{live="deny",route="wiki",shadow="permit"} 1"#,
            r#"portcullis_proxy_shadow_differences_total{live="permit",route="open",shadow="deny"} 1"#,
        ]
    );
}

/// An upstream that answers every connection with these bytes.
async fn answers(bytes: &'static str) -> std::net::SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(socket.read_u8().await.unwrap());
                }
                socket.write_all(bytes.as_bytes()).await.unwrap();
            });
        }
    });
    address
}

async fn answered(bytes: &'static str) -> String {
    let routes = format!(
        "\n  - {{name: open, from: https://open.test, to: http://{}, allow_public_unauthenticated_access: true}}",
        answers(bytes).await
    );
    World::with(&routes, "").await.get("open.test", "/", "").await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_that_nobody_asked_for_is_a_502() {
    let upgraded =
        answered("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nanything").await;
    assert_eq!(status(&upgraded), 502, "{upgraded}");
    assert!(!upgraded.contains("anything"));
    let plain = answered("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nplain").await;
    assert_eq!(status(&plain), 200, "{plain}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_sets_no_cookie_of_ours_however_it_spells_it() {
    let answer = answered(
        "HTTP/1.1 103 Early Hints\r\nSet-Cookie: __Host-portcullis=evil\r\nSet-Cookie: early=1\r\n\r\n\
         HTTP/1.1 200 OK\r\nContent-Length: 0\r\nSet-Cookie: =__Host-portcullis=evil\r\n\
         Set-Cookie: __host-Portcullis-Bind =evil; Path=/\r\nSet-Cookie: __Host-portcullis\r\n\
         Set-Cookie: app=__Host-portcullis\r\n\r\n",
    )
    .await;
    assert!(!answer.contains("evil"), "{answer}");
    assert!(answer.contains("early=1"), "{answer}");
    let last = answer.split("HTTP/1.1 200").nth(1).unwrap();
    assert_eq!(values(&format!("HTTP/1.1 200{last}"), "set-cookie"), ["app=__Host-portcullis"]);
}
