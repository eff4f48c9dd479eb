use std::num::NonZeroU32;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, OtherNameValue, RevokedCertParams,
    SanType, SerialNumber, SigningKey, date_time_ymd,
};

use super::*;
use crate::sample::NOW;

/// A root or an issuer below one.
type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.key_identifier_method = KeyIdMethod::Sha256;
    params
}

fn root(name: &str) -> Authority {
    CertifiedIssuer::self_signed(authority_params(name), KeyPair::generate().unwrap()).unwrap()
}

fn below(name: &str, above: &Authority) -> Authority {
    CertifiedIssuer::signed_by(authority_params(name), KeyPair::generate().unwrap(), above).unwrap()
}

/// The parameters of a laptop's certificate.
fn laptop() -> CertificateParams {
    let mut params = CertificateParams::new(["laptop.corp.test".to_owned()]).unwrap();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.serial_number = Some(SerialNumber::from_slice(&[7]));
    params
}

fn issued<S: SigningKey>(params: &CertificateParams, by: &Issuer<'_, S>) -> CertificateDer<'static> {
    params.signed_by(&KeyPair::generate().unwrap(), by).unwrap().into()
}

/// A list of `by` that revokes one serial number.
fn revokes(by: &Authority, serial: u8) -> CertRevocationList<'static> {
    let params = CertificateRevocationListParams {
        this_update: date_time_ymd(2020, 1, 1),
        next_update: date_time_ymd(2021, 1, 1),
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
    let list = params.signed_by(by).unwrap();
    webpki::OwnedCertRevocationList::from_der(list.der()).unwrap().into()
}

fn trust(root: &Authority) -> ClientTrust {
    let anchor = webpki::anchor_from_trusted_cert(root.der()).unwrap().to_owned();
    ClientTrust {
        roots: vec![anchor],
        revoked: Arc::new([]),
        names: Arc::new([]),
        max_depth: NonZeroU32::new(1),
        digest: [1; 32],
    }
}

fn found(chain: Vec<CertificateDer<'static>>, trust: &ClientTrust) -> Option<CertificateFault> {
    PresentedChain::new(chain).unwrap().fault(trust, NOW)
}

#[test]
fn a_certificate_of_a_root_that_counts_is_valid_and_no_other() {
    let (ours, theirs) = (root("ours"), root("theirs"));
    // Whoever copies a root's name has not its key.
    let namesake = root("ours");
    assert_eq!(found(vec![issued(&laptop(), &ours)], &trust(&ours)), None);
    for stranger in [&theirs, &namesake] {
        let fault = found(vec![issued(&laptop(), stranger)], &trust(&ours));
        assert_eq!(fault, Some(CertificateFault::UnknownIssuer));
    }
    let alone = laptop().self_signed(&KeyPair::generate().unwrap()).unwrap().into();
    assert_eq!(found(vec![alone], &trust(&ours)), Some(CertificateFault::UnknownIssuer));
}

#[test]
fn time_and_purpose_count() {
    let ours = root("ours");
    for (not_before, not_after, expected) in [
        (date_time_ymd(2000, 1, 1), date_time_ymd(2100, 1, 1), None),
        (date_time_ymd(2000, 1, 1), date_time_ymd(2001, 1, 1), Some(CertificateFault::Expired)),
        (date_time_ymd(2099, 1, 1), date_time_ymd(2100, 1, 1), Some(CertificateFault::NotYetValid)),
    ] {
        let mut params = laptop();
        (params.not_before, params.not_after) = (not_before, not_after);
        assert_eq!(found(vec![issued(&params, &ours)], &trust(&ours)), expected);
    }
    for (purposes, expected) in [
        (vec![], None),
        (vec![ExtendedKeyUsagePurpose::ServerAuth], Some(CertificateFault::Purpose)),
        (vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth], None),
    ] {
        let mut params = laptop();
        params.extended_key_usages = purposes;
        assert_eq!(found(vec![issued(&params, &ours)], &trust(&ours)), expected);
    }
}

#[test]
fn what_is_between_counts_up_to_the_depth_that_is_allowed() {
    let ours = root("ours");
    let office = below("office", &ours);
    let floor = below("floor", &office);
    let deep = vec![issued(&laptop(), &floor), floor.der().clone(), office.der().clone()];
    let middle = vec![issued(&laptop(), &office), office.der().clone()];
    for (chain, max_depth, expected) in [
        (&middle, 1, Some(CertificateFault::TooDeep)),
        (&middle, 2, None),
        (&deep, 2, Some(CertificateFault::TooDeep)),
        (&deep, 3, None),
        (&deep, 0, None),
    ] {
        let trust = ClientTrust { max_depth: NonZeroU32::new(max_depth), ..trust(&ours) };
        assert_eq!(found(chain.clone(), &trust), expected, "{} {max_depth}", chain.len());
    }
    let trust = ClientTrust { max_depth: None, ..trust(&ours) };
    let without = vec![deep[0].clone(), deep[2].clone()];
    assert_eq!(found(without, &trust), Some(CertificateFault::UnknownIssuer));
}

#[test]
fn revocation_counts_along_the_whole_way() {
    let ours = root("ours");
    let mut params = authority_params("office");
    params.serial_number = Some(SerialNumber::from_slice(&[9]));
    let office = CertifiedIssuer::signed_by(params, KeyPair::generate().unwrap(), &ours).unwrap();
    let chain = vec![issued(&laptop(), &office), office.der().clone()];
    let forger = CertifiedIssuer::self_signed(authority_params("office"), KeyPair::generate().unwrap()).unwrap();
    for (list, expected) in [
        (revokes(&office, 7), Some(CertificateFault::Revoked)),
        (revokes(&office, 8), None),
        (revokes(&ours, 9), Some(CertificateFault::Revoked)),
        (revokes(&ours, 7), None),
        // A list that its issuer did not sign is not taken for "nothing is revoked".
        (revokes(&forger, 8), Some(CertificateFault::Broken)),
    ] {
        let trust = ClientTrust { max_depth: None, revoked: Arc::new([list]), ..trust(&ours) };
        assert_eq!(found(chain.clone(), &trust), expected);
    }
}

#[test]
fn one_name_that_is_asked_for_is_enough() {
    let ours = root("ours");
    let mut params = laptop();
    let principal = (vec![1, 3, 6, 1, 4, 1, 311, 20, 2, 3], OtherNameValue::Utf8String("kim@corp.test".to_owned()));
    params.subject_alt_names = vec![
        SanType::DnsName("laptop.corp.test".try_into().unwrap()),
        SanType::Rfc822Name("kim@mail.test".try_into().unwrap()),
        SanType::URI("spiffe://corp/laptop".try_into().unwrap()),
        SanType::IpAddress("192.0.2.7".parse().unwrap()),
        SanType::OtherName(principal),
    ];
    let chain = vec![issued(&params, &ours)];
    let name =
        |kind, text: &str| NamePattern { kind, expression: regex::Regex::new(&format!("^(?:{text})$")).unwrap() };
    for (names, expected) in [
        (vec![name(NameKind::Dns, ".*[.]corp[.]test")], None),
        (vec![name(NameKind::Dns, "corp[.]test")], Some(CertificateFault::Name)),
        (vec![name(NameKind::Email, "kim@mail.test")], None),
        (vec![name(NameKind::Email, "kim@corp.test")], Some(CertificateFault::Name)),
        (vec![name(NameKind::Uri, "spiffe://corp/.*")], None),
        (vec![name(NameKind::IpAddress, "192[.]0[.]2[.]7")], None),
        (vec![name(NameKind::UserPrincipalName, "kim@corp.test")], None),
        (vec![name(NameKind::UserPrincipalName, "kim@mail.test")], Some(CertificateFault::Name)),
        (vec![name(NameKind::Email, "x"), name(NameKind::Dns, "laptop.corp.test")], None),
    ] {
        let trust = ClientTrust { names: names.clone().into(), ..trust(&ours) };
        assert_eq!(found(chain.clone(), &trust), expected, "{names:?}");
    }
}

#[test]
fn a_finding_is_kept_for_its_trust_and_its_time_alone() {
    let (ours, theirs) = (root("ours"), root("theirs"));
    let mut params = laptop();
    params.not_after = date_time_ymd(2027, 1, 16);
    let presented = PresentedChain::new(vec![issued(&params, &ours)]).unwrap();
    let (first, other) = (trust(&ours), ClientTrust { digest: [2; 32], ..trust(&theirs) });
    // 2027-01-15 08:00:00, and a day later.
    assert_eq!(presented.fault(&first, NOW), None);
    assert_eq!(presented.fault(&other, NOW), Some(CertificateFault::UnknownIssuer));
    allocation_free(|| assert_eq!(presented.fault(&first, NOW), None));
    assert_eq!(
        presented.fault(&first, NOW.saturating_add(Duration::from_secs(86_400))),
        Some(CertificateFault::Expired)
    );
    let revoked = ClientTrust { digest: [3; 32], revoked: Arc::new([revokes(&ours, 7)]), ..trust(&ours) };
    assert_eq!(presented.fault(&revoked, NOW), Some(CertificateFault::Revoked));
}

fn allocation_free(look: impl FnOnce()) {
    let counted = allocation_counter::measure(look);
    assert_eq!(counted.count_total, 0);
}

#[test]
fn facts_without_anything_to_validate_by() {
    let (ours, trust) = (root("ours"), trust(&root("ours")));
    let chain = PresentedChain::new(vec![issued(&laptop(), &ours)]).unwrap();
    let leaf = Arc::new(chain.leaf.clone());
    for (presented, trust, expected) in [
        (PresentedCertificate::Absent, None, (false, true)),
        (PresentedCertificate::Absent, Some(&trust), (false, false)),
        (PresentedCertificate::Verified(Arc::clone(&leaf)), Some(&trust), (true, true)),
        (PresentedCertificate::Unverified(leaf), Some(&trust), (true, false)),
        (PresentedCertificate::Chain(Arc::new(chain)), None, (true, false)),
    ] {
        let facts = presented.facts(trust, NOW);
        assert_eq!((facts.presented, facts.valid), expected, "{presented:?}");
    }
}
