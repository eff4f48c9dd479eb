//! Asks a client for its certificate. Possession of the key is proven here in any case; whether the certificate is
//! valid is for the routes to say, unless nobody is to get in without a valid one.

use std::fmt;
use std::sync::Arc;

use portcullis_config::{ClientTrust, Enforcement};
use portcullis_gate::{CertificateFault, PresentedCertificate, PresentedChain};
use portcullis_identity::{Clock, Timestamp};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, UnixTime};

/// The most certificates that a client may send beside its own.
const MAX_INTERMEDIATES: usize = 16;

/// The most bytes of hints: the list of names has 16 bits of length, and the request for a certificate too.
const MAX_HINT_BYTES: usize = 32 * 1024;

/// One host's way of asking.
pub(super) struct Asking {
    hints: Vec<DistinguishedName>,
    /// What the certificate must meet for the handshake to succeed: one of these.
    demanded: Option<Vec<Arc<ClientTrust>>>,
    algorithms: WebPkiSupportedAlgorithms,
    clock: Arc<dyn Clock>,
}

impl Asking {
    /// Asks for certificates that these may find valid.
    pub(super) fn new(trusts: &[Arc<ClientTrust>], enforcement: Enforcement, clock: Arc<dyn Clock>) -> Self {
        let demanded = match enforcement {
            Enforcement::RejectConnection => Some(trusts.to_vec()),
            Enforcement::PolicyWithDefaultDeny | Enforcement::Policy => None,
        };
        let roots = trusts.iter().flat_map(|trust| &trust.roots);
        let hints: Vec<_> = roots.map(|root| DistinguishedName::in_sequence(&root.subject)).collect();
        let bytes: usize = hints.iter().map(|hint| hint.as_ref().len() + 2).sum();
        // Without hints clients offer what they have; half of the names would hide what the other half takes.
        let hints = if bytes > MAX_HINT_BYTES { Vec::new() } else { hints };
        let algorithms = super::provider().signature_verification_algorithms;
        Self { hints, demanded, algorithms, clock }
    }
}

/// Whether one of these finds the certificate valid.
pub(super) fn is_valid_by_any(presented: &PresentedCertificate, trusts: &[Arc<ClientTrust>], now: Timestamp) -> bool {
    trusts.iter().any(|trust| presented.fault(Some(trust), now).is_none())
}

impl ClientCertVerifier for Asking {
    fn client_auth_mandatory(&self) -> bool {
        self.demanded.is_some()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        own: &CertificateDer<'_>,
        above: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if above.len() > MAX_INTERMEDIATES {
            return Err(CertificateError::BadEncoding.into());
        }
        let Some(demanded) = &self.demanded else { return Ok(ClientCertVerified::assertion()) };
        let chain = std::iter::once(own).chain(above).map(|certificate| certificate.clone().into_owned());
        let chain = PresentedChain::new(chain.collect()).map_err(|_| CertificateError::BadEncoding)?;
        let now = self.clock.now();
        let mut faults = Vec::with_capacity(demanded.len());
        for trust in demanded {
            match chain.fault(trust, now) {
                None => return Ok(ClientCertVerified::assertion()),
                Some(fault) => faults.push(fault),
            }
        }
        Err(told(faults.first().copied().unwrap_or(CertificateFault::UnknownIssuer)).into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl fmt::Debug for Asking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asking").field("demanded", &self.demanded.is_some()).finish_non_exhaustive()
    }
}

/// What the client is told, as far as TLS has a word for it.
const fn told(fault: CertificateFault) -> CertificateError {
    match fault {
        CertificateFault::UnknownIssuer => CertificateError::UnknownIssuer,
        CertificateFault::Expired => CertificateError::Expired,
        CertificateFault::NotYetValid => CertificateError::NotValidYet,
        CertificateFault::Revoked => CertificateError::Revoked,
        CertificateFault::Purpose => CertificateError::InvalidPurpose,
        CertificateFault::Missing | CertificateFault::TooDeep | CertificateFault::Name | CertificateFault::Broken => {
            CertificateError::ApplicationVerificationFailure
        }
    }
}
