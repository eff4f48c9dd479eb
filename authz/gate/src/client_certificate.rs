//! A client's certificate: what it is, and whether it is valid by what a route asks. Possession of its key was
//! proven in the handshake; everything else is judged here, against the newest roots and lists of revocation.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use portcullis_config::{ClientTrust, NameKind, NamePattern};
use portcullis_identity::Timestamp;
use portcullis_policy::{ClientCertificate, Leaf, LeafError};
use rustls_pki_types::{CertificateDer, UnixTime};
use webpki::{
    ALL_VERIFICATION_ALGS, CertRevocationList, EndEntityCert, Error, KeyUsage, RevocationCheckDepth, RevocationOptions,
    RevocationOptionsBuilder, UnknownStatusPolicy, VerifiedPath,
};

/// How long a connection's certificate is taken for what it was found to be: it may expire meanwhile.
const RECHECK: Duration = Duration::from_secs(60);

/// The most findings that are kept of one connection: more than one only where routes have roots of their own.
const MAX_FINDINGS: usize = 8;

/// What the client presented. Cloning copies a pointer.
#[derive(Clone, Debug, Default)]
pub enum PresentedCertificate {
    /// Nothing.
    #[default]
    Absent,
    /// One that is supposed not to be valid, for questions about requests that nobody makes.
    Unverified(Arc<Leaf>),
    /// One that is supposed to be valid, for the same.
    Verified(Arc<Leaf>),
    /// One that came over a connection.
    Chain(Arc<PresentedChain>),
}

/// The certificates that a client sent, its own first.
pub struct PresentedChain {
    leaf: Leaf,
    chain: Vec<CertificateDer<'static>>,
    /// By the digest of what it was validated against.
    findings: ArcSwap<Vec<Finding>>,
}

#[derive(Clone, Copy, Debug)]
struct Finding {
    trust: [u8; 32],
    fault: Option<CertificateFault>,
    until: Timestamp,
}

/// Why a certificate is not valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CertificateFault {
    /// There is none.
    Missing,
    /// No root that counts has signed it.
    UnknownIssuer,
    /// It, or one above it, is past its time.
    Expired,
    /// It, or one above it, is before its time.
    NotYetValid,
    /// It, or one above it, was revoked.
    Revoked,
    /// More certificates stand between it and the root than may.
    TooDeep,
    /// None of its names is one of those asked for.
    Name,
    /// It is not for clients.
    Purpose,
    /// Something else is wrong with it.
    Broken,
}

impl PresentedCertificate {
    /// The certificate itself.
    #[must_use]
    pub fn leaf(&self) -> Option<&Leaf> {
        match self {
            Self::Absent => None,
            Self::Unverified(leaf) | Self::Verified(leaf) => Some(leaf),
            Self::Chain(chain) => Some(&chain.leaf),
        }
    }

    /// Why it is not valid by this trust; `None`: it is, or there is nothing to validate it by and none was
    /// presented. Validated once, then for a while remembered: no allocation, no lock.
    #[must_use]
    pub fn fault(&self, trust: Option<&ClientTrust>, now: Timestamp) -> Option<CertificateFault> {
        match (self, trust) {
            (Self::Absent, None) | (Self::Verified(_), _) => None,
            (Self::Absent, Some(_)) => Some(CertificateFault::Missing),
            (Self::Unverified(_), _) => Some(CertificateFault::Broken),
            // What nobody vouches for is worth nothing.
            (Self::Chain(_), None) => Some(CertificateFault::UnknownIssuer),
            (Self::Chain(chain), Some(trust)) => chain.fault(trust, now),
        }
    }

    /// The facts that policies read.
    #[must_use]
    pub fn facts(&self, trust: Option<&ClientTrust>, now: Timestamp) -> ClientCertificate<'_> {
        let leaf = self.leaf();
        ClientCertificate { presented: leaf.is_some(), valid: self.fault(trust, now).is_none(), leaf }
    }
}

impl PresentedChain {
    /// What a handshake left: the client's own certificate first.
    ///
    /// # Errors
    /// The first certificate cannot be read.
    pub fn new(chain: Vec<CertificateDer<'static>>) -> Result<Self, LeafError> {
        let leaf = Leaf::from_der(chain.first().map(AsRef::as_ref).unwrap_or_default())?;
        Ok(Self { leaf, chain, findings: ArcSwap::default() })
    }

    /// Why it is not valid by this trust; `None`: it is.
    #[must_use]
    pub fn fault(&self, trust: &ClientTrust, now: Timestamp) -> Option<CertificateFault> {
        let findings = self.findings.load();
        let known = findings.iter().find(|finding| finding.trust == trust.digest && now < finding.until);
        if let Some(finding) = known {
            return finding.fault;
        }
        let fault = validate(&self.leaf, &self.chain, trust, now).err();
        let finding = Finding { trust: trust.digest, fault, until: now.saturating_add(RECHECK) };
        let others = findings.iter().filter(|finding| finding.trust != trust.digest).copied();
        // Two requests at once may each leave out the other's finding, which is then found again.
        self.findings.store(Arc::new(std::iter::once(finding).chain(others).take(MAX_FINDINGS).collect()));
        fault
    }
}

/// A certificate is public, and long.
impl fmt::Debug for PresentedChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PresentedChain").field("length", &self.chain.len()).finish_non_exhaustive()
    }
}

impl CertificateFault {
    /// One word for events and programs, from a closed set.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::UnknownIssuer => "unknown-issuer",
            Self::Expired => "expired",
            Self::NotYetValid => "not-yet-valid",
            Self::Revoked => "revoked",
            Self::TooDeep => "too-deep",
            Self::Name => "name",
            Self::Purpose => "purpose",
            Self::Broken => "broken",
        }
    }
}

/// RFC 5280 §6: a way from the client's certificate to a root, each step signed, in time, for clients, unrevoked.
fn validate(
    leaf: &Leaf,
    chain: &[CertificateDer<'static>],
    trust: &ClientTrust,
    now: Timestamp,
) -> Result<(), CertificateFault> {
    let ClientTrust { roots, revoked, names, max_depth, digest: _ } = trust;
    let (own, above) = chain.split_first().ok_or(CertificateFault::Broken)?;
    let own = EndEntityCert::try_from(own).map_err(|error| fault(&error))?;
    let seconds = u64::try_from(now.unix_seconds()).unwrap_or_default();
    let time = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    let lists: Vec<&CertRevocationList<'_>> = revoked.iter().collect();
    // Webpki has verified each step of the way when it asks: one that is too long is no way, another may be.
    let most = max_depth.map(|most| usize::try_from(most.get()).unwrap_or(usize::MAX));
    let short = |path: &VerifiedPath<'_>| match most {
        Some(most) if path.intermediate_certificates().count() >= most => Err(Error::MaximumPathDepthExceeded),
        Some(_) | None => Ok(()),
    };
    let usage = KeyUsage::client_auth();
    own.verify_for_usage(ALL_VERIFICATION_ALGS, roots, above, time, usage, revocation(&lists), Some(&short))
        .map_err(|error| fault(&error))?;
    if names.is_empty() || names.iter().any(|name| has(leaf, name)) { Ok(()) } else { Err(CertificateFault::Name) }
}

/// Every certificate of the way is looked for in the list of its issuer; an issuer without a list has revoked none.
fn revocation<'a>(lists: &'a [&'a CertRevocationList<'a>]) -> Option<RevocationOptions<'a>> {
    let options = RevocationOptionsBuilder::new(lists).ok()?;
    let options = options.with_depth(RevocationCheckDepth::Chain).with_status_policy(UnknownStatusPolicy::Allow);
    Some(options.build())
}

fn has(leaf: &Leaf, wanted: &NamePattern) -> bool {
    let NamePattern { kind, expression } = wanted;
    let any = |names: &[Box<str>]| names.iter().any(|name| expression.is_match(name));
    match kind {
        NameKind::Dns => any(leaf.dns_names()),
        NameKind::Email => any(leaf.email_addresses()),
        NameKind::Uri => any(leaf.uris()),
        NameKind::UserPrincipalName => any(leaf.user_principal_names()),
        NameKind::IpAddress => leaf.ip_addresses().iter().any(|address| expression.is_match(&address.to_string())),
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the errors of another crate, which may become more")]
fn fault(error: &Error) -> CertificateFault {
    match error {
        Error::UnknownIssuer | Error::InvalidSignatureForPublicKey | Error::CaUsedAsEndEntity => {
            CertificateFault::UnknownIssuer
        }
        Error::CertExpired { .. } => CertificateFault::Expired,
        Error::CertNotValidYet { .. } => CertificateFault::NotYetValid,
        Error::CertRevoked => CertificateFault::Revoked,
        Error::MaximumPathDepthExceeded | Error::PathLenConstraintViolated => CertificateFault::TooDeep,
        Error::RequiredEkuNotFoundContext(_) => CertificateFault::Purpose,
        _ => CertificateFault::Broken,
    }
}

#[cfg(test)]
mod tests;
