//! Certificates of one cluster are checked against its roots, and against no others.

use super::*;
use crate::{KeyRing, SystemRandom, append, promote};

const NOW: Timestamp = Timestamp::from_unix_seconds(1_700_000_000);

/// What a rustls verifier does, by the same library: chain, validity, usage and DNS name.
fn accepts(anchors: &[CertificateDer<'static>], leaf: &CertificateDer<'_>, role: ServiceRole, now: Timestamp) -> bool {
    let roots: Vec<_> = anchors.iter().map(|anchor| webpki::anchor_from_trusted_cert(anchor).unwrap()).collect();
    let certificate = webpki::EndEntityCert::try_from(leaf).unwrap();
    let time = rustls_pki_types::UnixTime::since_unix_epoch(since_epoch(now));
    let usages = [webpki::KeyUsage::server_auth(), webpki::KeyUsage::client_auth()];
    let algorithms = webpki::ALL_VERIFICATION_ALGS;
    let chained = usages
        .iter()
        .all(|usage| certificate.verify_for_usage(algorithms, &roots, &[], time, *usage, None, None).is_ok());
    let name = rustls_pki_types::ServerName::try_from(role.server_name()).unwrap();
    chained && certificate.verify_is_valid_for_subject_name(&name).is_ok()
}

#[test]
fn every_host_makes_the_same_root() {
    let (ring, text) = KeyRing::generate(&SystemRandom);
    let other = KeyRing::parse(&text).unwrap();
    assert_eq!(ring.internal_ca().unwrap().certificates(), other.internal_ca().unwrap().certificates());
    let stranger = KeyRing::generate(&SystemRandom).0;
    assert_ne!(ring.internal_ca().unwrap().certificates(), stranger.internal_ca().unwrap().certificates());
}

#[test]
fn siblings_believe_each_other_and_nobody_else() {
    let (ring, text) = KeyRing::generate(&SystemRandom);
    let issued = ring.service_certificate(ServiceRole::Broker, NOW).unwrap();
    let sibling = KeyRing::parse(&text).unwrap().service_certificate(ServiceRole::Proxy, NOW).unwrap();
    let stranger = KeyRing::generate(&SystemRandom).0.service_certificate(ServiceRole::Broker, NOW).unwrap();
    assert!(accepts(&sibling.anchors, &issued.certificate, ServiceRole::Broker, NOW));
    assert!(!accepts(&sibling.anchors, &issued.certificate, ServiceRole::Authn, NOW), "another service's name");
    assert!(!accepts(&sibling.anchors, &stranger.certificate, ServiceRole::Broker, NOW), "another cluster");
    assert!(!accepts(std::slice::from_ref(&stranger.certificate), &stranger.certificate, ServiceRole::Broker, NOW));
}

#[test]
fn validity_reaches_back_for_slow_clocks_and_ends() {
    let ring = KeyRing::generate(&SystemRandom).0;
    let issued = ring.service_certificate(ServiceRole::Proxy, NOW).unwrap();
    let at = |now| accepts(&issued.anchors, &issued.certificate, ServiceRole::Proxy, now);
    let second = Duration::from_secs(1);
    assert!(at(NOW.saturating_sub(LEAF_BACKDATE)) && !at(NOW.saturating_sub(LEAF_BACKDATE + second)));
    assert_eq!(issued.not_after, NOW.saturating_add(LEAF_LIFETIME));
    assert!(at(issued.not_after) && !at(issued.not_after.saturating_add(second)));
    for extreme in [Timestamp::EPOCH, Timestamp::MAX, Timestamp::from_unix_millis(i64::MIN)] {
        assert!(ring.service_certificate(ServiceRole::Proxy, extreme).is_ok());
    }
}

#[test]
fn during_a_rotation_both_roots_are_believed() {
    let (old, text) = KeyRing::generate(&SystemRandom);
    let (text, id) = append(&text, &SystemRandom).unwrap();
    let appended = KeyRing::parse(&text).unwrap();
    let promoted = KeyRing::parse(&promote(&text, id).unwrap()).unwrap();
    let of = |ring: &KeyRing| ring.service_certificate(ServiceRole::Authn, NOW).unwrap();
    let (old, appended, promoted) = (of(&old), of(&appended), of(&promoted));
    for (a, b) in [(&old, &appended), (&appended, &promoted), (&promoted, &appended), (&promoted, &old)] {
        assert!(accepts(&a.anchors, &b.certificate, ServiceRole::Authn, NOW));
    }
    assert!(!accepts(&old.anchors, &promoted.certificate, ServiceRole::Authn, NOW), "moved before it was appended");
}

#[test]
fn an_exported_certificate_is_the_issued_one() {
    let (ring, _) = KeyRing::generate(&SystemRandom);
    let export = KeyRing::parse(&ring.export(&[ServiceRole::Proxy], NOW).unwrap()).unwrap();
    let later = NOW.saturating_add(Duration::from_secs(1000));
    let held = export.service_certificate(ServiceRole::Proxy, later).unwrap();
    let sibling = ring.service_certificate(ServiceRole::Broker, NOW).unwrap();
    assert!(accepts(&sibling.anchors, &held.certificate, ServiceRole::Proxy, NOW));
    assert!(accepts(&held.anchors, &sibling.certificate, ServiceRole::Broker, NOW));
    assert_eq!(held.not_after.unix_seconds(), NOW.saturating_add(LEAF_LIFETIME).unix_seconds());
}

#[test]
fn leafs_carry_the_service_uri_and_fresh_keys() {
    let ring = KeyRing::generate(&SystemRandom).0;
    let [a, b] = [0, 1].map(|_| ring.service_certificate(ServiceRole::Proxy, NOW).unwrap());
    assert_ne!(a.key.secret_pkcs8_der(), b.key.secret_pkcs8_der());
    let uri = ServiceRole::Proxy.uri().as_bytes();
    assert!(a.certificate.windows(uri.len()).any(|window| window == uri));
    assert_eq!(format!("{a:?}"), "ServiceCertificate { role: Proxy, .. }");
}
