//! The signature of identity assertions: ES256 (RFC 7518 3.4), keys published as a JWK set.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom as LcRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject as _;

use crate::{KeyRing, NotHeld, Purpose, p256, sha256};

/// The keys that sign assertions: the first signs, all are published, so that a key can be announced
/// before it signs and stay known after.
#[derive(Clone)]
pub struct AssertionKeys {
    keys: Arc<[AssertionKey]>,
}

struct AssertionKey {
    pair: EcdsaKeyPair,
    /// RFC 7638 thumbprint.
    id: String,
    /// `{"alg":"ES256",…}` in base64url, made once.
    header: String,
    x: String,
    y: String,
}

/// Which of the configured signing keys is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AssertionKeyRejected {
    /// Not the PEM of a P-256 private key (PKCS #8 or SEC 1).
    #[error("signing key {index} is not the PEM of a P-256 private key")]
    NotP256 {
        /// Which, from 0.
        index: usize,
    },
    /// There is none.
    #[error("no signing key")]
    None,
}

impl AssertionKeys {
    /// Keys derived from the cluster secret, one for each of its lines: the same on every host.
    ///
    /// # Errors
    /// [`NotHeld`].
    pub fn from_ring(ring: &KeyRing) -> Result<Self, NotHeld> {
        let seeds = ring.of(Purpose::Assertion)?;
        Ok(Self { keys: seeds.iter().map(|(_, seed)| AssertionKey::new(p256::key_pair(seed))).collect() })
    }

    /// Keys of the operator's own, each in PEM: PKCS #8 (`PRIVATE KEY`) or SEC 1 (`EC PRIVATE KEY`).
    ///
    /// # Errors
    /// [`AssertionKeyRejected`] names the first that is none.
    pub fn from_pem(keys: &[&str]) -> Result<Self, AssertionKeyRejected> {
        let read = |(index, pem): (usize, &&str)| {
            let rejected = AssertionKeyRejected::NotP256 { index };
            let der = PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| rejected)?;
            let pair = EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_FIXED_SIGNING, der.secret_der());
            pair.map(AssertionKey::new).map_err(|_| rejected)
        };
        let keys: Arc<[AssertionKey]> = keys.iter().enumerate().map(read).collect::<Result<_, _>>()?;
        if keys.is_empty() { Err(AssertionKeyRejected::None) } else { Ok(Self { keys }) }
    }

    /// `claims`, the text of a JSON object, as a signed JWT (RFC 7515 compact form).
    #[must_use]
    pub fn sign(&self, claims: &str) -> String {
        // There is always a first key: both constructors see to it.
        let Some(AssertionKey { pair, header, .. }) = self.keys.first() else { return String::new() };
        let mut token = String::with_capacity(header.len() + claims.len() * 4 / 3 + 100);
        token.push_str(header);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(claims, &mut token);
        #[expect(clippy::expect_used, reason = "a checked P-256 key signs every text; aws-lc names no other cause")]
        let signature = pair.sign(&LcRandom::new(), token.as_bytes()).expect("signature");
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature.as_ref(), &mut token);
        token
    }

    /// The public keys as a JWK set (RFC 7517), the signing one first.
    #[must_use]
    pub fn jwks(&self) -> String {
        let entry = |AssertionKey { id, x, y, .. }: &AssertionKey| {
            format!(r#"{{"kty":"EC","crv":"P-256","x":"{x}","y":"{y}","use":"sig","alg":"ES256","kid":"{id}"}}"#)
        };
        let entries: Vec<String> = self.keys.iter().map(entry).collect();
        format!(r#"{{"keys":[{}]}}"#, entries.join(","))
    }

    /// The `kid` of the key that signs.
    #[must_use]
    pub fn key_id(&self) -> &str {
        self.keys.first().map_or("", |key| &key.id)
    }
}

impl fmt::Debug for AssertionKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AssertionKeys")?;
        f.debug_list().entries(self.keys.iter().map(|key| &key.id)).finish()
    }
}

impl AssertionKey {
    fn new(pair: EcdsaKeyPair) -> Self {
        // SEC 1 2.3.3, uncompressed: 4, then x and y of 32 bytes each.
        let point = pair.public_key().as_ref();
        let coordinate = |from: usize| URL_SAFE_NO_PAD.encode(point.get(from..from + 32).unwrap_or_default());
        let (x, y) = (coordinate(1), coordinate(33));
        // RFC 7638 3.2: the required members in alphabetical order, no white space.
        let thumbprint = sha256(format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#).as_bytes());
        let id = URL_SAFE_NO_PAD.encode(thumbprint);
        let header = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"ES256","kid":"{id}","typ":"JWT"}}"#));
        Self { pair, id, header, x, y }
    }
}

#[cfg(test)]
mod tests;
