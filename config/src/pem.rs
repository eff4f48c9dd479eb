//! PEM texts: certificate chains and private keys, and whether the two belong together.

use std::path::PathBuf;

use aws_lc_rs::rsa;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair,
};
use base64::Engine as _;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::model::Certificate;

/// Why a text is not the PEM it should be; never with the text in it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PemError {
    /// Not one `CERTIFICATE` in it.
    #[error("holds no PEM certificate")]
    NoCertificate,
    /// A `CERTIFICATE` that cannot be read.
    #[error("holds a certificate that cannot be read")]
    BadCertificate,
    /// Not one `X509 CRL` in it.
    #[error("holds no PEM certificate revocation list")]
    NoRevocationList,
    /// An `X509 CRL` that cannot be read.
    #[error("holds a certificate revocation list that cannot be read")]
    BadRevocationList,
    /// Not one private key in it.
    #[error("holds no PEM private key")]
    NoKey,
    /// A kind of key that nobody can sign with here.
    #[error("holds a private key that is neither ECDSA (P-256, P-384, P-521), Ed25519 nor RSA")]
    UnknownKey,
    /// A key that cannot sign ES256.
    #[error("holds a private key that is not ECDSA P-256")]
    NotP256,
    /// A key of another certificate.
    #[error("the private key does not belong to the certificate")]
    Mismatch,
}

/// Text that is PEM, or PEM in base64 as the reference writes it.
pub(crate) fn unwrap_base64(text: &str) -> String {
    if text.contains("-----BEGIN") {
        return text.to_owned();
    }
    let compact: String = text.split_whitespace().collect();
    let decoded = base64::engine::general_purpose::STANDARD.decode(compact).ok();
    decoded.and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_else(|| text.to_owned())
}

/// Every certificate of a text; at least one, each readable. "No certificate" is never "no restriction".
pub(crate) fn certificates(text: &str) -> Result<Vec<CertificateDer<'static>>, PemError> {
    let read = CertificateDer::pem_slice_iter(text.as_bytes()).collect::<Result<Vec<_>, _>>();
    let chain = read.map_err(|_not_pem| PemError::BadCertificate)?;
    if chain.is_empty() {
        return Err(PemError::NoCertificate);
    }
    for certificate in &chain {
        parse(certificate)?;
    }
    Ok(chain)
}

/// Every certificate revocation list of a text; at least one. "No list" is never "nothing is revoked".
pub(crate) fn revocation_lists(text: &str) -> Result<Vec<CertificateRevocationListDer<'static>>, PemError> {
    let read = CertificateRevocationListDer::pem_slice_iter(text.as_bytes()).collect::<Result<Vec<_>, _>>();
    let lists = read.map_err(|_not_pem| PemError::BadRevocationList)?;
    if lists.is_empty() { Err(PemError::NoRevocationList) } else { Ok(lists) }
}

/// A chain with the key of its first certificate.
pub(crate) fn certificate(chain: &str, key: &str, origin: PathBuf) -> Result<Certificate, PemError> {
    let chain = certificates(chain)?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|_not_pem| PemError::NoKey)?;
    let leaf = chain.first().ok_or(PemError::NoCertificate)?;
    let expected = parse(leaf)?.public_key().subject_public_key.data.to_vec();
    let actual = public_key(&key).ok_or(PemError::UnknownKey)?;
    if expected != actual {
        return Err(PemError::Mismatch);
    }
    Ok(Certificate { chain, key, origin })
}

/// Whether a text is a key for ES256 signatures.
pub(crate) fn p256_key(text: &str) -> Result<(), PemError> {
    let key = PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|_not_pem| PemError::NoKey)?;
    elliptic(&key, &ECDSA_P256_SHA256_ASN1_SIGNING).map(drop).ok_or(PemError::NotP256)
}

/// The DNS names and addresses of a certificate, in lower case.
pub(crate) fn names(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok(parsed) = parse(certificate) else { return Vec::new() };
    let Ok(Some(names)) = parsed.subject_alternative_name() else { return Vec::new() };
    let names = names.value.general_names.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        GeneralName::IPAddress(bytes) => address(bytes),
        GeneralName::OtherName(..)
        | GeneralName::RFC822Name(_)
        | GeneralName::X400Address(_)
        | GeneralName::DirectoryName(_)
        | GeneralName::EDIPartyName(_)
        | GeneralName::URI(_)
        | GeneralName::RegisteredID(_)
        | GeneralName::Invalid(..) => None,
    });
    names.collect()
}

fn address(bytes: &[u8]) -> Option<String> {
    let four = <[u8; 4]>::try_from(bytes).ok().map(|bytes| std::net::Ipv4Addr::from(bytes).to_string());
    four.or_else(|| {
        let sixteen = <[u8; 16]>::try_from(bytes).ok()?;
        Some(format!("[{}]", std::net::Ipv6Addr::from(sixteen)))
    })
}

fn parse<'a>(certificate: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, PemError> {
    match X509Certificate::from_der(certificate) {
        Ok(([], parsed)) => Ok(parsed),
        Ok(_) | Err(_) => Err(PemError::BadCertificate),
    }
}

/// The public half of a key, in the form a certificate carries it.
fn public_key(key: &PrivateKeyDer<'_>) -> Option<Vec<u8>> {
    let der = key.secret_der();
    if matches!(key, PrivateKeyDer::Pkcs1(_)) {
        let pair = rsa::KeyPair::from_der(der).ok()?;
        return Some(pair.public_key().as_ref().to_vec());
    }
    let curves = [&ECDSA_P256_SHA256_ASN1_SIGNING, &ECDSA_P384_SHA384_ASN1_SIGNING, &ECDSA_P521_SHA512_ASN1_SIGNING];
    if let Some(pair) = curves.into_iter().find_map(|curve| elliptic(key, curve)) {
        return Some(pair.public_key().as_ref().to_vec());
    }
    if let Ok(pair) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der) {
        return Some(pair.public_key().as_ref().to_vec());
    }
    let pair = rsa::KeyPair::from_pkcs8(der).ok()?;
    Some(pair.public_key().as_ref().to_vec())
}

/// The key on this curve, if it is one.
fn elliptic(key: &PrivateKeyDer<'_>, curve: &'static EcdsaSigningAlgorithm) -> Option<EcdsaKeyPair> {
    let pair = match key {
        PrivateKeyDer::Sec1(key) => EcdsaKeyPair::from_private_key_der(curve, key.secret_sec1_der()),
        PrivateKeyDer::Pkcs8(key) => EcdsaKeyPair::from_pkcs8(curve, key.secret_pkcs8_der()),
        PrivateKeyDer::Pkcs1(_) | _ => return None,
    };
    pair.ok()
}
