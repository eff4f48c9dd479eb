use std::future::poll_fn;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{PATIENCE, read_all, read_until, status, values};
use crate::streams::events;
use crate::world::{ROUTES, World};

async fn until_closed(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    drop(tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.expect("stays open"));
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_handshake_is_cut_off() {
    let world = World::with(ROUTES, "limits: {handshake: 300ms}").await;
    let mut silent = TcpStream::connect(world.address).await.unwrap();
    until_closed(&mut silent).await;
    assert!(world.metric(r#"portcullis_proxy_handshakes_failed_total{cause="deadline"}"#) >= 1.0);
    assert_eq!(status(&world.get("open.test", "/", "").await), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_head_is_cut_off_however_steadily_it_drips() {
    let world = World::with(ROUTES, "limits: {head: 1s}").await;
    let mut stream = world.tls("open.test").await;
    let drip = async {
        let (mut read, mut write) = tokio::io::split(&mut stream);
        let write = async {
            for byte in b"GET / HTTP/1.1\r\nHost: open.test\r\nX: ".iter().chain(std::iter::repeat_n(&b'a', 1000)) {
                if write.write_all(&[*byte]).await.is_err() || write.flush().await.is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let mut sink = Vec::new();
        tokio::select! {
            () = write => panic!("the head went on"),
            _ = read.read_to_end(&mut sink) => {}
        }
    };
    tokio::time::timeout(Duration::from_secs(6), drip).await.unwrap();
    assert!(world.metric(r#"portcullis_proxy_exchanges_cut_total{cause="head"}"#) >= 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_and_a_stalled_body_are_cut_off() {
    let world = World::with(&ROUTES.replace(", timeout: 2s", ""), "limits: {head: 1s, body_progress: 1s}").await;
    let mut idle = world.tls("open.test").await;
    idle.write_all(b"GET / HTTP/1.1\r\nHost: open.test\r\n\r\n").await.unwrap();
    read_until(&mut idle, "hello").await;
    assert_eq!(read_all(&mut idle).await, "");
    let mut stalled = world.tls("open.test").await;
    stalled.write_all(b"POST / HTTP/1.1\r\nHost: open.test\r\nContent-Length: 100\r\n\r\nsome").await.unwrap();
    read_all(&mut stalled).await;
    let mut client = world.h2("open.test").await;
    let request = Request::post("https://open.test/").body(()).unwrap();
    let (answer, mut body) = client.send_request(request, false).unwrap();
    body.send_data(Bytes::from_static(b"some"), false).unwrap();
    let reset = tokio::time::timeout(PATIENCE, answer).await.unwrap().unwrap_err();
    assert!(reset.is_reset(), "{reset}");
    assert!(world.metric(r#"portcullis_proxy_exchanges_cut_total{cause="body"}"#) >= 2.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_capped_in_total_and_by_prefix_and_a_close_makes_room() {
    for (cap, outcome) in [("connections", "refused_total"), ("connections_per_prefix", "refused_prefix")] {
        let world = World::with(ROUTES, &format!("limits: {{{cap}: 2}}")).await;
        let first = world.tls("open.test").await;
        let _second = world.tls("open.test").await;
        assert!(world.try_tls("open.test", &[b"http/1.1"]).await.is_err(), "{cap}");
        let refused = format!("portcullis_proxy_connections_total{{outcome=\"{outcome}\"}}");
        assert!(world.metric(&refused) >= 1.0, "{cap}");
        drop(first);
        tokio::time::timeout(PATIENCE, async {
            while world.try_tls("open.test", &[b"http/1.1"]).await.is_err() {
                tokio::task::yield_now().await;
            }
        })
        .await
        .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_fields_and_too_large_heads_are_431() {
    let world = World::with(ROUTES, "limits: {header_fields: 20, head_bytes: 8KiB}").await;
    assert_eq!(status(&world.get("open.test", "/", &"X-A: 1\r\n".repeat(10)).await), 200);
    assert_eq!(status(&world.get("open.test", "/", &"X-A: 1\r\n".repeat(30)).await), 431);
    assert_eq!(status(&world.get("open.test", "/", &format!("X-A: {}\r\n", "a".repeat(4_000))).await), 200);
    assert_eq!(status(&world.get("open.test", "/", &format!("X-A: {}\r\n", "a".repeat(10_000))).await), 431);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unfinished_head_takes_no_more_than_its_bound() {
    let world = World::with(ROUTES, "limits: {head_bytes: 8KiB}").await;
    let mut stream = world.tls("open.test").await;
    // A request before it: the bound is each head's own, and a body does not count.
    let body = "a".repeat(40_000);
    let first = format!("POST / HTTP/1.1\r\nHost: open.test\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    stream.write_all(first.as_bytes()).await.unwrap();
    read_until(&mut stream, "hello").await;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: open.test\r\nX-A: ").await.unwrap();
    // More than the bound, but less than a head that Pingora would give up on, and never its end.
    stream.write_all("a".repeat(12_000).as_bytes()).await.unwrap();
    let answer = read_all(&mut stream).await;
    assert_eq!(status(&answer), 431, "{answer}");
    assert!(world.metric(r#"portcullis_proxy_malformed_total{cause="head_too_large"}"#) >= 1.0);
    let fits = format!("X-A: {}\r\n", "a".repeat(8_000));
    assert_eq!(status(&world.get("open.test", "/", &fits).await), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_http2_connection_is_closed_by_the_heads_deadline() {
    let world = World::with(ROUTES, "limits: {head: 1s}").await;
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
    let beginnings = [
        ("nothing", Vec::new()),
        ("half a preface", PREFACE[..12].to_vec()),
        ("a preface", PREFACE.to_vec()),
        ("a preface and settings", [PREFACE, SETTINGS].concat()),
    ];
    for (case, bytes) in beginnings {
        let mut stream = world.try_tls("open.test", &[b"h2"]).await.unwrap();
        stream.write_all(&bytes).await.unwrap();
        let mut sink = Vec::new();
        let closed = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut sink)).await;
        assert!(closed.is_ok(), "{case}: stays open");
    }
    // One that asks is served for longer than that.
    let mut client = world.h2("open.test").await;
    for _ in 0..4 {
        let request = Request::get("https://open.test/").body(()).unwrap();
        assert_eq!(client.send_request(request, true).unwrap().0.await.unwrap().status(), 200);
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_without_a_certificate_get_no_handshake() {
    let world = World::start().await;
    assert!(world.try_tls("stranger.test", &[b"http/1.1"]).await.is_err());
    assert!(world.try_tls("open.test", &[b"http/1.1"]).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_http_is_sent_to_https_and_nothing_else() {
    let world = World::start().await;
    for (request, expected) in
        [("GET /a?b HTTP/1.1\r\nHost: wiki.test\r\n\r\n", 301), ("POST /a?b HTTP/1.1\r\nHost: wiki.test\r\n\r\n", 308)]
    {
        let mut plain = TcpStream::connect(world.redirect).await.unwrap();
        plain.write_all(request.as_bytes()).await.unwrap();
        let answer = String::from_utf8(until_closed(&mut plain).await).unwrap();
        assert_eq!(
            (status(&answer), values(&answer, "location")),
            (expected, vec!["https://wiki.test/a?b"]),
            "{answer}"
        );
    }
    // A host is a place to be sent to only if it is ours: by a route, or the sign-in host.
    for (host, expected) in
        [("stranger.test", 421), ("user@wiki.test", 400), ("WIKI.test.:80", 301), ("auth.test", 301), ("a b", 400)]
    {
        let mut plain = TcpStream::connect(world.redirect).await.unwrap();
        plain.write_all(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes()).await.unwrap();
        let answer = String::from_utf8(until_closed(&mut plain).await).unwrap();
        assert_eq!((status(&answer), answer.contains("location")), (expected, expected == 301), "{host}: {answer}");
    }
    let mut long = TcpStream::connect(world.redirect).await.unwrap();
    long.write_all(format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(20_000)).as_bytes()).await.unwrap();
    let answer = String::from_utf8(until_closed(&mut long).await).unwrap();
    assert!(!answer.contains("location"), "{answer}");
    assert_eq!(world.upstream.count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_breaks_off_is_counted_and_one_that_leaves_is_not() {
    const RESET: &str = r#"portcullis_proxy_connections_total{outcome="reset"}"#;
    let world = World::start().await;
    assert_eq!(status(&world.get("open.test", "/", "").await), 200);
    let mut stream = world.tls("open.test").await;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: open.test\r\n\r\n").await.unwrap();
    read_until(&mut stream, "hello").await;
    assert!(world.metric(RESET) < 1.0);
    // No linger: the kernel answers what is unread with a reset.
    let (socket, _) = stream.into_inner();
    socket.set_zero_linger().unwrap();
    drop(socket);
    tokio::time::timeout(PATIENCE, async {
        while world.metric(RESET) < 1.0 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("nobody counted it");
}

#[tokio::test(flavor = "multi_thread")]
async fn sign_in_requests_of_one_prefix_are_limited() {
    let world = World::with(ROUTES, "limits: {sign_ins_per_prefix: 2}").await;
    for expected in [502, 502, 429] {
        assert_eq!(status(&world.get("auth.test", "/.portcullis/sign_in", "").await), expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_lets_the_open_finish_and_takes_nothing_new() {
    let world = World::with(ROUTES, "drain: {timeout: 2s, h2: 1s}").await;
    let mut idle = world.tls("open.test").await;
    idle.write_all(b"GET / HTTP/1.1\r\nHost: open.test\r\n\r\n").await.unwrap();
    read_until(&mut idle, "hello").await;
    let mut busy = world.tls("open.test").await;
    busy.write_all(b"GET /stream HTTP/1.1\r\nHost: open.test\r\n\r\n").await.unwrap();
    read_until(&mut busy, "\r\n\r\n").await;
    let mut forever = events(&world, "open.test", "").await;
    let sender = world.upstream.streams.lock().unwrap().remove(0);
    world.drain.cancel();
    assert_eq!(read_all(&mut idle).await, "", "idle connections close at once");
    sender.send(Bytes::from_static(b"last words")).await.unwrap();
    drop(sender);
    assert!(read_all(&mut busy).await.contains("last words"), "the open finish");
    read_all(&mut forever).await;
    tokio::time::timeout(PATIENCE, world.served).await.unwrap().unwrap().unwrap();
    assert!(TcpStream::connect(world.address).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_field_that_names_too_much_is_answered() {
    let world = World::start().await;
    for names in ["host", "X-Forwarded-For", ":authority", "a, b, c, d, e, f, g, h, i", "\"x\""] {
        let answer = world.get("open.test", "/", &format!("Connection: {names}\r\n")).await;
        assert_eq!(status(&answer), 400, "{names}: {answer}");
    }
    let names = "GET / HTTP/1.1\r\nHost: open.test\r\nConnection: close, a, b, c, d, e, f, g, h\r\n\r\n";
    assert_eq!(status(&world.raw("open.test", names).await), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_keeps_no_more_of_a_path_than_its_bound() {
    let world = World::with(ROUTES, "limits: {head_bytes: 64KiB}").await;
    assert_eq!(status(&world.get("open.test", &format!("/{}", "a".repeat(30_000)), "").await), 200);
    assert_eq!(world.upstream.last().target.len(), 30_001, "the upstream has all of it");
    let kept = tokio::time::timeout(PATIENCE, async {
        loop {
            if let Some(record) = world.proxy.decisions(usize::MAX).pop() {
                return record.path.clone();
            }
            tokio::task::yield_now().await;
        }
    });
    let kept = kept.await.unwrap();
    assert!(kept.len() <= 2_100 && kept.starts_with("/aaa") && kept.ends_with('…'), "{}", kept.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_http2_client_may_send_ahead_is_bounded_by_body_and_by_connection() {
    const OF_A_BODY: usize = 128 * 1024;
    let world = World::start().await;
    let mut client = world.h2("open.test").await;
    // With the first answer the proxy's settings are there.
    let first = Request::get("https://open.test/").body(()).unwrap();
    assert_eq!(client.send_request(first, true).unwrap().0.await.unwrap().status(), 200);
    let mut bodies = Vec::new();
    // Nothing is sent, so nothing is read: leave is what the proxy gives of itself.
    for _ in 0..5 {
        client = client.ready().await.unwrap();
        let request = Request::post("https://open.test/").body(()).unwrap();
        let (answer, mut body) = client.send_request(request, false).unwrap();
        body.reserve_capacity(2 * OF_A_BODY);
        bodies.push((answer, body));
    }
    let granted = async {
        for (_, body) in bodies.iter_mut().take(4) {
            while body.capacity() < OF_A_BODY {
                poll_fn(|cx| body.poll_capacity(cx)).await.unwrap().unwrap();
            }
        }
    };
    tokio::time::timeout(PATIENCE, granted).await.expect("less than a body of that size may be sent");
    let capacities: Vec<usize> = bodies.iter().map(|(_, body)| body.capacity()).collect();
    assert_eq!(capacities, [OF_A_BODY, OF_A_BODY, OF_A_BODY, OF_A_BODY, 0]);
}
