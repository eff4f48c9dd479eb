//! The key ring: what a process holds of the cluster's secret.

use std::collections::BTreeMap;
use std::fmt;

use aws_lc_rs::hkdf;
use portcullis_identity::Timestamp;
use zeroize::Zeroizing;

use crate::pki::{InternalCa, IssueError, ServiceCertificate};
use crate::{CredentialKeys, FlowKeys, Purpose, Random, RingError, SealKeys, ServiceRole, ring_file};

/// The keys a process holds, by purpose: all of them where it holds the cluster secret, else those that
/// `portcullis keys export` wrote for its services. In every purpose the first key seals, all open. Rings are equal
/// that hold the same in the same order.
#[derive(PartialEq, Eq)]
pub struct KeyRing {
    pub(crate) keys: BTreeMap<Purpose, Vec<(KeyId, Key)>>,
    /// Of an export: the certificates that were issued with it.
    pub(crate) certificates: Vec<ServiceCertificate>,
}

/// This process holds no key for that purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no key held for {0}")]
pub struct NotHeld(pub Purpose);

/// A day since 1970-01-01 UTC, for keys that change daily.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TicketDay(i64);

impl KeyRing {
    /// Reads a key ring file or what [`KeyRing::export`] wrote.
    ///
    /// A key ring file has 32 bytes in base64 a line; an empty line or one that begins with `#` is skipped.
    /// The first key seals, all open.
    ///
    /// # Errors
    /// [`RingError`] names the line, never its content.
    pub fn parse(text: &str) -> Result<Self, RingError> {
        ring_file::parse(text)
    }

    /// A new cluster secret, and the text of its file. Creating that file with mode 0600 is the caller's job.
    #[must_use]
    pub fn generate(random: &dyn Random) -> (Self, String) {
        let (secret, line) = ring_file::new_secret(random);
        let text = format!("# Portcullis cluster secret. The first key seals, all open.\n{line}\n");
        (Self::from_secrets(&[secret]), text)
    }

    pub(crate) fn from_secrets(secrets: &[Key]) -> Self {
        let of = |purpose: Purpose| {
            let derived = |secret: &Key| {
                (KeyId::of(secret), derive(secret.as_bytes(), &format!("portcullis/1/{}", purpose.name())))
            };
            (purpose, secrets.iter().map(derived).collect())
        };
        // The secrets themselves are not kept: every use has a purpose.
        Self { keys: Purpose::ALL.into_iter().map(of).collect(), certificates: Vec::new() }
    }

    /// The file for a host that runs only `services`: the purposes they need and a certificate for each,
    /// issued at `now`. [`KeyRing::parse`] reads it; other purposes answer [`NotHeld`] there. No text gives
    /// the secret back.
    ///
    /// # Errors
    /// [`IssueError`] where this ring does not hold the cluster secret itself.
    pub fn export(&self, services: &[ServiceRole], now: Timestamp) -> Result<String, IssueError> {
        ring_file::export(self, services, now)
    }

    /// The ids of the keys held, the sealing one first. Equal in a full ring and in its exports.
    #[must_use]
    pub fn key_ids(&self) -> Vec<KeyId> {
        let mut ids: Vec<KeyId> = Vec::new();
        for (id, _) in self.keys.values().flatten() {
            if !ids.contains(id) {
                ids.push(*id);
            }
        }
        ids
    }

    /// Whether this ring is the cluster secret itself, not an export.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.keys.contains_key(&Purpose::InternalCa)
    }

    /// The keys of session credentials.
    ///
    /// # Errors
    /// [`NotHeld`] where the process has no such key; so with all of these.
    pub fn credential(&self) -> Result<CredentialKeys, NotHeld> {
        self.of(Purpose::Credential).map(CredentialKeys::new)
    }

    /// The keys of the messages between sign-in host and route hosts.
    ///
    /// # Errors
    /// [`NotHeld`].
    pub fn handover(&self) -> Result<SealKeys, NotHeld> {
        self.of(Purpose::Handover).map(|keys| SealKeys::new(Purpose::Handover, keys))
    }

    /// The keys of sign-ins in progress.
    ///
    /// # Errors
    /// [`NotHeld`].
    pub fn flow(&self) -> Result<FlowKeys, NotHeld> {
        self.of(Purpose::Flow).map(FlowKeys::new)
    }

    /// The keys of records at rest.
    ///
    /// # Errors
    /// [`NotHeld`].
    pub fn store(&self) -> Result<SealKeys, NotHeld> {
        self.of(Purpose::Store).map(|keys| SealKeys::new(Purpose::Store, keys))
    }

    /// The keys that seal TLS tickets on `day`. A proxy seals with today's and also opens with yesterday's.
    ///
    /// # Errors
    /// [`NotHeld`].
    pub fn tickets(&self, day: TicketDay) -> Result<SealKeys, NotHeld> {
        let keys = self.of(Purpose::Tickets)?;
        let info = format!("portcullis/1/tickets/{}", day.0);
        let of_day: Vec<_> = keys.iter().map(|(id, key)| (*id, derive(key.as_bytes(), &info))).collect();
        Ok(SealKeys::new(Purpose::Tickets, &of_day))
    }

    /// The authority that issues certificates of services.
    ///
    /// # Errors
    /// [`NotHeld`] on a host with exported keys: it has the certificates it needs, see
    /// [`KeyRing::service_certificate`].
    pub fn internal_ca(&self) -> Result<InternalCa, NotHeld> {
        self.of(Purpose::InternalCa).map(InternalCa::new)
    }

    /// The certificate by which siblings know the service `role` of this process, with the roots it
    /// believes: issued at `now` where the cluster secret is held, else the exported one.
    ///
    /// # Errors
    /// [`IssueError`] where the ring is an export for other services.
    pub fn service_certificate(&self, role: ServiceRole, now: Timestamp) -> Result<ServiceCertificate, IssueError> {
        match self.internal_ca() {
            Ok(ca) => ca.issue(role, now),
            Err(missing) => {
                let exported = self.certificates.iter().find(|certificate| certificate.role == role);
                exported.cloned().ok_or(IssueError::NotHeld(missing))
            }
        }
    }

    pub(crate) fn of(&self, purpose: Purpose) -> Result<&[(KeyId, Key)], NotHeld> {
        self.keys.get(&purpose).map(Vec::as_slice).ok_or(NotHeld(purpose))
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let purposes: Vec<_> = self.keys.keys().collect();
        f.debug_struct("KeyRing").field("keys", &self.key_ids()).field("purposes", &purposes).finish_non_exhaustive()
    }
}

impl TicketDay {
    /// The day of an instant.
    #[must_use]
    pub const fn of(instant: Timestamp) -> Self {
        Self(instant.unix_seconds().div_euclid(86_400))
    }

    /// The day before.
    #[must_use]
    pub const fn before(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

/// Names a key without telling it; the same on every host.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; 3]);

impl KeyId {
    /// How many bytes an id has.
    pub const BYTES: usize = 3;

    /// The id with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    /// The id's bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }

    /// The id that [`fmt::Display`] wrote.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let lower = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let number = u32::from_str_radix(text, 16).ok()?;
        let [_, bytes @ ..] = number.to_be_bytes();
        (lower && text.len() == 2 * Self::BYTES).then_some(Self(bytes))
    }

    pub(crate) fn of(secret: &Key) -> Self {
        let derived = derive(secret.as_bytes(), "portcullis/1/key-id");
        Self(derived.as_bytes().first_chunk().copied().unwrap_or_default())
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

/// 32 secret bytes, cleared when dropped. Whoever compares keys holds them all: no stranger can time it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Key(Zeroizing<[u8; 32]>);

impl Key {
    pub(crate) fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// HKDF-SHA256 (RFC 5869) of `secret` without salt, 32 bytes for `info`.
pub(crate) fn derive(secret: &[u8], info: &str) -> Key {
    let mut out = Zeroizing::new([0; 32]);
    let extracted = hkdf::Salt::new(hkdf::HKDF_SHA256, &[]).extract(secret);
    let info = [info.as_bytes()];
    let filled = extracted.expand(&info, hkdf::HKDF_SHA256).and_then(|okm| okm.fill(out.as_mut_slice()));
    #[expect(clippy::expect_used, reason = "fails only for more than 255 blocks, and 32 bytes are one")]
    filled.expect("one block");
    Key(out)
}

#[cfg(test)]
mod tests;
