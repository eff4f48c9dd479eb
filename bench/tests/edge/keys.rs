//! The cluster secret changes its keys under running processes, by the steps of docs/operations.md.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::edge::{Edge, Service, eventually};
use super::load::{Worker, let_pass};
use super::split::{AUTHN, BROKER, PROXY, split};

/// `portcullis keys STEP…`: the first word that it says.
async fn keys(secret: &Path, arguments: &[&str]) -> String {
    let output = tokio::process::Command::new(super::edge::binary())
        .arg("keys")
        .args(arguments)
        .arg(secret)
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().split_whitespace().next().unwrap_or_default().to_owned()
}

async fn reload(service: &Service) -> Result<(), String> {
    let output = service.command(&["reload"]).await;
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.success() { Ok(()) } else { Err(said) }
}

async fn status(service: &Service) -> String {
    String::from_utf8(service.command(&["status"]).await.stdout).unwrap()
}

/// Waits until the process says that it holds these keys, the sealing one first; nobody tells it to look.
async fn holds(service: &Service, ids: &[&str]) {
    let line = format!("keys          {}\n", ids.join(", "));
    eventually(&line, async || status(service).await.contains(&line).then_some(())).await;
}

/// The one key of a new secret.
async fn first_key(service: &Service) -> String {
    let ids = service.command(&["keys", "ids"]).await;
    String::from_utf8(ids.stdout).unwrap().trim().to_owned()
}

/// Writes a file as `portcullis keys` does: whole, for its owner only.
fn put(path: &Path, content: impl AsRef<[u8]>) {
    let beside = path.with_extension("beside");
    std::fs::write(&beside, content).unwrap();
    std::fs::set_permissions(&beside, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::rename(beside, path).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_secret_rotates_without_a_restart_and_signs_nobody_out() {
    let mut edge = Edge::start().await;
    let secret: PathBuf = edge.folder.path().join("state/secret");
    let mut alice = edge.signed_in("alice").await;
    let old = first_key(edge.service()).await;
    let new = keys(&secret, &["append"]).await;
    holds(edge.service(), &[&old, &new]).await;
    assert_eq!(edge.status(&mut alice, "hello", "/json").await, 200);
    // The wrong order: the key that seals cannot go.
    let both = std::fs::read_to_string(&secret).unwrap();
    keys(&secret, &["remove", &old]).await;
    let refused = reload(edge.service()).await.unwrap_err();
    assert!(refused.contains(&old) && refused.contains("promote"), "{refused}");
    assert_eq!(edge.status(&mut alice, "hello", "/json").await, 200, "the generation before goes on");
    put(&secret, both);
    keys(&secret, &["promote", &new]).await;
    holds(edge.service(), &[&new, &old]).await;
    assert_eq!(edge.status(&mut alice, "hello", "/json").await, 200, "the old key still opens");
    let mut bob = edge.signed_in("bob").await;
    // Too early: a session is still sealed with it.
    keys(&secret, &["remove", &old]).await;
    let refused = reload(edge.service()).await.unwrap_err();
    assert!(refused.contains(&old) && refused.contains("sealed"), "{refused}");
    assert_eq!(edge.status(&mut alice, "hello", "/json").await, 200);
    assert!(edge.service().command(&["sessions", "end", "--user", "alice"]).await.status.success());
    reload(edge.service()).await.unwrap();
    holds(edge.service(), &[&new]).await;
    assert_eq!(edge.status(&mut bob, "hello", "/json").await, 200, "the new key made this session");
    assert_eq!(edge.status(&mut alice, "hello", "/json").await, 401);
    edge.signed_in("alice").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_cannot_be_used_changes_nothing_and_shows() {
    let mut edge = Edge::start().await;
    let secret = edge.folder.path().join("state/secret");
    let mut alice = edge.signed_in("alice").await;
    let good = std::fs::read_to_string(&secret).unwrap();
    for (broken, said) in [("", "no key"), ("# only a comment\n", "no key"), ("not base64\n", "line 1")] {
        put(&secret, broken);
        eventually("status shows it", async || {
            let status = status(edge.service()).await;
            (status.contains("refused") && status.contains(said)).then_some(())
        })
        .await;
        assert!(!edge.service().command(&["status"]).await.status.success());
        assert_eq!(edge.status(&mut alice, "hello", "/json").await, 200, "the ring before goes on");
    }
    let metrics = edge.service().telemetry("/metrics").await;
    assert!(metrics.contains("portcullis_config_last_reload_success 0\n"), "{metrics}");
    // A file that is gone is no reason for another secret.
    std::fs::remove_file(&secret).unwrap();
    assert!(reload(edge.service()).await.is_err());
    assert!(!secret.exists());
    put(&secret, &good);
    eventually("the good ring is taken over", async || {
        (!status(edge.service()).await.contains("refused")).then_some(())
    })
    .await;
    assert_eq!(edge.status(&mut alice, "hello", "/json").await, 200);
}

/// A new export for the proxy's host.
async fn export(edge: &Edge) {
    let exported = edge.services[BROKER].command(&["keys", "export", "--services", "proxy"]).await;
    assert!(exported.status.success(), "{}", String::from_utf8_lossy(&exported.stderr));
    put(&edge.folder.path().join("proxy-keys"), exported.stdout);
}

async fn restart(service: &mut Service) {
    service.stop().await;
    service.start().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn services_of_several_hosts_find_each_other_while_their_keys_change() {
    let mut edge = split().await;
    let secret = edge.folder.path().join("secret");
    let mut alice = edge.signed_in("alice").await;
    let old = first_key(&edge.services[BROKER]).await;
    let new = keys(&secret, &["append"]).await;
    for service in [BROKER, AUTHN] {
        holds(&edge.services[service], &[&old, &new]).await;
    }
    // The proxy's host has not heard of the new key, and dials anew.
    restart(&mut edge.services[PROXY]).await;
    edge.signed_in("bob").await;
    export(&edge).await;
    holds(&edge.services[PROXY], &[&old, &new]).await;
    keys(&secret, &["promote", &new]).await;
    for service in [BROKER, AUTHN] {
        holds(&edge.services[service], &[&new, &old]).await;
    }
    // The broker shows a certificate of the new key, and the proxy one of the old key.
    restart(&mut edge.services[BROKER]).await;
    eventually("the proxy has dialled anew", async || {
        edge.visitor().sign_in(&edge.url("hello", "/json"), "carol").await.ok().filter(|page| page.status == 200)
    })
    .await;
    assert_eq!(edge.status(&mut alice, "hello", "/json").await, 200);
    for user in ["alice", "bob"] {
        assert!(edge.services[BROKER].command(&["sessions", "end", "--user", user]).await.status.success());
    }
    keys(&secret, &["remove", &old]).await;
    for service in [BROKER, AUTHN] {
        holds(&edge.services[service], &[&new]).await;
    }
    // The proxy's certificate is of the key that is gone: whoever showed it is nobody, on connections that stand too.
    eventually("the proxy is cut off", async || status(&edge.services[PROXY]).await.contains("cut off").then_some(()))
        .await;
    let signed_in = edge.visitor().sign_in(&edge.url("hello", "/json"), "alice").await;
    assert!(!signed_in.is_ok_and(|page| page.status == 200));
    export(&edge).await;
    holds(&edge.services[PROXY], &[&new]).await;
    eventually("all is well", async || {
        let told = edge.services[PROXY].command(&["status"]).await;
        told.status.success().then_some(())
    })
    .await;
    edge.signed_in("alice").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_by_the_book_restarts_nothing_and_nobody_sees_it() {
    let edge = split().await;
    let secret = edge.folder.path().join("secret");
    let mut alice = edge.signed_in("alice").await;
    let working = Worker::start(alice.clone(), edge.url("hello", "/json"));
    let old = first_key(&edge.services[BROKER]).await;
    let new = keys(&secret, &["append"]).await;
    let reached = async |ids: &[&str]| {
        export(&edge).await;
        for service in &edge.services {
            holds(service, ids).await;
        }
        // A sign-in asks authn and the broker, over what stands or is dialled now.
        edge.signed_in("bob").await;
        let_pass(&[&working], 10).await;
    };
    reached(&[&old, &new]).await;
    keys(&secret, &["promote", &new]).await;
    reached(&[&new, &old]).await;
    let (tally, _) = working.finish().await;
    assert_eq!(tally.others(&[200]), 0, "{tally:?}");
    // What the old key sealed has to end first; the proxy hears of it on the stream that has moved over.
    for user in ["alice", "bob"] {
        assert!(edge.services[BROKER].command(&["sessions", "end", "--user", user]).await.status.success());
    }
    eventually("the proxy has heard of it", async || {
        (edge.status(&mut alice, "hello", "/json").await == 401).then_some(())
    })
    .await;
    let mut carol = edge.signed_in("carol").await;
    let working = Worker::start(carol.clone(), edge.url("hello", "/json"));
    keys(&secret, &["remove", &old]).await;
    export(&edge).await;
    for service in &edge.services {
        holds(service, &[&new]).await;
        eventually("all is well", async || service.command(&["status"]).await.status.success().then_some(())).await;
    }
    edge.signed_in("bob").await;
    let_pass(&[&working], 10).await;
    let (tally, _) = working.finish().await;
    assert_eq!(tally.others(&[200]), 0, "{tally:?}");
    assert!(edge.services[BROKER].command(&["sessions", "end", "--user", "carol"]).await.status.success());
    eventually("the proxy has heard of it", async || {
        (edge.status(&mut carol, "hello", "/json").await == 401).then_some(())
    })
    .await;
}
