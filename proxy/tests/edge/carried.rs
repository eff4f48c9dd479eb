//! Requests as an upstream sees them that answers byte by byte.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::client::{PATIENCE, Tls, read_all, read_until, status};
use crate::deadlines::doorman;
use crate::world::World;

/// A proxy before an upstream that the test plays, which is spoken to by `scheme`.
pub(crate) async fn played(scheme: &str) -> (World, UnboundedReceiver<TcpStream>) {
    let (address, connections) = doorman().await;
    let route = format!(
        "\n  - {{from: https://open.test, to: {scheme}://{address}, allow_public_unauthenticated_access: true}}"
    );
    (World::with(&route, "").await, connections)
}

/// One that speaks HTTP/1.1, and a client's connection.
async fn begin() -> (World, UnboundedReceiver<TcpStream>, Tls) {
    let (world, connections) = played("http").await;
    let client = world.tls("open.test").await;
    (world, connections, client)
}

async fn ask(client: &mut Tls, method: &str) {
    client.write_all(format!("{method} /page HTTP/1.1\r\nHost: open.test\r\n\r\n").as_bytes()).await.unwrap();
}

pub(crate) async fn connected(connections: &mut UnboundedReceiver<TcpStream>) -> TcpStream {
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

/// Reads `text`, which is what comes next.
async fn sent(upstream: &mut TcpStream, text: &str) {
    let mut read = vec![0; text.len()];
    tokio::time::timeout(PATIENCE, upstream.read_exact(&mut read)).await.expect("it does not come").unwrap();
    assert_eq!(String::from_utf8_lossy(&read), text);
}

/// Sends the head of a request with a body, and what is there of the body.
async fn begin_body(client: &mut Tls, method: &str, fields: &str, body: &str) {
    let request = format!("{method} /page HTTP/1.1\r\nHost: open.test\r\n{fields}\r\n\r\n{body}");
    client.write_all(request.as_bytes()).await.unwrap();
}

/// Begins a request whose body has no length, and has its upstream read the first piece.
async fn begin_chunks(client: &mut Tls, connections: &mut UnboundedReceiver<TcpStream>) -> TcpStream {
    begin_body(client, "POST", "Transfer-Encoding: chunked", "3\r\none\r\n").await;
    let mut upstream = connected(connections).await;
    asked(&mut upstream).await;
    sent(&mut upstream, "3\r\none\r\n").await;
    upstream
}

#[tokio::test(flavor = "multi_thread")]
async fn each_body_goes_up_as_it_comes_and_its_connection_serves_the_next() {
    let (world, mut connections, mut client) = begin().await;
    // A length, and none: piece by piece, as they come.
    begin_body(&mut client, "POST", "Content-Length: 6", "one").await;
    let mut upstream = connected(&mut connections).await;
    let head = asked(&mut upstream).await.to_lowercase();
    assert!(head.contains("\r\ncontent-length: 6\r\n") && !head.contains("transfer-encoding"), "{head}");
    client.write_all(b"two").await.unwrap();
    sent(&mut upstream, "onetwo").await;
    upstream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst").await.unwrap();
    read_until(&mut client, "first").await;

    begin_body(&mut client, "PUT", "Transfer-Encoding: chunked", "5\r\nthree\r\n").await;
    let head = asked(&mut upstream).await.to_lowercase();
    assert!(head.contains("\r\ntransfer-encoding: chunked\r\n") && !head.contains("content-length"), "{head}");
    sent(&mut upstream, "5\r\nthree\r\n").await;
    client.write_all(b"4\r\nfour\r\n0\r\n\r\n").await.unwrap();
    sent(&mut upstream, "4\r\nfour\r\n0\r\n\r\n").await;
    upstream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecond").await.unwrap();
    read_until(&mut client, "second").await;

    // A client that waits until it is told to go on.
    begin_body(&mut client, "POST", "Expect: 100-continue\r\nContent-Length: 4", "").await;
    asked(&mut upstream).await;
    upstream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.unwrap();
    read_until(&mut client, "HTTP/1.1 100 Continue\r\n\r\n").await;
    client.write_all(b"five").await.unwrap();
    sent(&mut upstream, "five").await;
    upstream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nthird").await.unwrap();
    read_until(&mut client, "third").await;
    let mut other = world.tls("open.test").await;
    ask(&mut other, "GET").await;
    serve(&mut upstream, &mut other, "fourth").await;
    assert!(connections.try_recv().is_err(), "another connection was made");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_passes_while_the_body_still_goes_up() {
    let (world, mut connections, mut client) = begin().await;
    let mut upstream = begin_chunks(&mut client, &mut connections).await;
    upstream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nein\r\n").await.unwrap();
    read_until(&mut client, "ein\r\n").await;
    client.write_all(b"3\r\ntwo\r\n").await.unwrap();
    sent(&mut upstream, "3\r\ntwo\r\n").await;
    // All of the answer before all of the body: the upstream's connection goes on.
    upstream.write_all(b"0\r\n\r\n").await.unwrap();
    read_until(&mut client, "0\r\n\r\n").await;
    client.write_all(b"0\r\n\r\n").await.unwrap();
    sent(&mut upstream, "0\r\n\r\n").await;
    read_all(&mut client).await;
    let mut other = world.tls("open.test").await;
    ask(&mut other, "GET").await;
    serve(&mut upstream, &mut other, "second").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_does_not_want_the_rest_of_a_body_says_so() {
    let (_world, mut connections, mut client) = begin().await;
    let mut upstream = begin_chunks(&mut client, &mut connections).await;
    upstream.write_all(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 5\r\n\r\nlarge").await.unwrap();
    drop(upstream);
    assert_eq!(status(&read_until(&mut client, "large").await), 413);
    // What comes all the same reaches nobody, and its connection ends.
    for _ in 0..64 {
        if client.write_all(format!("1000\r\n{}\r\n", "x".repeat(4096)).as_bytes()).await.is_err() {
            return;
        }
    }
    if client.write_all(b"0\r\n\r\n").await.is_ok() {
        tokio::time::timeout(PATIENCE, client.read_to_end(&mut Vec::new())).await.expect("it stays open").ok();
    }
    assert!(connections.try_recv().is_err(), "a request that was answered was sent again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_sent_twice_only_where_that_is_safe_and_it_is_all_there() {
    for (method, length, status_of_it) in [("PUT", 40_000, 200), ("PUT", 80_000, 502), ("POST", 40_000, 502)] {
        let (_world, mut connections, mut client) = begin().await;
        ask(&mut client, "GET").await;
        let mut first = connected(&mut connections).await;
        serve(&mut first, &mut client, "first").await;
        // Read whole by an upstream that goes away then.
        let body = "x".repeat(length);
        begin_body(&mut client, method, &format!("Content-Length: {length}"), &body).await;
        asked(&mut first).await;
        sent(&mut first, &body).await;
        drop(first);
        if status_of_it == 200 {
            let mut second = connected(&mut connections).await;
            asked(&mut second).await;
            sent(&mut second, &body).await;
            second.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecond").await.unwrap();
            read_until(&mut client, "second").await;
        } else {
            assert_eq!(status(&read_until(&mut client, "\r\n\r\n").await), status_of_it, "{method} {length}");
            assert!(connections.try_recv().is_err(), "{method} of {length} bytes was sent twice");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_hears_that_its_client_has_gone_in_the_middle_of_a_body() {
    let (_world, mut connections, mut client) = begin().await;
    let mut upstream = begin_chunks(&mut client, &mut connections).await;
    drop(client);
    let mut rest = Vec::new();
    let end = tokio::time::timeout(PATIENCE, upstream.read_to_end(&mut rest)).await.expect("the connection stays open");
    assert!(end.is_err() || rest.is_empty(), "a body that broke off was ended: {rest:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_breaks_off_after_a_word_of_its_own_is_a_502() {
    let (_world, mut connections, mut client) = begin().await;
    begin_body(&mut client, "POST", "Expect: 100-continue\r\nContent-Length: 4", "").await;
    let mut upstream = connected(&mut connections).await;
    asked(&mut upstream).await;
    upstream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.unwrap();
    read_until(&mut client, "HTTP/1.1 100 Continue\r\n\r\n").await;
    client.write_all(b"four").await.unwrap();
    sent(&mut upstream, "four").await;
    drop(upstream);
    assert_eq!(status(&read_all(&mut client).await), 502);
}
