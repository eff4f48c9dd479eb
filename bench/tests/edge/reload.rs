//! Reload under load: nothing fails that is still allowed, and a bad file changes nothing.

use std::path::Path;

use super::edge::{Edge, eventually};
use super::load::{Worker, let_pass};

/// Reloads while the load goes on.
const RELOADS: usize = 10;

/// As editors do: a new file takes the old one's name.
fn replace(config: &Path, text: &str) {
    let fresh = config.with_extension("new");
    std::fs::write(&fresh, text).unwrap();
    std::fs::rename(&fresh, config).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn reloads_fail_no_request_and_close_no_allowed_stream() {
    let mut edge = Edge::start().await;
    let config = edge.service().config().to_owned();
    let text = std::fs::read_to_string(&config).unwrap();
    let (alice, bob) = (edge.signed_in("alice").await, edge.signed_in("bob").await);
    let mut watcher = alice.clone();
    let mut stream = watcher.watch(&edge.url("hello", "/events")).await.unwrap();
    assert_eq!(stream.status(), 200);
    let mut vault_visitor = bob.clone();
    vault_visitor.open(&edge.url("vault", "/")).await.unwrap();
    let allowed = Worker::start(alice.clone(), edge.url("hello", "/json"));
    let denied = Worker::start(vault_visitor, edge.url("vault", "/json"));
    let anonymous = Worker::start(edge.visitor(), edge.url("hello", "/json"));
    let port = edge.demo.public_port();
    let hello = edge.demo.hello().address();
    for number in 0..RELOADS {
        let more = format!(
            "{text}  - {{name: extra-{number}, from: \"https://open.localhost:{port}\", path: /json/{number}, to: \"http://{hello}\", allow_public_unauthenticated_access: true}}\n"
        );
        replace(&config, &more);
        let_pass(&[&allowed, &denied, &anonymous], 5).await;
        eventually("the new route works", async || {
            (edge.status(&mut edge.visitor(), "open", &format!("/json/{number}")).await == 200).then_some(())
        })
        .await;
        let event = tokio::time::timeout(super::edge::PATIENCE, stream.chunk()).await.unwrap().unwrap();
        assert!(event.is_some(), "the stream goes on");
    }
    let (tally, _) = allowed.finish().await;
    assert_eq!(tally.others(&[200]), 0, "allowed: {tally:?}");
    let (tally, _) = denied.finish().await;
    assert_eq!(tally.others(&[403]), 0, "denied: {tally:?}");
    let (tally, _) = anonymous.finish().await;
    assert_eq!(tally.others(&[401]), 0, "anonymous: {tally:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_file_keeps_the_old_generation_and_says_so() {
    let mut edge = Edge::start().await;
    let config = edge.service().config().to_owned();
    let text = std::fs::read_to_string(&config).unwrap();
    let mut alice = edge.signed_in("alice").await;
    let bad = [
        String::new(),
        text.chars().take(text.len() / 2).collect(),
        text.replace("authenticated_user", "authenticated_usr"),
        text.replace("claim/groups: admins", "claim/groups: {haz: admins}"),
        format!("{text}  - {{from: nonsense}}\n"),
    ];
    for broken in bad {
        replace(&config, &broken);
        let reload = edge.service().command(&["reload"]).await;
        assert!(!reload.status.success(), "a bad file is an error: {}", String::from_utf8_lossy(&reload.stdout));
        assert_eq!(edge.status(&mut alice, "hello", "/json").await, 200, "the old generation serves");
    }
    let metrics = edge.service().telemetry("/metrics").await;
    assert!(metrics.contains("reload"), "reloads are counted");
    // The twin: the good file again.
    replace(&config, &text);
    let reload = edge.service().command(&["reload"]).await;
    assert!(reload.status.success(), "{}", String::from_utf8_lossy(&reload.stderr));
    assert!(edge.service().command(&["status"]).await.status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_no_longer_permits_closes_streams_of_those_it_concerns_alone() {
    let mut edge = Edge::start().await;
    let config = edge.service().config().to_owned();
    let text = std::fs::read_to_string(&config).unwrap();
    let (mut alice, mut bob) = (edge.signed_in("alice").await, edge.signed_in("bob").await);
    let engineers = text.replace("claim/groups: admins", "claim/groups: engineering");
    replace(&config, &engineers);
    assert!(edge.service().command(&["reload"]).await.status.success());
    bob.open(&edge.url("vault", "/")).await.unwrap();
    alice.open(&edge.url("vault", "/")).await.unwrap();
    let mut of_bob = bob.watch(&edge.url("vault", "/events")).await.unwrap();
    let mut of_alice = alice.watch(&edge.url("vault", "/events")).await.unwrap();
    assert_eq!((of_bob.status().as_u16(), of_alice.status().as_u16()), (200, 200));
    replace(&config, &text);
    assert!(edge.service().command(&["reload"]).await.status.success());
    let closed = async { while let Ok(Some(_)) = of_bob.chunk().await {} };
    tokio::time::timeout(super::edge::PATIENCE, closed).await.expect("bob's stream ends");
    for _ in 0..3 {
        let event = tokio::time::timeout(super::edge::PATIENCE, of_alice.chunk()).await.unwrap().unwrap();
        assert!(event.is_some(), "alice's stream goes on");
    }
    assert_eq!(edge.status(&mut bob, "vault", "/json").await, 403);
}
