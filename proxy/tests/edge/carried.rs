//! Requests without a body, as an upstream sees them that answers byte by byte.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::client::{PATIENCE, Tls, read_all, read_until, status};
use crate::deadlines::doorman;
use crate::world::World;

/// A proxy before an upstream that the test plays, and a client's connection.
async fn begin() -> (World, UnboundedReceiver<TcpStream>, Tls) {
    let (address, connections) = doorman().await;
    let route =
        format!("\n  - {{from: https://open.test, to: http://{address}, allow_public_unauthenticated_access: true}}");
    let world = World::with(&route, "").await;
    let client = world.tls("open.test").await;
    (world, connections, client)
}

async fn ask(client: &mut Tls, method: &str) {
    client.write_all(format!("{method} /page HTTP/1.1\r\nHost: open.test\r\n\r\n").as_bytes()).await.unwrap();
}

async fn connected(connections: &mut UnboundedReceiver<TcpStream>) -> TcpStream {
    tokio::time::timeout(PATIENCE, connections.recv()).await.expect("no connection came").unwrap()
}

/// Reads the head of a request.
async fn asked(upstream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(tokio::time::timeout(PATIENCE, upstream.read_u8()).await.expect("no request came").unwrap());
    }
    String::from_utf8(head).unwrap()
}

/// Answers the request that comes next with `text`, which the client reads.
async fn serve(upstream: &mut TcpStream, client: &mut Tls, text: &str) -> String {
    asked(upstream).await;
    let length = text.len();
    upstream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{text}").as_bytes()).await.unwrap();
    read_until(client, text).await
}

#[tokio::test(flavor = "multi_thread")]
async fn each_answer_ends_where_it_ends_and_its_connection_serves_the_next() {
    let (_world, mut connections, mut client) = begin().await;
    let mut upstream = None;
    for (method, answer, end) in [
        ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none", "\r\n\r\none"),
        ("GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ntwo\r\n0\r\n\r\n", "3\r\ntwo\r\n0\r\n\r\n"),
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", "\r\n\r\n"),
        ("GET", "HTTP/1.1 204 No Content\r\nNumber: four\r\n\r\n", "\r\n\r\n"),
        ("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\n\r\n", "\r\n\r\n"),
        ("GET", "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nsix", "\r\n\r\nsix"),
        ("POST", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nseven", "\r\n\r\nseven"),
        ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "\r\n\r\n"),
        ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnine", "\r\n\r\nnine"),
    ] {
        ask(&mut client, method).await;
        if upstream.is_none() {
            upstream = Some(connected(&mut connections).await);
        }
        let upstream = upstream.as_mut().unwrap();
        let head = asked(upstream).await;
        assert!(head.starts_with(&format!("{method} /page HTTP/1.1\r\n")), "{head}");
        upstream.write_all(answer.as_bytes()).await.unwrap();
        let answered = read_until(&mut client, end).await;
        assert!(answered.ends_with(end), "{answered:?}");
    }
    assert!(connections.try_recv().is_err(), "another connection was made");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_says_nothing_about_its_hop() {
    let (_world, mut connections, mut client) = begin().await;
    let hop = "Connection: keep-alive, X-Mine\r\nX-Mine: 1\r\nKeep-Alive: 5\r\nTE: trailers\r\nUpgrade: h2c\r\nX-Theirs: 1\r\n";
    let request = format!("GET /page HTTP/1.1\r\nHost: open.test\r\n{hop}\r\n");
    client.write_all(request.as_bytes()).await.unwrap();
    let head = asked(&mut connected(&mut connections).await).await.to_lowercase();
    for name in ["connection", "x-mine", "keep-alive", "te", "upgrade", "transfer-encoding", "content-length"] {
        assert!(!head.contains(&format!("\r\n{name}:")), "{head}");
    }
    assert!(head.contains("\r\nx-theirs: 1\r\n") && head.matches("\r\nhost:").count() == 1, "{head}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_breaks_off_is_no_whole_one() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    ] {
        let (world, mut connections, mut client) = begin().await;
        ask(&mut client, "GET").await;
        let mut upstream = connected(&mut connections).await;
        asked(&mut upstream).await;
        upstream.write_all(answer.as_bytes()).await.unwrap();
        drop(upstream);
        let received = read_all(&mut client).await;
        let body = received.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        assert!("3\r\nabc\r\n".contains(body), "{received:?}");
        assert!(world.metric(r#"portcullis_proxy_upstream_failures_total{cause="broke_off"}"#) >= 1.0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_lasts_as_long_as_its_connection_leaves_the_clients_open() {
    let (_world, mut connections, mut client) = begin().await;
    for _ in 0..2 {
        ask(&mut client, "GET").await;
        let mut upstream = connected(&mut connections).await;
        asked(&mut upstream).await;
        upstream.write_all(b"HTTP/1.1 200 OK\r\n\r\nabc").await.unwrap();
        drop(upstream);
        let answer = read_until(&mut client, "0\r\n\r\n").await;
        assert!(answer.ends_with("3\r\nabc\r\n0\r\n\r\n"), "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_upstream_sends_beyond_its_answer_reaches_nobody() {
    // With the answer, and after it on a connection that waits.
    for together in [true, false] {
        let (world, mut connections, mut client) = begin().await;
        ask(&mut client, "GET").await;
        let mut upstream = connected(&mut connections).await;
        asked(&mut upstream).await;
        let (answer, forged) =
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst", "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged");
        if together {
            upstream.write_all(format!("{answer}{forged}").as_bytes()).await.unwrap();
            read_until(&mut client, "first").await;
        } else {
            upstream.write_all(answer.as_bytes()).await.unwrap();
            read_until(&mut client, "first").await;
            upstream.write_all(forged.as_bytes()).await.unwrap();
        }
        // Closed by the proxy: at once, or when the next request finds it.
        let mut other = world.tls("open.test").await;
        ask(&mut other, "GET").await;
        let answered = serve(&mut connected(&mut connections).await, &mut other, "second").await;
        assert!(!answered.contains("forged"), "{answered}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_was_closed_meanwhile_is_replaced_and_only_what_is_safe_is_sent_twice() {
    let (_world, mut connections, mut client) = begin().await;
    // Closed while it waits: nobody asks by it.
    ask(&mut client, "GET").await;
    serve(&mut connected(&mut connections).await, &mut client, "first").await;
    // Closed after the request came: a GET is sent again, a POST is not.
    ask(&mut client, "GET").await;
    let mut second = connected(&mut connections).await;
    serve(&mut second, &mut client, "second").await;
    ask(&mut client, "GET").await;
    asked(&mut second).await;
    drop(second);
    let mut third = connected(&mut connections).await;
    serve(&mut third, &mut client, "third").await;
    ask(&mut client, "GET").await;
    serve(&mut third, &mut client, "fourth").await;
    ask(&mut client, "POST").await;
    asked(&mut third).await;
    drop(third);
    assert_eq!(status(&read_all(&mut client).await), 502);
    assert!(connections.try_recv().is_err(), "a POST was sent twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_hears_that_its_client_has_gone() {
    let (_world, mut connections, mut client) = begin().await;
    ask(&mut client, "GET").await;
    let mut upstream = connected(&mut connections).await;
    asked(&mut upstream).await;
    drop(client);
    let end = tokio::time::timeout(PATIENCE, upstream.read(&mut [0; 1])).await.expect("the connection stays open");
    assert!(matches!(end, Ok(0) | Err(_)));
}
