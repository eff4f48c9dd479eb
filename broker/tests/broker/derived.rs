//! Sessions made of another one, for programs: of the same person, ended alone, and never longer than that one.

use std::time::Duration;

use portcullis_broker_api::{Change, EndReason, EndSelector, NewSession, Resolved};
use portcullis_identity::{Clock as _, DerivedSession, SessionKey};
use portcullis_keys::ServiceRole;
use tokio::time::timeout;

use crate::house::{House, SOON, key};

const WIKI: &str = "wiki.corp.test";

/// A house with the session `a` and the session `p` that was made of it.
async fn family() -> House {
    let house = House::new();
    house.authn().create(house.new_session("a")).await.unwrap();
    let made = house.authn().derive(&key("a"), &key("p"), WIKI).await.unwrap().unwrap();
    assert_eq!(made.key, key("p"));
    house
}

async fn lives(house: &House, name: &str) -> bool {
    house.proxy().fetch(&key(name)).await.unwrap().is_some()
}

async fn end(house: &House, key: SessionKey) -> usize {
    house.authn().end(EndSelector::Key(key), EndReason::SignedOut).await.unwrap().len()
}

#[tokio::test]
async fn it_is_of_the_same_person_and_reads_the_same_tokens() {
    let house = family().await;
    let of = house.proxy().fetch(&key("a")).await.unwrap().unwrap();
    let made = house.proxy().fetch(&key("p")).await.unwrap().unwrap();
    assert_eq!((&made.principal, &made.provider, made.expires_at), (&of.principal, &of.provider, of.expires_at));
    assert_eq!((made.authenticated_at, &made.provider_session), (of.authenticated_at, &of.provider_session));
    let token = async |name: &str| {
        let tokens = house.proxy().access_token(&key(name), "wiki").await.unwrap().unwrap();
        tokens.access_token.unwrap().expose().to_owned()
    };
    assert_eq!(token("p").await, token("a").await);
    let listed = house.broker().sessions(9);
    let made: Vec<_> = listed.iter().map(|session| (session.key, session.parent, session.host.as_deref())).collect();
    assert!(
        made.contains(&(key("p"), Some(key("a")), Some(WIKI))) && made.contains(&(key("a"), None, None)),
        "{made:?}"
    );
    assert_eq!(house.broker().shown(&key("p").to_string()), Some(key("p")));
    assert_eq!(house.broker().shown("none"), None);
}

#[tokio::test]
async fn it_ends_alone_and_with_its_parent() {
    let house = family().await;
    assert_eq!(end(&house, key("p")).await, 1);
    assert!(lives(&house, "a").await && !lives(&house, "p").await);
    house.authn().derive(&key("a"), &key("q"), WIKI).await.unwrap().unwrap();
    assert!(lives(&house, "q").await);
    let (replica, _run) = house.replica().await;
    assert!(matches!(replica.fetch(&key("q")).await, Resolved::Session(_)));
    let mut changes = replica.changes();
    end(&house, key("a")).await;
    assert!(!lives(&house, "a").await && !lives(&house, "q").await);
    for ended in ["a", "q"] {
        let told = timeout(SOON, changes.recv()).await.unwrap().unwrap();
        assert_eq!(told, Change::Ended(key(ended)));
    }
}

#[tokio::test]
async fn a_restart_keeps_families_together() {
    let mut house = family().await;
    house.stop().await;
    house.start();
    assert!(lives(&house, "p").await);
    end(&house, key("a")).await;
    assert!(!lives(&house, "p").await);
    house.stop().await;
    house.start();
    assert!(!lives(&house, "p").await);
}

#[tokio::test]
async fn nothing_is_made_of_what_is_over_or_was_made_itself() {
    let house = family().await;
    assert!(
        house.authn().derive(&key("p"), &key("x"), WIKI).await.unwrap().is_none(),
        "what a program has gives nothing on"
    );
    assert!(house.authn().derive(&key("nobody"), &key("x"), WIKI).await.unwrap().is_none());
    assert!(house.authn().derive(&key("a"), &key("x"), WIKI).await.unwrap().is_some());
    end(&house, key("a")).await;
    assert!(house.authn().derive(&key("a"), &key("y"), WIKI).await.unwrap().is_none());
    assert!(house.proxy().derive(&key("a"), &key("y"), WIKI).await.is_err(), "a proxy makes no session");
}

#[tokio::test]
async fn its_person_sees_where_it_goes_when_it_was_made_and_when_it_was_used() {
    let mut house = family().await;
    house.authn().create(house.new_session("b")).await.unwrap();
    let made = house.clock.now();
    house.clock.advance(Duration::from_secs(60));
    house.authn().derive(&key("a"), &key("q"), "git.corp.test").await.unwrap().unwrap();
    house.clock.advance(Duration::from_secs(60));
    let used = house.clock.now();
    house.proxy().touch(vec![(key("p"), used)]).await.unwrap();
    // Neither a restart nor anything that happens to the session changes when it was made.
    house.stop().await;
    house.start();
    let entry = |name: &str, host: &str, made_at, last_used| DerivedSession {
        key: key(name),
        host: Some(host.into()),
        made_at,
        last_used,
    };
    let later = made.saturating_add(Duration::from_secs(60));
    let listed = [entry("p", WIKI, made, used), entry("q", "git.corp.test", later, later)];
    for asker in [house.proxy(), house.authn()] {
        assert_eq!(asker.list_derived(&key("a")).await.unwrap(), listed);
        // Nobody else's, and none of what a program has: it sees no siblings.
        for other in ["b", "p", "nobody"] {
            assert_eq!(asker.list_derived(&key(other)).await.unwrap(), [], "{other}");
        }
    }
    end(&house, key("p")).await;
    assert_eq!(house.proxy().list_derived(&key("a")).await.unwrap(), listed[1..]);
    end(&house, key("a")).await;
    assert_eq!(house.proxy().list_derived(&key("a")).await.unwrap(), []);
    assert!(house.client(ServiceRole::Broker).list_derived(&key("a")).await.is_err());
}

#[tokio::test]
async fn it_is_for_one_host_that_is_named() {
    let house = family().await;
    assert!(house.authn().derive(&key("a"), &key("q"), "").await.is_err());
    assert!(house.authn().derive(&key("a"), &key("q"), &"w".repeat(5000)).await.is_err());
    assert!(house.authn().derive(&key("a"), &key("q"), WIKI).await.unwrap().is_some());
}

#[tokio::test]
async fn its_use_is_a_use_of_its_parent() {
    let house = House::new();
    let idle = Some(Duration::from_secs(600));
    house.authn().create(NewSession { idle, ..house.new_session("a") }).await.unwrap();
    house.authn().create(NewSession { idle, ..house.new_session("b") }).await.unwrap();
    house.authn().derive(&key("a"), &key("p"), WIKI).await.unwrap().unwrap();
    house.clock.advance(Duration::from_secs(400));
    house.proxy().touch(vec![(key("p"), house.clock.now())]).await.unwrap();
    house.clock.advance(Duration::from_secs(400));
    assert!(lives(&house, "p").await && lives(&house, "a").await && !lives(&house, "b").await);
}
