//! The writer against engines that stall and fail.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use portcullis_broker_api::{Profile, Tokens};
use portcullis_identity::{ManualClock, Principal, ProviderName, SecretText};
use portcullis_keys::{KeyRing, SystemRandom, sha256};

use super::*;
use crate::log::Page;
use crate::metrics::Metrics;
use crate::queue::Queue;
use crate::storage::{Kind, Logged, Memory, OpenError, StorageError, Stored, Visit};
use crate::vault::Vault;

const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

/// An engine that commits when it is let, and fails when it is told to.
#[derive(Debug)]
struct Engine {
    inner: Memory,
    gate: Mutex<Receiver<()>>,
    sizes: Mutex<Vec<usize>>,
    broken: AtomicBool,
}

impl Storage for Engine {
    fn server_id(&self) -> [u8; 16] {
        self.inner.server_id()
    }

    fn head(&self) -> Result<u64, StorageError> {
        self.inner.head()
    }

    fn get(&self, kind: Kind, id: &[u8]) -> Result<Option<Stored>, StorageError> {
        self.inner.get(kind, id)
    }

    fn commit(&self, changes: &[Change]) -> Result<Vec<Outcome>, StorageError> {
        self.gate.lock().unwrap().recv().unwrap();
        self.sizes.lock().unwrap().push(changes.len());
        if self.broken.load(Ordering::SeqCst) {
            return Err(StorageError::Malformed { kind: "disk" });
        }
        self.inner.commit(changes)
    }

    fn scan(&self, kind: Kind, visit: Visit<'_>) -> Result<(), OpenError> {
        self.inner.scan(kind, visit)
    }

    fn changes(&self, version: u64) -> Result<Logged, StorageError> {
        self.inner.changes(version)
    }
}

struct Bench {
    engine: Arc<Engine>,
    shared: Arc<Shared>,
    queue: Queue<Command>,
    open: Sender<()>,
    clock: Arc<ManualClock>,
}

impl Bench {
    fn new() -> Self {
        let (open, gate) = channel();
        let engine = Engine {
            inner: Memory::new([1; 16]),
            gate: Mutex::new(gate),
            sizes: Mutex::default(),
            broken: AtomicBool::new(false),
        };
        let engine = Arc::new(engine);
        let vault = Vault::new(KeyRing::generate(&SystemRandom).0.store().unwrap(), Arc::new(SystemRandom));
        let clock = Arc::new(ManualClock::at(NOW));
        let time = Arc::clone(&clock);
        let shared = Shared::load(&*engine, vault, time, Metrics::new().unwrap(), [0; 32]).unwrap();
        let shared = Arc::new(shared);
        let (queue, commands) = Queue::new(COMMANDS);
        let writer = Writer::new(Arc::clone(&shared), Arc::clone(&engine) as _);
        std::thread::spawn(move || writer.run(&commands));
        Self { engine, shared, queue, open, clock }
    }

    async fn create(&self, name: &str) -> Result<proto::Session, Refusal> {
        self.queue.ask(|reply| Command::Create { new: Box::new(new_session(name)), reply }).await
    }

    /// Time passes, the session is used, and its tokens are due.
    async fn begin(&self, name: &str, span: Duration) -> Due {
        self.clock.advance(span);
        let uses = vec![(key(name), NOW.saturating_add(Duration::from_secs(3600)))];
        self.queue.ask(|reply| Command::Touch { uses, reply }).await.unwrap();
        let room = Room { each: 9, left: std::collections::HashMap::new() };
        let dues = self.queue.ask(|reply| Command::BeginRefreshes { room, reply }).await;
        dues.unwrap().pop().unwrap()
    }

    async fn finish(&self, due: &Due, outcome: RefreshOutcome) -> Result<(), Refusal> {
        let mark = (due.key, due.mark);
        self.queue.ask(|reply| Command::FinishRefresh { mark, outcome, reply }).await
    }

    async fn end(&self, selector: EndSelector) -> Result<Vec<Ended>, Refusal> {
        let reason = EndReason::Revoked;
        self.queue.ask(|reply| Command::End { selector, reason, hints: Hints::Tell, reply }).await
    }
}

fn key(name: &str) -> SessionKey {
    SessionKey::from_bytes(sha256(name.as_bytes()))
}

fn new_session(name: &str) -> NewSession {
    NewSession {
        key: key(name),
        principal: Principal { issuer: "https://idp.corp.test".into(), subject: "alice".into() },
        provider: ProviderName::new("corp"),
        provider_session: None,
        profile: Profile { user_id: "alice".into(), ..Profile::default() },
        claims_json: "{}".to_owned(),
        authenticated_at: NOW,
        acr: None,
        expires_at: NOW.saturating_add(Duration::from_secs(3600)),
        idle: None,
        tokens: Tokens::default(),
    }
}

#[tokio::test]
async fn what_queues_up_during_a_commit_is_the_next_one() {
    let bench = Bench::new();
    let names: Vec<String> = (0..200).map(|number| number.to_string()).collect();
    let all = join_all(names.iter().map(|name| bench.create(name)));
    // Every command is queued by the first poll, while the engine stalls.
    let all = tokio::join!(all, async { (0..200).for_each(|_| bench.open.send(()).unwrap()) }).0;
    assert!(all.iter().all(Result::is_ok));
    let sizes = bench.engine.sizes.lock().unwrap().clone();
    assert_eq!(sizes.iter().sum::<usize>(), 200);
    assert!(sizes.len() <= 2, "{sizes:?}");
}

#[tokio::test]
async fn what_was_not_written_is_not_acknowledged_and_not_shown() {
    let bench = Bench::new();
    (0..4).for_each(|_| bench.open.send(()).unwrap());
    bench.create("a").await.unwrap();
    bench.engine.broken.store(true, Ordering::SeqCst);
    let head = bench.shared.head();
    assert_eq!(bench.create("b").await.unwrap_err(), Refusal::Store);
    assert_eq!(bench.end(EndSelector::Key(key("a"))).await.unwrap_err(), Refusal::Store);
    {
        let known = bench.shared.known();
        assert!(known.index.live(&key("a"), NOW).is_some() && known.index.live(&key("b"), NOW).is_none());
        assert_eq!(known.ring.after(head, 1), Page::Entries { entries: Vec::new(), head });
    }
    // The disk has room again: the same commands go through.
    bench.engine.broken.store(false, Ordering::SeqCst);
    assert_eq!(bench.end(EndSelector::Key(key("a"))).await.unwrap().len(), 1);
}

#[tokio::test]
async fn commands_about_one_session_see_each_other_in_order() {
    let bench = Bench::new();
    let all = async {
        let by_key = || bench.end(EndSelector::Key(key("a")));
        let by_user = bench.end(EndSelector::User("alice".into()));
        tokio::join!(bench.create("a"), by_key(), by_key(), bench.create("b"), by_user, bench.create("c"))
    };
    let (all, ()) = tokio::join!(all, async { (0..9).for_each(|_| bench.open.send(()).unwrap()) });
    let (a, first, second, b, user, c) = all;
    assert!(a.is_ok() && b.is_ok() && c.is_ok());
    assert_eq!((first.unwrap().len(), second.unwrap().len()), (1, 0));
    let ended: Vec<SessionKey> = user.unwrap().into_iter().map(|ended| ended.key).collect();
    assert_eq!(ended, [key("b")]);
    assert!(bench.shared.known().index.live(&key("c"), NOW).is_some());
}

#[tokio::test]
async fn nothing_is_made_of_a_session_that_ends_in_the_same_group() {
    let alice = Principal { issuer: "https://idp.corp.test".into(), subject: "alice".into() };
    for selector in [EndSelector::Key(key("a")), EndSelector::User("alice".into()), EndSelector::Principal(alice)] {
        let bench = Bench::new();
        bench.open.send(()).unwrap();
        bench.create("a").await.unwrap();
        // The engine stalls with the first of these until all of them are queued.
        let all = async {
            let derive = bench.queue.ask(|reply| Command::Derive {
                parent: key("a"),
                key: key("p"),
                host: "wiki.corp.test".into(),
                reply,
            });
            tokio::join!(bench.create("b"), bench.end(selector), derive)
        };
        let (all, ()) = tokio::join!(all, async { (0..9).for_each(|_| bench.open.send(()).unwrap()) });
        assert!(all.1.is_ok() && all.2.unwrap().is_none());
        assert!(bench.shared.known().index.live(&key("p"), NOW).is_none());
    }
}

#[tokio::test]
async fn only_the_refresh_that_the_mark_is_of_changes_or_ends_a_session() {
    let bench = Bench::new();
    (0..12).for_each(|_| bench.open.send(()).unwrap());
    let tokens = Tokens { refresh_token: Some(SecretText::new("spent")), ..Tokens::default() };
    let new = Box::new(NewSession { tokens, ..new_session("a") });
    bench.queue.ask(|reply| Command::Create { new, reply }).await.unwrap();
    let lost = bench.begin("a", Duration::from_secs(601)).await;
    let second = bench.begin("a", Duration::from_secs(1201)).await;
    assert_eq!((lost.interrupted, second.interrupted), (false, true));
    bench.finish(&lost, RefreshOutcome::Ended).await.unwrap();
    assert!(bench.shared.known().index.live(&key("a"), NOW).is_some());
    let renewed = |text: &str| Tokens { refresh_token: Some(SecretText::new(text)), ..Tokens::default() };
    bench.finish(&lost, RefreshOutcome::Renewed { tokens: renewed("late"), facts: None }).await.unwrap();
    bench.finish(&second, RefreshOutcome::Renewed { tokens: renewed("rotated"), facts: None }).await.unwrap();
    let third = bench.begin("a", Duration::from_secs(601)).await;
    assert_eq!(
        (third.tokens.refresh_token.as_ref().map(SecretText::expose), third.interrupted),
        (Some("rotated"), false)
    );
    bench.finish(&third, RefreshOutcome::Ended).await.unwrap();
    assert!(bench.shared.known().index.live(&key("a"), NOW).is_none());
}
