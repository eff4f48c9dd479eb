//! What is asked of clients' certificates: what is read, what is refused and what is warned of.

use std::num::NonZeroU32;

use portcullis_config::{Enforcement, NameKind};
use rcgen::{
    CertificateParams, CertificateRevocationListParams, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    SerialNumber, date_time_ymd,
};

use crate::scene::{Scene, Table, public};

/// A list of some root that revokes nothing.
pub(crate) fn revocation_list() -> String {
    let mut root = CertificateParams::default();
    root.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    root.key_usages = vec![KeyUsagePurpose::CrlSign];
    let params = CertificateRevocationListParams {
        this_update: date_time_ymd(2026, 1, 1),
        next_update: date_time_ymd(2027, 1, 1),
        crl_number: SerialNumber::from_slice(&[1]),
        issuing_distribution_point: None,
        revoked_certs: Vec::new(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    params.signed_by(&Issuer::new(root, KeyPair::generate().unwrap())).unwrap().pem().unwrap()
}

fn scene() -> Scene {
    let scene = Scene::new();
    scene.secret("crl.pem", &revocation_list());
    scene
}

fn with(section: &str, route: &str) -> String {
    format!("{section}\n{}", public(&format!("to: http://a\n{route}")))
}

#[test]
fn the_whole_section_is_read_and_every_route_guarded() {
    let scene = scene();
    let text = with(
        "downstream_mtls: {ca_file: ca.pem, crl_file: crl.pem, enforcement: reject_connection, max_verify_depth: 2, \
         match_subject_alt_names: [{dns: 'a.*'}, {user_principal_name: kim@corp.test}]}",
        "",
    );
    let config = scene.loaded(&text).config;
    let trust = config.downstream_mtls.trust.clone().unwrap();
    assert_eq!((trust.roots.len(), trust.revoked.len(), trust.max_depth), (1, 1, NonZeroU32::new(2)));
    let kinds: Vec<NameKind> = trust.names.iter().map(|name| name.kind).collect();
    assert_eq!(kinds, [NameKind::Dns, NameKind::UserPrincipalName]);
    assert!(trust.names[0].expression.is_match("ab") && !trust.names[0].expression.is_match("ba"));
    assert_eq!(config.downstream_mtls.enforcement, Enforcement::RejectConnection);
    let lists = config.downstream_mtls.revocations.clone().unwrap();
    assert!(lists.origin.ends_with("crl.pem"), "{lists:?}");
    // 2027-01-01, as the list says.
    assert_eq!(lists.next_update.unix_seconds(), 1_798_761_600);
    let route = &config.routes[0];
    assert_eq!(route.client_trust.as_ref().unwrap().digest, trust.digest);
    assert!(config.guards(route) && route.policy.reads_client_certificate() && !route.policy.is_public());
}

#[test]
fn only_routes_behind_roots_are_guarded_and_none_with_enforcement_by_policy() {
    let scene = scene();
    for (section, route, trusted, guarded) in [
        ("", "", false, false),
        ("downstream_mtls: {ca_file: ca.pem}", "", true, true),
        ("downstream_mtls: {ca_file: ca.pem, enforcement: policy}", "", true, false),
        ("", "tls_downstream_client_ca_file: ca.pem", true, true),
        ("downstream_mtls: {enforcement: policy}", "tls_downstream_client_ca: {file: ca.pem}", true, false),
    ] {
        let config = scene.loaded(&with(section, route)).config;
        let route = &config.routes[0];
        assert_eq!(route.client_trust.is_some(), trusted, "{section}");
        assert_eq!((config.guards(route), route.policy.reads_client_certificate()), (guarded, guarded), "{section}");
    }
}

#[test]
fn what_a_trust_is_made_of_is_in_its_digest_and_the_route_s() {
    let scene = scene();
    let digests = |section: &str| {
        let config = scene.loaded(&with(section, "")).config;
        (config.downstream_mtls.trust.as_ref().unwrap().digest, config.routes[0].digest)
    };
    let all = [
        "downstream_mtls: {ca_file: ca.pem}",
        "downstream_mtls: {ca_file: other.pem}",
        "downstream_mtls: {ca_file: ca.pem, crl_file: crl.pem}",
        "downstream_mtls: {ca_file: ca.pem, max_verify_depth: 0}",
        "downstream_mtls: {ca_file: ca.pem, match_subject_alt_names: [{dns: a}]}",
        "downstream_mtls: {ca_file: ca.pem, match_subject_alt_names: [{uri: a}]}",
    ]
    .map(digests);
    for (place, one) in all.iter().enumerate() {
        for other in &all[..place] {
            assert!(one.0 != other.0 && one.1 != other.1);
        }
    }
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let scene = scene();
    let mut table = Table::default();
    let good = with("downstream_mtls: {ca_file: ca.pem}", "");
    for (keys, place, message) in [
        ("ca_file: empty", "1:28: downstream_mtls.ca_file: ", "is empty"),
        ("ca: ''", "1:23: downstream_mtls.ca: ", "is empty"),
        ("ca_file: wiki.key", "1:28: downstream_mtls.ca_file: ", "no PEM certificate"),
        ("ca_file: garbage", "1:28: downstream_mtls.ca_file: ", "cannot be read"),
        ("ca_file: missing", "1:28: downstream_mtls.ca_file: ", "cannot be read"),
        ("ca_file: ca.pem, ca: {file: ca.pem}", "1:28: downstream_mtls.ca_file: ", "contradicts `ca`"),
        ("ca_file: ca.pem, crl_file: ca.pem", "1:46: downstream_mtls.crl_file: ", "no PEM certificate revocation list"),
        ("ca_file: ca.pem, crl_file: empty", "1:46: downstream_mtls.crl_file: ", "is empty"),
        ("ca_file: ca.pem, enforcement: none", "1:49: downstream_mtls.enforcement: ", "none of"),
        ("ca_file: ca.pem, enforcment: policy", "1:36: downstream_mtls.enforcment: ", "did you mean `enforcement`?"),
        ("ca_file: ca.pem, max_verify_depth: -1", "1:54: downstream_mtls.max_verify_depth: ", "expected"),
        (
            "ca_file: ca.pem, match_subject_alt_names: [{dns: a, uri: b}]",
            "1:62: downstream_mtls.match_subject_alt_names[0]: ",
            "exactly one of",
        ),
        ("ca_file: ca.pem, match_subject_alt_names: [{}]", "1:62: ", "exactly one of"),
        ("ca_file: ca.pem, match_subject_alt_names: [{dns: 'a)|(b'}]", "1:68: ", "not a regular expression"),
        // A restriction that restricts nobody.
        ("crl_file: crl.pem", "1:29: downstream_mtls.crl_file: ", "without `ca`"),
        ("enforcement: reject_connection", "1:32: downstream_mtls.enforcement: ", "without `ca`"),
        ("match_subject_alt_names: [{dns: a}]", "1:44: ", "without `ca`"),
    ] {
        table.check(&scene, (&with(&format!("downstream_mtls: {{{keys}}}"), ""), place, message), &good);
    }
}

#[test]
fn what_is_never_known_is_warned_of() {
    let scene = scene();
    let warnings = |text: &str| {
        let said = scene.loaded(text).config.warnings.clone();
        said.iter().map(|warning| warning.to_string().replace("p.yaml:", "")).collect::<Vec<_>>()
    };
    let policy = |criterion: &str| format!("policy: [{{deny: {{or: [{criterion}]}}}}]");
    let roots = "downstream_mtls: {ca_file: ca.pem}";
    for (section, route, place, message) in [
        ("", policy("{client_certificate: {san_dns: a}}"), "6:13: ", "no client is asked for one"),
        ("", policy("{invalid_client_certificate: 1}"), "6:13: ", "no client is asked for one"),
        (
            "",
            "set_request_headers: {X-A: '${pomerium.client_cert_fingerprint}'}".to_owned(),
            "6:26: ",
            "tokens of the client certificate are empty",
        ),
        (roots, policy("{mcp_tool: {is: x}}"), "6:13: ", "`mcp_tool` is never known"),
        (
            "downstream_mtls: {ca_file: ca.pem, enforcement: policy}",
            String::new(),
            "1:49: ",
            "no policy looks at client certificates",
        ),
        ("", "tls_downstream_client_ca_file: ca.pem".to_owned(), "6:36: ", "an older way"),
    ] {
        let said = warnings(&with(section, &route));
        assert!(said.iter().any(|line| line.starts_with(place) && line.contains(message)), "{route}: {said:#?}");
        let twin = warnings(&with(roots, "policy: [{deny: {or: [{client_certificate: {san_dns: a}}]}}]"));
        assert!(!twin.iter().any(|line| line.contains(message)), "{twin:#?}");
    }
}
