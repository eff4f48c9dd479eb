//! kill -9 at any moment: whatever was acknowledged is there afterwards.

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use portcullis_broker::{Broker, BrokerParts};
use portcullis_broker_api::{BrokerClient, EndReason, EndSelector, Endpoint, RedeemError};
use portcullis_identity::{Clock as _, SystemClock, Timestamp};
use portcullis_keys::{KeyRing, ServiceRole, SystemRandom};
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;

use crate::house::{key, new_session};
use crate::records::{ids, push_to, record};

/// The folder that the victim works in; without it the victim has nothing to do.
const FOLDER: &str = "PORTCULLIS_TEST_CRASH";
const WORKERS: u32 = 16;
/// When the victim is killed, in acknowledgements; each round at another moment of a commit.
const ROUNDS: [usize; 8] = [1, 2, 3, 7, 50, 151, 302, 503];

/// Not a test of its own: the process that `kill -9` meets. It signs in, redeems, pushes and signs out as
/// fast as it can, and prints what the broker acknowledged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn victim() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    let broker = open(&folder);
    let socket = folder.join(format!("victim-{}.sock", std::process::id()));
    let listener = UnixListener::bind(&socket).unwrap();
    let serving = tokio::spawn(async move { broker.serve_unix(listener, CancellationToken::new()).await });
    for worker in 0..WORKERS {
        tokio::spawn(work(socket.clone(), worker));
    }
    serving.await.unwrap().unwrap();
}

async fn work(socket: PathBuf, worker: u32) {
    let client = |role| BrokerClient::connect_lazy(Endpoint::Unix(socket.clone()), role);
    let (authn, proxy) = (client(ServiceRole::Authn), client(ServiceRole::Proxy));
    let operator = client(ServiceRole::Broker);
    for round in 0_u32.. {
        let name = format!("{}/{worker}/{round}", std::process::id());
        let until = SystemClock.now().saturating_add(Duration::from_secs(300));
        authn.create(new_session(&name, SystemClock.now())).await.unwrap();
        acknowledge("created", &name);
        proxy.redeem(id(&name), until, &key(&name)).await.unwrap();
        acknowledge("redeemed", &name);
        push_to(&operator, vec![record("crash", &name, "{}")]).await;
        acknowledge("pushed", &name);
        if round % 2 == 1 {
            proxy.end(EndSelector::Key(key(&name)), EndReason::SignedOut).await.unwrap();
            acknowledge("ended", &name);
        }
    }
}

#[tokio::test]
async fn every_acknowledged_change_survives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("keys"), KeyRing::generate(&SystemRandom).1).unwrap();
    for acknowledgements in ROUNDS {
        let lines = run_and_kill(folder.path(), acknowledgements);
        assert!(lines.len() >= acknowledgements);
        check(folder.path(), &lines).await;
    }
}

fn run_and_kill(folder: &Path, acknowledgements: usize) -> Vec<(String, String)> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::victim", "--nocapture"])
        .env(FOLDER, OsString::from(folder))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map(Victim)
        .unwrap();
    let mut lines = Vec::new();
    let mut killed = false;
    for line in BufReader::new(child.0.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        // The test runner's own words may stand before ours.
        let Some((_, line)) = line.split_once("ack ") else { continue };
        let (what, name) = line.split_once(' ').unwrap();
        lines.push((what.to_owned(), name.to_owned()));
        if lines.len() >= acknowledgements && !killed {
            // Goes on reading: what was acknowledged before the end counts too.
            child.0.kill().unwrap();
            killed = true;
        }
    }
    assert!(killed, "the victim ended by itself");
    child.0.wait().unwrap();
    lines
}

async fn check(folder: &Path, lines: &[(String, String)]) {
    let broker = open(folder);
    let socket = folder.join("check.sock");
    drop(std::fs::remove_file(&socket));
    let listener = UnixListener::bind(&socket).unwrap();
    let stop = CancellationToken::new();
    let (serving, stopped) = (broker.clone(), stop.clone());
    let server = tokio::spawn(async move { serving.serve_unix(listener, stopped).await });
    let operator = BrokerClient::connect_lazy(Endpoint::Unix(socket.clone()), ServiceRole::Broker);
    let pushed = ids(&operator, "crash").await;
    let proxy = BrokerClient::connect_lazy(Endpoint::Unix(socket), ServiceRole::Proxy);
    let until: Timestamp = SystemClock.now().saturating_add(Duration::from_secs(60));
    for (what, name) in lines {
        let found = proxy.fetch(&key(name)).await.unwrap().is_some();
        // An end that was written but not acknowledged may be there: then only half a session is missing.
        let may_have_ended = name.rsplit('/').next().unwrap().parse::<u32>().unwrap() % 2 == 1;
        match what.as_str() {
            "created" => assert!(found || may_have_ended, "{name} was acknowledged and is lost"),
            "redeemed" => {
                let again = proxy.redeem(id(name), until, &key(name)).await;
                assert!(matches!(again, Err(RedeemError::AlreadyRedeemed)), "{name} was redeemed: {again:?}");
            }
            "pushed" => assert!(pushed.contains(name), "{name} was pushed and is lost"),
            "ended" => assert!(!found, "{name} was ended and is back"),
            other => panic!("{other}"),
        }
    }
    stop.cancel();
    server.await.unwrap().unwrap();
    broker.close().await;
}

fn open(folder: &Path) -> Broker {
    let ring = KeyRing::parse(&std::fs::read_to_string(folder.join("keys")).unwrap()).unwrap();
    Broker::open(BrokerParts {
        path: folder.join("sessions.redb"),
        keys: ring.store().unwrap(),
        clock: Arc::new(SystemClock),
        random: Arc::new(SystemRandom),
        registry: prometheus::Registry::new(),
        digest: [0; 32],
    })
    .unwrap()
}

fn id(name: &str) -> [u8; 16] {
    *key(name).as_bytes().first_chunk().unwrap()
}

/// One write of one whole line: a reader sees all of it or nothing.
fn acknowledge(what: &str, name: &str) {
    std::io::stdout().lock().write_all(format!("ack {what} {name}\n").as_bytes()).unwrap();
}

/// Killed also when an assertion fails.
struct Victim(Child);

impl Drop for Victim {
    fn drop(&mut self) {
        // Dead already, in the ordinary course.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
