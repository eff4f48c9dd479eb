//! What an operator sees: one access event per request, metrics a scraper accepts, revocation in time.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::Instant;

use super::edge::{Edge, PATIENCE, eventually};
use super::raw::ask;

/// From "ended" to the last byte and the first refusal (design §9).
const REVOCATION: Duration = Duration::from_millis(250);

#[tokio::test(flavor = "multi_thread")]
async fn each_request_leaves_exactly_one_access_event() {
    let mut edge = Edge::start().await;
    let mut alice = edge.signed_in("alice").await;
    let mut bob = edge.signed_in("bob").await;
    bob.open(&edge.url("hello", "/")).await.unwrap();
    let mut ids = Vec::new();
    let calls = [("hello", "/json", 200), ("vault", "/json", 401), ("nobody", "/", 0)];
    for (host, path, status) in calls.into_iter().filter(|(host, ..)| *host != "nobody") {
        let page = alice.call(http::Method::GET, &edge.url(host, path), "application/json").await.unwrap();
        assert_eq!(page.status.as_u16(), status);
        ids.push((format!("{host}{path}"), page.header("x-request-id").to_owned()));
    }
    let refused = bob.open(&edge.url("vault", "/")).await.unwrap();
    ids.push(("refused".to_owned(), refused.header("x-request-id").to_owned()));
    // Refused before routing, and by a method that has no route.
    let port = edge.demo.public_port();
    let raw = [
        ("encoded slash", format!("GET /a%2Fb HTTP/1.1\r\nHost: hello.localhost:{port}\r\n\r\n")),
        ("unknown host", format!("GET / HTTP/1.1\r\nHost: elsewhere.localhost:{port}\r\n\r\n")),
        (
            "preflight",
            format!(
                "OPTIONS / HTTP/1.1\r\nHost: hello.localhost:{port}\r\nOrigin: https://x\r\nAccess-Control-Request-Method: PUT\r\n\r\n"
            ),
        ),
    ];
    for (what, request) in raw {
        let answer = ask(&edge, "hello", request.as_bytes()).await.unwrap();
        assert!((400..500).contains(&answer.status), "{what}: {}", answer.status);
        ids.push((what.to_owned(), answer.header("x-request-id").unwrap_or_default().to_owned()));
    }
    for (what, id) in ids {
        assert!(!id.is_empty(), "{what} has a request id");
        eventually(&format!("{what}: an access event"), async || {
            (!edge.service().access_events(&id).is_empty()).then_some(())
        })
        .await;
        assert_eq!(edge.service().access_events(&id).len(), 1, "{what}: exactly one");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_id_is_explained() {
    let mut edge = Edge::start().await;
    let mut bob = edge.signed_in("bob").await;
    let refused = bob.open(&edge.url("vault", "/")).await.unwrap();
    assert_eq!(refused.status, 403);
    let id = refused.header("x-request-id").to_owned();
    let told = edge.service().command(&["explain", &id]).await;
    let text = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    assert!(text.contains("vault"), "{text}");
    assert!(text.contains("<- [") && text.contains("to pass"), "the facts, and what would change it: {text}");
    let unknown = edge.service().command(&["explain", "no-such-request"]).await;
    assert!(!unknown.status.success(), "an unknown id is an error");
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_clean_and_the_probes_answer() {
    let mut edge = Edge::start().await;
    edge.signed_in("alice").await;
    let metrics = edge.service().telemetry("/metrics").await;
    assert!(metrics.lines().any(|line| line.starts_with("portcullis_")), "{metrics}");
    assert!(edge.service().telemetry("/livez").await.contains("alive"));
    assert!(edge.service().telemetry("/readyz").await.contains("ready"));
    let spawned = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    // Where promtool is not installed, `make test-tools` says so; the rest of this test stands by itself.
    let Ok(mut promtool) = spawned else { return };
    promtool.stdin.take().unwrap().write_all(metrics.as_bytes()).await.unwrap();
    let output = tokio::time::timeout(PATIENCE, promtool.wait_with_output()).await.unwrap().unwrap();
    let found = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "promtool: {found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_session_is_refused_and_its_streams_close_in_time() {
    let mut edge = Edge::start().await;
    let mut alice = edge.signed_in("alice").await;
    let mut bob = edge.signed_in("bob").await;
    let mut stream = alice.watch(&edge.url("hello", "/events")).await.unwrap();
    let mut other = bob.watch(&edge.url("hello", "/events")).await.unwrap();
    assert_eq!((stream.status().as_u16(), other.status().as_u16()), (200, 200));
    let watched = tokio::spawn(async move {
        while let Ok(Some(_)) = stream.chunk().await {}
        Instant::now()
    });
    let ended = edge.service().command(&["sessions", "end", "--user", "alice"]).await;
    let told = Instant::now();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    let closed = tokio::time::timeout(PATIENCE, watched).await.expect("the stream closes").unwrap();
    assert!(closed.saturating_duration_since(told) < REVOCATION, "{:?}", closed.saturating_duration_since(told));
    assert_eq!(edge.status(&mut alice, "hello", "/json").await, 401);
    // The twin: bob is not concerned.
    assert!(other.chunk().await.unwrap().is_some());
    assert_eq!(edge.status(&mut bob, "hello", "/json").await, 200);
}
