//! The text of a key ring: the cluster secret's lines, or the exported keys of some services.
//!
//! An export has three kinds of lines: `key PURPOSE ID BASE64`, `anchor BASE64` (a root that certificates of
//! services are checked against), `certificate SERVICE BASE64-DER BASE64-PKCS8 NOT-AFTER`.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use portcullis_identity::Timestamp;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use zeroize::Zeroizing;

use crate::pki::{IssueError, ServiceCertificate};
use crate::ring::{Key, KeyId};
use crate::{KeyRing, Purpose, Random, ServiceRole};

/// The most keys a ring may have.
pub const MAX_KEYS: usize = 16;

/// People make keys with `base64` and with tools that leave the padding out: both are read.
const KEY_BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Why a text is not a key ring. Lines count from 1; content is never shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RingError {
    /// No line has a key.
    #[error("no key in the key ring")]
    Empty,
    /// A line is not 32 bytes in base64.
    #[error("line {line}: not 32 bytes in base64")]
    NotAKey {
        /// The line.
        line: usize,
    },
    /// A key of 32 equal bytes is a placeholder, not a secret.
    #[error("line {line}: a key of equal bytes is not a secret")]
    Weak {
        /// The line.
        line: usize,
    },
    /// The same key twice (or two keys with one id, which has never happened by chance).
    #[error("line {line}: the key of line {first} again")]
    Repeated {
        /// The second line.
        line: usize,
        /// The first one.
        first: usize,
    },
    /// More than [`MAX_KEYS`].
    #[error("line {line}: more than {MAX_KEYS} keys")]
    TooMany {
        /// The first line too many.
        line: usize,
    },
    /// Cluster secrets and exported keys in one file.
    #[error("line {line}: a cluster secret and exported keys in one file")]
    Mixed {
        /// The first line of the other sort.
        line: usize,
    },
    /// A line of an export that no version of ours wrote.
    #[error("line {line}: not a line of an exported key file")]
    NotExported {
        /// The line.
        line: usize,
    },
    /// No key with that id: there is nothing to move or remove.
    #[error("no key with the id {0} in the key ring")]
    NoSuchKey(KeyId),
    /// A ring cannot do without its last key.
    #[error("the only key of a ring cannot be removed")]
    LastKey,
}

pub(crate) fn parse(text: &str) -> Result<KeyRing, RingError> {
    match content(text).next() {
        None => Err(RingError::Empty),
        Some((_, first)) if is_exported(first) => parse_export(text),
        Some(_) => {
            let secrets: Vec<Key> = parse_secrets(text)?.into_iter().map(|(_, secret)| secret).collect();
            Ok(KeyRing::from_secrets(&secrets))
        }
    }
}

/// A new secret and its line.
pub(crate) fn new_secret(random: &dyn Random) -> (Key, String) {
    let mut bytes = Zeroizing::new([0; 32]);
    random.fill(bytes.as_mut_slice());
    (Key::new(*bytes), STANDARD.encode(*bytes))
}

/// The text of a key ring file with a new key at the end: the first step of a rotation. Comments stay.
///
/// # Errors
/// [`RingError`] if the text is not the cluster secret, or is full.
pub fn append(text: &str, random: &dyn Random) -> Result<(String, KeyId), RingError> {
    let (secret, line) = new_secret(random);
    let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    let appended = format!("{text}{end}{line}\n");
    parse_secrets(&appended)?;
    Ok((appended, KeyId::of(&secret)))
}

/// The text with the key `id` at the front, where it seals: the second step of a rotation. Comments stay.
///
/// # Errors
/// [`RingError`] if the text is not the cluster secret or has no such key.
pub fn promote(text: &str, id: KeyId) -> Result<String, RingError> {
    let secrets = parse_secrets(text)?;
    let first = secrets.iter().map(|(line, _)| *line).next().ok_or(RingError::Empty)?;
    let moved = line_of(&secrets, id)?;
    let moved_text = text.lines().nth(moved.saturating_sub(1)).unwrap_or_default();
    let mut out = String::with_capacity(text.len() + 1);
    for (number, line) in numbered(text) {
        if number == first {
            out.push_str(moved_text);
            out.push('\n');
        }
        if number != moved {
            out.push_str(line);
            out.push('\n');
        }
    }
    Ok(out)
}

/// The text without the key `id`: the last step of a rotation. Comments stay.
///
/// # Errors
/// [`RingError`] if the text is not the cluster secret, has no such key, or no other.
pub fn remove(text: &str, id: KeyId) -> Result<String, RingError> {
    let secrets = parse_secrets(text)?;
    let removed = line_of(&secrets, id)?;
    if secrets.len() == 1 {
        return Err(RingError::LastKey);
    }
    let kept = numbered(text).filter(|(number, _)| *number != removed);
    Ok(kept.map(|(_, line)| format!("{line}\n")).collect())
}

pub(crate) fn export(ring: &KeyRing, services: &[ServiceRole], now: Timestamp) -> Result<String, IssueError> {
    let ca = ring.internal_ca().map_err(IssueError::NotHeld)?;
    let services: BTreeSet<ServiceRole> = services.iter().copied().collect();
    let purposes: BTreeSet<Purpose> = services.iter().flat_map(|role| role.purposes()).copied().collect();
    let names: Vec<&str> = services.iter().map(|role| role.name()).collect();
    let mut out = format!("# Portcullis keys for {}. Not the cluster secret; keep it as secret.\n", names.join(", "));
    for purpose in purposes {
        for (id, key) in ring.keys.get(&purpose).into_iter().flatten() {
            let encoded = Zeroizing::new(STANDARD.encode(key.as_bytes()));
            out.push_str(&format!("key {purpose} {id} {}\n", encoded.as_str()));
        }
    }
    for anchor in ca.certificates() {
        out.push_str(&format!("anchor {}\n", STANDARD.encode(anchor)));
    }
    for role in services {
        let issued = ca.issue(role, now)?;
        let (certificate, key) = (STANDARD.encode(&issued.certificate), STANDARD.encode(issued.key.secret_pkcs8_der()));
        let end = issued.not_after.unix_seconds();
        out.push_str(&format!("certificate {role} {certificate} {} {end}\n", Zeroizing::new(key).as_str()));
    }
    Ok(out)
}

fn parse_secrets(text: &str) -> Result<Vec<(usize, Key)>, RingError> {
    let mut secrets: Vec<(usize, Key)> = Vec::new();
    for (line, content) in content(text) {
        if is_exported(content) {
            return Err(RingError::Mixed { line });
        }
        let secret = decode_key(content).ok_or(RingError::NotAKey { line })?;
        let [head, tail @ ..] = secret.as_bytes();
        if tail.iter().all(|byte| byte == head) {
            return Err(RingError::Weak { line });
        }
        let same = secrets.iter().find(|(_, known)| KeyId::of(known) == KeyId::of(&secret));
        if let Some((first, _)) = same {
            return Err(RingError::Repeated { line, first: *first });
        }
        if secrets.len() == MAX_KEYS {
            return Err(RingError::TooMany { line });
        }
        secrets.push((line, secret));
    }
    if secrets.is_empty() { Err(RingError::Empty) } else { Ok(secrets) }
}

fn parse_export(text: &str) -> Result<KeyRing, RingError> {
    let mut ring = KeyRing { keys: std::collections::BTreeMap::new(), certificates: Vec::new() };
    let mut anchors = Vec::new();
    for (line, content) in content(text) {
        if !is_exported(content) {
            return Err(RingError::Mixed { line });
        }
        exported_line(&mut ring, &mut anchors, line, content)?;
    }
    for certificate in &mut ring.certificates {
        certificate.anchors.clone_from(&anchors);
    }
    if ring.keys.is_empty() { Err(RingError::Empty) } else { Ok(ring) }
}

fn exported_line(
    ring: &mut KeyRing,
    anchors: &mut Vec<CertificateDer<'static>>,
    line: usize,
    content: &str,
) -> Result<(), RingError> {
    let broken = || RingError::NotExported { line };
    let words: Vec<&str> = content.split_ascii_whitespace().collect();
    match words.as_slice() {
        ["key", purpose, id, key] => {
            let purpose = Purpose::from_name(purpose).ok_or_else(broken)?;
            let id = KeyId::from_hex(id).ok_or_else(broken)?;
            let keys = ring.keys.entry(purpose).or_default();
            if purpose == Purpose::InternalCa || keys.iter().any(|(known, _)| *known == id) {
                return Err(broken());
            }
            if keys.len() == MAX_KEYS {
                return Err(RingError::TooMany { line });
            }
            keys.push((id, decode_key(key).ok_or(RingError::NotAKey { line })?));
        }
        ["anchor", der] if anchors.len() < MAX_KEYS => {
            anchors.push(CertificateDer::from(STANDARD.decode(der).map_err(|_| broken())?));
        }
        ["certificate", role, der, key, end] => {
            let role = ServiceRole::from_name(role).ok_or_else(broken)?;
            if ring.certificates.iter().any(|known| known.role == role) {
                return Err(broken());
            }
            ring.certificates.push(ServiceCertificate {
                role,
                certificate: CertificateDer::from(STANDARD.decode(der).map_err(|_| broken())?),
                key: PrivatePkcs8KeyDer::from(STANDARD.decode(key).map_err(|_| broken())?),
                not_after: Timestamp::from_unix_seconds(end.parse().map_err(|_| broken())?),
                anchors: Vec::new(),
            });
        }
        _ => return Err(broken()),
    }
    Ok(())
}

fn line_of(secrets: &[(usize, Key)], id: KeyId) -> Result<usize, RingError> {
    let found = secrets.iter().find(|(_, secret)| KeyId::of(secret) == id);
    found.map(|(line, _)| *line).ok_or(RingError::NoSuchKey(id))
}

fn decode_key(text: &str) -> Option<Key> {
    let bytes = Zeroizing::new(KEY_BASE64.decode(text).ok()?);
    Some(Key::new(bytes.as_slice().try_into().ok()?))
}

/// A secret is one word; every line of an export has several.
fn is_exported(content: &str) -> bool {
    content.contains(|c: char| c.is_ascii_whitespace())
}

/// The lines that say something, trimmed.
fn content(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let trimmed = numbered(text).map(|(number, line)| (number, line.trim()));
    trimmed.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}

fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().zip(1..).map(|(line, number)| (number, line))
}

#[cfg(test)]
mod tests;
