//! Routes that are refused, each with its place, beside the permitted twin.

use crate::scene::{HEAD, Scene, Table, public};

const GOOD: &str = "to: http://10.0.0.7:8080";

/// Refuses a route with these lines (they begin on line 4) and takes one with those.
fn check(table: &mut Table, scene: &Scene, (bad, place, message): (&str, &str, &str), good: &str) {
    table.check(scene, (&public(bad), place, message), &public(good));
}

#[test]
fn targets() {
    let scene = Scene::new();
    let mut table = Table::default();
    for (bad, place, message, good) in [
        ("name: x", "2:5: routes[0]: ", "needs `to`, `redirect` or `response`", GOOD),
        ("to: 10.0.0.7:8080", "4:9: routes[0].to", "not a URL", GOOD),
        ("to: tcp://10.0.0.7:22", "4:9: routes[0].to", "`tcp` upstreams are not supported", GOOD),
        ("to: udp://10.0.0.7:22", "4:9: routes[0].to", "`udp`", GOOD),
        ("to: ssh://10.0.0.7:22", "4:9: routes[0].to", "`ssh`", GOOD),
        ("to: http+unix:///run/x.sock", "4:9: routes[0].to", "Unix sockets", "to: http://127.0.0.1:1"),
        ("to: gopher://x", "4:9: routes[0].to", "unknown scheme `gopher`", "to: h2c://x:50051"),
        ("to: [http://a, 'http://b,0']", "4:20: routes[0].to[1]: ", "not a weight", "to: [http://a, 'http://b,2']"),
        ("to: ['http://a,x']", "4:10: routes[0].to[0]: ", "not a weight", "to: ['http://a,65535']"),
        ("to: [http://a, http://a]", "4:20: routes[0].to[1]: ", "twice", "to: [http://a, http://a:81]"),
        ("to: [http://a/x, http://b/y]", "4:22: routes[0].to[1]: ", "another path", "to: [http://a/x, http://b/x]"),
        ("to: http://u:canary-5f3b1c@a", "4:9: routes[0].to", "no user", GOOD),
        ("to: http://a?x=1", "4:9: routes[0].to", "neither query", "to: http://a/x"),
        ("to: []", "4:9: routes[0].to: ", "names no upstream", GOOD),
        ("to:", "4:5: routes[0].to: ", "has no value", GOOD),
        (
            "to: http://a\nredirect: {https_redirect: true}",
            "5:15: routes[0].redirect: ",
            "contradicts `to`",
            "redirect: {host_redirect: b.test}",
        ),
        (
            "to: http://a\nresponse: {status: 200}",
            "5:15: routes[0].response: ",
            "contradicts `to`",
            "response: {status: 200, body: ok}",
        ),
        ("response: {status: 99}", "4:24: routes[0].response.status: ", "99 is not", "response: {status: 404}"),
        ("response: {status: 101}", "4:24: routes[0].response.status: ", "101 is not", "response: {status: 204}"),
        ("redirect: {}", "4:15: routes[0].redirect: ", "already is", "redirect: {path_redirect: /new}"),
        (
            "redirect: {host_redirect: b.test, response_code: 200}",
            "4:",
            "not a redirect",
            "redirect: {host_redirect: b.test, response_code: 308}",
        ),
        (
            "redirect: {path_redirect: new}",
            "4:31: routes[0].redirect.path_redirect: ",
            "not a path",
            "redirect: {path_redirect: '/new?a=b'}",
        ),
        (
            "redirect: {path_redirect: /a, prefix_rewrite: /b}",
            "4:",
            "contradicts `path_redirect`",
            "redirect: {prefix_rewrite: /b}",
        ),
        ("redirect: {scheme_redirect: ftp}", "4:", "http or https", "redirect: {scheme_redirect: http}"),
        (
            "redirect: {host_redirect: b.test}\ntls_skip_verify: true",
            "5:22: routes[0].tls_skip_verify: ",
            "no meaning",
            "to: https://a\ntls_skip_verify: true",
        ),
    ] {
        check(&mut table, &scene, (bad, place, message), good);
    }
}

/// Keys from line 5 on, where and why they are refused, and their permitted twins.
const PATHS: &[(&str, &str, &str, &str)] = &[
    ("prefix: /a\npath: /b", "6:11: routes[0].path: ", "contradicts `prefix`", "prefix: /a/"),
    ("prefix: /a\nregex: /b", "6:", "contradicts `prefix`", "regex: /b"),
    ("path: /a\nregex: /b", "6:", "contradicts `path`", "path: /a"),
    ("prefix: a", "5:13: routes[0].prefix: ", "begins with `/`", "prefix: /a/"),
    ("prefix: /a/../b", "5:13: routes[0].prefix: ", "dot segments", "prefix: /a..b/"),
    ("path: /a?x", "5:11: routes[0].path: ", "neither query", "path: /a"),
    ("regex: '('", "5:12: routes[0].regex: ", "not a regular expression", "regex: '/(a|b)'"),
    ("regex: 'a)|(b'", "5:12: routes[0].regex: ", "not a regular expression", "regex: 'a|b'"),
    ("regex: '(a{1000}){1000}'", "5:12: routes[0].regex: ", "not a regular expression", "regex: 'a{10}'"),
    (
        "regex: /a\nprefix_rewrite: /b",
        "6:21: routes[0].prefix_rewrite: ",
        "regex_rewrite_pattern",
        "prefix: /a/\nprefix_rewrite: /b/",
    ),
    (
        "prefix: /a/\nprefix_rewrite: b",
        "6:21: routes[0].prefix_rewrite: ",
        "begins with `/`",
        "prefix: /a/\nprefix_rewrite: /",
    ),
    ("prefix: /a/\nprefix_rewrite: /b?c=d", "6:21: routes[0].prefix_rewrite: ", "holds `?`", "prefix_rewrite: /b/c=d"),
    ("prefix: /a/\nprefix_rewrite: /../", "6:21: routes[0].prefix_rewrite: ", "dot segments", "prefix_rewrite: /v1"),
    (
        "regex_rewrite_pattern: a",
        "5:28: routes[0].regex_rewrite_pattern: ",
        "needs `regex_rewrite_substitution`",
        "regex_rewrite_pattern: a\nregex_rewrite_substitution: b",
    ),
    (
        "regex_rewrite_substitution: a",
        "5:33: routes[0].regex_rewrite_substitution: ",
        "needs `regex_rewrite_pattern`",
        "regex_rewrite_pattern: a\nregex_rewrite_substitution: ''",
    ),
    (
        "regex_rewrite_pattern: (a)\nregex_rewrite_substitution: \\2",
        "6:33: routes[0].regex_rewrite_substitution: ",
        "group 2",
        "regex_rewrite_pattern: (a)\nregex_rewrite_substitution: \\1",
    ),
    (
        "prefix_rewrite: /b\nregex_rewrite_pattern: a\nregex_rewrite_substitution: b",
        "6:",
        "contradicts `prefix_rewrite`",
        "prefix_rewrite: /b",
    ),
    (
        "host_rewrite: a.test\npreserve_host_header: true",
        "5:19: routes[0].host_rewrite: ",
        "contradicts `preserve_host_header`",
        "preserve_host_header: true",
    ),
    (
        "host_rewrite: a.test\nhost_rewrite_header: X-Host",
        "5:19: routes[0].host_rewrite: ",
        "contradicts `host_rewrite_header`",
        "host_rewrite_header: X-Host",
    ),
    ("host_rewrite: a/b", "5:19: routes[0].host_rewrite: ", "not a host name", "host_rewrite: 'a.test:8080'"),
    ("host_rewrite_header: a b", "5:26: routes[0].host_rewrite_header: ", "not a header name", "host_rewrite: a.test"),
];

#[test]
fn paths_and_rewrites() {
    let scene = Scene::new();
    let mut table = Table::default();
    for &(keys, place, message, good) in PATHS {
        check(&mut table, &scene, (&format!("{GOOD}\n{keys}"), place, message), &format!("{GOOD}\n{good}"));
    }
    let base = "to: http://a/base\n";
    check(
        &mut table,
        &scene,
        (&format!("{base}prefix_rewrite: /b"), "5:21: routes[0].prefix_rewrite: ", "contradicts the path in `to`"),
        base,
    );
}

#[test]
fn hosts() {
    let route = |from: &str| {
        format!("routes:\n  - from: {from}\n    to: http://a\n    allow_public_unauthenticated_access: true\n")
    };
    let scene = Scene::new();
    for (from, message) in [
        ("wiki.corp.test", "not a URL"),
        ("http://wiki.corp.test", "always https"),
        ("tcp+https://db.corp.test:5432", "not supported"),
        ("https://wiki.corp.test/path", "names hosts, not paths"),
        ("https://wiki.corp.test:0", "no valid port"),
        ("https://a..b", "label"),
    ] {
        let said = scene.refused(&route(from));
        assert!(said.starts_with("2:11: routes[0].from: ") && said.contains(message), "{from}: {said}");
    }
    for from in ["https://wiki.corp.test", "https://*.corp.test", "https://wiki.corp.test:8443", "'https://[::1]'"] {
        scene.loaded(&route(from));
    }
}

#[test]
fn headers() {
    let scene = Scene::new();
    let mut table = Table::default();
    for (keys, place, message, good) in [
        ("set_request_headers: {Host: a}", "5:", "cannot be edited", "set_request_headers: {X-A: a}"),
        (
            "set_request_headers: {Connection: close}",
            "5:",
            "belongs to the connection",
            "set_request_headers: {Authorization: Basic x}",
        ),
        (
            "set_request_headers: {X-Portcullis-Jwt-Assertion: a}",
            "5:",
            "set by Portcullis alone",
            "set_request_headers: {X-Pomerium-Jwt-Assertion: '${pomerium.jwt}'}",
        ),
        (
            "set_request_headers: {x_portcullis_claim_email: a}",
            "5:",
            "set by Portcullis alone",
            "set_request_headers: {x_portcullisx: a}",
        ),
        (
            "set_request_headers: {X-A: '${pomerium.jvt}'}",
            "5:",
            "did you mean `${portcullis.jwt}`?",
            "set_request_headers: {X-A: '${portcullis.jwt}'}",
        ),
        ("set_request_headers: {X-A: '${HOME}'}", "5:", "unknown token", "set_request_headers: {X-A: '$${HOME}'}"),
        ("set_request_headers: {'X A': a}", "5:", "not a header name", "set_request_headers: {X-A: ''}"),
        ("set_request_headers: {X-A: \"canary-5f3b1c\\n\"}", "5:", "cannot have", "set_request_headers: {X-A: a}"),
        ("set_request_headers: {X-A: 5}", "5:", "expected a string", "set_request_headers: {X-A: '5'}"),
        (
            "remove_request_headers: [Host]",
            "5:30: routes[0].remove_request_headers[0]: ",
            "cannot be edited",
            "remove_request_headers: [Cookie]",
        ),
        (
            "remove_request_headers: [X-Portcullis-Claim-Email]",
            "5:30: ",
            "always removed",
            "remove_request_headers: [X-Forwarded-For]",
        ),
        (
            "set_response_headers: {Transfer-Encoding: chunked}",
            "5:",
            "belongs to the connection",
            "set_response_headers: {X-Frame-Options: DENY}",
        ),
        (
            "set_response_headers: {Content-Length: '5'}",
            "5:",
            "belongs to the connection",
            "set_response_headers: {Server: x}",
        ),
    ] {
        check(&mut table, &scene, (&format!("{GOOD}\n{keys}"), place, message), &format!("{GOOD}\n{good}"));
    }
}

#[test]
fn upstream_tls() {
    let scene = Scene::new();
    let mut table = Table::default();
    let https = "to: https://a";
    for (keys, place, message, good) in [
        ("tls_custom_ca_file: empty", "5:25: routes[0].tls_custom_ca_file: ", "is empty", "tls_custom_ca_file: ca.pem"),
        (
            "tls_custom_ca_file: garbage",
            "5:25: routes[0].tls_custom_ca_file: ",
            "cannot be read",
            "tls_custom_ca: {file: ca.pem}",
        ),
        ("tls_custom_ca: ''", "5:20: routes[0].tls_custom_ca: ", "is empty", "tls_custom_ca_file: ca.pem"),
        ("tls_custom_ca: Zm9v", "5:20: routes[0].tls_custom_ca: ", "no PEM certificate", "tls_custom_ca_file: ca.pem"),
        (
            "tls_custom_ca: {file: ca.pem}\ntls_custom_ca_file: ca.pem",
            "6:25: ",
            "contradicts `tls_custom_ca`",
            "tls_custom_ca_file: ca.pem",
        ),
        (
            "tls_custom_ca_file: ca.pem\ntls_skip_verify: true",
            "5:25: ",
            "contradicts `tls_skip_verify`",
            "tls_skip_verify: true",
        ),
        (
            "tls_client_cert_file: wiki.pem",
            "2:5: routes[0]: ",
            "needs `tls_client_key_file`",
            "tls_client_cert_file: wiki.pem\ntls_client_key_file: wiki.key",
        ),
        (
            "tls_client_key_file: wiki.key",
            "2:5: routes[0]: ",
            "needs `tls_client_cert_file`",
            "tls_client_cert: {file: wiki.pem}\ntls_client_key: {file: wiki.key}",
        ),
        (
            "tls_client_cert_file: wiki.pem\ntls_client_key_file: ca.key",
            "2:5: ",
            "does not belong",
            "tls_server_name: a.test",
        ),
        (
            "tls_client_cert_file: wiki.pem\ntls_client_key: canary-5f3b1c",
            "6:21: routes[0].tls_client_key: ",
            "{file: PATH}",
            "tls_upstream_server_name: a.test",
        ),
        ("tls_server_name: 'a b'", "5:22: routes[0].tls_server_name: ", "not a host name", "tls_server_name: a.test"),
    ] {
        check(&mut table, &scene, (&format!("{https}\n{keys}"), place, message), &format!("{https}\n{good}"));
    }
}

#[test]
fn access_and_needs() {
    let scene = Scene::new();
    let mut table = Table::default();
    let with = |lines: &str| format!("{HEAD}routes:\n  - from: https://wiki.corp.test\n    to: http://a\n{lines}");
    for (bad, place, message, good) in [
        ("    policy:\n", "6:5: routes[0].policy: ", "has no value", "    policy: []\n"),
        (
            "    policy: everyone\n",
            "6:13: ",
            "unknown policy `everyone`",
            "    policy: [{allow: {and: [{accept: true}]}}]\n",
        ),
        ("    shadow_policy:\n", "6:5: routes[0].shadow_policy: ", "has no value", "    shadow_policy: []\n"),
        (
            "    shadow_policy: everyone\n",
            "6:20: ",
            "unknown policy `everyone`",
            "    shadow_policy: {allow: {and: [{accept: true}]}}\n",
        ),
        (
            "    allow_public_unauthenticated_access: true\n    allowed_users: [a]\n",
            "7:5: ",
            "contradict",
            "    allowed_users: [a]\n",
        ),
        (
            "    allow_any_authenticated_user: yes please\n",
            "6:35: ",
            "`true` or `false`",
            "    allow_any_authenticated_user: true\n",
        ),
        ("    providers: [crop]\n", "6:17: routes[0].providers[0]: ", "did you mean `corp`?", "    providers: corp\n"),
        (
            "    session: {max_age: 0}\n",
            "6:24: routes[0].session.max_age: ",
            "longer than 0",
            "    session: {max_age: 15m, idle: 5m, acr: mfa}\n",
        ),
        (
            "    encoded_slashes: decode\n",
            "6:22: routes[0].encoded_slashes: ",
            "none of refuse, keep",
            "    encoded_slashes: keep\n",
        ),
        ("    name: ''\n", "6:11: routes[0].name: ", "1 to 256 bytes", "    name: wiki\n"),
    ] {
        table.check(&scene, (&with(bad), place, message), &with(good));
    }
}

#[test]
fn routes_that_repeat_an_earlier_one() {
    let scene = Scene::new();
    let two = |first: &str, second: &str| {
        let route =
            |keys: &str| format!("  - {{from: https://a.test, allow_public_unauthenticated_access: true, {keys}}}\n");
        format!("routes:\n{}{}", route(first), route(second))
    };
    let said = scene.refused(&two("to: http://b, prefix: /x/", "to: http://b, prefix: /x/"));
    assert!(said.starts_with("3:5: routes[1]: repeats the route on line 2"), "{said}");
    let said = scene.refused(&two("to: http://b, name: x", "to: http://c, name: x, path: /a"));
    assert!(said.contains("the name `x` is taken by the route on line 2"), "{said}");
    scene.loaded(&two("to: http://b, prefix: /x/", "to: http://b, prefix: /y/"));
}
