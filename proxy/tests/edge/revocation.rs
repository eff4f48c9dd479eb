use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use portcullis_identity::SessionKey;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::client::{PATIENCE, Tls, read_all};
use crate::sessions::session;
use crate::streams::{events, websocket};
use crate::world::{NOW, ROUTES, World};

/// A new session, and its open WebSocket on `wiki.test`.
async fn signed_in(world: &World) -> (SessionKey, Tls) {
    let (key, cookie) = world.sign_in("wiki.test");
    (key, websocket(world, "wiki.test", &format!("Cookie: {cookie}\r\n")).await)
}

/// The promise is 250 ms; a shared test machine gets some more.
const SOON: Duration = Duration::from_secs(2);

pub(crate) async fn closes_soon(stream: &mut Tls) {
    #[expect(clippy::disallowed_methods, reason = "a real span between two real events")]
    let started = Instant::now();
    read_all(stream).await;
    assert!(started.elapsed() < SOON, "{:?}", started.elapsed());
}

pub(crate) async fn stays_open(stream: &mut Tls, whose: &str) {
    let mut byte = [0; 1];
    let read = tokio::time::timeout(Duration::from_millis(400), stream.read(&mut byte)).await;
    assert!(read.is_err(), "{whose} closed or spoke: {read:?}");
}

/// The routes, of which the wiki is for people of corp.test alone.
fn for_one_domain() -> String {
    ROUTES.replace(
        "name: wiki, from: https://wiki.test, to: http://UP, allow_any_authenticated_user: true",
        "name: wiki, from: https://wiki.test, to: http://UP, allowed_domains: [corp.test]",
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ended_session_closes_its_silent_streams_and_nobody_elses() {
    let world = World::start().await;
    let (key, cookie) = world.sign_in("wiki.test");
    let (_, other) = world.sign_in("wiki.test");
    let cookie = format!("Cookie: {cookie}\r\n");
    let mut socket = websocket(&world, "wiki.test", &cookie).await;
    let mut stream = events(&world, "wiki.test", &cookie).await;
    let mut bystander = websocket(&world, "wiki.test", &format!("Cookie: {other}\r\n")).await;
    let mut public = events(&world, "open.test", "").await;
    let mut client = world.h2("wiki.test").await;
    let request = Request::get("https://wiki.test/sse")
        .header("cookie", cookie.strip_prefix("Cookie: ").unwrap().trim())
        .body(())
        .unwrap();
    let mut body = client.send_request(request, true).unwrap().0.await.unwrap().into_body();
    world.sessions.end_now(&key);
    closes_soon(&mut socket).await;
    closes_soon(&mut stream).await;
    let reset = tokio::time::timeout(SOON, body.data()).await.unwrap().unwrap().unwrap_err();
    assert_eq!(reset.reason(), Some(h2::Reason::CANCEL));
    stays_open(&mut bystander, "bystander").await;
    stays_open(&mut public, "public").await;
    assert!(world.metric(r#"portcullis_proxy_exchanges_cut_total{cause="revoked"}"#) >= 3.0);
    // The HTTP/2 connection lives: only the stream was reset.
    let request = Request::get("https://wiki.test/").body(()).unwrap();
    assert_eq!(client.send_request(request, true).unwrap().0.await.unwrap().status(), 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_byte_passes_after_the_end_in_either_direction() {
    let world = World::start().await;
    let (key, cookie) = world.sign_in("wiki.test");
    let mut stream = world.tls("wiki.test").await;
    let request = format!("GET /stream HTTP/1.1\r\nHost: wiki.test\r\nCookie: {cookie}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    crate::client::read_until(&mut stream, "\r\n\r\n").await;
    let sender = world.upstream.streams.lock().unwrap().pop().unwrap();
    sender.send(Bytes::from_static(b"before")).await.unwrap();
    crate::client::read_until(&mut stream, "before").await;
    world.sessions.end_now(&key);
    drop(sender.send(Bytes::from_static(b"after")).await);
    assert!(!read_all(&mut stream).await.contains("after"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_claims_or_policy_is_judged_and_what_is_still_allowed_stays() {
    let routes = for_one_domain();
    let world = World::with(&routes, "").await;
    let (key, mut socket) = signed_in(&world).await;
    let mut changed = session(key, "alice.b@corp.test", NOW);
    changed.version = 2;
    world.sessions.change(changed);
    stays_open(&mut socket, "socket").await;
    world.publish(&routes, "");
    stays_open(&mut socket, "socket").await;
    let mut left = session(key, "alice@elsewhere.test", NOW);
    left.version = 3;
    world.sessions.change(left);
    closes_soon(&mut socket).await;

    let (_, mut socket) = signed_in(&world).await;
    world.publish(&routes.replace("allowed_domains: [corp.test]", "allowed_domains: [elsewhere.test]"), "");
    closes_soon(&mut socket).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_stream_asks_for_its_session_once_that_is_dormant() {
    let world = World::with(&for_one_domain(), "").await;
    let (key, mut socket) = signed_in(&world).await;
    world.sessions.doze(session(key, "alice@corp.test", NOW));
    stays_open(&mut socket, "socket").await;
    world.sessions.doze(session(key, "alice@elsewhere.test", NOW));
    closes_soon(&mut socket).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dormant_session_that_nobody_can_ask_for_holds_up_no_other_and_loses_nothing_but_by_its_end() {
    let world = World::with(&for_one_domain(), "").await;
    let (slow, mut waiting) = signed_in(&world).await;
    let (other, mut socket) = signed_in(&world).await;
    world.sessions.slow.lock().unwrap().insert(slow);
    world.sessions.doze(session(slow, "alice@elsewhere.test", NOW));
    world.sessions.away.store(true, Ordering::SeqCst);
    world.sessions.doze(session(other, "alice@elsewhere.test", NOW));
    stays_open(&mut socket, "nobody says anything against it").await;
    world.sessions.away.store(false, Ordering::SeqCst);
    world.sessions.doze(session(other, "alice@elsewhere.test", NOW));
    closes_soon(&mut socket).await;
    stays_open(&mut waiting, "its provider takes its time").await;
    world.sessions.end_now(&slow);
    closes_soon(&mut waiting).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_with_the_routes_max_age_and_other_routes_streams_go_on() {
    let routes = ROUTES.replace("name: wiki,", "name: wiki, session: {max_age: 2s},")
        + "  - {name: auth, from: https://other.test, path: /ws, to: http://UP, allow_any_authenticated_user: true, allow_websockets: true}\n";
    let routes = routes
        .replace("name: plain, from: https://other.test,", "name: plain, from: https://other.test, prefix: /plain,");
    let world = World::with(&routes, "").await;
    let (_, cookie) = world.sign_in("wiki.test");
    let mut short = websocket(&world, "wiki.test", &format!("Cookie: {cookie}\r\n")).await;
    let mut upload = world.tls("wiki.test").await;
    let head = format!(
        "POST / HTTP/1.1\r\nHost: wiki.test\r\nCookie: {cookie}\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n"
    );
    upload.write_all(head.as_bytes()).await.unwrap();
    let (_, cookie) = world.sign_in("other.test");
    let mut long = websocket(&world, "other.test", &format!("Cookie: {cookie}\r\n")).await;
    tokio::time::timeout(Duration::from_secs(4), read_all(&mut short)).await.expect("outlives the proof of who asks");
    tokio::time::timeout(Duration::from_secs(2), read_all(&mut upload)).await.expect("an upload outlives it");
    stays_open(&mut long, "without max_age").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn time_that_passes_without_an_event_ends_what_it_forbids() {
    let routes = ROUTES.replace("name: wiki,", "name: wiki, session: {idle: 10m},");
    let world = World::with(&routes, "").await;
    let (key, mut socket) = signed_in(&world).await;
    let (other, mut busy) = signed_in(&world).await;
    world.clock.advance(Duration::from_secs(11 * 60));
    // Used a minute ago, on some other connection.
    let mut used = session(other, "alice@corp.test", NOW);
    used.last_used = NOW.saturating_add(Duration::from_secs(10 * 60));
    world.sessions.put(used);
    tokio::time::timeout(Duration::from_secs(8), read_all(&mut socket)).await.expect("outlives the pause");
    stays_open(&mut busy, "used").await;
    assert!(world.sessions.held.lock().unwrap().contains_key(&key), "nothing was told");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_that_is_only_renamed_keeps_its_streams() {
    let world = World::start().await;
    let (_, mut socket) = signed_in(&world).await;
    let renamed = ROUTES.replace("name: wiki,", "name: handbook,");
    world.publish(&renamed, "");
    stays_open(&mut socket, "renamed").await;
    // Judged by a byte as well as in silence.
    socket.write_all(b"x").await.unwrap();
    let mut echo = [0; 1];
    tokio::time::timeout(PATIENCE, socket.read_exact(&mut echo)).await.unwrap().unwrap();
    let elsewhere = renamed.replace(
        "name: handbook, from: https://wiki.test, to: http://UP",
        "name: manual, from: https://wiki.test, to: http://127.0.0.1:9",
    );
    world.publish(&elsewhere, "");
    closes_soon(&mut socket).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_replica_closes_what_needs_a_session() {
    let world = World::start().await;
    let (_, mut socket) = signed_in(&world).await;
    let mut public = websocket(&world, "open.test", "").await;
    world.sessions.go_stale();
    closes_soon(&mut socket).await;
    public.write_all(b"x").await.unwrap();
    let mut echo = [0; 1];
    tokio::time::timeout(PATIENCE, public.read_exact(&mut echo)).await.unwrap().unwrap();
}
