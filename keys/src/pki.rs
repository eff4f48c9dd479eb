//! Certificates between services, from the cluster secret: nobody needs a PKI.
//!
//! The authority's key is Ed25519, whose signatures have no randomness: every host with the same secret
//! makes the same certificate, byte for byte.

use std::fmt;
use std::time::Duration;

use aws_lc_rs::signature::Ed25519KeyPair;
use portcullis_identity::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, SanType, SerialNumber, date_time_ymd,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::ring::{Key, KeyId};
use crate::{NotHeld, ServiceRole, sha256};

/// How long a service's certificate is valid. Exported ones are renewed with the next export.
pub const LEAF_LIFETIME: Duration = Duration::from_secs(2 * 365 * 86_400);

/// How far a certificate reaches into the past, for hosts whose clocks are behind.
pub const LEAF_BACKDATE: Duration = Duration::from_secs(86_400);

/// The latest instant that a certificate of ours begins at: 9000-01-01. Beyond it X.509 has no dates.
const LATEST: Timestamp = Timestamp::from_unix_seconds(221_845_392_000);

/// The authority of a cluster: one root for each line of the secret, the first one issues.
#[derive(Debug)]
pub struct InternalCa {
    roots: Vec<Root>,
}

struct Root {
    id: KeyId,
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
}

/// A service's certificate with its key and the roots it believes.
#[derive(PartialEq, Eq)]
pub struct ServiceCertificate {
    /// Whose it is.
    pub role: ServiceRole,
    /// The leaf; the whole chain, for the roots are the siblings' anchors.
    pub certificate: CertificateDer<'static>,
    /// Its key.
    pub key: PrivatePkcs8KeyDer<'static>,
    /// When it ends.
    pub not_after: Timestamp,
    /// What certificates of siblings are checked against.
    pub anchors: Vec<CertificateDer<'static>>,
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// Only who holds the cluster secret can issue.
    #[error("this process holds neither the cluster secret nor an exported certificate")]
    NotHeld(#[source] NotHeld),
    /// The library refused.
    #[error("certificate not issued")]
    Rejected(#[source] rcgen::Error),
}

impl InternalCa {
    pub(crate) fn new(keys: &[(KeyId, Key)]) -> Self {
        Self { roots: keys.iter().map(|(id, key)| Root::new(*id, key)).collect() }
    }

    /// A certificate for a service with a new key, valid from a day before `now` for [`LEAF_LIFETIME`],
    /// for both sides of TLS, with the URI and the DNS name of `role`.
    ///
    /// # Errors
    /// [`IssueError`].
    pub fn issue(&self, role: ServiceRole, now: Timestamp) -> Result<ServiceCertificate, IssueError> {
        let now = now.clamp(Timestamp::EPOCH.saturating_add(LEAF_BACKDATE), LATEST);
        let root = self.roots.first().ok_or(IssueError::Rejected(rcgen::Error::CouldNotParseKeyPair))?;
        let not_after = now.saturating_add(LEAF_LIFETIME);
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(IssueError::Rejected)?;
        let mut params = CertificateParams::default();
        params.not_before = date_time_ymd(1970, 1, 1) + since_epoch(now.saturating_sub(LEAF_BACKDATE));
        params.not_after = date_time_ymd(1970, 1, 1) + since_epoch(not_after);
        params.distinguished_name = common_name(role.server_name());
        params.subject_alt_names = vec![SanType::URI(ia5(role.uri())?), SanType::DnsName(ia5(role.server_name())?)];
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &root.issuer).map_err(IssueError::Rejected)?;
        Ok(ServiceCertificate {
            role,
            certificate: certificate.into(),
            key: PrivatePkcs8KeyDer::from(key.serialize_der()),
            not_after,
            anchors: self.certificates(),
        })
    }

    /// The roots, the issuing one first: what certificates of services are checked against.
    #[must_use]
    pub fn certificates(&self) -> Vec<CertificateDer<'static>> {
        self.roots.iter().map(|root| root.certificate.clone()).collect()
    }
}

impl Root {
    fn new(id: KeyId, key: &Key) -> Self {
        let root = Self::build(id, key);
        #[expect(clippy::expect_used, reason = "every 32 bytes are an Ed25519 seed (RFC 8032 5.1.5)")]
        root.expect("an Ed25519 root")
    }

    fn build(id: KeyId, key: &Key) -> Result<Self, rcgen::Error> {
        let unusable = |_| rcgen::Error::CouldNotParseKeyPair;
        let pair = Ed25519KeyPair::from_seed_unchecked(key.as_bytes()).map_err(unusable)?;
        let pkcs8 = pair.to_pkcs8v1().map_err(|_| rcgen::Error::CouldNotParseKeyPair)?;
        let der = PrivatePkcs8KeyDer::from(pkcs8.as_ref());
        let pair = KeyPair::from_pkcs8_der_and_sign_algo(&der, &PKCS_ED25519)?;
        let mut params = CertificateParams::default();
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(9999, 12, 31);
        // The key's id is in the name, so that two roots of one ring are two issuers.
        params.distinguished_name = common_name(&format!("Portcullis internal CA {id}"));
        let digest = sha256(pair.public_key_raw());
        let serial = digest.first_chunk::<16>().copied().unwrap_or_default();
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let certificate = params.self_signed(&pair)?.into();
        Ok(Self { id, issuer: Issuer::new(params, pair), certificate })
    }
}

impl ServiceCertificate {
    /// The key as TLS libraries take it.
    #[must_use]
    pub fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(self.key.clone_key())
    }
}

impl Clone for ServiceCertificate {
    fn clone(&self) -> Self {
        let Self { role, certificate, key, not_after, anchors } = self;
        Self {
            role: *role,
            certificate: certificate.clone(),
            key: key.clone_key(),
            not_after: *not_after,
            anchors: anchors.clone(),
        }
    }
}

impl fmt::Debug for ServiceCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceCertificate").field("role", &self.role).finish_non_exhaustive()
    }
}

impl fmt::Debug for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Root({})", self.id)
    }
}

fn common_name(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

fn ia5(text: &str) -> Result<rcgen::string::Ia5String, IssueError> {
    text.try_into().map_err(IssueError::Rejected)
}

/// X.509 counts in seconds; the callers keep `at` between 1970 and 9000.
fn since_epoch(at: Timestamp) -> Duration {
    Duration::from_secs(u64::try_from(at.unix_seconds()).unwrap_or(0))
}

#[cfg(test)]
mod tests;
