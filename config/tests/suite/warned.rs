//! What is used all the same, with a word of warning; and that ordinary files give none.

use crate::scene::{HEAD, Scene, public};

/// `tls` with a certificate for wiki.corp.test and one for hosts that nobody serves, on one line.
const TLS: &str = "tls: {certificates: [{cert: {file: wiki.pem}, key: {file: wiki.key}}]}\n";

fn warnings(scene: &Scene, text: &str) -> Vec<String> {
    let loaded = scene.loaded(text);
    loaded.config.warnings.iter().map(|warning| warning.to_string().replace("p.yaml:", "")).collect()
}

fn check(text: &str, place: &str, message: &str) {
    let said = warnings(&Scene::new(), text);
    assert!(said.iter().any(|line| line.starts_with(place) && line.contains(message)), "{text}\n{said:#?}");
}

#[test]
fn an_ordinary_file_gives_no_warning() {
    let scene = Scene::new();
    let text = format!("{TLS}{}", public("to: http://a\nprefix: /app/"));
    assert_eq!(warnings(&scene, &text), Vec::<String>::new());
}

#[test]
fn odd_things_are_pointed_out() {
    for (lines, place, message) in [
        ("to: http://a\nprefix: /app", "6:13: ", "`prefix: /app` matches `/apple` too"),
        ("to: http://a\nprefix: /.portcullis/x/", "3:5: ", "are ours"),
        ("to: https://a\ntls_skip_verify: true", "6:22: ", "is not checked"),
        ("to: http://a\ntls_server_name: b", "6:22: ", "no upstream speaks https"),
    ] {
        check(&format!("{TLS}{}", public(lines)), place, message);
    }
    for (section, place, message) in [
        ("namespace: pomerium\n", "1:12: ", "gives up the `__Host-` prefix"),
        ("namespace: pomerium\ncookie: {domain: corp.test}\n", "2:18: ", "whoever runs it"),
        ("cookie: {same_site: none}\n", "1:21: ", "other sites cause"),
        ("session: {lifetime: 1h, idle: 2h}\n", "1:31: ", "never matters"),
        (
            "tls: {certificates: [{cert: {file: other.pem}, key: {file: other.key}}]}\n",
            "1:",
            "no route has such a host",
        ),
        (
            "tls: {certificates: [{cert: {file: other.pem}, key: {file: other.key}}]}\n",
            "1:",
            "no certificate names wiki.corp.test",
        ),
        ("", "", "a self-signed one is made"),
    ] {
        check(&format!("{section}{}", public("to: http://a")), place, message);
    }
}

#[test]
fn patterns_that_strangers_names_fit() {
    let scene = Scene::new();
    for (host, warned) in [
        ("'*'", true),
        ("wiki.*", true),
        ("'*.test'", true),
        ("'*corp.test'", true),
        ("wiki.*.test", true),
        ("'*.corp.test'", false),
        ("pr-*.corp.test", false),
        ("'*.localhost'", false),
        ("wiki.corp.test", false),
    ] {
        let from = match host.strip_prefix('\'') {
            Some(rest) => format!("'https://{rest}"),
            None => format!("https://{host}"),
        };
        let text =
            format!("routes:\n  - {{from: {from}, to: 'http://a', allow_public_unauthenticated_access: true}}\n");
        let said = warnings(&scene, &text);
        let found = said.iter().any(|line| line.starts_with("2:12: ") && line.contains("anybody can own a name"));
        assert_eq!(found, warned, "{host} {said:?}");
    }
}

#[test]
fn secrets_that_everybody_can_read() {
    let scene = Scene::new();
    std::fs::write(scene.path("open"), "x\n").unwrap();
    let text = |file: &str| format!("secret: {{file: {file}}}\n{TLS}{}", public("to: http://a"));
    assert_eq!(warnings(&scene, &text("ring")), Vec::<String>::new());
    let said = warnings(&scene, &text("open"));
    assert!(said.len() == 1 && said[0].starts_with("1:9: ") && said[0].contains("every user"), "{said:?}");
}

#[test]
fn routes_that_nobody_reaches() {
    let route = |keys: &str| {
        format!("  - {{from: https://wiki.corp.test, allow_public_unauthenticated_access: true, {keys}}}\n")
    };
    for (first, second, reached) in [
        ("to: http://a", "to: http://b, path: /x", false),
        ("to: http://a, path: /x", "to: http://b", true),
        ("to: http://a, prefix: /x/", "to: http://b, prefix: /x/y/", false),
        ("to: http://a, prefix: /x/y/", "to: http://b, prefix: /x/", true),
        ("to: http://a, prefix: /x/", "to: http://b, path: /x/y", false),
        ("to: http://a, path: /x/y", "to: http://b, path: /x/y", false),
        ("to: http://a, regex: /x", "to: http://b, regex: /x", false),
        ("to: http://a, regex: /x", "to: http://b, regex: /y", true),
    ] {
        let said = warnings(&Scene::new(), &format!("{TLS}routes:\n{}{}", route(first), route(second)));
        let warned =
            said.iter().any(|line| line.starts_with("4:5: ") && line.contains("the one on line 3 takes them all"));
        assert_eq!(warned, !reached, "{first} | {second}: {said:?}");
    }
}

#[test]
fn ports_hide_only_what_they_take() {
    let route = |from: &str, to: &str| {
        format!("  - {{from: '{from}', allow_public_unauthenticated_access: true, to: '{to}'}}\n")
    };
    for (first, second, reached) in [
        ("https://wiki.corp.test", "https://wiki.corp.test:8443", false),
        ("https://wiki.corp.test:8443", "https://wiki.corp.test", true),
        ("https://wiki.corp.test:443", "https://wiki.corp.test", false),
        ("https://*.corp.test", "https://wiki.corp.test", true),
    ] {
        let text = format!("{TLS}routes:\n{}{}", route(first, "http://a"), route(second, "http://b"));
        let said = warnings(&Scene::new(), &text);
        assert_eq!(!said.iter().any(|line| line.contains("takes them all")), reached, "{first} | {second}: {said:?}");
    }
}

#[test]
fn policies_are_looked_at_too() {
    let text = format!("{HEAD}{TLS}routes:\n  - from: https://wiki.corp.test\n    to: http://a\n    policy: []\n");
    check(&text, "7:13: ", "permits nobody");
}

#[test]
fn a_shadow_policy_is_looked_at_as_a_live_one_is() {
    let route = |shadow: &str| {
        let lines =
            format!("to: http://a\npolicy: {{allow: {{and: [{{http_method: GET}}]}}}}\nshadow_policy: {shadow}");
        public(&lines).replace("allow_public_unauthenticated_access: true", "name: a")
    };
    let said = |shadow: &str| warnings(&Scene::new(), &format!("{TLS}{}", route(shadow)));
    for (shadow, message) in [
        ("{allow: {and: [{http_method: GET}]}}", "the shadow policy says what `policy` says"),
        ("{allow: {and: [{source_ip: 10.0.0.1/8}]}}", "host bits"),
        ("{allow: {and: [{accept: true}]}, deny: {or: [{reject: true}]}}", "this deny can never fire"),
    ] {
        let said = said(shadow);
        assert!(said.len() == 1 && said[0].contains(message), "{shadow} {said:?}");
    }
    assert_eq!(said("{allow: {and: [{http_method: PUT}]}}"), Vec::<String>::new());
}
