//! Requests that share an HTTP/2 connection to an upstream that the test plays.

use std::future::poll_fn;
use std::time::Duration;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::server::{Connection, SendResponse};
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use tokio::net::TcpStream;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::carried::{self, played};
use crate::client::{PATIENCE, read_until};
use crate::world::World;

/// How long a way without room has to stay so, to count as full.
const FULL: Duration = Duration::from_millis(500);

/// A proxy before an upstream that speaks HTTP/2 without TLS.
async fn begin() -> (World, UnboundedReceiver<TcpStream>, SendRequest<Bytes>) {
    let (world, connections) = played("h2c").await;
    let client = world.h2("open.test").await;
    (world, connections, client)
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("nothing comes")
}

/// The upstream's end of the next connection.
async fn connected(connections: &mut UnboundedReceiver<TcpStream>) -> Connection<TcpStream, Bytes> {
    let stream = carried::connected(connections).await;
    soon(h2::server::handshake(stream)).await.unwrap()
}

/// The next request. The connection goes on in a task of its own, which ends with the other end.
struct Upstream(UnboundedReceiver<(Request<RecvStream>, SendResponse<Bytes>)>);

impl Upstream {
    fn serve(mut connection: Connection<TcpStream, Bytes>) -> Self {
        let (tell, told) = tokio::sync::mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Some(Ok(request)) = connection.accept().await {
                drop(tell.send(request));
            }
        });
        Self(told)
    }

    async fn asked(&mut self) -> (Request<RecvStream>, SendResponse<Bytes>) {
        soon(self.0.recv()).await.expect("the connection is closed")
    }
}

fn ask(client: &mut SendRequest<Bytes>, ended: bool) -> (ResponseFuture, SendStream<Bytes>) {
    let call = Request::post("https://open.test/pkg.Service/Method?a=b").header("content-type", "application/grpc");
    client.send_request(call.header("te", "trailers").body(()).unwrap(), ended).unwrap()
}

/// Reads a body to its end, and lets it come; how many bytes it was.
async fn rest(body: &mut RecvStream) -> usize {
    let mut bytes = 0;
    while let Some(piece) = soon(body.data()).await {
        let piece = piece.unwrap().len();
        bytes += piece;
        body.flow_control().release_capacity(piece).unwrap();
    }
    bytes
}

fn trailers(status: &str) -> HeaderMap {
    HeaderMap::from_iter([("grpc-status".parse().unwrap(), status.parse().unwrap())])
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_pass_both_ways_and_calls_share_a_connection() {
    let (_world, mut connections, mut client) = begin().await;
    let (answer, mut messages) = ask(&mut client, false);
    let mut upstream = Upstream::serve(connected(&mut connections).await);
    let (request, mut respond) = upstream.asked().await;
    assert_eq!(request.uri().path_and_query().unwrap(), "/pkg.Service/Method?a=b");
    assert!(request.uri().authority().unwrap().as_str().starts_with("127.0.0.1:"), "{request:?}");
    assert!(!request.headers().contains_key("host") && request.headers()["te"] == "trailers", "{request:?}");
    let mut reply = respond.send_response(Response::new(()), false).unwrap();
    let mut heard = request.into_body();
    let mut received = soon(answer).await.unwrap().into_body();
    // Another call meanwhile, which is answered with trailers only.
    let (other, _) = ask(&mut client, true);
    let (_, mut respond) = upstream.asked().await;
    respond.send_response(Response::builder().header("grpc-status", "5").body(()).unwrap(), true).unwrap();
    let other = soon(other).await.unwrap();
    assert!(other.headers()["grpc-status"] == "5" && other.body().is_end_stream());
    // One message each way at a time.
    for message in ["one", "two", "three"] {
        messages.send_data(Bytes::from(message), false).unwrap();
        assert_eq!(soon(heard.data()).await.unwrap().unwrap(), message);
        reply.send_data(Bytes::from(message), false).unwrap();
        assert_eq!(soon(received.data()).await.unwrap().unwrap(), message);
    }
    messages.send_data(Bytes::new(), true).unwrap();
    assert!(soon(heard.data()).await.is_none_or(|end| end.unwrap().is_empty()));
    reply.send_trailers(trailers("0")).unwrap();
    assert!(soon(received.data()).await.is_none());
    assert_eq!(soon(received.trailers()).await.unwrap().unwrap()["grpc-status"], "0");
    // The next one, when nobody uses the connection.
    let (third, _) = ask(&mut client, true);
    let (_, mut respond) = upstream.asked().await;
    respond.send_response(Response::new(()), true).unwrap();
    assert_eq!(soon(third).await.unwrap().status(), 200);
    assert!(connections.try_recv().is_err(), "another connection was made");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_ends_its_stream_and_no_other() {
    let (_world, mut connections, mut client) = begin().await;
    let (answer, messages) = ask(&mut client, false);
    let mut upstream = Upstream::serve(connected(&mut connections).await);
    let (request, _respond) = upstream.asked().await;
    let (other, _) = ask(&mut client, true);
    let (_, mut respond) = upstream.asked().await;
    drop((answer, messages));
    let end = soon(request.into_body().data()).await;
    assert!(matches!(&end, Some(Err(error)) if error.is_reset()), "{end:?}");
    respond.send_response(Response::new(()), true).unwrap();
    assert_eq!(soon(other).await.unwrap().status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_breaks_off_is_no_answer_and_leaves_the_connection() {
    let (_world, mut connections, mut client) = begin().await;
    let (answer, _) = ask(&mut client, true);
    let mut upstream = Upstream::serve(connected(&mut connections).await);
    // Before its head, with a body that it owes, and in the middle of its body.
    upstream.asked().await.1.send_reset(Reason::INTERNAL_ERROR);
    let refused = soon(answer).await.unwrap();
    assert_eq!(refused.headers()["grpc-status"], "14", "{refused:?}");
    let (answer, _) = ask(&mut client, true);
    let short = Response::builder().header("content-length", "5").body(()).unwrap();
    upstream.asked().await.1.send_response(short, true).unwrap();
    assert_eq!(soon(answer).await.unwrap().headers()["grpc-status"], "14");
    let (answer, _) = ask(&mut client, true);
    let mut reply = upstream.asked().await.1.send_response(Response::new(()), false).unwrap();
    let mut body = soon(answer).await.unwrap().into_body();
    reply.send_data(Bytes::from("abc"), false).unwrap();
    assert_eq!(soon(body.data()).await.unwrap().unwrap(), "abc");
    reply.send_reset(Reason::INTERNAL_ERROR);
    assert!(soon(body.data()).await.unwrap().is_err(), "a body that broke off was ended");
    let (answer, _) = ask(&mut client, true);
    upstream.asked().await.1.send_response(Response::new(()), true).unwrap();
    assert_eq!(soon(answer).await.unwrap().status(), 200);
    assert!(connections.try_recv().is_err(), "another connection was made");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_its_upstream_ends_serves_what_it_has_and_a_new_one_the_rest() {
    let (_world, mut connections, mut client) = begin().await;
    let (first, _) = ask(&mut client, true);
    let mut connection = connected(&mut connections).await;
    let (_, mut respond) = soon(connection.accept()).await.unwrap().unwrap();
    connection.graceful_shutdown();
    let mut old = Upstream::serve(connection);
    // Until the proxy has heard of it, a request may still come by the old way.
    let mut new = None;
    for _ in 0..100 {
        let (answer, _) = ask(&mut client, true);
        let answered = |mut respond: SendResponse<Bytes>| respond.send_response(Response::new(()), true).map(drop);
        let by = soon(async {
            tokio::select! {
                Some(request) = old.0.recv() => Ok(request),
                Some(stream) = connections.recv() => Err(stream),
            }
        });
        match by.await {
            Ok((_, respond)) => answered(respond).unwrap(),
            Err(stream) => {
                let mut upstream = Upstream::serve(soon(h2::server::handshake(stream)).await.unwrap());
                answered(upstream.asked().await.1).unwrap();
                new = Some(upstream);
            }
        }
        let answer = soon(answer).await.unwrap();
        assert!(!answer.headers().contains_key("grpc-status"), "{answer:?}");
        if new.is_some() {
            break;
        }
    }
    assert!(new.is_some(), "the old connection goes on and on");
    respond.send_response(Response::new(()), true).unwrap();
    assert_eq!(soon(first).await.unwrap().status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_http1_gets_what_an_upstream_of_http2_says() {
    let (world, mut connections, _client) = begin().await;
    let mut client = world.tls("open.test").await;
    let ask = b"GET /page HTTP/1.1\r\nHost: open.test\r\nConnection: X-Mine\r\nX-Mine: 1\r\n\r\n";
    tokio::io::AsyncWriteExt::write_all(&mut client, ask).await.unwrap();
    let mut upstream = Upstream::serve(connected(&mut connections).await);
    let (request, mut respond) = upstream.asked().await;
    assert!(!request.headers().contains_key("connection") && !request.headers().contains_key("x-mine"));
    assert!(request.body().is_end_stream(), "a body came from nowhere");
    let mut reply = respond.send_response(Response::new(()), false).unwrap();
    reply.send_data(Bytes::from("hello"), true).unwrap();
    let answer = read_until(&mut client, "0\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("5\r\nhello\r\n0\r\n\r\n"), "{answer}");
    // Nothing but a head, without a length.
    tokio::io::AsyncWriteExt::write_all(&mut client, ask).await.unwrap();
    upstream.asked().await.1.send_response(Response::new(()), true).unwrap();
    let answer = read_until(&mut client, "\r\n\r\n0\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_upstream_has_not_looked_at_is_sent_again_whole() {
    let (_world, mut connections, mut client) = begin().await;
    let (answer, mut body) = ask(&mut client, false);
    body.send_data(Bytes::from("one"), false).unwrap();
    let mut upstream = Upstream::serve(connected(&mut connections).await);
    let (request, mut refuse) = upstream.asked().await;
    assert_eq!(soon(request.into_body().data()).await.unwrap().unwrap(), "one");
    refuse.send_reset(Reason::REFUSED_STREAM);
    let (request, mut respond) = upstream.asked().await;
    body.send_data(Bytes::from("two"), true).unwrap();
    let mut again = request.into_body();
    let mut received = Vec::new();
    while let Some(piece) = soon(again.data()).await {
        received.extend_from_slice(&piece.unwrap());
    }
    assert_eq!(received, b"onetwo");
    respond.send_response(Response::new(()), true).unwrap();
    assert_eq!(soon(answer).await.unwrap().status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_holds_up_no_other() {
    let (world, mut connections, mut client) = begin().await;
    // Two ways that take no more, and nobody takes anything at their ends.
    let mut slow = Vec::new();
    let mut upstream = None;
    for _ in 0..2 {
        let (answer, _) = ask(&mut client, true);
        if upstream.is_none() {
            upstream = Some(Upstream::serve(connected(&mut connections).await));
        }
        let (_, mut respond) = upstream.as_mut().unwrap().asked().await;
        let mut reply = respond.send_response(Response::new(()), false).unwrap();
        slow.push(soon(answer).await.unwrap());
        reply.reserve_capacity(64 << 20);
        while let Ok(room) = tokio::time::timeout(FULL, poll_fn(|cx| reply.poll_capacity(cx))).await {
            reply.send_data(vec![7; room.unwrap().unwrap()].into(), false).unwrap();
        }
    }
    let mut upstream = upstream.unwrap();
    let (other, _) = ask(&mut world.h2("open.test").await, true);
    let mut reply = upstream.asked().await.1.send_response(Response::new(()), false).unwrap();
    reply.send_data(Bytes::from("quick"), true).unwrap();
    assert_eq!(soon(soon(other).await.unwrap().into_body().data()).await.unwrap().unwrap(), "quick");
    drop(slow);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_reads_on_only_when_it_is_rid_of_its_answer_gets_the_rest() {
    const BYTES: usize = 4 << 20;
    let (_world, mut connections, mut client) = begin().await;
    let (answer, mut body) = ask(&mut client, false);
    body.send_data(vec![1; BYTES].into(), true).unwrap();
    let mut upstream = Upstream::serve(connected(&mut connections).await);
    let (request, mut respond) = upstream.asked().await;
    let mut reply = respond.send_response(Response::new(()), false).unwrap();
    let mut heard = request.into_body();
    // All that it lets come at first: a piece waits for leave then.
    let mut bytes = 0;
    while bytes < 65_535 {
        bytes += soon(heard.data()).await.unwrap().unwrap().len();
    }
    let received = tokio::spawn(async move { rest(soon(answer).await.unwrap().body_mut()).await });
    let mut left = BYTES;
    while left > 0 {
        reply.reserve_capacity(left);
        let room = soon(poll_fn(|cx| reply.poll_capacity(cx))).await.unwrap().unwrap();
        reply.send_data(vec![2; room].into(), false).unwrap();
        left -= room;
    }
    heard.flow_control().release_capacity(bytes).unwrap();
    assert_eq!(bytes + rest(&mut heard).await, BYTES);
    reply.send_data(Bytes::new(), true).unwrap();
    assert_eq!(received.await.unwrap(), BYTES);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_waits_for_the_word_to_go_on_has_it_from_the_proxy() {
    let (world, mut connections, _client) = begin().await;
    let mut client = world.tls("open.test").await;
    let head = b"POST /page HTTP/1.1\r\nHost: open.test\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n";
    tokio::io::AsyncWriteExt::write_all(&mut client, head).await.unwrap();
    let mut upstream = Upstream::serve(connected(&mut connections).await);
    read_until(&mut client, "HTTP/1.1 100 Continue\r\n\r\n").await;
    tokio::io::AsyncWriteExt::write_all(&mut client, b"four").await.unwrap();
    let (request, mut respond) = upstream.asked().await;
    assert!(!request.headers().contains_key("expect"), "{request:?}");
    assert_eq!(soon(request.into_body().data()).await.unwrap().unwrap(), "four");
    respond.send_response(Response::builder().header("content-length", "0").body(()).unwrap(), true).unwrap();
    assert!(read_until(&mut client, "\r\n\r\n").await.starts_with("HTTP/1.1 200 OK"));
}
