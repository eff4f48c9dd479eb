//! oauth2-proxy's files, as teams have them.

use portcullis_config::{Action, Namespace, PathPattern};

use super::scene::{Scene, keys};
use crate::migrate::findings::Weight;
use crate::migrate::{MigrateError, Migrated};

const CLASSIC: &str = "# the intranet\nprovider = \"keycloak-oidc\"\noidc_issuer_url = \"https://sso.corp.test/realms/corp\" # realm\n\
    client_id = \"intranet\"\nclient_secret = 'ssh-its-a-secret'\ncookie_secret = \"OQINaROshtE9TcZkNAm-5Zs2Pv3xaWytBmc5W7sPX7w=\"\n\
    redirect_url = \"https://intranet.corp.test/oauth2/callback\"\nemail_domains = [\n  \"corp.test\", # us\n  \".partner.test\"\n]\n\
    upstreams = [ \"http://127.0.0.1:8080/\", \"http://127.0.0.1:9000/api/\", \"static://204/ok\" ]\ncookie_secure = true\ncookie_expire = \"12h\"\n\
    skip_auth_routes = [ \"GET=^/api/health$\", \"^/public/\", \"^/a\" ]\nset_xauthrequest = true\npass_access_token = true\n\
    http_address = \"0.0.0.0:4180\"\nhttps_address = \":443\"\ntls_cert_file = \"@/site.pem\"\ntls_key_file = \"@/site.key\"\nwhitelist_domains = [ \".corp.test\" ]\n";

fn classic(scene: &Scene, text: &str) -> Migrated {
    scene.try_convert(&[("oauth2-proxy.cfg", text)]).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

#[test]
fn the_own_file_becomes_ours() {
    let scene = Scene::new();
    let made = classic(&scene, CLASSIC);
    assert!(!made.loses_protection(), "{:?}", made.findings);
    assert!(!made.text.contains("ssh-its") && !made.text.contains("OQINaROsht"));
    assert!(made.text.contains("realms/corp  # realm"), "{}", made.text);
    let config = scene.loads(&made);
    assert_eq!(config.sign_in.namespace, Namespace::Portcullis);
    assert_eq!(&*config.sign_in.host, "auth.corp.test");
    assert_eq!(config.session.lifetime.as_secs(), 12 * 3600);
    assert!(config.providers[0].claims.require_verified_email);
    assert_eq!(config.providers[0].client_secret.as_ref().unwrap().expose(), "ssh-its-a-secret");
    assert_eq!(config.assertion.claim_headers.len(), 4);
    let paths: Vec<String> = config
        .routes
        .iter()
        .map(|route| match &route.path {
            PathPattern::Any => "any".to_owned(),
            PathPattern::Prefix(text) => format!("{text}…"),
            PathPattern::Exact(text) => text.to_string(),
            PathPattern::Regex(regex) => format!("~{}", regex.as_str()),
        })
        .collect();
    // What may be of two upstreams stays closed; the longest path comes first.
    assert_eq!(paths, ["~\\A(?:/api/health)\\z", "~\\A(?:/public/.*)\\z", "/api/…", "/ok", "any"]);
    assert!(keys(&made, Weight::Lost).contains(&"skip_auth_routes".to_owned()));
    let Action::Forward(health) = &config.routes[0].action else { panic!("forwards") };
    assert_eq!(health.upstreams[0].port, 9000);
    assert!(!config.routes[0].policy.is_public() && config.routes[1].policy.is_public());
    assert!(config.routes.iter().skip(2).all(|route| route.policy.asks_who()));
}

#[test]
fn groups_and_addresses_are_both_asked_for() {
    let scene = Scene::new();
    let made = classic(
        &scene,
        &format!("{CLASSIC}allowed_groups = [\"ops\", \"dev\"]\nauthenticated_emails_file = \"@/emails\"\n"),
    );
    scene.loads(&made);
    assert_eq!(
        made.text.matches("- {allow: {and: [{domain: {in: [corp.test]}}, {groups: {has: ops}}]}}").count(),
        4,
        "{}",
        made.text
    );
    assert!(
        made.text.contains("{email: {in: [ada@corp.test, grace@corp.test]}}, {groups: {has: dev}}"),
        "{}",
        made.text
    );
    assert!(!made.loses_protection());
}

#[test]
fn a_restriction_that_cannot_be_said_closes_the_routes() {
    for (line, key) in [
        ("github_org = \"corp\"\n", "github_org"),
        ("google_groups = [\"ops@corp.test\"]\n", "google_groups"),
        ("allowed_roles = [\"admin\"]\n", "allowed_roles"),
    ] {
        let scene = Scene::new();
        let made = classic(&scene, &format!("{CLASSIC}{line}"));
        assert!(keys(&made, Weight::Protects).iter().any(|found| found.ends_with(key)), "{:?}", made.findings);
        assert_eq!(made.text.matches("nobody passes until it is").count(), 3, "{}", made.text);
        scene.loads(&made);
    }
}

#[test]
fn weaker_cookies_other_providers_and_unsaid_people_protect() {
    for (from, to, key) in [
        ("cookie_secure = true", "cookie_path = \"/app\"", "cookie_path"),
        ("\"keycloak-oidc\"", "\"github\"", "provider"),
        ("email_domains", "email_domainz", "email_domains"),
    ] {
        let scene = Scene::new();
        let made = classic(&scene, &CLASSIC.replace(from, to));
        assert!(keys(&made, Weight::Protects).iter().any(|found| found.ends_with(key)), "{key} {:?}", made.findings);
        scene.loads(&made);
    }
}

const ALPHA: &str = "upstreamConfig:\n  upstreams:\n    # the app\n    - {id: app, path: /, uri: 'http://app:8080'}\n    - id: api\n      path: ^/v1/(.*)$\n      rewriteTarget: /$1\n      uri: http://api:8080\n      timeout: 10s\n      proxyWebSockets: false\n\
    injectRequestHeaders:\n  - name: X-Forwarded-Email\n    values: [{claim: email}]\n  - name: Authorization\n    values: [{claim: id_token, prefix: 'Bearer '}]\n  - name: X-Key\n    values: [{value: c2VjcmV0LXZhbHVl}]\n\
    server: {BindAddress: 127.0.0.1:4180, SecureBindAddress: ':443', TLS: {Cert: {fromFile: @/site.pem}, Key: {fromFile: @/site.key}}}\n\
    providers:\n  - id: oidc=x\n    provider: oidc\n    clientID: app\n    clientSecret: an-alpha-secret\n    scope: openid email\n    allowedGroups: [ops]\n    oidcConfig: {issuerURL: 'https://idp.corp.test', groupsClaim: roles, audienceClaims: [aud], insecureAllowUnverifiedEmail: true}\n";

#[test]
fn the_alpha_configuration_with_its_own_file() {
    let scene = Scene::new();
    let own =
        "email_domains: ['*']\nredirect_url: https://app.corp.test/oauth2/callback\ncookie_secret: abcdefghijklmnop\n";
    let made = scene.try_convert(&[("alpha.yaml", ALPHA), ("oauth2-proxy.yaml", own)]).unwrap();
    assert!(!made.loses_protection(), "{:?}", made.findings);
    assert!(!made.text.contains("an-alpha-secret") && !made.text.contains("c2Vjcm"));
    let config = scene.loads(&made);
    assert_eq!(config.routes.len(), 2);
    assert_eq!(config.assertion.claim_headers.len(), 1);
    assert_eq!(config.providers[0].claims.groups, "roles");
    assert!(!config.providers[0].claims.require_verified_email);
    assert!(made.text.contains("Authorization: \"Bearer ${portcullis.id_token}\""), "{}", made.text);
    assert!(keys(&made, Weight::Lost).iter().any(|key| key.ends_with("injectRequestHeaders")));
    let Action::Forward(api) = &config.routes[0].action else { panic!("forwards") };
    assert_eq!(&*api.upstreams[0].host, "api");
    assert!(config.routes[1].exchange.websockets && !config.routes[0].exchange.websockets);
}

#[test]
fn the_alpha_configuration_alone_does_not_say_who_may() {
    let scene = Scene::new();
    let made = scene.try_convert(&[("alpha.yaml", ALPHA)]).unwrap();
    assert_eq!(keys(&made, Weight::Protects), ["1:1 email_domains"]);
    assert!(made.text.contains("nobody passes until it is"));
    scene.loads(&made);
    let twice = [("alpha.yaml", ALPHA), ("again.yaml", ALPHA)];
    assert!(matches!(scene.try_convert(&twice).unwrap_err(), MigrateError::Mixed));
}
