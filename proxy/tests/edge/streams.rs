use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::client::{PATIENCE, Tls, read_until, status, values};
use crate::upstream::{FLOOD, swallow};
use crate::world::World;

pub(crate) const HANDSHAKE: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// An open WebSocket on `host`.
pub(crate) async fn websocket(world: &World, host: &str, lines: &str) -> Tls {
    let mut stream = world.tls(host).await;
    let request = format!("GET /ws HTTP/1.1\r\nHost: {host}\r\n{HANDSHAKE}{lines}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let answer = read_until(&mut stream, "\r\n\r\n").await;
    assert_eq!(status(&answer), 101, "{answer}");
    stream
}

/// An open event stream.
pub(crate) async fn events(world: &World, host: &str, lines: &str) -> Tls {
    let mut stream = world.tls(host).await;
    let request = format!("GET /sse HTTP/1.1\r\nHost: {host}\r\nAccept: text/event-stream\r\n{lines}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let answer = read_until(&mut stream, "\r\n\r\n").await;
    assert_eq!(status(&answer), 200, "{answer}");
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_echoes_both_ways() {
    let world = World::start().await;
    let mut stream = websocket(&world, "open.test", "").await;
    for text in ["one", "two"] {
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut echo = [0; 3];
        tokio::time::timeout(PATIENCE, stream.read_exact(&mut echo)).await.unwrap().unwrap();
        assert_eq!(echo, text.as_bytes());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_whose_one_side_only_writes_still_carries_the_other_way() {
    let world = World::start().await;
    for path in ["/talks", "/both"] {
        let mut stream = world.tls("open.test").await;
        let request = format!("GET {path} HTTP/1.1\r\nHost: open.test\r\n{HANDSHAKE}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        let (mut read, mut write) = tokio::io::split(stream);
        let flood = vec![b'c'; FLOOD];
        let passed = async {
            if path == "/talks" {
                // The upstream reads nothing before it has written everything.
                let talks = async { write.write_all(&flood).await.unwrap() };
                tokio::join!(talks, swallow(&mut read));
            } else {
                // The client does.
                write.write_all(&flood).await.unwrap();
                swallow(&mut read).await;
            }
        };
        tokio::time::timeout(PATIENCE, passed).await.unwrap_or_else(|_| panic!("{path}: both sides wait"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_is_refused_where_the_route_allows_none_and_other_upgrades_are_not_made() {
    let world = World::start().await;
    let before = world.upstream.count();
    let refused = world
        .raw(
            "other.test",
            &format!(
                "GET /ws HTTP/1.1\r\nHost: other.test\r\n{}\r\n",
                HANDSHAKE.replace("Connection: Upgrade", "Connection: Upgrade, close")
            ),
        )
        .await;
    assert!((400..500).contains(&status(&refused)), "{refused}");
    assert_eq!(world.upstream.count(), before);
    let h2c = world
        .raw("open.test", "GET / HTTP/1.1\r\nHost: open.test\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings, close\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n")
        .await;
    assert_eq!(status(&h2c), 200, "{h2c}");
    assert!(
        world.upstream.last().header("upgrade").is_none() && world.upstream.last().header("http2-settings").is_none()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn events_pass_one_by_one() {
    let world = World::start().await;
    let mut stream = events(&world, "open.test", "").await;
    let sender = world.upstream.streams.lock().unwrap().pop().unwrap();
    for event in ["data: 1\n\n", "data: 2\n\n"] {
        sender.send(Bytes::from(event)).await.unwrap();
        read_until(&mut stream, event).await;
    }
    // Longer than the route's timeout, which does not bind event streams.
    tokio::time::sleep(Duration::from_millis(2_600)).await;
    sender.send(Bytes::from("data: late\n\n")).await.unwrap();
    read_until(&mut stream, "late").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_pass_over_h2_too() {
    let world = World::start().await;
    let mut client = world.h2("open.test").await;
    let request = Request::get("https://open.test/sse").body(()).unwrap();
    let answer = client.send_request(request, true).unwrap().0.await.unwrap();
    let mut body = answer.into_body();
    let sender = world.upstream.streams.lock().unwrap().pop().unwrap();
    sender.send(Bytes::from("data: 1\n\n")).await.unwrap();
    assert_eq!(tokio::time::timeout(PATIENCE, body.data()).await.unwrap().unwrap().unwrap(), "data: 1\n\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_upload_is_streamed() {
    let world = World::start().await;
    let mut stream = world.tls("open.test").await;
    let (piece, pieces) = (vec![7_u8; 1 << 20], 32);
    let head = format!("POST /upload HTTP/1.1\r\nHost: open.test\r\nContent-Length: {}\r\n\r\n", piece.len() * pieces);
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&piece).await.unwrap();
    stream.flush().await.unwrap();
    // It arrives while the rest is still to be sent.
    tokio::time::timeout(PATIENCE, async {
        while world.upstream.body_bytes.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    for _ in 1..pieces {
        stream.write_all(&piece).await.unwrap();
    }
    assert_eq!(status(&read_until(&mut stream, "hello").await), 200);
    assert_eq!(world.upstream.last().body, piece.len() * pieces);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grpc_call_passes_and_a_refused_one_gets_a_status_without_body() {
    let world = World::start().await;
    let (_, cookie) = world.sign_in("grpc.test");
    let mut client = world.h2("grpc.test").await;
    let call = |cookie: &str| {
        Request::post("https://grpc.test/pkg.Service/Method")
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("cookie", cookie)
            .body(())
            .unwrap()
    };
    let (answer, mut body) = client.send_request(call(&cookie), false).unwrap();
    body.send_data(Bytes::from_static(b"\0\0\0\0\0"), true).unwrap();
    assert_eq!(answer.await.unwrap().status(), 200);
    let seen = world.upstream.last();
    assert_eq!((seen.header("te").as_deref(), seen.target.as_str()), (Some("trailers"), "/pkg.Service/Method"));
    let (answer, _) = client.send_request(call("a=b"), true).unwrap();
    let answer = answer.await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers()["grpc-status"].as_bytes()), (200, &b"16"[..]));
    assert!(answer.body().is_end_stream(), "trailers only");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_upstream_is_a_504() {
    let world = World::start().await;
    let answer = world.get("open.test", "/never", "Accept: text/html\r\n").await;
    assert_eq!(status(&answer), 504, "{answer}");
    assert!(!values(&answer, "content-security-policy").is_empty(), "our own page");
}
