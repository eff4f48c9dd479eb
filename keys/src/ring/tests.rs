//! What each purpose's key is made of, and what an export carries.

use super::*;
use crate::{AssertionKeys, SystemRandom};

const NOW: Timestamp = Timestamp::from_unix_seconds(1_700_000_000);

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().map(|c| u8::try_from(c.to_digit(16).unwrap()).unwrap()).collect();
    digits.chunks(2).map(|pair| pair[0] * 16 + pair[1]).collect()
}

#[test]
fn derivation_is_rfc_5869() {
    // RFC 5869 A.3: SHA-256, no salt, no info; the first 32 of its 42 bytes.
    let expected = hex("8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d");
    assert_eq!(derive(&[0x0b; 22], "").as_bytes()[..], expected);
}

#[test]
fn every_purpose_has_a_key_of_its_own() {
    let (ring, _) = KeyRing::generate(&SystemRandom);
    let keys: std::collections::BTreeSet<_> = ring.keys.values().flatten().map(|(_, key)| *key.as_bytes()).collect();
    assert_eq!(keys.len(), Purpose::ALL.len());
}

#[test]
fn the_key_of_a_purpose_is_the_documented_derivation() {
    let secret: Vec<u8> = (0..32).collect();
    let ring = KeyRing::parse("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=").unwrap();
    let (_, key) = &ring.keys[&Purpose::Store][0];
    assert_eq!(key.as_bytes(), derive(&secret, "portcullis/1/store").as_bytes());
}

#[test]
fn an_export_opens_exactly_what_its_services_need() {
    let (ring, _) = KeyRing::generate(&SystemRandom);
    for mask in 1..8_u8 {
        let in_mask = |(bit, _): &(u8, ServiceRole)| mask & 1 << bit != 0;
        let services: Vec<_> = (0..).zip(ServiceRole::ALL).filter(in_mask).map(|(_, role)| role).collect();
        let text = ring.export(&services, NOW).unwrap();
        let export = KeyRing::parse(&text).unwrap();
        assert!(!export.is_root());
        assert_eq!(export.key_ids(), ring.key_ids());
        for purpose in Purpose::ALL {
            let needed = services.iter().any(|role| role.purposes().contains(&purpose));
            assert_eq!(export.of(purpose).is_ok(), needed, "{services:?} {purpose}");
        }
        for role in ServiceRole::ALL {
            let held = export.service_certificate(role, NOW);
            assert_eq!(held.is_ok(), services.contains(&role), "{services:?} {role}");
        }
        assert!(export.export(&services, NOW).is_err(), "an export cannot export further");
    }
}

#[test]
fn the_table_of_the_design() {
    use Purpose::{Assertion, Credential, Flow, Handover, Store, Tickets};
    assert_eq!(ServiceRole::Proxy.purposes(), [Credential, Handover, Assertion, Tickets]);
    assert_eq!(ServiceRole::Authn.purposes(), [Credential, Handover, Flow]);
    assert_eq!(ServiceRole::Broker.purposes(), [Store]);
}

#[test]
fn what_the_root_seals_the_export_opens_and_the_other_way_round() {
    let (ring, _) = KeyRing::generate(&SystemRandom);
    let export = KeyRing::parse(&ring.export(&[ServiceRole::Proxy], NOW).unwrap()).unwrap();
    let sealed = ring.handover().unwrap().seal("h", b"x", &SystemRandom);
    assert_eq!(export.handover().unwrap().open("h", &sealed).unwrap(), b"x");
    let sealed = export.handover().unwrap().seal("h", b"y", &SystemRandom);
    assert_eq!(ring.handover().unwrap().open("h", &sealed).unwrap(), b"y");
    let (ours, theirs) = (AssertionKeys::from_ring(&ring).unwrap(), AssertionKeys::from_ring(&export).unwrap());
    assert_eq!(ours.jwks(), theirs.jwks());
    assert_eq!(export.store().unwrap_err(), NotHeld(Purpose::Store));
    assert_eq!(export.flow().unwrap_err(), NotHeld(Purpose::Flow));
    assert_eq!(export.internal_ca().unwrap_err(), NotHeld(Purpose::InternalCa));
}

#[test]
fn an_export_does_not_hold_the_secret() {
    let (ring, text) = KeyRing::generate(&SystemRandom);
    let secret = text.lines().last().unwrap();
    let export = ring.export(&ServiceRole::ALL, NOW).unwrap();
    assert!(!export.contains(secret));
    assert!(!export.contains("internal-ca"));
}

#[test]
fn tickets_change_daily() {
    let (ring, _) = KeyRing::generate(&SystemRandom);
    let today = TicketDay::of(NOW);
    let sealed = ring.tickets(today).unwrap().seal_bytes("", b"ticket", &SystemRandom);
    assert!(ring.tickets(today).unwrap().open_bytes("", &sealed).is_ok());
    let tomorrow = TicketDay::of(NOW.saturating_add(std::time::Duration::from_secs(86_400)));
    assert_eq!(tomorrow.before(), today);
    assert!(ring.tickets(tomorrow).unwrap().open_bytes("", &sealed).is_err());
    assert!(ring.tickets(tomorrow.before()).unwrap().open_bytes("", &sealed).is_ok());
    assert!(ring.store().unwrap().open_bytes("", &sealed).is_err());
}

#[test]
fn key_ids_are_read_as_they_are_written() {
    let id = KeyId::from_bytes([0, 0xab, 0xcd]);
    assert_eq!(id.to_string(), "00abcd");
    assert_eq!(KeyId::from_hex("00abcd"), Some(id));
    for bad in ["", "0abcd", "000abcd", "00ABCD", "00abcg", "+0abcd"] {
        assert_eq!(KeyId::from_hex(bad), None, "{bad}");
    }
}
