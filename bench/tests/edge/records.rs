//! External data, from the command line to the decision: pushed, listed, replaced, deleted, and kept through a kill.

use std::process::{Output, Stdio};

use tokio::io::AsyncWriteExt as _;

use super::edge::{Edge, PATIENCE, binary, eventually};

/// The pages that hang on external data.
async fn edge() -> Edge {
    let mut edge = Edge::prepare().await;
    let (port, hello) = (edge.demo.public_port(), edge.demo.hello().address());
    let policy = "policy: [{allow: {and: [{authenticated_user: 1}, {record: {type: shift, id: alice, field: state, is: 'on'}}]}}, {deny: {or: [{record: {type: lockdown}}]}}]";
    let route = |name: &str, path: &str| {
        format!(
            "  - {{name: {name}, from: \"https://hello.localhost:{port}\", {path}, to: \"http://{hello}\", {policy}}}\n"
        )
    };
    let routes = route("shift", "prefix: /json/shift") + &route("alarms", "prefix: /alarms, prefix_rewrite: /events");
    edge.run("", &routes).await;
    edge
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

async fn done(edge: &mut Edge, arguments: &[&str]) -> String {
    let output = edge.service().command(arguments).await;
    assert!(output.status.success(), "{arguments:?}: {}", said(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// Pushes what comes in on standard input.
async fn push(edge: &mut Edge, options: &[&str], lines: &str) -> Output {
    let mut command = tokio::process::Command::new(binary());
    command.args(["records", "push"]).args(options).arg("--config").arg(edge.service().config());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).await.unwrap();
    tokio::time::timeout(PATIENCE, child.wait_with_output()).await.unwrap().unwrap()
}

const ON: &str = r#"{"type":"shift","id":"alice","data":{"state":"on"}}"#;
const OFF: &str = r#"{"type":"shift","id":"alice","data":{"state":"off"}}"#;
const BOB: &str = r#"{"type":"shift","id":"bob","data":{"state":"on"}}"#;

#[tokio::test(flavor = "multi_thread")]
async fn pushed_records_open_and_close_the_door_without_a_new_sign_in() {
    let mut edge = edge().await;
    let mut alice = edge.signed_in("alice").await;
    let becomes = async |edge: &Edge, browser: &mut portcullis_demo::Browser, status: u16| {
        eventually("the records decide", async || {
            (edge.status(browser, "hello", "/json/shift").await == status).then_some(())
        })
        .await;
    };
    assert_eq!(edge.status(&mut alice, "hello", "/json/shift").await, 403, "there is no record");
    let file = edge.folder.path().join("shifts.jsonl");
    std::fs::write(&file, format!("{BOB}\n{ON}\n")).unwrap();
    let pushed = done(&mut edge, &["records", "push", file.to_str().unwrap()]).await;
    assert_eq!(pushed, "records written: 2, deleted: 0\n");
    becomes(&edge, &mut alice, 200).await;

    // A file with a fault changes nothing, and says where it is.
    std::fs::write(&file, format!("{OFF}\n{{\"type\":\"shift\"}}\n")).unwrap();
    let refused = edge.service().command(&["records", "push", file.to_str().unwrap()]).await;
    assert!(!refused.status.success());
    assert!(said(&refused).contains("shifts.jsonl:2: missing field `id`"), "{}", said(&refused));
    let list = done(&mut edge, &["records", "list", "--type", "shift", "--json"]).await;
    assert_eq!(list, format!("{ON}\n{BOB}\n"));

    // What is open goes on as long as it may, through a replacement, and ends when it may not.
    let mut stream = alice.watch(&edge.url("hello", "/alarms")).await.unwrap();
    assert_eq!(stream.status(), 200);
    let replaced = push(&mut edge, &["--replace", "shift"], &format!("{ON}\n")).await;
    assert_eq!(said(&replaced), "records written: 0, deleted: 1\n");
    assert!(tokio::time::timeout(PATIENCE, stream.chunk()).await.unwrap().unwrap().is_some());
    let empty = push(&mut edge, &["--replace", "shift"], "").await;
    assert!(!empty.status.success() && said(&empty).contains("records delete --type shift --all"), "{}", said(&empty));
    assert_eq!(edge.status(&mut alice, "hello", "/json/shift").await, 200);
    let locked = push(&mut edge, &[], "{\"type\":\"lockdown\",\"id\":\"all\",\"data\":{}}\n").await;
    assert_eq!(said(&locked), "records written: 1, deleted: 0\n");
    becomes(&edge, &mut alice, 403).await;
    let ended = async { while let Ok(Some(_)) = stream.chunk().await {} };
    tokio::time::timeout(PATIENCE, ended).await.expect("the open stream ends");
    assert_eq!(
        done(&mut edge, &["records", "delete", "--type", "lockdown", "all", "none"]).await,
        "records deleted: 1\n"
    );
    becomes(&edge, &mut alice, 200).await;

    // What was acknowledged is on disk.
    edge.service().kill().await;
    edge.service().start().await;
    becomes(&edge, &mut alice, 200).await;
    let metrics = edge.service().telemetry("/metrics").await;
    for metric in ["portcullis_broker_records 1\n", "portcullis_replica_records 1\n", "portcullis_broker_record_bytes "]
    {
        assert!(metrics.contains(metric), "{metric}");
    }
    let status = done(&mut edge, &["status"]).await;
    assert!(status.contains("records       known, 1 held"), "{status}");
    assert_eq!(done(&mut edge, &["records", "delete", "--type", "shift", "--all"]).await, "records deleted: 1\n");
    becomes(&edge, &mut alice, 403).await;
}
