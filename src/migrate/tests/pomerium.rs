//! Pomerium's files, as teams have them.

use portcullis_config::{Action, Namespace, PathPattern, PathRewrite, Probe};

use super::scene::{Scene, keys};
use crate::migrate::findings::Weight;

/// A provider and a sign-in host.
const HEAD: &str = "authenticate_service_url: https://authenticate.corp.test\nidp_provider: oidc\nidp_provider_url: https://idp.corp.test\n\
    idp_client_id: edge\nidp_client_secret_file: @/idp\n";

fn with_routes(routes: &str) -> String {
    format!("{HEAD}routes:\n{routes}")
}

#[test]
fn the_first_demo_becomes_ours_without_a_loss() {
    let scene = Scene::new();
    let made = scene.convert(
        "authenticate_service_url: https://authenticate.corp.test\n\
         certificate_file: @/site.pem\ncertificate_key_file: @/site.key\n\
         idp_provider: google\nidp_client_id: REPLACE_ME\nidp_client_secret: REPLACE_ME_TOO\n\
         shared_secret: VGhpcyBpcyBubyBzZWNyZXQgYXQgYWxsLCBidXQgMzI=\ncookie_secret: VGhpcyBpcyBubyBzZWNyZXQgYXQgYWxsLCBidXQgMzI=\n\
         signing_key_file: @/signing.pem\njwt_claims_headers: [email, groups, user]\npass_identity_headers: true\n\
         cookie_expire: 8h\ncookie_domain: corp.test\nhttp_redirect_addr: ':80'\nlog_level: warn\ndefault_upstream_timeout: 45s\n\
         jwt_issuer_format: uri\nsignout_redirect_url: https://corp.test/bye\n\
         routes:\n\
         \x20 - from: https://verify.corp.test\n    to: http://httpbin:8000\n    policy:\n      - allow:\n          or:\n            - email:\n                is: ada@corp.test\n",
    );
    assert!(!made.loses_protection());
    assert_eq!(keys(&made, Weight::Lost), Vec::<String>::new());
    assert!(!made.text.contains("REPLACE_ME_TOO") && !made.text.contains("VGhpcyBp"));
    let config = scene.loads(&made);
    assert_eq!(config.sign_in.namespace, Namespace::Pomerium);
    assert_eq!(&*config.sign_in.host, "authenticate.corp.test");
    assert_eq!(&*config.sign_in.cookie.name, "_pomerium");
    assert_eq!(config.sign_in.cookie.domain.as_deref(), Some("corp.test"));
    assert_eq!(config.session.lifetime.as_secs(), 8 * 3600);
    assert_eq!(config.providers[0].issuer.as_str(), "https://accounts.google.com/");
    assert_eq!(config.providers[0].client_secret.as_ref().unwrap().expose(), "REPLACE_ME_TOO");
    assert_eq!(config.assertion.claim_headers.len(), 3);
    assert_eq!(config.assertion.signing_keys.len(), 1);
    assert_eq!(config.tls.certificates.len(), 1);
    assert_eq!(config.listen.redirect.unwrap().port(), 80);
    let route = &config.routes[0];
    assert_eq!(route.exchange.timeout.unwrap().as_secs(), 45);
    assert!(route.headers.pass_identity);
    // What Pomerium adds by itself, HSTS because there is a certificate.
    assert_eq!(route.headers.set_response.len(), 3);
}

#[test]
fn grafana_websockets_load_balancing_and_kubernetes() {
    let scene = Scene::new();
    let made = scene.convert(&format!(
        "{HEAD}set_response_headers: {{disable: true}}\npolicy:\n\
         \x20 - from: https://first.corp.test\n    to: http://first\n    allowed_users: ada@corp.test, grace@corp.test\nroutes:\n\
         \x20 - from: https://grafana.corp.test\n    to: http://grafana:3000\n    host_rewrite_header: X-Forwarded-Host\n    preserve_host_header: true\n\
         \x20   pass_identity_headers: true\n    allow_websockets: true\n    timeout: 0\n    allowed_idp_claims: {{department: [eng, ops]}}\n\
         \x20   set_request_headers: {{X-Assertion: '${{pomerium.jwt}}', X-Pomerium-Jwt-Assertion: x, X-Odd: '${{pomerium.jot}}'}}\n\
         \x20   remove_request_headers: [X-Webauth-User, X-Pomerium-Claim-Email]\n\
         \x20 - from: https://lb.corp.test\n    to: ['http://a:80,10', 'http://b:80,20', 'http://a:80']\n    load_balancing_policy: ROUND_ROBIN\n    allow_any_authenticated_user: true\n    health_checks: [{{timeout: 1s}}, {{timeout: 1s, interval: 15s, unhealthy_threshold: 2, healthy_threshold: {{value: 3}}, no_traffic_interval: 60s, http_health_check: {{host: lb.corp.test, path: /healthz, expected_statuses: [{{start: 200, end: 300}}]}}}}, {{timeout: 1s, interval: 1ms, tcp_health_check: {{}}}}]\n\
         \x20 - from: https://k8s.corp.test\n    to: https://kubernetes.default.svc\n    tls_custom_ca_file: @/ca.pem\n    allow_spdy: true\n    kubernetes_service_account_token_file: /var/run/token\n    allowed_domains: [corp.test]\n    idle_timeout: 1.5h\n"
    ));
    assert!(!made.loses_protection());
    let lost = keys(&made, Weight::Lost).join("\n");
    for key in
        ["X-Pomerium-Jwt-Assertion", "X-Odd", "health_checks", "allow_spdy", "kubernetes_service_account_token_file"]
    {
        assert!(lost.contains(key), "{key}\n{lost}");
    }
    let config = scene.loads(&made);
    let hosts: Vec<&str> = config.routes.iter().map(|route| &*route.name).collect();
    assert_eq!(hosts, ["first.corp.test", "grafana.corp.test", "lb.corp.test", "k8s.corp.test"]);
    let Action::Forward(balanced) = &config.routes[2].action else { panic!("forwards") };
    let weights: Vec<u32> = balanced.upstreams.iter().map(|upstream| upstream.weight).collect();
    assert_eq!(weights, [11, 20]);
    let [get, connect] = &*balanced.health else { panic!("two checks") };
    let expected = vec![200..=299];
    assert_eq!(get.probe, Probe::Http { host: Some("lb.corp.test".into()), path: "/healthz".into(), expected });
    assert_eq!((get.interval.as_secs(), get.unhealthy_threshold, get.healthy_threshold), (15, 2, 3));
    assert_eq!((&connect.probe, connect.interval.as_millis()), (&Probe::Tcp, 100));
    assert_eq!(config.routes[1].headers.set_request.len(), 1);
    assert!(config.routes[1].headers.set_response.is_empty());
    assert_eq!(config.routes[3].exchange.idle_timeout.unwrap().as_secs(), 5400);
}

#[test]
fn inline_pem_and_keys_in_base64() {
    let scene = Scene::new();
    let encode = |text: &str| base64::Engine::encode(&base64::engine::general_purpose::STANDARD, text);
    let (certificate, key) = (encode(&scene.certificate), encode(&scene.key));
    let made = scene.convert(&format!(
        "{HEAD}certificates:\n  - cert: {certificate}\n    key: {key}\nsigning_key: {key}\nroutes:\n\
         \x20 - from: https://a.corp.test\n    to: https://a\n    tls_custom_ca: {certificate}\n    tls_client_cert: {certificate}\n    tls_client_key: {key}\n    allow_any_authenticated_user: true\n"
    ));
    assert!(!made.text.contains("PRIVATE KEY") && !made.text.contains(&key));
    // One key, one file, however often it is used; a listener's chain has one too.
    assert_eq!(made.secrets.len(), 2);
    let config = scene.loads(&made);
    assert_eq!((config.tls.certificates.len(), config.assertion.signing_keys.len()), (1, 1));
    let Action::Forward(forward) = &config.routes[0].action else { panic!("forwards") };
    assert!(forward.tls.client_certificate.is_some() && forward.tls.ca.len() == 1);
}

#[test]
fn client_certificates_are_asked_for_as_before() {
    use portcullis_config::Enforcement;
    let scene = Scene::new();
    let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &scene.certificate);
    let route = "  - {from: 'https://a.corp.test', to: 'http://a', allow_any_authenticated_user: true, KEYS}\n";
    for (top, keys, asked, expected) in [
        ("downstream_mtls: {ca_file: @/ca.pem, ca: '', max_verify_depth: 0}", "", true, Enforcement::default()),
        (
            "downstream_mtls:\n  ca: ENCODED\n  ca_file: /unread\n  enforcement: REJECT_CONNECTION\n  match_subject_alt_names: [{dns: 'a.*'}]",
            "",
            true,
            Enforcement::RejectConnection,
        ),
        ("client_ca: ENCODED", "", true, Enforcement::default()),
        ("client_ca_file: @/ca.pem", "", true, Enforcement::default()),
        (
            "downstream_mtls: {enforcement: policy}",
            "tls_downstream_client_ca_file: '@/ca.pem'",
            true,
            Enforcement::Policy,
        ),
        ("downstream_mtls: {enforcement: policy, crl_file: /unread}", "", false, Enforcement::default()),
        (
            "client_ca: ''",
            "tls_downstream_client_ca: ENCODED, tls_downstream_client_ca_file: /unread",
            true,
            Enforcement::default(),
        ),
    ] {
        let text = format!("{HEAD}{top}\nroutes:\n{}", route.replace("KEYS", keys)).replace("ENCODED", &encoded);
        let made = scene.convert(&text);
        assert!(!made.loses_protection(), "{top}: {:?}", made.findings);
        let config = scene.loads(&made);
        assert_eq!(config.routes[0].client_trust.is_some(), asked, "{top}");
        assert_eq!(config.downstream_mtls.enforcement, expected, "{top}");
    }
    let made = scene.convert(&format!("{HEAD}downstream_mtls: {{ca: nonsense}}\nroutes: []\n"));
    assert!(made.text.contains("ca_file: nonsense"), "{}", made.text);
}

#[test]
fn what_the_reference_lets_stand_side_by_side_is_settled() {
    let scene = Scene::new();
    let made = scene.convert(&with_routes(
        "  - {from: 'https://a.corp.test', to: 'http://a/base', prefix: /x, path: /y, regex: '^/z.*$', prefix_rewrite: /new, regex_rewrite_pattern: a, regex_rewrite_substitution: b, allow_any_authenticated_user: true}\n\
         \x20 - {from: 'https://b.corp.test', to: ['http://b/one', 'http://c/two'], tls_skip_verify: true, tls_custom_ca_file: /nowhere, allow_any_authenticated_user: true}\n\
         \x20 - {from: 'https://c.corp.test', redirect: {https_redirect: true, host_redirect: d.corp.test}, preserve_host_header: true, tls_skip_verify: true, allow_public_unauthenticated_access: true}\n\
         \x20 - {from: 'https://d.corp.test', name: twice, response: {status: 200, body: ok}, allow_any_authenticated_user: true}\n\
         \x20 - {from: 'https://e.corp.test', name: twice, to: 'http://e', policy: {deny: {or: [{accept: 1}]}}, tls_client_cert_file: /only}\n",
    ));
    assert_eq!(keys(&made, Weight::Lost), Vec::<String>::new());
    let config = scene.loads(&made);
    let first = &config.routes[0];
    assert!(matches!(first.path, PathPattern::Regex(_)));
    let Action::Forward(forward) = &first.action else { panic!("forwards") };
    let PathRewrite::Regex { pattern, substitution } = &forward.path else { panic!("rewrites") };
    assert_eq!(pattern.replace("/zoo", &**substitution), "/new");
    let names: Vec<&str> = config.routes.iter().skip(3).map(|route| &*route.name).collect();
    assert_eq!(names, ["twice", "twice-2"]);
}

#[test]
fn routes_of_other_protocols_are_dropped_with_a_note() {
    let scene = Scene::new();
    let made = scene.convert(&with_routes(
        "  - {from: 'tcp+https://db.corp.test:5432', to: 'tcp://db:5432', policy: [{allow: {and: [{authenticated_user: true}]}}]}\n\
         \x20 - {from: 'ssh://box', to: 'ssh://box:22', allow_any_authenticated_user: true}\n\
         \x20 - {from: 'https://sock.corp.test', to: 'http+unix:///run/x', allow_any_authenticated_user: true}\n\
         \x20 - {from: 'https://authenticate.corp.test', to: 'http://x', allow_any_authenticated_user: true}\n\
         \x20 - {from: 'https://kept.corp.test', to: 'http://x', allow_any_authenticated_user: true}\n",
    ));
    assert_eq!(keys(&made, Weight::Lost), ["7:5 routes[0]", "8:5 routes[1]", "9:5 routes[2]", "10:5 routes[3]"]);
    assert!(!made.loses_protection());
    assert_eq!(scene.loads(&made).routes.len(), 1);
}

#[test]
fn a_lost_protection_is_told_and_its_kept_twin_is_not() {
    let route = |keys: &str| with_routes(&format!("  - {{from: 'https://a.corp.test', to: 'http://a', {keys}}}\n"));
    let deny = |criterion: &str| {
        route(&format!("policy: [{{allow: {{and: [{{authenticated_user: true}}]}}}}, {{deny: {{or: [{criterion}]}}}}]"))
    };
    let top = |line: &str| format!("{line}\n{}", route("allow_any_authenticated_user: true"));
    for (lost, key, kept) in [
        (
            top("downstream_mtls: {ca_file: @/ca.pem, require_ocsp: true}"),
            "downstream_mtls.require_ocsp",
            top("downstream_mtls: {ca_file: @/ca.pem}"),
        ),
        (top("allow_list: [a]"), "allow_list", top("frobnicate: [a]")),
        (deny("{unheard_of: 1}"), "policy: unheard_of", deny("{http_path: {starts_with: /x}}")),
        (deny("{ssh_username: root}"), "policy: ssh_username", deny("{source_ip: 192.0.2.1}")),
        (
            route("policy: [{permit: all}]"),
            "policy",
            route("policy: [{allow: {or: [{unheard_of: 1}, {domain: corp.test}]}}]"),
        ),
        (route("sub_policies: [{name: a}]"), "sub_policies", route("sub_policies: []")),
        (route("allowed_groups: [ops]"), "allowed_groups", route("policy: {allow: {and: [{groups: {has: ops}}]}}")),
        (
            top("use_proxy_protocol: true")
                .replace("allow_any_authenticated_user: true", "policy: {allow: {and: [{source_ip: 192.0.2.1}]}}"),
            "use_proxy_protocol",
            top("use_proxy_protocol: true"),
        ),
        (top("address: edge.corp.test:443"), "address", top("address: 0.0.0.0:443")),
        (
            route("allowed_users: [a]").replace("provider: oidc", "provider: github"),
            "idp_provider",
            route("allowed_users: [a]").replace("provider: oidc", "provider: okta"),
        ),
        (
            route("allowed_users: [a]").replace("authenticate.corp.test", "authenticate.pomerium.app"),
            "authenticate_service_url",
            route("allowed_users: [a]"),
        ),
    ] {
        let scene = Scene::new();
        let made = scene.convert(&lost);
        assert!(
            made.findings.iter().any(|finding| finding.weight == Weight::Protects && finding.key.ends_with(key)),
            "{key}\n{:?}",
            made.findings
        );
        scene.loads(&made);
        let made = scene.convert(&kept);
        assert!(!made.loses_protection(), "{kept}\n{:?}", made.findings);
        scene.loads(&made);
    }
}

#[test]
fn a_criterion_that_is_not_known_never_lets_anybody_in() {
    let scene = Scene::new();
    for (policy, expected) in [
        ("{allow: {and: [{unheard_of: 1}, {accept: 1}]}}", "- reject: true"),
        ("{allow: {not: [{unheard_of: 1}]}}", "- accept: true"),
        ("{allow: {or: [{accept: 1}]}, deny: {and: [{unheard_of: 1}]}}", "- accept: true"),
        ("{allow: {or: [{accept: 1}]}, deny: {nor: [{unheard_of: 1}]}}", "- reject: true"),
        ("[{allow: {xor: [{accept: 1}]}}]", "deny"),
    ] {
        let made = scene
            .convert(&with_routes(&format!("  - {{from: 'https://a.corp.test', to: 'http://a', policy: {policy}}}\n")));
        assert!(made.text.contains(expected), "{policy}\n{}", made.text);
        let config = scene.loads(&made);
        let nobody = portcullis_policy::Facts {
            now: portcullis_identity::Timestamp::EPOCH,
            request: portcullis_policy::Request::default(),
            subject: None,
            records: Some(portcullis_identity::Records::none()),
        };
        assert_eq!(
            config.routes[0].policy.decide(&nobody).effect,
            portcullis_policy::Effect::Deny,
            "{policy}\n{}",
            made.text
        );
    }
}

#[test]
fn a_client_of_a_routes_own_is_a_provider_of_its_own() {
    let scene = Scene::new();
    let made = scene.convert(&with_routes(
        "  - {from: 'https://a.corp.test', to: 'http://a', allowed_domains: [corp.test]}\n\
         \x20 - {from: 'https://b.corp.test', to: 'http://b', allowed_domains: [corp.test], idp_client_id: second, idp_client_secret: second-secret}\n\
         \x20 - {from: 'https://c.corp.test', to: 'http://c', allowed_domains: [corp.test], idp_client_id: edge}\n\
         \x20 - {from: 'https://d.corp.test', to: 'http://d', allow_public_unauthenticated_access: true}\n",
    ));
    assert!(!made.text.contains("second-secret"));
    let config = scene.loads(&made);
    let providers: Vec<Vec<&str>> =
        config.routes.iter().map(|route| route.needs.providers.iter().map(|name| name.as_str()).collect()).collect();
    assert_eq!(providers, [vec!["oidc"], vec!["oidc-2"], vec!["oidc"], vec![]]);
    assert_eq!(config.providers[1].client_secret.as_ref().unwrap().expose(), "second-secret");
}

#[test]
fn services_on_several_hosts_find_each_other() {
    let scene = Scene::new();
    let made = scene.convert(&format!(
        "services: proxy\nshared_secret: abcdefgh\nauthenticate_internal_service_url: https://authn.corp.test:5444\n\
         databroker_service_urls: [https://broker.corp.test:5443]\nauthorize_service_url: https://x\n{}",
        with_routes("  - {from: 'https://a.corp.test', to: 'http://a', allowed_domains: [corp.test]}\n")
    ));
    let config = scene.loads(&made);
    assert_eq!(config.siblings.broker.as_ref().unwrap().as_str(), "https://broker.corp.test:5443/");
    assert_eq!(config.siblings.authn.as_ref().unwrap().as_str(), "https://authn.corp.test:5444/");
    assert!(made.text.contains("services: proxy"));
    assert!(!made.loses_protection());
}

#[test]
fn a_cookie_domain_that_some_host_is_not_in_is_left_away() {
    let scene = Scene::new();
    let file = |host: &str| {
        format!(
            "cookie_domain: corp.test\n{}",
            with_routes(&format!("  - {{from: 'https://{host}', to: 'http://a', allowed_domains: [corp.test]}}\n"))
        )
    };
    let made = scene.convert(&file("a.other.test"));
    assert_eq!(keys(&made, Weight::Lost), ["1:1 cookie_domain"]);
    assert!(scene.loads(&made).sign_in.cookie.domain.is_none());
    assert!(scene.loads(&scene.convert(&file("a.corp.test"))).sign_in.cookie.domain.is_some());
}
