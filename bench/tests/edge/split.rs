//! The services as processes of their own, over mutual TLS from the cluster secret: each is stopped and started.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use super::edge::{Edge, Service, binary, eventually, extended, free_port};
use super::load::{Worker, let_pass};

pub(crate) const BROKER: usize = 0;
pub(crate) const AUTHN: usize = 1;
pub(crate) const PROXY: usize = 2;

/// broker, authn and proxy of one configuration, each with folders of its own.
pub(crate) async fn split() -> Edge {
    let mut edge = Edge::prepare().await;
    let ring = tokio::process::Command::new(binary()).args(["keys", "new"]).output().await.unwrap();
    assert!(ring.status.success(), "{}", String::from_utf8_lossy(&ring.stderr));
    std::fs::write(edge.folder.path().join("secret"), ring.stdout).unwrap();
    let (broker, authn) = (free_port().await, free_port().await);
    for (name, internal) in [("broker", Some(broker)), ("authn", Some(authn)), ("proxy", None)] {
        let at = |port: u16| format!("https://127.0.0.1:{port}");
        let service = service(&edge, name, internal, [&at(broker), &at(authn)]).await;
        edge.services.push(service);
    }
    // The proxy's host never holds the secret itself, only the keys that a proxy needs.
    let exported = edge.services[BROKER].command(&["keys", "export", "--services", "proxy"]).await;
    assert!(exported.status.success(), "{}", String::from_utf8_lossy(&exported.stderr));
    let whole = std::fs::read(edge.folder.path().join("secret")).unwrap();
    assert!(!exported.stdout.windows(whole.trim_ascii().len()).any(|window| window == whole.trim_ascii()));
    let config = edge.services[PROXY].config().to_owned();
    let file = edge.folder.path().join("proxy-keys");
    std::fs::write(&file, exported.stdout).unwrap();
    for secret in [&file, &edge.folder.path().join("secret")] {
        std::fs::set_permissions(secret, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    let text = std::fs::read_to_string(&config).unwrap();
    let named = |name: &str| format!("secret: {{file: \"{}\"}}", edge.folder.path().join(name).display());
    assert!(text.contains(&named("secret")));
    std::fs::write(&config, text.replace(&named("secret"), &named("proxy-keys"))).unwrap();
    for number in [BROKER, AUTHN, PROXY] {
        edge.services[number].start().await;
    }
    edge
}

async fn service(edge: &Edge, name: &str, internal: Option<u16>, [broker, authn]: [&str; 2]) -> Service {
    let folder = edge.folder.path();
    let own: PathBuf = folder.join(name);
    std::fs::create_dir(&own).unwrap();
    let telemetry = format!("127.0.0.1:{}", free_port().await);
    let sections = format!(
        "services: {name}\nsecret: {{file: \"{}\"}}\nsiblings: {{broker: \"{broker}\", authn: \"{authn}\"}}\n",
        folder.join("secret").display()
    );
    let internal = internal.map_or_else(String::new, |port| format!("  internal: {{{name}: 127.0.0.1:{port}}}\n"));
    let here = |kind: &str| format!("{kind}_dir: \"{}/{kind}\"", folder.display());
    let there = |kind: &str| format!("{kind}_dir: \"{}/{kind}\"", own.display());
    let text = extended(&edge.demo.config_text(folder), &sections, "")
        .replace(&here("run"), &there("run"))
        .replace(&here("state"), &there("state"))
        .replace(&edge.demo.telemetry().to_string(), &telemetry)
        .replace("\ntls:\n", &format!("\n{internal}tls:\n"));
    let config = folder.join(format!("{name}.yaml"));
    std::fs::write(&config, text).unwrap();
    Service::new(config, &format!("http://{telemetry}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_stops_under_load_loses_no_session_and_lets_nobody_in() {
    let mut edge = split().await;
    let (alice, mut bob) = (edge.signed_in("alice").await, edge.signed_in("bob").await);
    bob.open(&edge.url("vault", "/")).await.unwrap();
    let allowed = Worker::start(alice.clone(), edge.url("hello", "/json"));
    let denied = Worker::start(bob.clone(), edge.url("vault", "/json"));
    let anonymous = Worker::start(edge.visitor(), edge.url("vault", "/json"));
    let workers = [&allowed, &denied, &anonymous];
    let_pass(&workers, 20).await;
    for _ in 0..3 {
        edge.services[BROKER].kill().await;
        let_pass(&workers, 50).await;
        edge.services[BROKER].start().await;
        let_pass(&workers, 20).await;
    }
    let (tally, mut alice) = allowed.finish().await;
    assert_eq!(tally.others(&[200]), 0, "held sessions go on: {tally:?}");
    let (tally, _) = denied.finish().await;
    assert_eq!(tally.others(&[403]), 0, "0 wrong allows: {tally:?}");
    let (tally, _) = anonymous.finish().await;
    assert_eq!(tally.others(&[401]), 0, "0 wrong allows: {tally:?}");
    // Nobody was held back for good: new sign-ins work, old sessions live.
    assert_eq!(edge.status(&mut alice, "hello", "/json").await, 200);
    edge.signed_in("carol").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_service_restarts_without_losing_a_session() {
    let mut edge = split().await;
    let mut alice = edge.signed_in("alice").await;
    for restarted in [BROKER, AUTHN, PROXY] {
        edge.services[restarted].stop().await;
        edge.services[restarted].start().await;
        eventually("the old session works again", async || {
            (edge.status(&mut alice, "hello", "/json").await == 200).then_some(())
        })
        .await;
        eventually("a new sign-in works", async || {
            let mut bob = edge.visitor();
            bob.sign_in(&edge.url("hello", "/json"), "bob").await.ok().filter(|page| page.status == 200)
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_broker_unknown_sessions_are_unavailable_and_never_let_in() {
    let mut edge = split().await;
    let mut alice = edge.signed_in("alice").await;
    // A proxy that has never seen the session, and cannot ask.
    edge.services[PROXY].stop().await;
    edge.services[BROKER].stop().await;
    let mut proxy = tokio::process::Command::new(binary());
    proxy.args(["run", "--config"]).arg(edge.services[PROXY].config()).kill_on_drop(true);
    let _child = proxy.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap();
    let status = eventually("the proxy answers", async || {
        let page = alice.call(http::Method::GET, &edge.url("hello", "/json"), "application/json").await.ok()?;
        Some(page.status.as_u16())
    })
    .await;
    assert_eq!(status, 503, "not 200, and not a sign-in that would throw the session away");
    edge.services[BROKER].start().await;
    eventually("the session works again", async || {
        (edge.status(&mut alice, "hello", "/json").await == 200).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn external_data_is_pushed_on_the_brokers_host_alone_and_reaches_the_proxy() {
    let edge = split().await;
    let file = edge.folder.path().join("records.jsonl");
    std::fs::write(&file, "{\"type\":\"shift\",\"id\":\"alice\",\"data\":{}}\n").unwrap();
    let push = ["records", "push", file.to_str().unwrap()];
    for elsewhere in [AUTHN, PROXY] {
        let refused = edge.services[elsewhere].command(&push).await;
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && said.contains("does not run the broker"), "{said}");
    }
    let pushed = edge.services[BROKER].command(&push).await;
    assert!(pushed.status.success(), "{}", String::from_utf8_lossy(&pushed.stderr));
    eventually("the proxy holds the record", async || {
        edge.services[PROXY].telemetry("/metrics").await.contains("portcullis_replica_records 1\n").then_some(())
    })
    .await;
}
