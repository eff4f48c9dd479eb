//! Client certificates: what a policy reads of one, and the matcher over it.

use std::net::IpAddr;

use aws_lc_rs::digest::{SHA256, digest};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::ClientCertificate;
use crate::matcher::StringMatcher;

/// The type of a user principal name, `szOID_NT_PRINCIPAL_NAME`.
const USER_PRINCIPAL_NAME: &str = "1.3.6.1.4.1.311.20.2.3";

/// A leaf certificate, reduced to what policies read. Parsed once per connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    fingerprint: [u8; 32],
    spki_hash: [u8; 32],
    dns: Box<[Box<str>]>,
    email: Box<[Box<str>]>,
    uri: Box<[Box<str>]>,
    ip: Box<[IpAddr]>,
    principal: Box<[Box<str>]>,
}

/// Why a text is not a certificate.
#[derive(Debug, thiserror::Error)]
pub enum LeafError {
    /// No PEM block of a certificate.
    #[error("not a PEM certificate")]
    NotPem,
    /// Not an X.509 certificate in DER.
    #[error("not an X.509 certificate")]
    NotX509,
}

impl Leaf {
    /// Reads the first certificate of a PEM text.
    ///
    /// # Errors
    /// If there is none, or it is not X.509.
    pub fn from_pem(text: &str) -> Result<Self, LeafError> {
        let (_, pem) = x509_parser::pem::parse_x509_pem(text.as_bytes()).map_err(|_| LeafError::NotPem)?;
        if pem.label != "CERTIFICATE" {
            return Err(LeafError::NotPem);
        }
        Self::from_der(&pem.contents)
    }

    /// Reads a certificate in DER.
    ///
    /// # Errors
    /// If it is not exactly one X.509 certificate.
    pub fn from_der(der: &[u8]) -> Result<Self, LeafError> {
        let (rest, certificate) = X509Certificate::from_der(der).map_err(|_| LeafError::NotX509)?;
        if !rest.is_empty() {
            return Err(LeafError::NotX509);
        }
        let (mut dns, mut email, mut uri) = (Vec::new(), Vec::new(), Vec::new());
        let (mut ip, mut principal) = (Vec::new(), Vec::new());
        let names = certificate.subject_alternative_name().map_err(|_| LeafError::NotX509)?;
        for name in names.iter().flat_map(|names| &names.value.general_names) {
            if let GeneralName::DNSName(name) = name {
                dns.push(Box::from(*name));
            } else if let GeneralName::RFC822Name(name) = name {
                email.push(Box::from(*name));
            } else if let GeneralName::URI(name) = name {
                uri.push(Box::from(*name));
            } else if let GeneralName::IPAddress(bytes) = name {
                ip.extend(address(bytes));
            } else if let GeneralName::OtherName(kind, value) = name {
                principal.extend(principal_name(&kind.to_id_string(), value).map(Box::from));
            }
        }
        let (dns, email, uri) = (dns.into(), email.into(), uri.into());
        let spki_hash = sha256(certificate.public_key().raw);
        let (ip, principal) = (ip.into(), principal.into());
        Ok(Self { fingerprint: sha256(der), spki_hash, dns, email, uri, ip, principal })
    }

    /// SHA-256 of the whole certificate.
    #[must_use]
    pub const fn fingerprint(&self) -> &[u8; 32] {
        &self.fingerprint
    }

    /// SHA-256 of the subject's public key info.
    #[must_use]
    pub const fn spki_hash(&self) -> &[u8; 32] {
        &self.spki_hash
    }

    /// The DNS names among the subject's alternative names.
    #[must_use]
    pub fn dns_names(&self) -> &[Box<str>] {
        &self.dns
    }

    /// The e-mail addresses among the subject's alternative names.
    #[must_use]
    pub fn email_addresses(&self) -> &[Box<str>] {
        &self.email
    }

    /// The URIs among the subject's alternative names.
    #[must_use]
    pub fn uris(&self) -> &[Box<str>] {
        &self.uri
    }

    /// The IP addresses among the subject's alternative names.
    #[must_use]
    pub fn ip_addresses(&self) -> &[IpAddr] {
        &self.ip
    }

    /// The user principal names of Active Directory among the subject's alternative names.
    #[must_use]
    pub fn user_principal_names(&self) -> &[Box<str>] {
        &self.principal
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let four = <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from);
    four.or_else(|| <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from))
}

/// The text of a user principal name: an `otherName` of Microsoft's type, whose value is an explicitly tagged
/// UTF8String.
fn principal_name<'a>(kind: &str, value: &'a [u8]) -> Option<&'a str> {
    let text = content(content(value, 0xa0)?, 0x0c)?;
    std::str::from_utf8(text).ok().filter(|_| kind == USER_PRINCIPAL_NAME)
}

/// The content of one DER element of at most 255 bytes that is all there is.
fn content(element: &[u8], tag: u8) -> Option<&[u8]> {
    let (found, rest) = element.split_first()?;
    let (length, rest) = match rest.split_first()? {
        (0x81, rest) => rest.split_first()?,
        (length, rest) => (length, rest),
    };
    (*found == tag && rest.len() == usize::from(*length)).then_some(rest)
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    <[u8; 32]>::try_from(digest(&SHA256, bytes).as_ref()).unwrap_or_default()
}

/// The value of a `client_certificate` criterion: every condition given must hold.
#[derive(Debug, Default)]
pub(crate) struct CertificateMatcher {
    /// Sorted; `None`: any fingerprint.
    pub fingerprints: Option<Box<[[u8; 32]]>>,
    /// Sorted; `None`: any key.
    pub spki_hashes: Option<Box<[[u8; 32]]>>,
    /// One DNS name must meet this.
    pub dns: Option<StringMatcher>,
    /// One e-mail address must meet this.
    pub email: Option<StringMatcher>,
    /// One URI must meet this.
    pub uri: Option<StringMatcher>,
}

impl CertificateMatcher {
    /// Whether some certificate meets it.
    pub(crate) fn can_hold(&self) -> bool {
        let Self { fingerprints, spki_hashes, dns, email, uri } = self;
        let empty = |list: &Option<Box<[[u8; 32]]>>| list.as_ref().is_some_and(|list| list.is_empty());
        let named = [dns, email, uri].into_iter().flatten();
        !empty(fingerprints) && !empty(spki_hashes) && named.into_iter().all(StringMatcher::can_hold)
    }

    #[inline(never)]
    pub(crate) fn holds(&self, presented: &ClientCertificate<'_>) -> bool {
        let Self { fingerprints, spki_hashes, dns, email, uri } = self;
        let Some(leaf) = presented.leaf else { return false };
        let named = dns.is_some() || email.is_some() || uri.is_some();
        let pinned = fingerprints.is_some() || spki_hashes.is_some();
        // Whoever makes a certificate chooses its names: they mean something only under a CA. A
        // fingerprint or a key hash cannot be chosen.
        if (named || !pinned) && !presented.valid {
            return false;
        }
        let listed = |list: &Option<Box<[[u8; 32]]>>, hash: &[u8; 32]| {
            list.as_ref().is_none_or(|list| list.binary_search(hash).is_ok())
        };
        listed(fingerprints, &leaf.fingerprint)
            && listed(spki_hashes, &leaf.spki_hash)
            && one_of(dns.as_ref(), &leaf.dns)
            && one_of(email.as_ref(), &leaf.email)
            && one_of(uri.as_ref(), &leaf.uri)
    }
}

/// One name meets all matchers; an empty matcher holds without any name too.
fn one_of(matcher: Option<&StringMatcher>, names: &[Box<str>]) -> bool {
    matcher.is_none_or(|matcher| matcher.is_empty() || names.iter().any(|name| matcher.holds(name)))
}
