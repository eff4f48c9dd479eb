//! A P-256 private key made of 32 secret bytes, the same on every host.

use aws_lc_rs::agreement;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};

use crate::ring::{Key, derive};

/// The order of the group (SEC 2, secp256r1): a private key is at least 1 and less than this.
const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa,
    0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

/// The key pair of `seed`. Candidates are derived with a counter and the first in range is taken, so that
/// every key is as likely as every other; a second candidate is needed once in 2^32.
pub(crate) fn key_pair(seed: &Key) -> EcdsaKeyPair {
    let mut counter = 0_u32;
    loop {
        let scalar = derive(seed.as_bytes(), &format!("portcullis/1/p256/{counter}"));
        if let Some(pair) = from_scalar(&scalar) {
            return pair;
        }
        counter = counter.wrapping_add(1);
    }
}

fn from_scalar(scalar: &Key) -> Option<EcdsaKeyPair> {
    let bytes = scalar.as_bytes();
    if *bytes >= ORDER || bytes.iter().all(|byte| *byte == 0) {
        return None;
    }
    let private = agreement::PrivateKey::from_private_key(&agreement::ECDH_P256, bytes).ok()?;
    let public = private.compute_public_key().ok()?;
    EcdsaKeyPair::from_private_key_and_public_key(&ECDSA_P256_SHA256_FIXED_SIGNING, bytes, public.as_ref()).ok()
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::KeyPair as _;

    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_key() {
        let (a, b) = (key_pair(&Key::new([7; 32])), key_pair(&Key::new([7; 32])));
        assert_eq!(a.public_key().as_ref(), b.public_key().as_ref());
        assert_ne!(a.public_key().as_ref(), key_pair(&Key::new([8; 32])).public_key().as_ref());
    }

    #[test]
    fn scalars_outside_the_group_are_passed_over() {
        assert!(from_scalar(&Key::new([0; 32])).is_none());
        assert!(from_scalar(&Key::new(ORDER)).is_none());
        assert!(from_scalar(&Key::new([0xff; 32])).is_none());
        let mut below = ORDER;
        below[31] -= 1;
        assert!(from_scalar(&Key::new(below)).is_some());
    }

    #[test]
    fn the_public_key_is_the_standards() {
        // RFC 6979 A.2.5: the P-256 key pair of its examples.
        let private = hex("c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721");
        let pair = from_scalar(&Key::new(private.try_into().unwrap())).unwrap();
        let x = hex("60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6");
        let y = hex("7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299");
        assert_eq!(pair.public_key().as_ref(), [&[4][..], &x, &y].concat());
    }

    fn hex(text: &str) -> Vec<u8> {
        let digit = |c: &u8| u8::try_from(char::from(*c).to_digit(16).unwrap()).unwrap();
        text.as_bytes().chunks(2).map(|pair| digit(&pair[0]) * 16 + digit(&pair[1])).collect()
    }
}
