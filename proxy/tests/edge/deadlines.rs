//! Deadlines of exchanges and connections that `limits.rs` does not hit.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::client::{PATIENCE, read_all, read_until, status};
use crate::world::{ROUTES, World};

/// Longer than the deadlines of these tests, shorter than anybody's patience.
const A_WHILE: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_longer_than_the_routes_idle_timeout_ends_the_exchange() {
    const IDLE: &str = "
  - {name: short, from: https://open.test, to: http://UP, allow_public_unauthenticated_access: true, timeout: 0, idle_timeout: 1s}
  - {name: long, from: https://other.test, to: http://UP, allow_public_unauthenticated_access: true, timeout: 0, idle_timeout: 1m}
  - {name: calls, from: https://grpc.test, to: h2c://UP, allow_public_unauthenticated_access: true, timeout: 0, idle_timeout: 1s}
";
    let world = World::with(IDLE, "").await;
    let request = |host: &str| format!("GET /stream HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let mut short = world.tls("open.test").await;
    let mut long = world.tls("other.test").await;
    for (stream, host) in [(&mut short, "open.test"), (&mut long, "other.test")] {
        stream.write_all(request(host).as_bytes()).await.unwrap();
        assert_eq!(status(&read_until(stream, "\r\n\r\n").await), 200);
    }
    read_all(&mut short).await;
    assert!(tokio::time::timeout(A_WHILE, read_all(&mut long)).await.is_err(), "the twin goes on");
    // A call may well take long, as long as somebody says something.
    let mut client = world.h2("grpc.test").await;
    let call = Request::post("https://grpc.test/never").header("content-type", "application/grpc");
    let (answer, mut body) = client.send_request(call.body(()).unwrap(), false).unwrap();
    body.send_data(Bytes::from_static(b"\0\0\0\0\0"), false).unwrap();
    let answer = tokio::time::timeout(PATIENCE, answer).await.expect("the call goes on").unwrap();
    assert_eq!(answer.headers()["grpc-status"], "4", "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_ignores_goaway_is_closed_before_the_drain_is_over() {
    let world = World::with(ROUTES, "drain: {timeout: 60s, h2: 1s}").await;
    let mut client = world.h2("wiki.test").await;
    let (_, cookie) = world.sign_in("wiki.test");
    let request = Request::get("https://wiki.test/sse").header("cookie", cookie).body(()).unwrap();
    let mut body = client.send_request(request, true).unwrap().0.await.unwrap().into_body();
    world.drain.cancel();
    let end = tokio::time::timeout(PATIENCE, body.data()).await.expect("the stream stays open");
    assert!(end.is_none_or(|data| data.is_err()), "nothing was sent");
    tokio::time::timeout(PATIENCE, world.served).await.unwrap().unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_has_a_hundred_streams_and_a_place_for_another_when_one_ends() {
    let world = World::start().await;
    let stream = world.try_tls("other.test", &[b"h2"]).await.unwrap();
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let mut client: h2::client::SendRequest<Bytes> = client.ready().await.unwrap();
    let ask = |client: &mut h2::client::SendRequest<Bytes>| {
        let request = Request::get("https://other.test/sse").body(()).unwrap();
        client.send_request(request, true).unwrap().0
    };
    let mut open = Vec::new();
    for _ in 0..100 {
        client = client.ready().await.unwrap();
        open.push(ask(&mut client).await.unwrap());
    }
    client = client.ready().await.unwrap();
    let further = ask(&mut client);
    // Another connection is served meanwhile: what waits, waits for its own.
    assert_eq!(status(&world.get("other.test", "/", "").await), 200);
    assert_eq!(world.upstream.count(), 101, "a hundred and no more, and the other one");
    drop(open.pop());
    let answer = tokio::time::timeout(PATIENCE, further).await.expect("no place was made").unwrap();
    assert_eq!((answer.status().as_u16(), world.upstream.count()), (200, 102));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_takes_no_connection_is_given_up() {
    // A door with a full hall: the kernel answers no further caller.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    let _never_accepts = socket.listen(1).unwrap();
    let mut hall = Vec::new();
    while let Ok(caller) = tokio::time::timeout(A_WHILE / 6, TcpStream::connect(address)).await {
        hall.push(caller.unwrap());
    }
    let route = |host: &str, to: &str| {
        format!("\n  - {{from: https://{host}, to: http://{to}, allow_public_unauthenticated_access: true}}")
    };
    let routes = route("other.test", &address.to_string()) + &route("open.test", "UP");
    let world = World::with(&routes, "").await;
    let (refused, served) = tokio::join!(world.get("other.test", "/", ""), world.get("open.test", "/", ""));
    assert_eq!((status(&refused), status(&served)), (504, 200), "{refused}");
    assert!(world.metric(r#"portcullis_proxy_upstream_failures_total{cause="connect"}"#) >= 1.0);
}

/// An upstream that tells of each connection and leaves it to the test.
pub(crate) async fn doorman() -> (String, tokio::sync::mpsc::UnboundedReceiver<TcpStream>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (send, connections) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            if send.send(socket).is_err() {
                return;
            }
        }
    });
    (address, connections)
}

fn without_other_deadlines(upstream: &str) -> String {
    format!(
        "\n  - {{from: https://open.test, to: http://{upstream}, allow_public_unauthenticated_access: true, timeout: 0, idle_timeout: 0}}"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_reads_nothing_is_left_and_one_that_reads_is_served() {
    let (address, mut connections) = doorman().await;
    let world = World::with(&without_other_deadlines(&address), "limits: {client_write: 1s}").await;
    let request = b"GET / HTTP/1.1\r\nHost: open.test\r\n\r\n";
    for reads in [false, true] {
        let mut client = world.tls("open.test").await;
        client.write_all(request).await.unwrap();
        let mut upstream = connections.recv().await.unwrap();
        upstream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n").await.unwrap();
        let block = vec![b'x'; 64 * 1024];
        upstream.write_all(&block).await.unwrap();
        read_until(&mut client, "\r\n\r\n").await;
        // Until nobody takes any more: with the client's and the proxy's buffers full, or never.
        let flood = async { while upstream.write_all(&block).await.is_ok() {} };
        if reads {
            let reading = async { while client.read(&mut vec![0; 64 * 1024]).await.is_ok_and(|read| read > 0) {} };
            let ended = tokio::time::timeout(A_WHILE, async {
                tokio::select! { () = flood => {}, () = reading => {} }
            });
            assert!(ended.await.is_err(), "whoever reads is served");
        } else {
            tokio::time::timeout(PATIENCE, flood).await.expect("the upstream is never told");
        }
    }
}
