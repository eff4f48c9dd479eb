//! Roots, issuers and clients' certificates.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber,
    date_time_ymd,
};
use rustls::client::ResolvesClientCert;
use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// A root.
pub(crate) struct Root(CertifiedIssuer<'static, KeyPair>);

/// A client's certificate with its key.
#[derive(Clone, Debug)]
pub(crate) struct Identity(Arc<CertifiedKey>);

impl Root {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// `downstream_mtls` with this root and further keys, each on a line of its own.
    pub(crate) fn section(&self, keys: &str) -> String {
        let keys: String = keys.lines().map(|line| format!("  {line}\n")).collect();
        format!("downstream_mtls:\n  ca: |\n{}{keys}", indented(&self.0.pem(), 4))
    }

    /// The value of `tls_downstream_client_ca`, quoted.
    pub(crate) fn quoted(&self) -> String {
        format!("{:?}", self.0.pem())
    }

    /// The key `crl` with a list that revokes one serial number.
    pub(crate) fn revokes(&self, serial: u8) -> String {
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(2030, 1, 1),
            crl_number: SerialNumber::from_slice(&[1]),
            issuing_distribution_point: None,
            revoked_certs: vec![RevokedCertParams {
                serial_number: SerialNumber::from_slice(&[serial]),
                revocation_time: date_time_ymd(2020, 1, 1),
                reason_code: None,
                invalidity_date: None,
            }],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        format!("crl: |\n{}", indented(&params.signed_by(&self.0).unwrap().pem().unwrap(), 2))
    }

    /// A client's certificate, good from 2020 to 2030.
    pub(crate) fn client(&self, serial: u8) -> Identity {
        self.client_until(serial, 2030)
    }

    pub(crate) fn client_until(&self, serial: u8, year: i32) -> Identity {
        let (params, key) = (params(serial, year), KeyPair::generate().unwrap());
        Identity::new(params.signed_by(&key, &self.0).unwrap().into(), &key)
    }
}

impl Identity {
    fn new(certificate: CertificateDer<'static>, key: &KeyPair) -> Self {
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).unwrap();
        Self(Arc::new(CertifiedKey::new(vec![certificate], key)))
    }

    /// A certificate that nobody but its owner has signed.
    pub(crate) fn self_signed() -> Self {
        let key = KeyPair::generate().unwrap();
        Self::new(params(1, 2030).self_signed(&key).unwrap().into(), &key)
    }

    /// This certificate in the hands of somebody who has not its key.
    pub(crate) fn stolen(&self) -> Self {
        Self::new(self.0.cert[0].clone(), &KeyPair::generate().unwrap())
    }

    /// SHA-256 of the certificate.
    pub(crate) fn fingerprint(&self) -> String {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &self.0.cert[0]);
        digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Offers the certificate whatever the server says it takes.
impl ResolvesClientCert for Identity {
    fn resolve(&self, _: &[&[u8]], _: &[rustls::SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

fn params(serial: u8, year: i32) -> CertificateParams {
    let mut params = CertificateParams::new(["laptop.corp.test".to_owned(), "a,b".to_owned()]).unwrap();
    (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(year, 1, 1));
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.serial_number = Some(SerialNumber::from_slice(&[serial]));
    params
}

fn indented(text: &str, by: usize) -> String {
    text.lines().map(|line| format!("{}{line}\n", " ".repeat(by))).collect()
}
