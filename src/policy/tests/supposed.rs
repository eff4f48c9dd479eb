//! `explain` of requests that nobody sent.

use clap::Parser;
use serde_json::{Value, json};

use super::{CONFIG, Folder, NOW};
use crate::cli::{Cli, Command, Explain};
use crate::policy::judge::judge;
use crate::policy::site::Site;
use crate::policy::suppose::{asked, record, text};

/// `explain` as it is typed.
fn typed(arguments: &[&str]) -> Result<Explain, clap::Error> {
    let cli = Cli::try_parse_from(["portcullis", "explain"].iter().chain(arguments))?;
    let Command::Explain(options) = cli.command else { panic!("{arguments:?}") };
    Ok(*options)
}

fn explained(folder: &Folder, arguments: &[&str]) -> (String, Value) {
    let site = Site::load(&folder.path("portcullis.yaml")).unwrap();
    let ask = asked(&site, &typed(arguments).unwrap().supposed, NOW).unwrap_or_else(|error| panic!("{error}"));
    let judged = judge(&site, &ask);
    (text(&site, &ask, &judged), record(&site, &ask, &judged))
}

#[test]
fn decisions_are_explained_with_what_would_change_them() {
    let folder = Folder::new();
    let wiki = ["--route", "wiki"];
    for (who, decision, to_pass) in [
        (
            &[][..],
            "challenge",
            &[
                "sign in",
                "rule 1 (deny, line 7) must turn out not to hold: `groups` (line 7",
                "rule 0 (allow, line 6) needs `domain` (line 6",
            ][..],
        ),
        (&["--email", "kim@corp.test"], "permit", &[]),
        (
            &["--email", "eve@else.test"],
            "deny",
            &["rule 0 (allow, line 6) needs `domain` (line 6, now: eve@else.test)"],
        ),
        (
            &["--email", "bob@corp.test", "--group", "suspended"],
            "deny",
            &["rule 1 (deny, line 7) must not hold: `groups` (line 7, now: [suspended])"],
        ),
    ] {
        let (text, record) = explained(&folder, &[&wiki, who].concat());
        assert_eq!(record["decision"], decision, "{text}");
        assert_eq!(record["route"], "wiki");
        let changes = record["to_pass"].as_array().unwrap();
        assert_eq!(changes.len(), to_pass.len(), "{changes:?}");
        for (change, expected) in changes.iter().zip(to_pass) {
            assert!(change.as_str().unwrap().contains(expected) && text.contains(expected), "{change}");
        }
        assert_eq!(record["rules"].as_array().unwrap().len(), 2);
    }
}

#[test]
fn the_routing_is_the_proxys() {
    let folder = Folder::new();
    for (arguments, route, decision) in [
        (&["--url", "https://wiki.corp.test/admin/x", "--email", "k@corp.test"][..], Some("admin"), "deny"),
        (
            &["--url", "https://wiki.corp.test/admin/x", "--email", "k@corp.test", "--group", "admins"],
            Some("admin"),
            "permit",
        ),
        (&["--url", "wiki.corp.test?q", "--email", "k@corp.test"], Some("wiki"), "permit"),
        (&["--route", "wiki", "--path", "/admin/", "--email", "k@corp.test"], Some("admin"), "deny"),
        (&["--url", "https://open.corp.test"], Some("open"), "permit"),
        (&["--url", "https://wicki.corp.test"], None, "deny"),
        (&["--url", "https://auth.corp.test/"], None, "own"),
        (&["--route", "admin", "--method", "PUT", "--group", "admins"], Some("admin"), "deny"),
    ] {
        let (text, record) = explained(&folder, arguments);
        assert_eq!((record["route"].as_str(), record["decision"].as_str()), (route, Some(decision)), "{text}");
    }
    let (text, _) = explained(&folder, &["--url", "https://wicki.corp.test"]);
    assert!(text.contains("did you mean wiki.corp.test?"), "{text}");
}

#[test]
fn subjects_come_from_files_and_options() {
    let folder = Folder::new();
    folder.file("portcullis.yaml", "routes:\n  - from: https://a.corp.test\n    to: http://10.0.0.7\n    policy: {allow: {and: [{claim/level: 3}, {claim/team: core}]}}\nproviders: {corp: {issuer: https://idp.corp.test, client_id: p}}\nsign_in: {host: auth.corp.test}\n");
    let json = folder.file("kim.json", r#"{"session": {"user_id": "k", "claims": {"level": 3, "team": "core"}}}"#);
    let url = ["--url", "https://a.corp.test"];
    for (who, decision) in [
        (&["--as", json.to_str().unwrap()][..], "permit"),
        (&["--claim", "level:=3", "--claim", "team=core"], "permit"),
        (&["--claim", "level:=3", "--claim", "team=apps", "--claim", "team=core"], "permit"),
        (&["--claim", "level:=2", "--claim", "team=core"], "deny"),
    ] {
        let (text, record) = explained(&folder, &[&url, who].concat());
        assert_eq!(record["decision"], decision, "{text}");
    }
    let site = Site::load(&folder.path("portcullis.yaml")).unwrap();
    let odd = folder.file("odd.yaml", "session:\n  user: k\n");
    for (arguments, expected) in [
        (&["--route", "nope"][..], "there is no route `nope`"),
        (&["--url", "https:///x"], "names no host"),
        (&["--url", "a.test", "--claim", "x"], "is not `name=value`"),
        (&["--url", "a.test", "--header", "x"], "is not `name: value`"),
        (&["--url", "a.test", "--at", "noon"], "is no RFC 3339 time"),
        (&["--url", "a.test", "--as", odd.to_str().unwrap()], "odd.yaml:2:3: unknown key `user`"),
    ] {
        let error = asked(&site, &typed(arguments).unwrap().supposed, NOW).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_request_is_named_by_id_or_supposed_never_both() {
    assert_eq!(typed(&["01HX"]).unwrap().request_id.as_deref(), Some("01HX"));
    for wrong in [
        &[][..],
        &["01HX", "--route", "a"],
        &["--route", "a", "--url", "b"],
        &["--email", "a@b"],
        &["--route", "a", "--as", "f", "--email", "b"],
    ] {
        assert!(typed(wrong).is_err(), "{wrong:?}");
    }
}

#[test]
fn a_shadow_policy_is_explained_beside_the_live_one() {
    let folder = Folder::new();
    let tried = format!("{CONFIG}    shadow_policy: {{allow: {{and: [{{domain: corp.test}}]}}}}\n");
    folder.file("portcullis.yaml", &tried);
    for (who, live, shadow, reason) in [
        (&["--email", "kim@corp.test"][..], "permit", "permit", "domain-ok"),
        (&["--email", "eve@else.test"], "permit", "deny", "domain-unauthorized"),
        (&[], "permit", "challenge", "user-unauthenticated"),
    ] {
        let (text, record) = explained(&folder, &[&["--route", "open"], who].concat());
        assert_eq!((&record["decision"], &record["shadow"]["decision"]), (&json!(live), &json!(shadow)), "{text}");
        assert_eq!(record["shadow"]["reasons"], json!([reason]));
        let line = text.lines().find(|line| line.starts_with("shadow")).unwrap();
        assert!(line.contains(shadow) && line.contains(reason), "{text}");
    }
    let (text, record) = explained(&folder, &["--route", "wiki", "--email", "kim@corp.test"]);
    assert!(record["shadow"].is_null() && !text.contains("shadow"), "{text}");
}
