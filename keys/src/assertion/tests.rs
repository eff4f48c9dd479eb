//! What we sign, others verify with the published keys.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

use super::*;
use crate::{SystemRandom, append, promote};

/// A P-256 key in SEC 1 and the same in PKCS #8, made with `openssl ecparam` and `openssl pkcs8`.
const SEC1: &str = include_str!("p256-sec1.pem");
const PKCS8: &str = include_str!("p256-pkcs8.pem");
const P384: &str = include_str!("p384.pem");

fn verifies(token: &str, jwks: &str) -> bool {
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let (header, _) = signed.split_once('.').unwrap();
    let header = String::from_utf8(URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap();
    let kid = between(&header, "\"kid\":\"");
    let Some(entry) = jwks.split('{').find(|entry| entry.contains(&format!("\"kid\":\"{kid}\""))) else { return false };
    let coordinate = |name: &str| URL_SAFE_NO_PAD.decode(between(entry, &format!("\"{name}\":\""))).unwrap();
    let point = [vec![4], coordinate("x"), coordinate("y")].concat();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    assert_eq!(signature.len(), 64);
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(signed.as_bytes(), &signature).is_ok()
}

fn between<'a>(text: &'a str, start: &str) -> &'a str {
    text.split_once(start).unwrap().1.split_once('"').unwrap().0
}

#[test]
fn what_is_signed_verifies_with_the_published_keys() {
    let (ring, file) = KeyRing::generate(&SystemRandom);
    let keys = AssertionKeys::from_ring(&ring).unwrap();
    let token = keys.sign(r#"{"sub":"alice"}"#);
    assert!(verifies(&token, &keys.jwks()));
    assert_eq!(keys.jwks(), AssertionKeys::from_ring(&KeyRing::parse(&file).unwrap()).unwrap().jwks());
    let (header, rest) = token.split_once('.').unwrap();
    let payload = URL_SAFE_NO_PAD.encode(r#"{"sub":"admin"}"#);
    let forged = format!("{header}.{payload}.{}", rest.split_once('.').unwrap().1);
    assert!(!verifies(&forged, &keys.jwks()));
    let payload = rest.split_once('.').unwrap().0;
    assert_eq!(URL_SAFE_NO_PAD.decode(payload).unwrap(), br#"{"sub":"alice"}"#);
}

#[test]
fn a_key_is_published_before_and_after_it_signs() {
    let (ring, text) = KeyRing::generate(&SystemRandom);
    let old = AssertionKeys::from_ring(&ring).unwrap();
    let (text, id) = append(&text, &SystemRandom).unwrap();
    let announced = AssertionKeys::from_ring(&KeyRing::parse(&text).unwrap()).unwrap();
    let rotated = AssertionKeys::from_ring(&KeyRing::parse(&promote(&text, id).unwrap()).unwrap()).unwrap();
    assert_eq!(announced.key_id(), old.key_id());
    assert_ne!(rotated.key_id(), old.key_id());
    assert!(verifies(&rotated.sign("{}"), &announced.jwks()));
    assert!(verifies(&announced.sign("{}"), &rotated.jwks()));
    assert!(!verifies(&rotated.sign("{}"), &old.jwks()));
}

#[test]
fn pem_keys_of_either_form_are_the_same_key() {
    let sec1 = AssertionKeys::from_pem(&[SEC1]).unwrap();
    let pkcs8 = AssertionKeys::from_pem(&[PKCS8]).unwrap();
    assert_eq!(sec1.jwks(), pkcs8.jwks());
    assert!(verifies(&sec1.sign("{}"), &pkcs8.jwks()));
    assert_eq!(AssertionKeys::from_pem(&[]).unwrap_err(), AssertionKeyRejected::None);
    for wrong in ["", "not a key", P384] {
        let rejected = AssertionKeys::from_pem(&[SEC1, wrong]).unwrap_err();
        assert_eq!(rejected, AssertionKeyRejected::NotP256 { index: 1 });
    }
}

#[test]
fn debug_shows_ids_only() {
    let keys = AssertionKeys::from_pem(&[SEC1]).unwrap();
    assert_eq!(format!("{keys:?}"), format!("AssertionKeys[{:?}]", keys.key_id()));
}
