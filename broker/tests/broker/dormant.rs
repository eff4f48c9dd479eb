//! Sessions whose tokens ended while nobody used them: let go of, and refreshed before they are believed again.

use std::sync::Arc;
use std::time::Duration;

use portcullis_broker_api::{Change, NewSession, Replica, Resolved, Tokens};
use portcullis_identity::{Clock as _, ProviderName};
use serde_json::json;
use tokio::sync::Barrier;
use tokio::sync::broadcast::Receiver;
use tokio::time::timeout;

use crate::house::{SOON, key};
use crate::provider::{FakeProvider, Fault, Script};
use crate::refresh::{Scene, config_of, fetched, groups, session};

/// The tokens last five minutes.
const SIX_MINUTES: Duration = Duration::from_secs(360);

/// A scene with new groups at the provider.
async fn scene() -> Scene {
    let scene = Scene::new().await;
    scene.provider.script(|script: &mut Script| script.claims = json!({ "groups": ["staff"] }));
    scene
}

async fn told(changes: &mut Receiver<Change>) -> Change {
    timeout(SOON, changes.recv()).await.unwrap().unwrap()
}

fn missing(scene: &Scene, replica: &Replica, name: &str) -> bool {
    matches!(replica.resolve(&key(name), scene.house.clock.now()), Resolved::Missing)
}

#[tokio::test]
async fn a_dormant_session_is_refreshed_before_it_is_answered_and_its_twin_in_use_asks_nobody() {
    let (scene, twin) = (scene().await, scene().await);
    scene.pass(SIX_MINUTES);
    assert_eq!(groups(&fetched(&scene.house, &key("a")).await.unwrap()), ["staff"]);
    assert_eq!((scene.refreshes(), scene.outcomes("renewed")), (1, 1));
    assert!(fetched(&scene.house, &key("a")).await.is_some());
    assert_eq!(scene.refreshes(), 1, "its tokens are good again");
    twin.use_after(Duration::from_secs(241)).await;
    twin.refresher.refresh_due().await.unwrap();
    twin.pass(Duration::from_secs(119));
    assert_eq!(twin.refreshes(), 1);
    assert_eq!(groups(&fetched(&twin.house, &key("a")).await.unwrap()), ["staff"]);
    assert_eq!(twin.refreshes(), 1);
}

#[tokio::test]
async fn before_its_tokens_end_nobody_is_asked() {
    let scene = scene().await;
    scene.pass(Duration::from_secs(299));
    assert_eq!(groups(&fetched(&scene.house, &key("a")).await.unwrap()), ["admins"]);
    assert_eq!(scene.refreshes(), 0);
    scene.pass(Duration::from_secs(1));
    assert_eq!(groups(&fetched(&scene.house, &key("a")).await.unwrap()), ["staff"]);
}

#[tokio::test]
async fn replicas_let_go_of_a_dormant_session_once_and_hold_its_twin_on() {
    let scene = scene().await;
    let new = session(&scene.house, &scene.provider, "b");
    let tokens = Tokens { refresh_token: None, ..new.tokens.clone() };
    scene.house.authn().create(NewSession { tokens, ..new }).await.unwrap();
    scene.house.authn().derive(&key("a"), &key("p"), "wiki.corp.test").await.unwrap().unwrap();
    let (replica, _run) = scene.house.replica().await;
    for name in ["a", "b", "p"] {
        assert!(matches!(replica.fetch(&key(name)).await, Resolved::Session(_)));
    }
    let (mut changes, epoch) = (replica.changes(), replica.epoch());
    scene.pass(SIX_MINUTES);
    scene.refresher.refresh_due().await.unwrap();
    assert_eq!(told(&mut changes).await, Change::Dormant(key("a")));
    assert_eq!(told(&mut changes).await, Change::Dormant(key("p")), "what was made of it lives by its tokens");
    assert!(missing(&scene, &replica, "a") && missing(&scene, &replica, "p"));
    assert!(!missing(&scene, &replica, "b"), "nothing to refresh it with");
    assert_eq!((replica.epoch(), scene.refreshes()), (epoch, 0), "no judgement has changed");
    let version = scene.house.broker().status().version;
    scene.refresher.refresh_due().await.unwrap();
    assert_eq!(scene.house.broker().status().version, version, "told once");
    // The next use finds it renewed, here and where it was made of it.
    let Resolved::Session(renewed) = replica.fetch(&key("p")).await else { panic!("it lives") };
    assert_eq!((groups(&renewed), scene.refreshes()), (vec!["staff".to_owned()], 1));
    assert!(matches!(replica.fetch(&key("a")).await, Resolved::Session(_)));
    assert!(!missing(&scene, &replica, "a"));
    assert_eq!(scene.refreshes(), 1);
}

#[tokio::test]
async fn a_provider_that_is_down_leaves_the_session_as_known_and_is_asked_again_later() {
    let scene = scene().await;
    scene.provider.fault("/token", Fault::Status(503));
    scene.pass(SIX_MINUTES);
    assert_eq!(groups(&fetched(&scene.house, &key("a")).await.unwrap()), ["admins"]);
    assert!(fetched(&scene.house, &key("a")).await.is_some());
    assert_eq!((scene.refreshes(), scene.outcomes("failed")), (1, 1), "not before the pause is over");
    scene.provider.script(|script| script.faults.clear());
    // It counts as used: the refresher asks by itself.
    scene.pass(Duration::from_secs(31));
    scene.refresher.refresh_due().await.unwrap();
    assert_eq!(scene.refreshes(), 2);
    assert_eq!(groups(&fetched(&scene.house, &key("a")).await.unwrap()), ["staff"]);
}

#[tokio::test]
async fn a_grant_that_is_over_ends_the_session_before_it_is_answered() {
    let scene = scene().await;
    scene.provider.end_grant();
    scene.pass(SIX_MINUTES);
    assert!(fetched(&scene.house, &key("a")).await.is_none());
    assert_eq!((scene.refreshes(), scene.outcomes("ended")), (1, 1));
}

#[tokio::test]
async fn two_who_ask_at_once_are_one_refresh_and_a_slow_provider_is_not_waited_for_twice() {
    let scene = scene().await;
    scene.pass(SIX_MINUTES);
    let a = key("a");
    let (one, other) = tokio::join!(fetched(&scene.house, &a), fetched(&scene.house, &a));
    assert_eq!((groups(&one.unwrap()), groups(&other.unwrap())), (vec!["staff".to_owned()], vec!["staff".to_owned()]));
    assert_eq!(scene.refreshes(), 1);
    // Longer than the new tokens last.
    let gate = Arc::new(Barrier::new(2));
    scene.provider.fault("/userinfo", Fault::Held(Arc::clone(&gate)));
    scene.provider.script(|script| script.claims = json!({ "groups": ["newer"] }));
    scene.pass(Duration::from_secs(1200));
    let (slow, _) = tokio::join!(fetched(&scene.house, &a), gate.wait());
    assert_eq!((groups(&slow.unwrap()), scene.refreshes()), (vec!["staff".to_owned()], 2), "as known, in time");
    scene.pass(Duration::from_secs(2));
    assert!(fetched(&scene.house, &a).await.is_some());
    assert_eq!(scene.refreshes(), 2, "the one under way goes on");
}

#[tokio::test]
async fn a_session_of_a_provider_that_is_gone_is_never_dormant() {
    let scene = scene().await;
    let new = session(&scene.house, &scene.provider, "g");
    scene.house.authn().create(NewSession { provider: ProviderName::new("gone"), ..new }).await.unwrap();
    let (replica, _run) = scene.house.replica().await;
    assert!(matches!(replica.fetch(&key("g")).await, Resolved::Session(_)));
    let mut changes = replica.changes();
    scene.pass(SIX_MINUTES);
    scene.refresher.refresh_due().await.unwrap();
    assert_eq!(told(&mut changes).await, Change::Dormant(key("a")));
    assert!(!missing(&scene, &replica, "g"));
    assert!(fetched(&scene.house, &key("g")).await.is_some());
    assert_eq!(scene.refreshes(), 0);
    // Its provider is back, and its tokens have ended.
    let back = FakeProvider::start(scene.house.clock.now().unix_seconds()).await;
    let both = config_of(&[("gone", &back), ("corp", &scene.provider)]);
    scene.refresher.take_over(scene.refresher.prepare(&both).unwrap());
    scene.refresher.refresh_due().await.unwrap();
    assert_eq!(told(&mut changes).await, Change::Dormant(key("g")));
}

#[tokio::test]
async fn a_full_share_is_not_waited_for() {
    let scene = scene().await;
    let names: Vec<String> = (0..32).map(|number| format!("h{number}")).collect();
    for name in &names {
        scene.house.authn().create(session(&scene.house, &scene.provider, name)).await.unwrap();
    }
    let full = Arc::new(Barrier::new(33));
    scene.provider.fault("/token", Fault::Held(Arc::clone(&full)));
    scene.pass(SIX_MINUTES);
    let keys: Vec<_> = names.iter().map(|name| key(name)).collect();
    let proxy = scene.house.proxy();
    let asked = async {
        let (fetched, _) = tokio::join!(proxy.fetch_many(&keys), full.wait());
        fetched.unwrap().sessions.len()
    };
    assert_eq!(asked.await, 32, "as known");
    assert_eq!(groups(&fetched(&scene.house, &key("a")).await.unwrap()), ["admins"]);
    assert_eq!(scene.refreshes(), 32);
}

#[tokio::test]
async fn dormant_sessions_are_so_after_a_restart_and_nobody_is_asked_before_they_are_used() {
    let mut scene = scene().await;
    let (replica, _run) = scene.house.replica().await;
    assert!(matches!(replica.fetch(&key("a")).await, Resolved::Session(_)));
    let mut changes = replica.changes();
    scene.pass(SIX_MINUTES);
    scene.restart().await;
    scene.refresher.refresh_due().await.unwrap();
    while told(&mut changes).await != Change::Dormant(key("a")) {}
    assert!(missing(&scene, &replica, "a"));
    // Whoever fetches ahead of uses is told to wait for them.
    let ahead = scene.house.proxy().fetch_ahead(&[key("a"), key("nobody")]).await.unwrap();
    assert_eq!((ahead.sessions.len(), ahead.dormant), (0, vec![key("a")]));
    assert_eq!(scene.refreshes(), 0);
    assert_eq!(groups(&fetched(&scene.house, &key("a")).await.unwrap()), ["staff"]);
    assert_eq!(scene.refreshes(), 1);
}

#[tokio::test]
async fn a_use_from_before_a_restart_counts_where_the_provider_does_not_say_when_tokens_end() {
    let mut scene = scene().await;
    let new = session(&scene.house, &scene.provider, "u");
    let tokens = Tokens { expires_at: None, ..new.tokens.clone() };
    scene.house.authn().create(NewSession { tokens, ..new }).await.unwrap();
    scene.pass(Duration::from_secs(1000));
    scene.house.proxy().touch(vec![(key("u"), scene.house.clock.now())]).await.unwrap();
    scene.restart().await;
    scene.pass(Duration::from_secs(599));
    assert_eq!(groups(&fetched(&scene.house, &key("u")).await.unwrap()), ["admins"]);
    assert_eq!(scene.refreshes(), 0);
    scene.pass(Duration::from_secs(1));
    assert_eq!(groups(&fetched(&scene.house, &key("u")).await.unwrap()), ["staff"]);
}
