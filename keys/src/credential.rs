//! The session credential: a handle bound to one host by a MAC (design §5).
//!
//! version (1 byte) | key id (3) | handle (16) | MAC (16): 36 bytes, 48 characters of base64url. The length
//! is a multiple of three on purpose: such a text has exactly one spelling.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_identity::SessionKey;
use zeroize::{Zeroize, Zeroizing};

use crate::ring::{Key, KeyId};
use crate::{Random, equal, sha256};

const VERSION: u8 = 1;
const BYTES: usize = 1 + KeyId::BYTES + 16 + 16;

/// How many characters every credential has.
pub const CREDENTIAL_CHARS: usize = BYTES / 3 * 4;

/// The longest host name that DNS has (RFC 1035 2.3.4).
const MAX_HOST: usize = 253;

/// The secret that names a session: 16 random bytes. The broker knows only its digest.
#[derive(Clone)]
pub struct Handle([u8; 16]);

impl Handle {
    /// A new handle.
    #[must_use]
    pub fn random(random: &dyn Random) -> Self {
        let mut bytes = [0; 16];
        random.fill(&mut bytes);
        Self(bytes)
    }

    /// The handle with these bytes, out of a sealed message.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The secret bytes, to be put into a sealed message and nowhere else.
    #[must_use]
    pub const fn expose(&self) -> &[u8; 16] {
        &self.0
    }

    /// The broker's key of the session: SHA-256 of the handle.
    #[must_use]
    pub fn key(&self) -> SessionKey {
        SessionKey::from_bytes(sha256(&self.0))
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handle(…)")
    }
}

/// Whose credential it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CredentialKind {
    /// A person's session, in a cookie.
    Session,
    /// A service account's, as a bearer token.
    Service,
}

impl CredentialKind {
    const fn tag(self) -> u8 {
        match self {
            Self::Session => b's',
            Self::Service => b'm',
        }
    }
}

/// The credential is not one of ours for this host. It says no more: the cause is nobody's business.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("credential is not ours")]
pub struct Forged;

/// The keys that make and check credentials: the first makes, all check.
#[derive(Clone)]
pub struct CredentialKeys {
    keys: Arc<[(KeyId, hmac::Key)]>,
}

impl CredentialKeys {
    pub(crate) fn new(keys: &[(KeyId, Key)]) -> Self {
        let keys = keys.iter().map(|(id, key)| (*id, hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes()))).collect();
        Self { keys }
    }

    /// The credential for a session on `host`, the canonical route host: [`CREDENTIAL_CHARS`] characters.
    #[must_use]
    pub fn mint(&self, kind: CredentialKind, handle: &Handle, host: &str) -> String {
        // A ring is never empty; if it were, nothing would verify this either.
        let Some((id, key)) = self.keys.first() else { return String::new() };
        let mut bytes = Zeroizing::new(Vec::with_capacity(BYTES));
        bytes.push(VERSION);
        bytes.extend_from_slice(id.as_bytes());
        bytes.extend_from_slice(handle.expose());
        bytes.extend_from_slice(&mac(key, kind, handle, host));
        URL_SAFE_NO_PAD.encode(&*bytes)
    }

    /// The handle of a credential that was minted for this kind and host. Costs at most one HMAC, allocates
    /// nothing, and takes as long whichever byte of the MAC is wrong.
    ///
    /// # Errors
    /// [`Forged`] for everything else.
    pub fn verify(&self, kind: CredentialKind, text: &[u8], host: &str) -> Result<Handle, Forged> {
        if text.len() != CREDENTIAL_CHARS || host.len() > MAX_HOST {
            return Err(Forged);
        }
        let mut bytes = Zeroizing::new([0; BYTES]);
        let length = URL_SAFE_NO_PAD.decode_slice(text, bytes.as_mut_slice()).map_err(|_| Forged)?;
        let (version, rest) = bytes.split_first().ok_or(Forged)?;
        let (id, rest) = rest.split_first_chunk().ok_or(Forged)?;
        let (handle, claimed) = rest.split_first_chunk().ok_or(Forged)?;
        if length != BYTES || *version != VERSION {
            return Err(Forged);
        }
        let id = KeyId::from_bytes(*id);
        let (_, key) = self.keys.iter().find(|(known, _)| *known == id).ok_or(Forged)?;
        let handle = Handle::from_bytes(*handle);
        if equal(&mac(key, kind, &handle, host), claimed) { Ok(handle) } else { Err(Forged) }
    }
}

impl fmt::Debug for CredentialKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CredentialKeys")?;
        f.debug_list().entries(self.keys.iter().map(|(id, _)| id)).finish()
    }
}

/// The first 16 bytes of HMAC-SHA256 over `kind | handle | host`: fixed lengths first, so that no two
/// triples share a text.
fn mac(key: &hmac::Key, kind: CredentialKind, handle: &Handle, host: &str) -> [u8; 16] {
    let mut context = hmac::Context::with_key(key);
    context.update(&[kind.tag()]);
    context.update(handle.expose());
    context.update(host.as_bytes());
    let tag = context.sign();
    tag.as_ref().first_chunk().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests;
