//! What is made of files that are right: defaults, conversions, digests, sharing.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use portcullis_config::{
    Action, Forward, HostPattern, HostRewrite, IssuerFormat, Namespace, PathPattern, PathRewrite, RedirectPath, Scheme,
    SecretSource, Service, Storage,
};

use crate::scene::{CANARY, HEAD, Scene, public};

fn forward(route: &portcullis_config::Route) -> Arc<Forward> {
    match &route.action {
        Action::Forward(forward) => Arc::clone(forward),
        other @ (Action::Redirect(_) | Action::Respond { .. }) => panic!("{other:?}"),
    }
}

/// The smallest whole configuration (design, section 6).
const SIX_LINES: &str = "sign_in: {host: auth.corp.test}\n\
         providers:\n\
         \x20 corp: {issuer: https://idp.corp.test, client_id: portcullis, client_secret: {file: idp}}\n\
         routes:\n\
         \x20 - from: https://wiki.corp.test\n\
         \x20   to: http://10.0.0.7:8080\n\
         \x20   policy: [{allow: {and: [{domain: corp.test}]}}]\n";

#[test]
fn six_lines_are_a_whole_configuration() {
    let config = Scene::new().loaded(SIX_LINES).config;
    assert_eq!(&*config.sign_in.host, "auth.corp.test");
    assert_eq!(&*config.sign_in.cookie.name, "__Host-portcullis");
    assert_eq!(&*config.sign_in.cookie.bind_name, "__Host-portcullis-bind");
    assert!([Service::Proxy, Service::Authn, Service::Broker].iter().all(|service| config.services.runs(*service)));
    assert_eq!(config.listen.public_port, 443);
    assert_eq!(config.listen.telemetry.unwrap().to_string(), "127.0.0.1:9464");
    assert_eq!(config.directories.state, Path::new("/var/lib/portcullis"));
    assert_eq!(config.storage, Storage::Embedded { path: "/var/lib/portcullis/sessions.redb".into() });
    assert!(matches!(&config.secret, SecretSource::StateFile(path) if path.ends_with("secret")));
    assert_eq!(config.session.lifetime, Duration::from_secs(14 * 3600));
}

#[test]
fn six_lines_have_a_provider_and_a_route() {
    let config = Scene::new().loaded(SIX_LINES).config;
    let provider = &config.providers[0];
    assert_eq!(provider.client_secret.as_ref().unwrap().expose(), CANARY);
    assert_eq!(provider.scopes, ["openid", "profile", "email"]);
    let route = &config.routes[0];
    assert_eq!((&*route.name, route.line, route.port), ("wiki.corp.test", 5, None));
    assert_eq!(route.host, HostPattern::Exact("wiki.corp.test".into()));
    assert_eq!(route.exchange.timeout, Some(Duration::from_secs(30)));
    assert_eq!(route.exchange.idle_timeout, Some(Duration::from_secs(300)));
    let forward = forward(route);
    assert_eq!((forward.upstreams[0].scheme, forward.upstreams[0].port), (Scheme::Http, 8080));
    assert_eq!(forward.host, HostRewrite::Upstream);
    assert!(!format!("{config:?}").contains(CANARY));
}

#[test]
fn upstreams() {
    let scene = Scene::new();
    for (to, expected) in [
        ("http://a", "Http a 80 1"),
        ("https://A.test/", "Https a.test 443 1"),
        ("'http://a:80,7'", "Http a 80 7"),
        ("https://a:8443", "Https a 8443 1"),
        ("h2c://a:50051", "H2c a 50051 1"),
        ("'http://[::1]:8080'", "Http ::1 8080 1"),
        ("http://10.0.0.7", "Http 10.0.0.7 80 1"),
    ] {
        let upstream = forward(&scene.route(&format!("to: {to}"))).upstreams[0].clone();
        let shown = format!("{:?} {} {} {}", upstream.scheme, upstream.host, upstream.port, upstream.weight);
        assert_eq!(shown, expected, "{to}");
    }
}

#[test]
fn prefixes_are_replaced_by_whole_segments() {
    let scene = Scene::new();
    for (keys, expected) in [
        ("to: http://a", None),
        ("to: http://a/", None),
        ("to: http://a/base", Some(("/", "/base/"))),
        ("to: http://a/base/", Some(("/", "/base/"))),
        ("to: http://a\nprefix_rewrite: /v1", Some(("/", "/v1/"))),
        ("to: http://a\nprefix: /app/\nprefix_rewrite: /v1", Some(("/app/", "/v1/"))),
        ("to: http://a\nprefix: /app\nprefix_rewrite: /v1", Some(("/app", "/v1"))),
        ("to: http://a/base\nprefix: /app", Some(("/app", "/base"))),
        ("to: http://a\npath: /x\nprefix_rewrite: /y", Some(("/x", "/y"))),
    ] {
        let forward = forward(&scene.route(keys));
        let actual = match &forward.path {
            PathRewrite::Keep => None,
            PathRewrite::Prefix { from, to } => Some((&**from, &**to)),
            PathRewrite::Regex { .. } => panic!("{keys}"),
        };
        assert_eq!(actual, expected, "{keys}");
    }
}

#[test]
fn expressions_see_the_whole_path() {
    let scene = Scene::new();
    let route =
        scene.route("to: http://a\nregex: '/a|/b'\nregex_rewrite_pattern: '^/(.)'\nregex_rewrite_substitution: '/x'");
    let PathPattern::Regex(regex) = &route.path else { panic!("{route:?}") };
    assert!(regex.is_match("/a") && regex.is_match("/b"));
    assert!(!regex.is_match("/ab") && !regex.is_match("/a\n"));
}

#[test]
fn groups_are_written_either_way() {
    let scene = Scene::new();
    for (substitution, expected) in
        [("'/x\\1'", "/xq"), ("'/x$1y'", "/xqy"), ("'/${1}z'", "/qz"), ("'/$$1'", "/$1"), ("'/a\\\\b'", "/a\\b")]
    {
        let keys = format!("to: http://a\nregex_rewrite_pattern: '^/(.)'\nregex_rewrite_substitution: {substitution}");
        let forward = forward(&scene.route(&keys));
        let PathRewrite::Regex { pattern, substitution } = &forward.path else { panic!("{forward:?}") };
        assert_eq!(pattern.replace_all("/q", &**substitution), expected, "{keys}");
    }
}

#[test]
fn timeouts_and_websockets() {
    let scene = Scene::new();
    let seconds = |limit: Option<Duration>| limit.map(|limit| limit.as_secs());
    for (keys, timeout, idle) in [
        ("", Some(30), Some(300)),
        ("timeout: 0", None, Some(300)),
        ("timeout: 5s\nidle_timeout: 0s", Some(5), None),
        ("allow_websockets: true", None, None),
        ("allow_websockets: true\nidle_timeout: 1h", None, Some(3600)),
    ] {
        let exchange = scene.route(&format!("to: http://a\n{keys}")).exchange.clone();
        assert_eq!((seconds(exchange.timeout), seconds(exchange.idle_timeout)), (timeout, idle), "{keys}");
    }
    let text = format!(
        "upstreams: {{timeout: 0, pass_identity_headers: true, set_response_headers: {{X-A: a, X-B: b}}}}\n{}",
        public("to: http://a\nset_response_headers: {X-B: mine}")
    );
    let config = scene.loaded(&text).config;
    let route = &config.routes[0];
    assert_eq!(route.exchange.timeout, None);
    assert!(route.headers.pass_identity);
    let headers: Vec<(&str, &[u8])> =
        route.headers.set_response.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    assert_eq!(headers, [("x-b", b"mine".as_slice()), ("x-a", b"a")]);
}

#[test]
fn redirects() {
    let scene = Scene::new();
    let Action::Redirect(redirect) =
        scene.route("redirect: {host_redirect: New.Test, prefix_rewrite: /n, strip_query: true}").action.clone()
    else {
        panic!()
    };
    assert_eq!(
        (redirect.host.as_deref(), redirect.status.as_u16(), redirect.strip_query),
        (Some("new.test"), 301, true)
    );
    assert!(matches!(redirect.path, RedirectPath::Prefix(text) if &*text == "/n"));
}

#[test]
fn environment_and_directories() {
    let mut scene = Scene::new();
    let credentials = scene.folder().display().to_string();
    let variables = [
        ("IDP", CANARY),
        ("RUNTIME_DIRECTORY", "/run/a:/run/b"),
        ("STATE_DIRECTORY", "/var/lib/a"),
        ("CREDENTIALS_DIRECTORY", &credentials),
    ];
    scene.variables.0.extend(variables.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let text = format!(
        "secret: {{credential: ring}}\nproviders: {{corp: {{issuer: 'https://i.test', client_id: a, client_secret: {{env: IDP}}}}}}\n{}",
        public("to: http://a")
    );
    let loaded = scene.loaded(&text);
    assert_eq!(loaded.config.directories.run, Path::new("/run/a"));
    assert_eq!(loaded.config.directories.state, Path::new("/var/lib/a"));
    assert_eq!(loaded.config.providers[0].client_secret.as_ref().unwrap().expose(), CANARY);
    assert!(matches!(&loaded.config.secret, SecretSource::Text(text) if text.expose().starts_with("MDEy")));
    assert!(loaded.files.iter().any(|file| file.path.ends_with("ring")));
    let first = loaded.config.generation;
    scene.variables.0.insert("IDP".to_owned(), "rotated".to_owned());
    assert_ne!(scene.loaded(&text).config.generation, first);
}

#[test]
fn the_other_namespace() {
    let scene = Scene::new();
    let text = format!(
        "namespace: pomerium\nassertion: {{issuer_format: uri, claim_headers: [email, a/b]}}\n{}",
        public("to: http://a")
    );
    let config = scene.loaded(&text).config;
    assert_eq!(config.sign_in.namespace, Namespace::Pomerium);
    assert_eq!((&*config.sign_in.cookie.name, &*config.sign_in.cookie.bind_name), ("_pomerium", "_pomerium_csrf"));
    assert_eq!(config.assertion.issuer_format, IssuerFormat::Uri);
    let headers: Vec<&str> = config.assertion.claim_headers.iter().map(|(_, header)| header.as_str()).collect();
    assert_eq!(headers, ["x-pomerium-claim-email", "x-pomerium-claim-a-b"]);
    let text = format!(
        "assertion: {{claim_headers: {{X-Mail: email}}, signing_keys: [{{file: wiki.key}}]}}\n{}",
        public("to: http://a")
    );
    let config = scene.loaded(&text).config;
    assert_eq!(config.assertion.claim_headers[0].1.as_str(), "x-mail");
    assert_eq!(config.assertion.signing_keys.len(), 1);
}

#[test]
fn split_services_listen_where_others_look() {
    let scene = Scene::new();
    let with = |services: &str| {
        let text = format!(
            "services: {services}\nsecret: {{file: ring}}\nsiblings: {{broker: 'https://b.corp.test:6000', authn: 'https://a.corp.test'}}\n{}",
            public("to: http://a")
        );
        let internal = scene.loaded(&text).config.listen.internal;
        (internal.broker.map(|address| address.port()), internal.authn.map(|address| address.port()))
    };
    assert_eq!(with("proxy"), (None, None));
    assert_eq!(with("[broker, authn]"), (Some(6000), Some(5444)));
}

#[test]
fn the_public_port_is_no_port() {
    let scene = Scene::new();
    for (listen, from, expected) in [
        (":8443", "https://a.test:8443", None),
        (":8443", "https://a.test:9443", Some(9443)),
        (":443", "https://a.test", None),
        (":443", "https://a.test:8443", Some(8443)),
    ] {
        let text = format!(
            "listen: {{public: '{listen}'}}\nroutes:\n  - from: {from}\n    to: http://a\n    allow_public_unauthenticated_access: true\n"
        );
        assert_eq!(scene.loaded(&text).config.routes[0].port, expected, "{listen} {from}");
    }
}

#[test]
fn equal_policies_are_one_program() {
    let scene = Scene::new();
    let route =
        |host: &str, policy: &str| format!("  - {{from: 'https://{host}.test', to: 'http://a', policy: {policy}}}\n");
    let rule = "[{allow: {and: [{domain: corp.test}]}}]";
    let text = format!(
        "{HEAD}policies: {{staff: {rule}}}\nroutes:\n{}{}{}",
        route("a", rule),
        route("b", rule),
        route("c", "staff")
    );
    let config = scene.loaded(&text).config;
    let [a, b, c] = &config.routes[..] else { panic!() };
    assert!(Arc::ptr_eq(&a.policy, &b.policy));
    assert_eq!(a.policy.digest(), c.policy.digest());
}

#[test]
fn a_policy_on_trial_takes_every_form_of_a_policy() {
    let scene = Scene::new();
    let rule = "{allow: {and: [{domain: corp.test}]}}";
    let route = |policy: &str| {
        let text = format!(
            "{HEAD}policies: {{staff: {rule}}}\nroutes:\n  - {{from: 'https://a.test', to: 'http://a', cors_allow_preflight: true, {policy}}}\n"
        );
        Arc::clone(&scene.loaded(&text).config.routes[0])
    };
    let live = route(&format!("policy: {rule}"));
    assert!(live.shadow.is_none());
    for form in ["staff", rule, &format!("[{rule}]"), "[staff]"] {
        let tried = route(&format!("shadow_policy: {form}"));
        let shadow = tried.shadow.as_ref().unwrap();
        assert_eq!(shadow.digest(), live.policy.digest(), "{form}");
        assert_ne!(tried.policy.digest(), live.policy.digest(), "the live policy stays as it is");
        assert_ne!(tried.digest, route("policy: []").digest);
    }
    // Who may pass by the shorthand is no part of what is on trial.
    let narrowed = route(&format!("allow_any_authenticated_user: true, shadow_policy: {rule}"));
    assert_eq!(narrowed.shadow.as_ref().unwrap().digest(), live.policy.digest());
}

#[test]
fn a_digest_names_what_a_route_says_and_not_where() {
    let scene = Scene::new();
    let digest = |text: &str| scene.loaded(text).config.routes.last().unwrap().digest;
    let first = digest(&public("to: http://a"));
    assert_eq!(digest(&format!("# moved\n\n{}", public("to: http://a"))), first);
    assert_eq!(digest(&public("to:   http://a # said")), first);
    for other in [
        public("to: http://b"),
        public("to: http://a\ntimeout: 31s"),
        format!("upstreams: {{timeout: 31s}}\n{}", public("to: http://a")),
        format!("upstreams: {{pass_identity_headers: true}}\n{}", public("to: http://a")),
        format!("upstreams: {{set_response_headers: {{X-A: a}}}}\n{}", public("to: http://a")),
        public("to: http://a").replace("allow_public_unauthenticated_access", "cors_allow_preflight"),
    ] {
        assert_ne!(digest(&other), first, "{other}");
    }
    let https = public("to: https://a\ntls_custom_ca_file: ca.pem");
    let before = digest(&https);
    std::fs::copy(scene.path("other.pem"), scene.path("ca.pem")).unwrap();
    assert_ne!(digest(&https), before);
}

#[test]
fn names_are_unique() {
    let scene = Scene::new();
    let route =
        |keys: &str| format!("  - {{from: https://a.test, allow_public_unauthenticated_access: true, {keys}}}\n");
    let text = format!(
        "routes:\n{}{}{}",
        route("to: http://a, prefix: /x/"),
        route("to: http://b, path: /x/"),
        route("to: http://c, regex: /y")
    );
    let config = scene.loaded(&text).config;
    let names: Vec<&str> = config.routes.iter().map(|route| &*route.name).collect();
    assert_eq!(names, ["a.test/x/", "a.test/x/#2", "a.test~/y"]);
}

#[test]
fn anchors_and_merges_work() {
    let scene = Scene::new();
    let config = scene
        .loaded(
            "routes:\n\
             \x20 - &usual\n\
             \x20   from: https://a.test\n\
             \x20   to: http://a\n\
             \x20   allow_public_unauthenticated_access: true\n\
             \x20   timeout: 5s\n\
             \x20 - <<: *usual\n\
             \x20   from: https://b.test\n",
        )
        .config;
    assert_eq!(config.routes[1].exchange.timeout, Some(Duration::from_secs(5)));
    assert!(config.routes[1].policy.is_public());
}

#[test]
fn a_thousand_routes() {
    let scene = Scene::new();
    let mut text = format!("{HEAD}routes:\n");
    for number in 0..1000 {
        text += &format!(
            "  - from: https://app{number}.corp.test\n    to: http://10.0.0.{}:8080\n    prefix: /a{number}/\n    \
             policy: [{{allow: {{or: [{{domain: corp.test}}, {{email: user{number}@other.test}}]}}}}]\n",
            number % 250
        );
    }
    assert_eq!(scene.loaded(&text).config.routes.len(), 1000);
}
