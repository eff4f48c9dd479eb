//! Sealing: AES-256-GCM-SIV with purpose, version and receiver as associated data.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, Nonce, UnboundKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::ring::{Key, KeyId};
use crate::{Purpose, Random};

/// The form of a sealed text: version, key id, nonce, then cipher text and tag.
const VERSION: u8 = 1;
const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;
const HEAD_BYTES: usize = 1 + KeyId::BYTES + NONCE_BYTES;

/// The longest sealed text that [`SealKeys::open`] looks at, in characters.
pub const MAX_TEXT: usize = 16 * 1024;

/// The keys of one purpose: the first seals, all open.
///
/// Cheap to clone. What one purpose sealed no other opens, and what was sealed for one receiver opens for
/// no other: both are associated data.
#[derive(Clone)]
pub struct SealKeys {
    purpose: Purpose,
    keys: Arc<[(KeyId, LessSafeKey)]>,
}

/// Why a sealed text did not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Not of the form of a sealed text: too short, too long, not base64url, another version.
    #[error("not a sealed text")]
    Malformed,
    /// Sealed with a key that this ring does not hold (any more).
    #[error("sealed with an unknown key")]
    UnknownKey,
    /// Changed on the way, or sealed for another purpose or receiver.
    #[error("seal does not match")]
    Forged,
}

impl SealKeys {
    pub(crate) fn new(purpose: Purpose, keys: &[(KeyId, Key)]) -> Self {
        let keys = keys.iter().map(|(id, key)| (*id, aead_key(key))).collect();
        Self { purpose, keys }
    }

    /// The ids of the keys that open, the sealing one first.
    pub fn ids(&self) -> impl Iterator<Item = KeyId> {
        self.keys.iter().map(|(id, _)| *id)
    }

    /// Whether what this key sealed would open.
    #[must_use]
    pub fn holds(&self, key: KeyId) -> bool {
        self.ids().any(|id| id == key)
    }

    /// Seals `plain` for `receiver` as base64url.
    #[must_use]
    pub fn seal(&self, receiver: &str, plain: &[u8], random: &dyn Random) -> String {
        URL_SAFE_NO_PAD.encode(self.seal_bytes(receiver, plain, random))
    }

    /// Opens what [`SealKeys::seal`] made for `receiver`, at most [`MAX_TEXT`] characters of it.
    ///
    /// # Errors
    /// [`SealError`]; nothing of the text is known then.
    pub fn open(&self, receiver: &str, sealed: &str) -> Result<Vec<u8>, SealError> {
        if sealed.len() > MAX_TEXT {
            return Err(SealError::Malformed);
        }
        let bytes = URL_SAFE_NO_PAD.decode(sealed).map_err(|_| SealError::Malformed)?;
        self.open_bytes(receiver, &bytes)
    }

    /// Seals `plain` for `receiver` as bytes: 32 more than `plain` has.
    #[must_use]
    pub fn seal_bytes(&self, receiver: &str, plain: &[u8], random: &dyn Random) -> Vec<u8> {
        // A ring is never empty; if it were, nothing would open this either.
        let Some((id, key)) = self.keys.first() else { return Vec::new() };
        // 96 random bits: with GCM-SIV a repeated nonce only shows that two equal texts were sealed.
        let mut nonce = [0; NONCE_BYTES];
        random.fill(&mut nonce);
        let mut out = Vec::with_capacity(HEAD_BYTES + plain.len() + TAG_BYTES);
        out.push(VERSION);
        out.extend_from_slice(id.as_bytes());
        out.extend_from_slice(&nonce);
        let mut text = plain.to_vec();
        let aad = Aad::from(self.associated_data(*id, receiver));
        #[expect(
            clippy::expect_used,
            reason = "fails only for texts longer than 2^36 bytes, which no caller can hold"
        )]
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut text).expect("text length");
        out.append(&mut text);
        out
    }

    /// Opens what [`SealKeys::seal_bytes`] made for `receiver`.
    ///
    /// # Errors
    /// [`SealError`]; nothing of the text is known then.
    pub fn open_bytes(&self, receiver: &str, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        let (version, rest) = sealed.split_first().ok_or(SealError::Malformed)?;
        let (id, rest) = rest.split_first_chunk().ok_or(SealError::Malformed)?;
        let (nonce, text) = rest.split_first_chunk::<NONCE_BYTES>().ok_or(SealError::Malformed)?;
        if *version != VERSION || text.len() < TAG_BYTES {
            return Err(SealError::Malformed);
        }
        let id = KeyId::from_bytes(*id);
        let (_, key) = self.keys.iter().find(|(known, _)| *known == id).ok_or(SealError::UnknownKey)?;
        let aad = Aad::from(self.associated_data(id, receiver));
        let mut plain = text.to_vec();
        let opened = key.open_in_place(Nonce::assume_unique_for_key(*nonce), aad, &mut plain);
        let length = opened.map_err(|_| SealError::Forged)?.len();
        plain.truncate(length);
        Ok(plain)
    }

    /// The id of the key that sealed these bytes, as [`SealKeys::key_of`] has it.
    #[must_use]
    pub fn key_of_bytes(sealed: &[u8]) -> Option<KeyId> {
        let (version, rest) = sealed.split_first()?;
        (*version == VERSION).then_some(KeyId::from_bytes(*rest.first_chunk()?))
    }

    /// The id of the key that sealed this text, if it has the form of one; says nothing of its truth.
    #[must_use]
    pub fn key_of(sealed: &str) -> Option<KeyId> {
        // Twelve characters are nine bytes, more than version and key id.
        Self::key_of_bytes(&URL_SAFE_NO_PAD.decode(sealed.get(..12)?).ok()?)
    }

    /// Purpose and key id have fixed forms and end in a zero byte and a fixed length, so that no two
    /// (purpose, version, key, receiver) share a text.
    fn associated_data(&self, id: KeyId, receiver: &str) -> Vec<u8> {
        let mut text = Vec::with_capacity(64);
        text.extend_from_slice(b"portcullis/1/");
        text.extend_from_slice(self.purpose.name().as_bytes());
        text.extend_from_slice(&[0, VERSION]);
        text.extend_from_slice(id.as_bytes());
        text.extend_from_slice(receiver.as_bytes());
        text
    }
}

impl fmt::Debug for SealKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids = self.keys.iter().map(|(id, _)| id);
        write!(f, "SealKeys({}: ", self.purpose)?;
        f.debug_list().entries(ids).finish()?;
        f.write_str(")")
    }
}

fn aead_key(key: &Key) -> LessSafeKey {
    #[expect(clippy::expect_used, reason = "the only cause is a wrong length, and the type says 32 bytes")]
    let unbound = UnboundKey::new(&AES_256_GCM_SIV, key.as_bytes()).expect("32 bytes");
    LessSafeKey::new(unbound)
}

#[cfg(test)]
mod tests;
