//! Which certificate a client gets: chosen by the name it asks for, from a set that is swapped whole.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use portcullis_config::Certificate;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Keys of one name, in the order of the configuration: one per kind of key, say.
type Choice = Vec<Arc<CertifiedKey>>;

/// A certificate that cannot be served.
#[derive(Debug, thiserror::Error)]
#[error("certificate {} cannot be used", origin.display())]
pub struct UnusableCertificate {
    /// Where it came from.
    pub origin: PathBuf,
    /// What is wrong.
    #[source]
    pub source: CertificateFault,
}

/// What is wrong with a certificate.
#[derive(Debug, thiserror::Error)]
pub enum CertificateFault {
    /// Not a certificate.
    #[error("not an X.509 certificate")]
    NotX509,
    /// It names no host.
    #[error("no DNS name or address in its subject alternative names")]
    Nameless,
    /// The key is of no supported kind, or belongs to another certificate.
    #[error("key and certificate do not fit")]
    Key(#[source] rustls::Error),
}

/// The certificates of one generation by the names they are for.
#[derive(Default)]
pub(crate) struct Certificates {
    exact: HashMap<Box<str>, Choice>,
    /// By what follows `*.`; a wildcard stands for one label (RFC 6125 §6.4.3).
    wildcard: HashMap<Box<str>, Choice>,
}

impl Certificates {
    /// Certificates by name; what `fallback` is for comes after all of `configured`.
    ///
    /// # Errors
    /// The first certificate that cannot be served.
    pub(crate) fn new(configured: &[Certificate], fallback: Option<&Certificate>) -> Result<Self, UnusableCertificate> {
        let mut certificates = Self::default();
        for certificate in configured.iter().chain(fallback) {
            certificates
                .add(certificate)
                .map_err(|source| UnusableCertificate { origin: certificate.origin.clone(), source })?;
        }
        Ok(certificates)
    }

    fn add(&mut self, certificate: &Certificate) -> Result<(), CertificateFault> {
        let Certificate { chain, key, origin: _ } = certificate;
        let leaf = chain.first().ok_or(CertificateFault::NotX509)?;
        let (_, parsed) = X509Certificate::from_der(leaf).map_err(|_| CertificateFault::NotX509)?;
        let certified = CertifiedKey::from_der(chain.clone(), key.clone_key(), &super::provider())
            .map(Arc::new)
            .map_err(CertificateFault::Key)?;
        let names = parsed.subject_alternative_name().map_err(|_| CertificateFault::NotX509)?;
        let names = names.map(|names| names.value.general_names.as_slice()).unwrap_or_default();
        let mut named = false;
        for name in names {
            let GeneralName::DNSName(name) = name else { continue };
            let name = name.to_ascii_lowercase();
            named = true;
            let choice = match name.strip_prefix("*.") {
                Some(rest) => self.wildcard.entry(rest.into()),
                None => self.exact.entry(name.into()),
            };
            choice.or_default().push(Arc::clone(&certified));
        }
        if named { Ok(()) } else { Err(CertificateFault::Nameless) }
    }

    /// The key for `name`: exact first, then wildcard; among several the first that the client can check.
    fn choose(&self, name: &str, schemes: &[rustls::SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let name = name.to_ascii_lowercase();
        let choice = self
            .exact
            .get(name.as_str())
            .or_else(|| name.split_once('.').and_then(|(_, rest)| self.wildcard.get(rest)))?;
        choice
            .iter()
            .find(|certified| certified.key.choose_scheme(schemes).is_some())
            .or_else(|| choice.first())
            .cloned()
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates")
            .field("exact", &self.exact.keys())
            .field("wildcard", &self.wildcard.keys())
            .finish()
    }
}

/// Chooses among the newest certificates; open connections keep theirs.
#[derive(Debug)]
pub(crate) struct Resolver(Arc<ArcSwap<Certificates>>);

impl Resolver {
    /// A resolver over what `certificates` holds at each handshake.
    pub(crate) const fn new(certificates: Arc<ArcSwap<Certificates>>) -> Self {
        Self(certificates)
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // No name or an unknown one: the handshake is refused rather than a stranger's certificate shown.
        self.0.load().choose(hello.server_name()?, hello.signature_schemes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(names: &[&str]) -> Certificate {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let rcgen::CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(names).unwrap();
        Certificate {
            chain: vec![cert.der().clone()],
            key: rustls_pki_types::PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap(),
            origin: PathBuf::from("test"),
        }
    }

    #[test]
    fn exact_goes_before_wildcard_and_a_wildcard_stands_for_one_label() {
        let exact = certificate(&["wiki.corp.test"]);
        let wildcard = certificate(&["*.corp.test"]);
        let fallback = certificate(&["late.corp.test", "own.test"]);
        let all = Certificates::new(&[wildcard, exact], Some(&fallback)).unwrap();
        let schemes = [rustls::SignatureScheme::ECDSA_NISTP256_SHA256];
        let leaf = |name| all.choose(name, &schemes).map(|key| key.cert.first().unwrap().clone());
        assert_ne!(leaf("WIKI.corp.test").unwrap(), leaf("other.corp.test").unwrap());
        assert!(leaf("a.b.corp.test").is_none());
        assert!(leaf("corp.test").is_none());
        assert!(leaf("own.test").is_some());
    }

    #[test]
    fn a_key_of_another_certificate_is_refused() {
        let one = certificate(&["a.test"]);
        let two = certificate(&["b.test"]);
        let mixed = Certificate { chain: one.chain, key: two.key, origin: PathBuf::from("mixed.pem") };
        let error = Certificates::new(&[mixed], None).unwrap_err();
        assert_eq!(error.origin, PathBuf::from("mixed.pem"));
        assert!(matches!(error.source, CertificateFault::Key(_)));
    }
}
