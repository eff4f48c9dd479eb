//! What was sealed opens for its purpose and receiver, and nowhere else.

use proptest::prelude::*;

use super::*;
use crate::{KeyRing, SystemRandom, append, promote, remove};

fn ring() -> KeyRing {
    KeyRing::generate(&SystemRandom).0
}

#[test]
fn a_text_opens_for_its_receiver_and_purpose_alone() {
    let ring = ring();
    let keys = ring.handover().unwrap();
    let sealed = keys.seal("wiki.corp.test", b"hello", &SystemRandom);
    assert_eq!(keys.open("wiki.corp.test", &sealed).unwrap(), b"hello");
    assert_eq!(keys.open("chat.corp.test", &sealed), Err(SealError::Forged));
    assert_eq!(keys.open("", &sealed), Err(SealError::Forged));
    assert_eq!(ring.store().unwrap().open("wiki.corp.test", &sealed), Err(SealError::Forged));
    assert_eq!(ring.flow().unwrap().open("wiki.corp.test", &sealed), Err(SealError::Forged));
    assert_eq!(self::ring().handover().unwrap().open("wiki.corp.test", &sealed), Err(SealError::UnknownKey));
}

#[test]
fn every_changed_byte_is_refused() {
    let keys = ring().store().unwrap();
    let sealed = keys.seal_bytes("s", b"some tokens", &SystemRandom);
    assert_eq!(keys.open_bytes("s", &sealed).unwrap(), b"some tokens");
    for at in 0..sealed.len() {
        for bit in 0..8 {
            let mut changed = sealed.clone();
            changed[at] ^= 1 << bit;
            assert!(keys.open_bytes("s", &changed).is_err(), "byte {at}, bit {bit}");
        }
    }
    for length in 0..sealed.len() {
        assert!(keys.open_bytes("s", &sealed[..length]).is_err(), "cut to {length}");
    }
    let longer = [&sealed[..], &[0]].concat();
    assert_eq!(keys.open_bytes("s", &longer), Err(SealError::Forged));
}

#[test]
fn a_text_has_one_spelling() {
    let keys = ring().handover().unwrap();
    // 32 bytes more than 6 are 38: two characters short of a whole group, so there are unused bits.
    let sealed = keys.seal("h", b"ticket", &SystemRandom);
    let last = sealed.chars().next_back().unwrap();
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let accepted: Vec<char> = alphabet
        .chars()
        .filter(|c| keys.open("h", &format!("{}{c}", sealed.strip_suffix(last).unwrap())).is_ok())
        .collect();
    assert_eq!(accepted, [last]);
    assert_eq!(keys.open("h", &format!("{sealed}=")), Err(SealError::Malformed));
    assert_eq!(keys.open("h", &format!(" {sealed}")), Err(SealError::Malformed));
    assert_eq!(keys.open("h", &"A".repeat(MAX_TEXT + 1)), Err(SealError::Malformed));
    assert_eq!(keys.open("h", ""), Err(SealError::Malformed));
}

#[test]
fn sealing_twice_gives_two_texts() {
    let keys = ring().handover().unwrap();
    assert_ne!(keys.seal("h", b"same", &SystemRandom), keys.seal("h", b"same", &SystemRandom));
}

#[test]
fn rotation_keeps_what_was_sealed_until_its_key_is_removed() {
    let (old, text) = KeyRing::generate(&SystemRandom);
    let old_id = old.key_ids()[0];
    let before = old.handover().unwrap().seal("h", b"before", &SystemRandom);

    // Appended everywhere: still sealed with the old one, so that hosts without the new one can read.
    let (text, new_id) = append(&text, &SystemRandom).unwrap();
    let appended = KeyRing::parse(&text).unwrap();
    assert_eq!(appended.key_ids(), [old_id, new_id]);
    let meanwhile = appended.handover().unwrap().seal("h", b"meanwhile", &SystemRandom);
    assert_eq!(old.handover().unwrap().open("h", &meanwhile).unwrap(), b"meanwhile");

    // Moved to the front everywhere: sealed with the new one, the old ones still open.
    let text = promote(&text, new_id).unwrap();
    let promoted = KeyRing::parse(&text).unwrap();
    assert_eq!(promoted.key_ids(), [new_id, old_id]);
    let after = promoted.handover().unwrap().seal("h", b"after", &SystemRandom);
    assert_eq!(SealKeys::key_of(&after), Some(new_id));
    assert_eq!(promoted.handover().unwrap().open("h", &before).unwrap(), b"before");
    assert_eq!(appended.handover().unwrap().open("h", &after).unwrap(), b"after");

    // Removed: what the old one sealed is gone, the rest is not.
    let removed = KeyRing::parse(&remove(&text, old_id).unwrap()).unwrap().handover().unwrap();
    assert_eq!(removed.open("h", &before), Err(SealError::UnknownKey));
    assert_eq!(removed.open("h", &after).unwrap(), b"after");
}

#[test]
fn debug_shows_ids_only() {
    let (ring, text) = KeyRing::generate(&SystemRandom);
    let id = ring.key_ids()[0];
    assert_eq!(format!("{:?}", ring.store().unwrap()), format!("SealKeys(store: [KeyId({id})])"));
    assert!(!format!("{ring:?}").contains(text.lines().last().unwrap()));
}

proptest! {
    #[test]
    fn any_text_survives(plain: Vec<u8>, receiver in "[a-z.]{0,20}") {
        let keys = ring().store().unwrap();
        let sealed = keys.seal_bytes(&receiver, &plain, &SystemRandom);
        prop_assert_eq!(sealed.len(), plain.len() + 32);
        prop_assert_eq!(keys.open_bytes(&receiver, &sealed).unwrap(), plain);
    }

    #[test]
    fn noise_never_opens(noise: Vec<u8>, text in "[A-Za-z0-9_=-]{0,200}") {
        let keys = ring().store().unwrap();
        prop_assert!(keys.open_bytes("h", &noise).is_err());
        prop_assert!(keys.open("h", &text).is_err());
    }
}
