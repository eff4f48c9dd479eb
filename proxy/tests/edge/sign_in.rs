use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use portcullis_handover::{Bind, HandOver, ReturnPath, SignInRequest, SignOutOrder};
use portcullis_keys::{Handle, SystemRandom};

use crate::client::{status, values};
use crate::sessions::session;
use crate::world::{NOW, ROUTES, World};

const BROWSER: &str = "Accept: text/html\r\nSec-Fetch-Mode: navigate\r\n";

struct Challenged {
    request: SignInRequest,
    bind: String,
}

/// A challenge's sealed request and bind cookie.
fn challenged(world: &World, answer: &str) -> Challenged {
    let location = values(answer, "location").concat();
    let sealed =
        location.strip_prefix("https://auth.test/.portcullis/sign_in?r=").unwrap_or_else(|| panic!("{answer}"));
    let request = SignInRequest::open(sealed, &world.ring.handover().unwrap(), "auth.test", NOW).unwrap();
    let cookies = values(answer, "set-cookie");
    let bind = cookies.iter().find_map(|cookie| cookie.strip_prefix("__Host-portcullis-bind=")?.split(';').next());
    Challenged { request, bind: bind.unwrap_or_default().to_owned() }
}

/// What the sign-in host would hand over.
fn hand_over(world: &World, request: &SignInRequest, handle: Handle) -> String {
    let mut id = [0; 16];
    portcullis_keys::Random::fill(&SystemRandom, &mut id);
    HandOver {
        host: request.host.clone(),
        handle,
        return_path: request.return_path.clone(),
        bind: request.bind,
        id,
        issued: NOW,
        attempt: request.attempt,
    }
    .seal(&world.ring.handover().unwrap(), &SystemRandom)
}

async fn callback(world: &World, host: &str, sealed: &str, bind: &str) -> String {
    world
        .get(
            host,
            &format!("/.portcullis/callback?h={sealed}"),
            &format!("{BROWSER}Cookie: __Host-portcullis-bind={bind}\r\n"),
        )
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_navigation_signs_in_and_lands_where_it_began() {
    let world = World::start().await;
    let answer = world.get("wiki.test", "/deep/page?id=5&next=//evil.test", BROWSER).await;
    assert_eq!(status(&answer), 302);
    let Challenged { request, bind } = challenged(&world, &answer);
    assert_eq!(
        (request.host.as_str(), request.return_path.as_str()),
        ("wiki.test", "/deep/page?id=5&next=//evil.test")
    );
    assert!(Bind::parse(&bind).unwrap().matches(&request.bind));
    let handle = Handle::random(&SystemRandom);
    let key = handle.key();
    world.sessions.put(session(key, "alice@corp.test", NOW));
    let sealed = hand_over(&world, &request, handle);
    let landed = callback(&world, "wiki.test", &sealed, &bind).await;
    assert_eq!(status(&landed), 302, "{landed}");
    assert_eq!(values(&landed, "location"), ["https://wiki.test/deep/page?id=5&next=//evil.test"]);
    assert_eq!(values(&landed, "cache-control"), ["no-store"]);
    let cookies = values(&landed, "set-cookie");
    let cookie = cookies.iter().find(|cookie| cookie.starts_with("__Host-portcullis=")).unwrap();
    assert!(cookie.contains("; Secure") && cookie.contains("; HttpOnly") && !cookie.contains("Domain"), "{cookie}");
    let pair = cookie.split(';').next().unwrap();
    assert_eq!(status(&world.get("wiki.test", "/", &format!("Cookie: {pair}\r\n")).await), 200);
    // Bound to its host: nothing on another.
    let elsewhere = world.get("grpc.test", "/", &format!("Cookie: {pair}\r\n{BROWSER}")).await;
    assert_eq!(status(&elsewhere), 302);
    // Redeemed once: the same address starts again, unless the browser has its session.
    let twice = callback(&world, "wiki.test", &sealed, &bind).await;
    assert!(values(&twice, "location").concat().starts_with("https://auth.test/"), "{twice}");
    let late = world
        .get(
            "wiki.test",
            &format!("/.portcullis/callback?h={sealed}"),
            &format!("Cookie: __Host-portcullis-bind={bind}; {pair}\r\n"),
        )
        .await;
    assert_eq!(values(&late, "location"), ["https://wiki.test/deep/page?id=5&next=//evil.test"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hand_over_works_in_its_own_browser_on_its_own_host_in_time_only() {
    let world = World::start().await;
    let Challenged { request, bind } = challenged(&world, &world.get("wiki.test", "/p", BROWSER).await);
    let handle = || {
        let handle = Handle::random(&SystemRandom);
        world.sessions.put(session(handle.key(), "alice@corp.test", NOW));
        handle
    };
    let no_session = |answer: &str| !answer.contains("__Host-portcullis=");
    let another =
        callback(&world, "wiki.test", &hand_over(&world, &request, handle()), &Bind::random(&SystemRandom).value())
            .await;
    assert!(no_session(&another));
    let Challenged { request: again, .. } = challenged(&world, &another);
    assert_eq!((again.return_path.as_str(), again.attempt), ("/p", 1), "starts again, counted");
    let other_host = callback(&world, "grpc.test", &hand_over(&world, &request, handle()), &bind).await;
    assert!(no_session(&other_host), "{other_host}");
    let forged = callback(&world, "wiki.test", "AAAA", &bind).await;
    assert!(no_session(&forged) && status(&forged) == 302, "{forged}");
    let old = hand_over(&world, &request, handle());
    world.clock.advance(Duration::from_secs(66));
    assert!(no_session(&callback(&world, "wiki.test", &old, &bind).await));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loop_ends_in_a_page() {
    let world = World::start().await;
    let mut cookie = String::new();
    for attempt in 0..2 {
        let answer = world.get("wiki.test", "/p", &format!("{BROWSER}{cookie}")).await;
        let found = challenged(&world, &answer);
        assert_eq!(found.request.attempt, attempt);
        let bind = if found.bind.is_empty() { cookie.split('=').nth(1).unwrap().trim().to_owned() } else { found.bind };
        let handle = Handle::random(&SystemRandom);
        world.sessions.put(session(handle.key(), "alice@corp.test", NOW));
        let landed = callback(&world, "wiki.test", &hand_over(&world, &found.request, handle), &bind).await;
        let new = values(&landed, "set-cookie")
            .iter()
            .find_map(|c| c.strip_prefix("__Host-portcullis-bind=")?.split(';').next())
            .unwrap()
            .to_owned();
        cookie = format!("Cookie: __Host-portcullis-bind={new}\r\n");
    }
    let third = world.get("wiki.test", "/p", &format!("{BROWSER}{cookie}")).await;
    assert!(values(&third, "location").is_empty() && third.contains("Try once more"), "{third}");
    // A browser without cookies is stopped too: the count travels in the messages.
    let one = challenged(&world, &world.get("wiki.test", "/p", BROWSER).await).request;
    let two = challenged(
        &world,
        &world
            .get(
                "wiki.test",
                &format!("/.portcullis/callback?h={}", hand_over(&world, &one, Handle::random(&SystemRandom))),
                BROWSER,
            )
            .await,
    )
    .request;
    let stopped = world
        .get(
            "wiki.test",
            &format!("/.portcullis/callback?h={}", hand_over(&world, &two, Handle::random(&SystemRandom))),
            BROWSER,
        )
        .await;
    assert!(values(&stopped, "location").is_empty(), "{stopped}");
}

/// The bind cookie that an answer sets.
fn new_bind(answer: &str) -> Option<String> {
    let cookies = values(answer, "set-cookie");
    cookies.iter().find_map(|c| Some(c.strip_prefix("__Host-portcullis-bind=")?.split(';').next()?.to_owned()))
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_signs_out_in_between_may_sign_in_as_often_as_they_like() {
    let world = World::start().await;
    let mut bind = String::new();
    for round in 0..4 {
        let cookie = if bind.is_empty() { String::new() } else { format!("Cookie: __Host-portcullis-bind={bind}\r\n") };
        let asked = world.get("wiki.test", "/p", &format!("{BROWSER}{cookie}")).await;
        assert_eq!(status(&asked), 302, "round {round}: {asked}");
        let found = challenged(&world, &asked);
        assert_eq!(found.request.attempt, 0, "round {round}");
        if bind.is_empty() {
            bind = found.bind;
        }
        let handle = Handle::random(&SystemRandom);
        world.sessions.put(session(handle.key(), "alice@corp.test", NOW));
        let landed = callback(&world, "wiki.test", &hand_over(&world, &found.request, handle), &bind).await;
        bind = new_bind(&landed).unwrap();
        let own = values(&landed, "set-cookie");
        let own = own.iter().find(|c| c.starts_with("__Host-portcullis=")).unwrap().split(';').next().unwrap();
        let post = format!(
            "POST /.portcullis/sign_out HTTP/1.1\r\nHost: wiki.test\r\nCookie: {own}; __Host-portcullis-bind={bind}\r\nOrigin: https://wiki.test\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
        let left = world.raw("wiki.test", &post).await;
        assert_eq!(status(&left), 303, "{left}");
        bind = new_bind(&left).expect("the count begins anew");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_get_a_401_that_says_where_to_sign_in() {
    let world = World::start().await;
    let script =
        world.get("wiki.test", "/api", "Accept: application/json\r\nReferer: https://wiki.test/page?x=1\r\n").await;
    assert_eq!(status(&script), 401);
    assert!(script.contains("https://auth.test/.portcullis/sign_in?r="), "{script}");
    let grpc = world.get("wiki.test", "/s/m", "Content-Type: application/grpc\r\n").await;
    assert_eq!(values(&grpc, "grpc-status"), ["16"], "{grpc}");
    let websocket = world
        .raw("grpc.test", "GET /ws HTTP/1.1\r\nHost: grpc.test\r\nUpgrade: websocket\r\nConnection: Upgrade, close\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
        .await;
    assert_eq!(status(&websocket), 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_out_takes_a_post_of_our_own_page() {
    let world = World::start().await;
    let (key, cookie) = world.sign_in("wiki.test");
    let page = world.get("wiki.test", "/.portcullis/sign_out", &format!("{BROWSER}Cookie: {cookie}\r\n")).await;
    assert_eq!(status(&page), 200);
    let post = |lines: &str| {
        format!(
            "POST /.portcullis/sign_out HTTP/1.1\r\nHost: wiki.test\r\nCookie: {cookie}\r\n{lines}Content-Length: 0\r\nConnection: close\r\n\r\n"
        )
    };
    for foreign in ["Origin: https://evil.test\r\n", "Origin: null\r\n", "Sec-Fetch-Site: cross-site\r\n", ""] {
        let answer = world.raw("wiki.test", &post(foreign)).await;
        assert!(values(&answer, "location").is_empty(), "{answer}");
        assert!(world.sessions.held.lock().unwrap().contains_key(&key));
    }
    let answer = world.raw("wiki.test", &post("Origin: https://wiki.test\r\n")).await;
    assert_eq!(status(&answer), 303, "{answer}");
    let location = values(&answer, "location").concat();
    let sealed = location.strip_prefix("https://auth.test/.portcullis/sign_out?o=").unwrap();
    let order = SignOutOrder::open(sealed, &world.ring.handover().unwrap(), "auth.test", NOW).unwrap();
    assert_eq!((order.session, order.host.as_str()), (key, "wiki.test"));
    assert!(values(&answer, "set-cookie").concat().contains("Max-Age=0"));
    assert!(!world.sessions.held.lock().unwrap().contains_key(&key));
    assert_eq!(status(&world.get("wiki.test", "/", &format!("{BROWSER}Cookie: {cookie}\r\n")).await), 302);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_of_ours_answer() {
    let world = World::start().await;
    let (_, cookie) = world.sign_in("wiki.test");
    let user =
        world.get("wiki.test", "/.portcullis/user", &format!("Accept: application/json\r\nCookie: {cookie}\r\n")).await;
    assert!(status(&user) == 200 && user.contains("alice@corp.test"), "{user}");
    assert_eq!(status(&world.get("wiki.test", "/.portcullis/user", BROWSER).await), 302);
    let portal = world
        .get("wiki.test", "/.portcullis/routes", &format!("Accept: application/json\r\nCookie: {cookie}\r\n"))
        .await;
    assert!(status(&portal) == 200 && portal.contains("https://open.test/"), "{portal}");
    let keys = world.get("wiki.test", "/.well-known/portcullis/jwks.json", "").await;
    assert!(keys.contains("\"ES256\"") && values(&keys, "access-control-allow-origin") == ["*"], "{keys}");
    let discovery = world.get("wiki.test", "/.well-known/portcullis", "").await;
    assert!(discovery.contains("https://wiki.test/.well-known/portcullis/jwks.json"), "{discovery}");
    let login = "/.portcullis/api/v1/login?portcullis_redirect_uri=";
    let allowed = world.get("wiki.test", &format!("{login}http%3A%2F%2Flocalhost%3A8000%2Fcb"), "").await;
    let url = allowed.rsplit("\r\n").next().unwrap().trim().to_owned();
    let sealed = url.strip_prefix("https://auth.test/.portcullis/sign_in?r=").unwrap_or_else(|| panic!("{allowed}"));
    let request = SignInRequest::open(sealed, &world.ring.handover().unwrap(), "auth.test", NOW).unwrap();
    assert_eq!(
        (request.programmatic.as_deref(), request.return_path),
        (Some("http://localhost:8000/cb"), ReturnPath::root())
    );
    assert_eq!(status(&world.get("wiki.test", &format!("{login}https%3A%2F%2Fevil.test%2F"), "").await), 400);
    assert_eq!(status(&world.get("wiki.test", "/.portcullis/api/v1/login", "").await), 404);
    // Switched off, there is no such page.
    let local = format!("{login}http%3A%2F%2Flocalhost%3A8000%2Fcb");
    assert_eq!(status(&world.get("wiki.test", &local, "").await), 200);
    let off = World::with(ROUTES, "sign_in: {host: auth.test, programmatic_hosts: []}").await;
    assert_eq!(status(&off.get("wiki.test", &local, "").await), 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_no_route_serves_begins_no_sign_in_and_takes_no_hand_over() {
    let world = World::start().await;
    let begun = world.get("wiki.test", "/.portcullis/user", BROWSER).await;
    let Challenged { mut request, bind } = challenged(&world, &begun);
    let handle = Handle::random(&SystemRandom);
    world.sessions.put(session(handle.key(), "alice@corp.test", NOW));
    request.host = "evil.example".to_owned();
    let sealed = hand_over(&world, &request, handle.clone());
    // The connection is for a name of ours; what counts is the host that the request names.
    let evil = async |path: &str| {
        let cookie = format!("Cookie: __Host-portcullis-bind={bind}\r\n");
        let asked = format!("GET {path} HTTP/1.1\r\nHost: evil.example\r\n{BROWSER}{cookie}Connection: close\r\n\r\n");
        let answer = world.raw("wiki.test", &asked).await;
        (status(&answer), values(&answer, "location").len() + values(&answer, "set-cookie").len())
    };
    assert_eq!(evil(&format!("/.portcullis/callback?h={sealed}")).await, (404, 0));
    for page in ["user", "routes", "sign_out", "api/v1/login?portcullis_redirect_uri=http%3A%2F%2Flocalhost%3A1%2F"] {
        let page = format!("/.portcullis/{page}");
        assert_eq!(evil(&page).await, (404, 0), "{page}");
        assert_ne!(status(&world.get("wiki.test", &page, BROWSER).await), 404, "{page}");
    }
    assert_eq!(evil("/ping").await, (200, 0));
    // The same hand-over for a host of ours is taken.
    request.host = "wiki.test".to_owned();
    let sealed = hand_over(&world, &request, handle);
    assert_eq!(status(&callback(&world, "wiki.test", &sealed, &bind).await), 302);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_neighbours_cookie_does_not_hide_the_bind_cookie() {
    let world = World::start().await;
    let begun = world.get("wiki.test", "/", BROWSER).await;
    let Challenged { request, bind } = challenged(&world, &begun);
    let handle = Handle::random(&SystemRandom);
    world.sessions.put(session(handle.key(), "alice@corp.test", NOW));
    let sealed = hand_over(&world, &request, handle);
    let landed = callback(&world, "wiki.test", &sealed, &format!("{bind}; name=José")).await;
    assert_eq!((status(&landed), values(&landed, "location")), (302, vec!["https://wiki.test/"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sign_in_host_is_authns_with_our_word_on_the_client() {
    let world = World::start().await;
    let socket = tokio::net::UnixListener::bind(world.directory.path().join("authn.sock")).unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = socket.accept().await.unwrap();
            let service = service_fn(async |request: http::Request<hyper::body::Incoming>| {
                let header = |name: &str| {
                    request.headers().get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
                };
                let body = format!(
                    "{} for={} host={} cookie={} claim={} authority={:?}",
                    request.uri().path_and_query().unwrap(),
                    header("x-forwarded-for"),
                    header("x-forwarded-host"),
                    header("cookie"),
                    header("x-portcullis-claim-email"),
                    request.uri().authority()
                );
                Ok::<_, std::convert::Infallible>(http::Response::new(Full::new(Bytes::from(body))))
            });
            tokio::spawn(
                hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service),
            );
        }
    });
    let lines = "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Host: evil.test\r\nX-Portcullis-Claim-Email: forged\r\nCookie: __Host-portcullis=own\r\n";
    let answer = world.get("auth.test", "/.portcullis/sign_in?r=x", lines).await;
    let said = answer.rsplit("\r\n\r\n").next().unwrap();
    assert_eq!(
        said,
        "/.portcullis/sign_in?r=x for=127.0.0.1 host=auth.test cookie=__Host-portcullis=own claim= authority=Some(auth.test)",
        "{answer}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_sign_in_service_its_host_says_so() {
    let world = World::start().await;
    assert_eq!(status(&world.get("auth.test", "/.portcullis/sign_in", BROWSER).await), 502);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_knows_nothing_says_503_and_public_routes_go_on() {
    let world = World::start().await;
    let (_, cookie) = world.sign_in("wiki.test");
    world.sessions.go_stale();
    let answer = world.get("wiki.test", "/", &format!("Cookie: {cookie}\r\n{BROWSER}")).await;
    assert!(status(&answer) == 503 && !values(&answer, "retry-after").is_empty(), "{answer}");
    assert_eq!(status(&world.get("open.test", "/", "").await), 200);
}
