//! What lies on the disk, and what happens when it cannot be read.

use portcullis_broker::{Broker, KeysError, OpenError};
use portcullis_keys::{KeyRing, SystemRandom};

use crate::house::{House, key};
use crate::records::{push, record};

#[tokio::test]
async fn nothing_a_provider_said_lies_open_in_the_file() {
    let mut house = House::new();
    house.authn().create(house.new_session("a")).await.unwrap();
    house.authn().create(house.new_session("b")).await.unwrap();
    push(&house, vec![record("canary-type", "canary-record", r#"{"v":"canary-data"}"#)], None).await.unwrap();
    let selector = portcullis_broker_api::EndSelector::Key(key("b"));
    house.proxy().end(selector, portcullis_broker_api::EndReason::SignedOut).await.unwrap();
    house.stop().await;
    let bytes = std::fs::read(house.store()).unwrap();
    for canary in ["canary-type", "canary-record", "canary-data"] {
        let found = bytes.windows(canary.len()).any(|window| window == canary.as_bytes());
        assert!(!found, "{canary}");
    }
    for canary in ["canary-claim", "canary-access", "canary-refresh", "canary-id", "alice", "idp.corp.test"] {
        let found = bytes.windows(canary.len()).any(|window| window == canary.as_bytes());
        assert!(!found, "{canary}");
    }
}

#[tokio::test]
async fn a_lost_key_is_named_and_the_records_wait_for_it() {
    let mut house = House::new();
    house.authn().create(house.new_session("a")).await.unwrap();
    house.stop().await;
    let old = std::mem::replace(&mut house.ring, KeyRing::generate(&SystemRandom).0);
    let error = Broker::open(house.parts()).unwrap_err();
    assert!(matches!(error, OpenError::UnknownKey { .. }), "{error:?}");
    let id = old.key_ids()[0].to_string();
    assert!(error.to_string().contains(&id), "{error}");
    house.ring = old;
    house.start();
    assert!(house.proxy().fetch(&key("a")).await.unwrap().is_some());
}

#[tokio::test]
async fn a_rotated_ring_opens_what_the_old_key_sealed() {
    let mut house = House::new();
    house.authn().create(house.new_session("a")).await.unwrap();
    house.stop().await;
    let (text, id) = portcullis_keys::append(&house.ring_text, &SystemRandom).unwrap();
    house.ring = KeyRing::parse(&portcullis_keys::promote(&text, id).unwrap()).unwrap();
    house.start();
    assert!(house.proxy().fetch(&key("a")).await.unwrap().is_some());
    house.authn().create(house.new_session("b")).await.unwrap();
    house.stop().await;
    house.ring = KeyRing::parse(&house.ring_text).unwrap();
    let error = Broker::open(house.parts()).unwrap_err();
    assert!(error.to_string().contains(&id.to_string()), "the new key sealed b: {error}");
}

#[tokio::test]
async fn a_running_broker_follows_its_ring_and_gives_no_key_up_that_a_record_needs() {
    let house = House::new();
    let broker = house.broker();
    let keys = |text: &str| KeyRing::parse(text).unwrap().store().unwrap();
    let old = house.ring.key_ids()[0];
    let (appended, new) = portcullis_keys::append(&house.ring_text, &SystemRandom).unwrap();
    let only_new = portcullis_keys::remove(&appended, old).unwrap();
    house.authn().create(house.new_session("a")).await.unwrap();
    let error = broker.check_keys(&keys(&only_new)).await.unwrap_err();
    assert!(matches!(error, KeysError::Seals { key } if key == old), "{error:?}");
    let promoted = portcullis_keys::promote(&appended, new).unwrap();
    for text in [&appended, &promoted] {
        broker.check_keys(&keys(text)).await.unwrap();
        broker.set_keys(keys(text));
        assert!(house.proxy().fetch(&key("a")).await.unwrap().is_some());
    }
    house.authn().create(house.new_session("b")).await.unwrap();
    let error = broker.check_keys(&keys(&only_new)).await.unwrap_err();
    assert!(matches!(error, KeysError::Needed { key } if key == old), "{error:?}");
    // What `a` leaves for a sign-out at its provider is sealed by the new key.
    let selector = portcullis_broker_api::EndSelector::Key(key("a"));
    house.proxy().end(selector, portcullis_broker_api::EndReason::SignedOut).await.unwrap();
    broker.check_keys(&keys(&only_new)).await.unwrap();
    broker.set_keys(keys(&only_new));
    assert!(house.proxy().fetch(&key("b")).await.unwrap().is_some(), "the new key sealed it");
}

#[tokio::test]
async fn external_data_is_sealed_anew_once_another_key_seals() {
    let house = House::new();
    let (appended, new) = portcullis_keys::append(&house.ring_text, &SystemRandom).unwrap();
    let promoted = KeyRing::parse(&portcullis_keys::promote(&appended, new).unwrap()).unwrap();
    let only_new = KeyRing::parse(&portcullis_keys::remove(&appended, house.ring.key_ids()[0]).unwrap()).unwrap();
    push(&house, vec![record("hr", "1", "{}"), record("hr", "2", "{}")], None).await.unwrap();
    assert!(house.broker().check_keys(&only_new.store().unwrap()).await.is_err());
    house.broker().set_keys(promoted.store().unwrap());
    house.broker().sweep().await.unwrap();
    house.broker().check_keys(&only_new.store().unwrap()).await.unwrap();
}

#[tokio::test]
async fn a_key_whose_sessions_are_over_is_needed_by_nobody() {
    let house = House::new();
    let (appended, new) = portcullis_keys::append(&house.ring_text, &SystemRandom).unwrap();
    let promoted = KeyRing::parse(&portcullis_keys::promote(&appended, new).unwrap()).unwrap();
    let only_new = KeyRing::parse(&portcullis_keys::remove(&appended, house.ring.key_ids()[0]).unwrap()).unwrap();
    house.authn().create(house.new_session("a")).await.unwrap();
    house.broker().set_keys(promoted.store().unwrap());
    assert!(house.broker().check_keys(&only_new.store().unwrap()).await.is_err());
    house.clock.advance(std::time::Duration::from_secs(3601));
    house.broker().check_keys(&only_new.store().unwrap()).await.unwrap();
}

#[tokio::test]
async fn sessions_outlive_the_broker() {
    let mut house = House::new();
    house.authn().create(house.new_session("a")).await.unwrap();
    let before = house.broker().status();
    house.stop().await;
    house.start();
    assert_eq!(house.broker().status(), before);
    assert!(house.proxy().fetch(&key("a")).await.unwrap().is_some());
}

#[tokio::test]
async fn a_client_finds_a_restarted_broker_by_itself() {
    let mut house = House::new();
    let (authn, proxy) = (house.authn(), house.proxy());
    authn.create(house.new_session("a")).await.unwrap();
    assert!(proxy.fetch(&key("a")).await.unwrap().is_some());
    house.stop().await;
    let away = authn.create(house.new_session("b")).await;
    assert!(away.is_err(), "nobody is there");
    house.start();
    authn.create(house.new_session("b")).await.unwrap();
    assert!(proxy.fetch(&key("b")).await.unwrap().is_some());
}
