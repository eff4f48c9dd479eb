//! Every way to be wrong that has a message of its own, with its place; each beside its permitted twin.

use crate::scene::{HEAD, Scene, Table, public};

/// A section in front of one public route; the section begins on line 1.
fn section(text: &str) -> String {
    format!("{text}\n{}", public("to: http://10.0.0.7:8080"))
}

#[test]
fn whole_files() {
    let scene = Scene::new();
    let empty_list = "routes: []\n";
    for (bad, place, message) in [
        ("", "p.yaml: ", "empty"),
        (" \n\n", "p.yaml: ", "empty"),
        ("# only a comment\n", "", ""),
        ("---\n", "", ""),
        ("- a\n", "", ""),
        ("hello\n", "", ""),
        ("sign_in: {host: a.test}\n", "1:1: ", "no `routes` key"),
        ("routes:\n", "1:1: routes: ", "has no value"),
        ("routes: {}\n", "1:9: routes: ", "not a list"),
        ("routes:\n  - from: [\n", "", ""),
        ("routes:\n  - from: https://a.test\n    to\n", "", ""),
        ("routes: []\nroutes: []\n", "2:1: ", "routes"),
        ("routes: []\n---\nroutes: []\n", "", ""),
        ("a: &a [*a]\nroutes: []\n", "", ""),
    ] {
        let place = place.trim_start_matches("p.yaml: ");
        let said = scene.refused(bad);
        assert!(said.lines().any(|line| line.contains(place) && line.contains(message)), "{bad:?}: {said}");
    }
    scene.loaded(empty_list);
}

#[test]
fn keys() {
    let scene = Scene::new();
    let mut table = Table::default();
    let good = public("to: http://10.0.0.7");
    for (bad, place, message) in [
        (section("sing_in: {host: a.test}"), "1:1: sing_in: ", "unknown key `sing_in` (did you mean `sign_in`?)"),
        (section("sign_in: {hsot: a.test}"), "1:11: sign_in.hsot: ", "did you mean `host`?"),
        (section("sign_in:"), "1:1: sign_in: ", "has no value"),
        (section("listen: {public: 443}"), "1:18: listen.public: ", "expected an address with its port"),
        (section("listen: {public: ['127.0.0.1:443', x]}"), "1:36: listen.public[1]: ", "expected an address"),
        (section("session: {lifetime: 30}"), "1:21: session.lifetime: ", "with its unit"),
        (section("session: {lifetime: '0'}"), "1:21: session.lifetime: ", "longer than 0"),
        (section("session: {lifetime: 5 minutes}"), "1:21: session.lifetime: ", "with its unit"),
        (section("replica: {max_bytes: 10XB}"), "1:22: replica.max_bytes: ", "a number of bytes"),
        (section("replica: {max_bytes: 10}"), "1:22: replica.max_bytes: ", "at least 1MiB"),
        (section("services: [prxy]"), "1:12: services[0]: ", "did you mean `proxy`?"),
        (section("services: []"), "1:11: services: ", "no service"),
        (section("services: [all, proxy]"), "1:11: services: ", "stands alone"),
        (section("namespace: pomeruim"), "1:12: namespace: ", "did you mean `pomerium`?"),
        (section("storage: {engine: postgres}"), "1:19: storage.engine: ", "none of embedded"),
        (section("tls: !pem {}"), "", "tag"),
        (section("limits: {connections: -1}"), "1:23: limits.connections: ", "expected"),
        (section("limits: {connections: 0}"), "1:23: limits.connections: ", "at least 1"),
        (
            section("limits: {trusted_proxies: [10.0.0.1/8]}"),
            "1:28: limits.trusted_proxies[0]: ",
            "10.0.0.0/8 or 10.0.0.1",
        ),
        (section("limits: {trusted_proxies: [0.0.0.0/0]}"), "1:28: limits.trusted_proxies[0]: ", "everybody"),
        (section("limits: {trusted_proxies: [proxy]}"), "1:28: limits.trusted_proxies[0]: ", "neither a network"),
        (section("siblings: {broker: http://b:5443}"), "1:20: siblings.broker: ", "not the https address"),
        (section("siblings: {broker: 'https://b:5443'}"), "1:11: siblings: ", "same `secret`"),
        (section("listen: {telemetry: ':443'}"), "1:21: listen.telemetry: ", "taken by another listener"),
        (section("authenticate_service_url: https://a.test"), "1:1: ", "write `sign_in: {host: HOST}`"),
        (section("decisions: {ring: 0}"), "1:19: decisions.ring: ", "between 1 and"),
        (section("decisions: {sink: {file: ''}}"), "1:26: decisions.sink.file: ", "is empty"),
        (section("decisions: {sink: {fiel: a}}"), "1:20: ", "did you mean `file`?"),
        (section("telemetry: {log: ''}"), "1:18: telemetry.log: ", "is empty"),
        (section("listen: {public: []}"), "1:18: listen.public: ", "no address"),
    ] {
        table.check(&scene, (&bad, place, message), &good);
    }
    for good in [
        "listen: {public: ['0.0.0.0:443', '[::]:443'], redirect: ':80', telemetry: off}",
        "session: {lifetime: 1h30m, idle: 0}",
        "replica: {max_bytes: 64MiB, max_staleness: 90s}",
        "services: broker",
        "limits: {trusted_proxies: [10.0.0.0/8, 192.0.2.7, '2001:db8::/32']}",
        "siblings: {broker: 'https://b:5443'}\nsecret: {file: ring}",
        "directories: {run_dir: /tmp/run, state_dir: state}",
        "telemetry: {log: 'info,portcullis_proxy=debug'}",
    ] {
        scene.loaded(&section(good));
    }
}

#[test]
fn mistakes_are_reported_together() {
    let scene = Scene::new();
    let said = scene.refused(
        "sign_in: {hsot: a.test}\n\
         session: {lifetime: 30}\n\
         routes:\n\
         \x20 - from: https://a.test\n\
         \x20   polcy: []\n\
         \x20   timeout: soon\n\
         \x20 - to: http://b.test\n\
         \x20   policy: [{allow: {and: [{domin: corp.test}]}}]\n\
         \x20   regex: '('\n\
         \x20 - from: https://c.test\n\
         \x20   to: tcp://c\n\
         \x20   prefix: wiki\n\
         \x20   policy: [{allow: {and: [{domin: corp.test}]}}]\n",
    );
    let places: Vec<&str> = said.lines().map(|line| line.split(": ").next().unwrap()).collect();
    assert_eq!(places, ["1:11", "2:21", "5:5", "6:14", "7:5", "8:30", "11:9", "12:13", "13:30"], "{said}");
}

/// The keys of a provider that begin at 1:20, where and why they are refused.
const PROVIDERS: &[(&str, &str, &str)] = &[
    ("client_id: a", "1:19: providers.corp: ", "`issuer` is missing"),
    ("issuer: 'https://idp.test'", "1:19: providers.corp: ", "`client_id` is missing"),
    ("issuer: 'http://idp.test', client_id: a", "1:28: providers.corp.issuer: ", "https; plain http"),
    ("issuer: idp.test, client_id: a", "1:28: providers.corp.issuer: ", "not a URL"),
    ("issuer: 'https://idp.test?x=1', client_id: a", "1:28: providers.corp.issuer: ", "neither query"),
    ("issuer: 'https://idp.test', client_id: ''", "1:59: providers.corp.client_id: ", "empty"),
    (
        "issuer: 'https://i.test', client_id: a, client_secret: canary-5f3b1c",
        "1:75: providers.corp.client_secret: ",
        "{file: PATH}",
    ),
    (
        "issuer: 'https://i.test', client_id: a, client_secret: 12345",
        "1:75: providers.corp.client_secret: ",
        "{file: PATH}",
    ),
    (
        "issuer: 'https://i.test', client_id: a, client_secret: {file: nope}",
        "1:82: providers.corp.client_secret.file: ",
        "cannot be read",
    ),
    (
        "issuer: 'https://i.test', client_id: a, client_secret: {file: empty}",
        "1:82: providers.corp.client_secret.file: ",
        "is empty",
    ),
    (
        "issuer: 'https://i.test', client_id: a, client_secret: {env: NOPE}",
        "1:81: providers.corp.client_secret.env: ",
        "not set",
    ),
    (
        "issuer: 'https://i.test', client_id: a, client_secret: {credential: x}",
        "1:88: providers.corp.client_secret.credential: ",
        "LoadCredential=",
    ),
    (
        "issuer: 'https://i.test', client_id: a, client_secret: {file: a, env: B}",
        "1:75: providers.corp.client_secret: ",
        "exactly one",
    ),
    (
        "issuer: 'https://i.test', client_id: a, client_secret: {fiel: idp}",
        "1:76: providers.corp.client_secret.fiel: ",
        "did you mean `file`?",
    ),
    (
        "issuer: 'https://i.test', client_id: a, client_auth: basic",
        "1:73: providers.corp.client_auth: ",
        "no `client_secret`",
    ),
    ("issuer: 'https://i.test', client_id: a, ca: {file: garbage}", "1:64: providers.corp.ca", "cannot be read"),
    ("issuer: 'https://i.test', client_id: a, ca: {file: empty}", "", "is empty"),
    ("issuer: 'https://i.test', client_id: a, ca: {file: idp}", "", "no PEM certificate"),
    (
        "issuer: 'https://i.test', client_id: a, request_params: {state: x}",
        "1:84: providers.corp.request_params.state: ",
        "set by Portcullis",
    ),
    ("issuer: 'https://i.test', client_id: a, timeout: 0", "1:69: providers.corp.timeout: ", "longer than 0"),
    ("issuer: 'https://i.test', client_id: a, scopes: ['a b']", "1:69: providers.corp.scopes[0]: ", "not a scope"),
    ("issuer: 'https://i.test', client_id: a, claims: {email: ''}", "1:76: providers.corp.claims.email: ", "is empty"),
    ("issuer: 'https://i.test', client_id: a, egress_proxy: x", "1:74: providers.corp.egress_proxy: ", "a proxy"),
];

#[test]
fn providers() {
    let scene = Scene::new();
    let mut table = Table::default();
    let with = |provider: &str| format!("providers: {{corp: {{{provider}}}}}\n{}", public("to: http://a.test"));
    let good = with("issuer: 'https://idp.test/realms/x', client_id: a, client_secret: {file: idp}");
    for &(provider, place, message) in PROVIDERS {
        table.check(&scene, (&with(provider), place, message), &good);
    }
    let twice =
        "providers:\n  a: {issuer: 'https://i.test', client_id: x}\n  b: {issuer: 'https://i.test', client_id: x}\n";
    let said = scene.refused(&format!("{twice}{}", public("to: http://a.test")));
    assert!(said.starts_with("3:6: providers.b: is the same client"), "{said}");
    scene.loaded(&with("issuer: 'http://localhost:5556/dex', client_id: a, ca: [{file: ca.pem}]"));
    scene.loaded(&with("issuer: 'http://127.0.0.1:5556', client_id: a, client_secret: {file: idp}, client_auth: post"));
}

#[test]
fn certificates() {
    let scene = Scene::new();
    let mut table = Table::default();
    let with = |entry: &str| section(&format!("tls: {{certificates: [{{{entry}}}]}}"));
    scene.loaded(&with("cert: {file: wiki.pem}, key: {file: wiki.key}"));
    let good = with("cert: wiki.pem, key: wiki.key");
    for (entry, place, message) in [
        ("cert: {file: wiki.pem}", "1:22: tls.certificates[0]: ", "`key` is missing"),
        ("cert: {file: wiki.pem}, key: {file: other.key}", "1:22: tls.certificates[0]: ", "does not belong"),
        ("cert: {file: wiki.pem}, key: {file: wiki.pem}", "1:22: tls.certificates[0]: ", "no PEM private key"),
        ("cert: {file: wiki.key}, key: {file: wiki.key}", "1:22: tls.certificates[0]: ", "no PEM certificate"),
        ("cert: wiki.pem, key: '-----BEGIN canary-5f3b1c'", "1:44: tls.certificates[0].key: ", "the path of its file"),
        ("cert: wiki.pem, key: nope.key", "1:44: tls.certificates[0].key: ", "cannot be read"),
        ("cert: {file: empty}, key: {file: wiki.key}", "1:36: tls.certificates[0].cert.file: ", "is empty"),
        ("cert: {file: garbage}, key: {file: wiki.key}", "1:22: tls.certificates[0]: ", "cannot be read"),
    ] {
        table.check(&scene, (&with(entry), place, message), &good);
    }
}

#[test]
fn names_and_cookies() {
    let scene = Scene::new();
    let mut table = Table::default();
    let good = section("namespace: pomerium\ncookie: {domain: corp.test}\nsign_in: {host: auth.corp.test}");
    for (bad, place, message) in [
        ("sign_in: {host: 'https://auth.corp.test'}", "1:17: sign_in.host: ", "a URL, not a host"),
        ("sign_in: {host: 'auth.corp.test:8443'}", "1:17: sign_in.host: ", "not a host name"),
        ("sign_in: {host: wiki.corp.test}", "3:11: routes[0].from: ", "is the sign-in host"),
        ("sign_in: {signed_out_url: 'javascript:alert(1)'}", "1:27: sign_in.signed_out_url: ", "not a web address"),
        ("cookie: {domain: corp.test}", "1:18: cookie.domain: ", "only with `namespace: pomerium`"),
        ("cookie: {name: mine}", "1:16: cookie.name: ", "__Host-mine"),
        ("cookie: {name: 'a b'}", "1:16: cookie.name: ", "not the name of a cookie"),
        ("namespace: pomerium\ncookie: {domain: test}", "2:18: cookie.domain: ", "one label"),
        (
            "namespace: pomerium\ncookie: {domain: corp.test}\nsign_in: {host: auth.other.test}",
            "2:18: cookie.domain: ",
            "not in this domain",
        ),
    ] {
        table.check(&scene, (&section(bad), place, message), &good);
    }
    scene.loaded(&section("cookie: {name: __Host-mine, same_site: strict}"));
}

#[test]
fn a_sign_in_needs_its_host_and_a_provider() {
    let scene = Scene::new();
    let route =
        "routes:\n  - from: https://wiki.corp.test\n    to: http://a.test\n    allow_any_authenticated_user: true\n";
    let head = "sign_in: {host: auth.corp.test}\n";
    let said = scene.refused(route);
    assert!(said.contains("`sign_in.host` is missing") && said.contains("there is no provider"), "{said}");
    assert!(scene.refused(&format!("{head}{route}")).contains("there is no provider"));
    scene.loaded(&format!("{HEAD}{route}"));
    // Policies that never look at who asks go without.
    scene.loaded("routes:\n  - from: https://a.test\n    to: http://b.test\n    policy: [{allow: {and: [{source_ip: 10.0.0.0/8}]}}]\n");
}

#[test]
fn assertions() {
    let scene = Scene::new();
    let mut table = Table::default();
    let good = section("assertion: {signing_keys: [{file: wiki.key}], claim_headers: {X-Mail: email, X-Team: groups}}");
    for (section_text, place, message) in [
        ("signing_keys: [{file: wiki.pem}]", "1:28: assertion.signing_keys[0]: ", "no PEM private key"),
        ("signing_keys: [{file: empty}]", "1:35: assertion.signing_keys[0].file: ", "is empty"),
        ("signing_keys: [canary-5f3b1c]", "1:28: assertion.signing_keys[0]: ", "{file: PATH}"),
        ("claim_headers: {Authorization: email}", "1:", "the client's own"),
        ("claim_headers: {X-Forwarded-Host: email}", "1:", "the client's own"),
        ("claim_headers: {X-Portcullis-Jwt-Assertion: email}", "1:", "carries the assertion"),
        ("claim_headers: {X-Mail: email, x_mail: sub}", "1:", "given twice"),
        ("claim_headers: {Host: email}", "1:", "cannot be edited"),
        ("claim_headers: [a.b, a/b]", "1:34: assertion.claim_headers[1]: ", "given twice"),
        ("claim_headers: email", "1:28: assertion.claim_headers: ", "a list of claims"),
        ("issuer_format: url", "1:28: assertion.issuer_format: ", "did you mean `uri`?"),
    ] {
        table.check(&scene, (&section(&format!("assertion: {{{section_text}}}")), place, message), &good);
    }
}
