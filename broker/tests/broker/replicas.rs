//! Replicas against a live broker: what they hold, and how fast they let go.

use std::sync::Arc;
use std::time::Duration;

use portcullis_broker_api::{Change, EndReason, EndSelector, Replica, ReplicaBounds, Resolved};
use portcullis_identity::Clock as _;
use tokio::sync::broadcast::Receiver;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::house::{BOUNDS, House, NOW, SOON, key};

/// The next change of sessions; external data comes on a stream of its own.
async fn told(changes: &mut Receiver<Change>) -> Change {
    loop {
        let change = timeout(SOON, changes.recv()).await.unwrap().unwrap();
        if change != Change::Records {
            return change;
        }
    }
}

fn held(resolved: &Resolved) -> bool {
    matches!(resolved, Resolved::Session(_))
}

#[tokio::test]
async fn a_miss_is_fetched_and_then_held_and_absence_is_final() {
    let house = House::new();
    house.authn().create(house.new_session("a")).await.unwrap();
    let (replica, _run) = house.replica().await;
    assert!(matches!(replica.resolve(&key("a"), NOW), Resolved::Missing));
    assert!(held(&replica.fetch(&key("a")).await));
    assert!(held(&replica.resolve(&key("a"), NOW)));
    assert!(matches!(replica.fetch(&key("b")).await, Resolved::Absent));
    assert!(matches!(replica.resolve(&key("b"), NOW), Resolved::Absent));
    assert_eq!(replica.status().sessions, 1);
    assert!(matches!(replica.resolve(&key("a"), NOW.saturating_add(Duration::from_secs(3600))), Resolved::Absent));
}

#[tokio::test]
async fn a_hundred_misses_are_one_fetch() {
    let house = House::new();
    house.authn().create(house.new_session("a")).await.unwrap();
    let (replica, _run) = house.replica().await;
    let wanted = key("a");
    let all = futures_util::future::join_all((0..100).map(|_| replica.fetch(&wanted))).await;
    assert!(all.iter().all(held));
    assert_eq!(house.metric("portcullis_broker_fetches_total", Some("found")), 1);
}

#[tokio::test]
async fn who_redeems_reads_the_session_at_once() {
    let house = House::new();
    house.authn().create(house.new_session("a")).await.unwrap();
    let (replica, _run) = house.replica().await;
    replica.redeem([1; 16], NOW.saturating_add(Duration::from_secs(60)), &key("a")).await.unwrap();
    assert!(held(&replica.resolve(&key("a"), NOW)));
}

#[tokio::test]
async fn revoked_sessions_are_gone_from_ten_replicas_within_a_quarter_second() {
    let house = House::new();
    let mut replicas = Vec::new();
    for _ in 0..10 {
        let (replica, run) = house.replica().await;
        let changes = replica.changes();
        replicas.push((replica, changes, run));
    }
    let (authn, proxy) = (house.authn(), house.proxy());
    let mut latencies = Vec::new();
    for round in 0..50 {
        let name = format!("session {round}");
        authn.create(house.new_session(&name)).await.unwrap();
        for (replica, _, _) in &replicas {
            assert!(held(&replica.fetch(&key(&name)).await));
        }
        let started = Instant::now();
        proxy.end(EndSelector::Key(key(&name)), EndReason::SignedOut).await.unwrap();
        for (replica, changes, _) in &mut replicas {
            assert_eq!(told(changes).await, Change::Ended(key(&name)));
            assert!(matches!(replica.resolve(&key(&name), NOW), Resolved::Absent));
            latencies.push(started.elapsed());
        }
    }
    latencies.sort_unstable();
    let p99 = latencies[latencies.len() * 99 / 100];
    assert!(p99 < Duration::from_millis(250), "{p99:?}");
}

#[tokio::test]
async fn every_end_moves_the_epoch_after_the_session_is_gone() {
    let house = House::new();
    let (replica, _run) = house.replica().await;
    let mut changes = replica.changes();
    house.authn().create(house.new_session("a")).await.unwrap();
    replica.fetch(&key("a")).await;
    let before = replica.epoch();
    house.authn().end(EndSelector::Key(key("a")), EndReason::Revoked).await.unwrap();
    told(&mut changes).await;
    assert!(replica.epoch() > before);
}

#[tokio::test]
async fn who_ends_a_session_has_let_go_of_it() {
    let house = House::new();
    house.authn().create(house.new_session("a")).await.unwrap();
    let (replica, _run) = house.replica().await;
    assert!(held(&replica.fetch(&key("a")).await));
    replica.end(&key("a"), EndReason::SignedOut).await.unwrap();
    assert!(matches!(replica.resolve(&key("a"), NOW), Resolved::Absent));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_under_way_brings_no_ended_session_back() {
    let house = House::new();
    let (replica, _run) = house.replica().await;
    let mut changes = replica.changes();
    let authn = house.authn();
    for round in 0..200 {
        let name = format!("session {round}");
        authn.create(house.new_session(&name)).await.unwrap();
        let fetching = tokio::spawn({
            let (replica, wanted) = (Arc::clone(&replica), key(&name));
            async move { replica.fetch(&wanted).await }
        });
        authn.end(EndSelector::Key(key(&name)), EndReason::Revoked).await.unwrap();
        while told(&mut changes).await != Change::Ended(key(&name)) {}
        fetching.await.unwrap();
        assert!(matches!(replica.resolve(&key(&name), NOW), Resolved::Absent), "{name}");
    }
}

#[tokio::test]
async fn held_sessions_outlive_the_broker_and_ends_of_the_meantime_arrive_with_it() {
    let mut house = House::new();
    for name in ["a", "b"] {
        house.authn().create(house.new_session(name)).await.unwrap();
    }
    let (replica, _run) = house.replica().await;
    let mut changes = replica.changes();
    replica.fetch(&key("a")).await;
    replica.fetch(&key("b")).await;
    house.stop().await;
    assert!(held(&replica.resolve(&key("a"), NOW)));
    assert!(matches!(replica.fetch(&key("c")).await, Resolved::Missing), "nobody knows now");

    // Meanwhile, at a broker that this replica does not follow, one of them ends.
    let broker = portcullis_broker::Broker::open(portcullis_broker::BrokerParts {
        registry: prometheus::Registry::new(),
        ..house.parts()
    });
    let broker = broker.unwrap();
    broker.end(EndSelector::Key(key("b")), EndReason::Revoked).await.unwrap();
    broker.close().await;
    assert!(held(&replica.resolve(&key("b"), NOW)), "not told yet");

    house.start();
    assert_eq!(told(&mut changes).await, Change::Ended(key("b")), "resumed: no reset");
    assert!(held(&replica.resolve(&key("a"), NOW)));
    assert!(matches!(replica.fetch(&key("c")).await, Resolved::Absent));
}

#[tokio::test]
async fn a_fetch_waits_for_a_broker_that_is_just_coming_back() {
    let mut house = House::new();
    house.authn().create(house.new_session("a")).await.unwrap();
    let (replica, _run) = house.replica().await;
    house.stop().await;
    let waiting = tokio::spawn({
        let replica = Arc::clone(&replica);
        async move { replica.fetch(&key("a")).await }
    });
    tokio::task::yield_now().await;
    house.start();
    assert!(held(&waiting.await.unwrap()));
}

#[tokio::test]
async fn another_store_empties_the_replica() {
    let mut house = House::new();
    house.authn().create(house.new_session("a")).await.unwrap();
    let (replica, _run) = house.replica().await;
    let mut changes = replica.changes();
    replica.fetch(&key("a")).await;
    house.stop().await;
    std::fs::remove_file(house.store()).unwrap();
    house.start();
    assert_eq!(told(&mut changes).await, Change::Reset);
    assert!(!held(&replica.resolve(&key("a"), NOW)));
    assert!(matches!(replica.fetch(&key("a")).await, Resolved::Absent));
}

#[tokio::test]
async fn a_replica_that_hears_nothing_is_stale_and_says_so() {
    let house = House::new();
    house.authn().create(house.new_session("a")).await.unwrap();
    let bounds = ReplicaBounds { max_staleness: Duration::ZERO, ..BOUNDS };
    let replica = Replica::new(house.proxy(), bounds);
    let mut changes = replica.changes();
    let before = replica.epoch();
    let stop = CancellationToken::new();
    let run = tokio::spawn(Arc::clone(&replica).run(stop.clone()));
    while told(&mut changes).await != Change::Stale {}
    assert!(replica.epoch() > before);
    assert!(held(&replica.fetch(&key("a")).await), "the broker itself still knows");
    assert!(matches!(replica.resolve(&key("a"), NOW), Resolved::Stale));
    stop.cancel();
    run.await.unwrap();
}

#[tokio::test]
async fn uses_are_reported_and_keep_an_idle_session_alive() {
    let house = House::new();
    let mut new = house.new_session("a");
    new.idle = Some(Duration::from_secs(600));
    house.authn().create(new).await.unwrap();
    let replica = Replica::new(house.proxy(), BOUNDS);
    let stop = CancellationToken::new();
    let run = tokio::spawn(Arc::clone(&replica).run(stop.clone()));
    let mut changes = replica.changes();
    while told(&mut changes).await != Change::Reset {}
    replica.fetch(&key("a")).await;
    house.clock.advance(Duration::from_secs(500));
    replica.used(&key("a"), house.clock.now());
    // Used here, so not idle here, before anybody else knows.
    let later = NOW.saturating_add(Duration::from_secs(1000));
    assert!(held(&replica.resolve(&key("a"), later)));
    // The last report is made when the replica stops.
    stop.cancel();
    run.await.unwrap();
    let session = house.proxy().fetch(&key("a")).await.unwrap().unwrap();
    assert_eq!(session.last_used, house.clock.now());
}

#[tokio::test]
async fn a_session_that_looks_idle_here_is_asked_for_because_it_may_be_used_elsewhere() {
    let house = House::new();
    let mut new = house.new_session("a");
    new.idle = Some(Duration::from_secs(600));
    house.authn().create(new).await.unwrap();
    let (replica, _run) = house.replica().await;
    replica.fetch(&key("a")).await;
    house.clock.advance(Duration::from_secs(599));
    house.proxy().touch(vec![(key("a"), house.clock.now())]).await.unwrap();
    house.clock.advance(Duration::from_secs(1));
    assert!(matches!(replica.resolve(&key("a"), house.clock.now()), Resolved::Missing));
    assert!(held(&replica.fetch(&key("a")).await));
    assert!(held(&replica.resolve(&key("a"), house.clock.now())));
    house.clock.advance(Duration::from_secs(600));
    assert!(matches!(replica.fetch(&key("a")).await, Resolved::Absent));
    assert!(matches!(replica.resolve(&key("a"), house.clock.now()), Resolved::Absent));
}
