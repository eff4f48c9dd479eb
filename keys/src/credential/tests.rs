//! A credential is worth something on one host, as one kind, unchanged; else nothing.

use proptest::prelude::*;

use super::*;
use crate::{KeyRing, SystemRandom, append, promote, remove};

fn keys() -> CredentialKeys {
    KeyRing::generate(&SystemRandom).0.credential().unwrap()
}

fn opens(keys: &CredentialKeys, text: &str, host: &str) -> bool {
    keys.verify(CredentialKind::Session, text.as_bytes(), host).is_ok()
}

#[test]
fn a_credential_is_bound_to_its_host_and_kind() {
    let keys = keys();
    let handle = Handle::random(&SystemRandom);
    let text = keys.mint(CredentialKind::Session, &handle, "wiki.corp.test");
    assert_eq!(text.len(), CREDENTIAL_CHARS);
    let found = keys.verify(CredentialKind::Session, text.as_bytes(), "wiki.corp.test").unwrap();
    assert_eq!(found.key(), handle.key());
    for host in ["chat.corp.test", "wiki.corp.tes", "wiki.corp.testt", "", "WIKI.corp.test"] {
        assert!(!opens(&keys, &text, host), "{host}");
    }
    assert_eq!(keys.verify(CredentialKind::Service, text.as_bytes(), "wiki.corp.test").unwrap_err(), Forged);
    let service = keys.mint(CredentialKind::Service, &handle, "wiki.corp.test");
    assert!(keys.verify(CredentialKind::Service, service.as_bytes(), "wiki.corp.test").is_ok());
    assert!(!opens(&keys, &service, "wiki.corp.test"));
    assert!(!opens(&self::keys(), &text, "wiki.corp.test"), "another cluster");
}

#[test]
fn every_changed_character_is_refused() {
    let keys = keys();
    let text = keys.mint(CredentialKind::Session, &Handle::random(&SystemRandom), "h");
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=+/ .\0\xff";
    for at in 0..text.len() {
        for &other in alphabet {
            let mut changed = text.clone().into_bytes();
            let same = changed[at] == other;
            changed[at] = other;
            assert_eq!(keys.verify(CredentialKind::Session, &changed, "h").is_ok(), same, "{at}");
        }
    }
    for length in 0..text.len() {
        assert!(keys.verify(CredentialKind::Session, &text.as_bytes()[..length], "h").is_err());
    }
    assert!(!opens(&keys, &format!("{text}="), "h"));
    assert!(!opens(&keys, &format!("{text}AAAA"), "h"));
    assert!(opens(&keys, &text, "h"));
}

#[test]
fn hosts_longer_than_dns_has_are_refused() {
    let keys = keys();
    let longest = "h".repeat(MAX_HOST);
    let text = keys.mint(CredentialKind::Session, &Handle::random(&SystemRandom), &longest);
    assert!(opens(&keys, &text, &longest));
    let longer = "h".repeat(MAX_HOST + 1);
    let text = keys.mint(CredentialKind::Session, &Handle::random(&SystemRandom), &longer);
    assert!(!opens(&keys, &text, &longer));
}

#[test]
fn rotation_keeps_credentials_until_their_key_is_removed() {
    let (ring, text) = KeyRing::generate(&SystemRandom);
    let handle = Handle::random(&SystemRandom);
    let old = ring.credential().unwrap().mint(CredentialKind::Session, &handle, "h");
    let (text, id) = append(&text, &SystemRandom).unwrap();
    let text = promote(&text, id).unwrap();
    let both = KeyRing::parse(&text).unwrap().credential().unwrap();
    let new = both.mint(CredentialKind::Session, &handle, "h");
    assert!(opens(&both, &old, "h") && opens(&both, &new, "h"));
    assert!(!opens(&ring.credential().unwrap(), &new, "h"), "sealed with the new key");
    let alone = KeyRing::parse(&remove(&text, ring.key_ids()[0]).unwrap()).unwrap().credential().unwrap();
    assert!(!opens(&alone, &old, "h") && opens(&alone, &new, "h"));
}

#[test]
fn the_form_is_fixed() {
    // A change of this text logs everybody out: it is a new version then, beside this one.
    let ring = KeyRing::parse("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=").unwrap();
    let text = ring.credential().unwrap().mint(CredentialKind::Session, &Handle::from_bytes([7; 16]), "wiki.corp.test");
    // Computed apart from this crate, with HKDF and HMAC of another library.
    assert_eq!(text, "AYOjawcHBwcHBwcHBwcHBwcHBwezQem-UAAbmY7EfCNKirLd");
}

#[test]
fn debug_shows_no_secret() {
    let handle = Handle::from_bytes([7; 16]);
    assert_eq!(format!("{handle:?}"), "Handle(…)");
    assert!(format!("{:?}", keys()).starts_with("CredentialKeys[KeyId("));
}

proptest! {
    #[test]
    fn noise_is_no_credential(noise in proptest::collection::vec(any::<u8>(), 0..64), text in "[A-Za-z0-9_-]{48}") {
        let keys = keys();
        prop_assert!(keys.verify(CredentialKind::Session, &noise, "h").is_err());
        prop_assert!(!opens(&keys, &text, "h"));
    }
}
