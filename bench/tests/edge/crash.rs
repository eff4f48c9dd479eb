//! kill -9 under load: what was acknowledged stays.

use std::sync::{Arc, Mutex};

use portcullis_demo::Browser;
use tokio_util::sync::CancellationToken;

use super::edge::{Edge, eventually};

/// People who sign in at the same time.
const SIGNING_IN: usize = 6;
/// Sign-ins that must be acknowledged before the process is killed.
const ACKNOWLEDGED: usize = 40;

#[tokio::test(flavor = "multi_thread")]
async fn every_acknowledged_session_lives_after_kill_nine() {
    let mut edge = Edge::start().await;
    let acknowledged: Arc<Mutex<Vec<Browser>>> = Arc::default();
    let stop = CancellationToken::new();
    let tasks: Vec<_> = (0..SIGNING_IN)
        .map(|number| {
            let (acknowledged, stop) = (Arc::clone(&acknowledged), stop.clone());
            let user = ["alice", "bob", "carol"][number % 3];
            let (address, fresh) = (edge.url("hello", "/json"), edge.visitor());
            tokio::spawn(async move {
                while !stop.is_cancelled() {
                    let mut browser = fresh.clone();
                    // Acknowledged: the page of the application is there, so the cookie is.
                    if browser.sign_in(&address, user).await.is_ok_and(|page| page.status == 200) {
                        acknowledged.lock().unwrap().push(browser);
                    }
                }
            })
        })
        .collect();
    eventually("sign-ins are acknowledged", async || {
        (acknowledged.lock().unwrap().len() >= ACKNOWLEDGED).then_some(())
    })
    .await;
    edge.service().kill().await;
    stop.cancel();
    for task in tasks {
        task.await.unwrap();
    }
    edge.service().start().await;
    let survivors = std::mem::take(&mut *acknowledged.lock().unwrap());
    assert!(survivors.len() >= ACKNOWLEDGED);
    let mut lost = 0;
    for mut browser in survivors {
        lost += u32::from(edge.status(&mut browser, "hello", "/json").await != 200);
    }
    assert_eq!(lost, 0, "acknowledged sessions were lost");
    // The twin: a session that was ended before stays ended after the next kill.
    let mut alice = edge.signed_in("alice").await;
    let ended = edge.service().command(&["sessions", "end", "--user", "alice"]).await;
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    edge.service().kill().await;
    edge.service().start().await;
    assert_eq!(edge.status(&mut alice, "hello", "/json").await, 401, "an ended session stays ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_drains_and_ends_cleanly() {
    let mut edge = Edge::start().await;
    let mut alice = edge.signed_in("alice").await;
    let status = edge.service().stop().await;
    assert!(status.success(), "{status}");
    edge.service().start().await;
    assert_eq!(edge.status(&mut alice, "hello", "/json").await, 200, "the session is still there");
}
