//! A sign-in in progress: its sealed `state`, and the values that bind it to one browser.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::hmac;

use crate::ring::{Key, KeyId, derive};
use crate::{Purpose, Random, SealError, SealKeys};

/// The keys of sign-ins in progress, held by authn alone.
///
/// PKCE verifier and nonce are never stored: they are derived from the browser's bind cookie and the
/// transaction, so a callback is worth nothing in another browser.
#[derive(Clone)]
pub struct FlowKeys {
    seal: SealKeys,
    derive: Arc<[(KeyId, hmac::Key)]>,
}

impl FlowKeys {
    pub(crate) fn new(keys: &[(KeyId, Key)]) -> Self {
        let mac =
            |key: &Key| hmac::Key::new(hmac::HMAC_SHA256, derive(key.as_bytes(), "portcullis/1/flow/mac").as_bytes());
        Self {
            seal: SealKeys::new(Purpose::Flow, keys),
            derive: keys.iter().map(|(id, key)| (*id, mac(key))).collect(),
        }
    }

    /// Seals a `state` for `receiver`, the sign-in host.
    #[must_use]
    pub fn seal(&self, receiver: &str, plain: &[u8], random: &dyn Random) -> String {
        self.seal.seal(receiver, plain, random)
    }

    /// Opens a `state`.
    ///
    /// # Errors
    /// [`SealError`]; nothing of the text is known then.
    pub fn open(&self, receiver: &str, sealed: &str) -> Result<Vec<u8>, SealError> {
        self.seal.open(receiver, sealed)
    }

    /// The value of `label` for one browser and transaction, by the key that seals now: for the
    /// authorization request. `label` is `verifier` or `nonce`.
    #[must_use]
    pub fn derive(&self, bind: &[u8; 16], txn: &[u8; 16], label: &str) -> [u8; 32] {
        // A ring is never empty, and an empty one would derive nothing that a callback could match.
        self.derive.first().map_or([0; 32], |(_, key)| mac(key, bind, txn, label))
    }

    /// As [`FlowKeys::derive`], by the key that sealed `state`: for the callback, which may come after
    /// another key has moved to the front of the ring. `None`: that key is gone.
    #[must_use]
    pub fn derive_for(&self, state: &str, bind: &[u8; 16], txn: &[u8; 16], label: &str) -> Option<[u8; 32]> {
        let id = SealKeys::key_of(state)?;
        let (_, key) = self.derive.iter().find(|(known, _)| *known == id)?;
        Some(mac(key, bind, txn, label))
    }
}

impl fmt::Debug for FlowKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FlowKeys({:?})", self.seal)
    }
}

/// HMAC over `bind | txn | label`: two fixed lengths first, so that no two triples share a text.
fn mac(key: &hmac::Key, bind: &[u8; 16], txn: &[u8; 16], label: &str) -> [u8; 32] {
    let mut context = hmac::Context::with_key(key);
    context.update(bind);
    context.update(txn);
    context.update(label.as_bytes());
    let mut out = [0; 32];
    out.copy_from_slice(context.sign().as_ref());
    out
}

#[cfg(test)]
mod tests {
    use crate::{KeyRing, SystemRandom};

    #[test]
    fn a_value_belongs_to_one_browser_one_transaction_and_one_label() {
        let (ring, _) = KeyRing::generate(&SystemRandom);
        let flow = ring.flow().unwrap();
        let value = flow.derive(&[1; 16], &[2; 16], "verifier");
        assert_eq!(value, flow.derive(&[1; 16], &[2; 16], "verifier"));
        assert_ne!(value, flow.derive(&[3; 16], &[2; 16], "verifier"));
        assert_ne!(value, flow.derive(&[1; 16], &[3; 16], "verifier"));
        assert_ne!(value, flow.derive(&[1; 16], &[2; 16], "nonce"));
    }

    #[test]
    fn a_callback_after_a_rotation_gets_the_values_its_request_had() {
        let (_, old) = KeyRing::generate(&SystemRandom);
        let before = KeyRing::parse(&old).unwrap().flow().unwrap();
        let state = before.seal("auth.corp.test", b"state", &SystemRandom);
        let verifier = before.derive(&[1; 16], &[2; 16], "verifier");

        let (both, id) = crate::append(&old, &SystemRandom).unwrap();
        let rotated = KeyRing::parse(&crate::promote(&both, id).unwrap()).unwrap().flow().unwrap();
        assert_eq!(rotated.open("auth.corp.test", &state).unwrap(), b"state");
        assert_ne!(rotated.derive(&[1; 16], &[2; 16], "verifier"), verifier);
        assert_eq!(rotated.derive_for(&state, &[1; 16], &[2; 16], "verifier"), Some(verifier));

        let (other, _) = KeyRing::generate(&SystemRandom);
        assert_eq!(other.flow().unwrap().derive_for(&state, &[1; 16], &[2; 16], "verifier"), None);
        assert_eq!(rotated.derive_for("", &[1; 16], &[2; 16], "verifier"), None);
        assert_eq!(rotated.derive_for("häääääääääh", &[1; 16], &[2; 16], "verifier"), None);
    }
}
