use std::path::Path;

use portcullis_config::{Environment, from_text};
use portcullis_keys::SystemRandom;

use super::*;

const START: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);
const SECOND: Duration = Duration::from_secs(1);

/// An environment with a cluster secret.
#[derive(Debug)]
struct Variables;

impl Environment for Variables {
    fn var(&self, _: &str) -> Option<String> {
        Some(KeyRing::generate(&SystemRandom).1)
    }
}

fn settings() -> InternalTls {
    // As `main` does; another test may have done it.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let text = "services: broker\nsecret: {env: RING}\nsiblings: {broker: \"https://b.test\", authn: \"https://a.test\"}\nroutes: []\n";
    match from_text(text, "test.yaml", Path::new("/"), &Variables) {
        Ok(loaded) => InternalTls::new(&loaded.config),
        Err(error) => panic!("{error}"),
    }
}

fn half() -> Timestamp {
    START.saturating_add(LEAF_LIFETIME / 2)
}

#[test]
fn certificates_are_renewed_at_half_of_their_life_and_not_before() {
    let (tls, ring) = (settings(), KeyRing::generate(&SystemRandom).0);
    assert!(!tls.is_due(half()), "there is none");
    let client = tls.client(&ring, ServiceRole::Proxy, START).unwrap();
    let server = tls.server(&ring, ServiceRole::Broker, START).unwrap();
    tls.authn(&ring, START).unwrap();
    assert!(!tls.is_due(half().saturating_sub(SECOND)) && tls.is_due(half()));
    let next = tls.prepare(&ring, half()).unwrap();
    // Prepared is not yet taken over.
    assert!(tls.is_due(half()) && !client.has_changed().unwrap() && !server.has_changed().unwrap());
    tls.take_over(next);
    assert!(!tls.is_due(half()) && client.has_changed().unwrap() && server.has_changed().unwrap());
    assert!(tls.is_due(half().saturating_add(LEAF_LIFETIME / 2)));
}

#[test]
fn who_came_in_before_a_renewal_stays_in_and_who_came_in_by_a_removed_key_does_not() {
    let (tls, text) = (settings(), KeyRing::generate(&SystemRandom).1);
    let (ring, other) = (KeyRing::parse(&text).unwrap(), KeyRing::generate(&SystemRandom).0);
    let settings = tls.server(&ring, ServiceRole::Broker, START).unwrap();
    let leaf = ring.service_certificate(ServiceRole::Proxy, START).unwrap().certificate;
    let believed = |now| settings.borrow().believes(std::slice::from_ref(&leaf), now);
    assert!(believed(START) && !settings.borrow().believes(&[], START));
    tls.take_over(tls.prepare(&ring, half()).unwrap());
    assert!(believed(half()));
    assert!(!believed(START.saturating_add(LEAF_LIFETIME).saturating_add(SECOND)), "its own end is an end");
    tls.take_over(tls.prepare(&other, half()).unwrap());
    assert!(!believed(half()));
}

#[test]
fn exported_certificates_are_told_of_before_they_end() {
    let (tls, ring) = (settings(), KeyRing::generate(&SystemRandom).0);
    let exported = KeyRing::parse(&ring.export(&[ServiceRole::Broker], START).unwrap()).unwrap();
    tls.server(&exported, ServiceRole::Broker, START).unwrap();
    let end = START.saturating_add(LEAF_LIFETIME);
    assert_eq!(tls.ending(end.saturating_sub(TOLD_BEFORE).saturating_sub(SECOND)), None);
    let told = tls.ending(end.saturating_sub(TOLD_BEFORE)).unwrap();
    assert!(told.contains("2029-01-14") && told.contains("keys export"), "{told}");
    // An export of another service's keys has what is followed here, and needs no more.
    let later = half();
    let renewed = KeyRing::parse(&ring.export(&[ServiceRole::Broker], later).unwrap()).unwrap();
    tls.take_over(tls.prepare(&renewed, later).unwrap());
    assert_eq!(tls.ending(end), None);
    let others = KeyRing::parse(&ring.export(&[ServiceRole::Proxy], later).unwrap()).unwrap();
    assert!(tls.prepare(&others, later).is_err());
}
