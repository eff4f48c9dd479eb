//! `policy diff`.

use super::{CONFIG, Folder, clock};
use crate::policy::diff::Changes;
use crate::policy::site::Site;

const KIM: &str = r#""subject":{"session":{"user_id":"k"},"user":{"email":"kim@corp.test"}}"#;

fn compared(new: &str, records: &str) -> Changes {
    let folder = Folder::new();
    let old = Site::load(&folder.path("portcullis.yaml")).unwrap();
    let new = Site::load(&folder.file("new.yaml", new)).unwrap();
    Changes::between(&old, &new, records.as_bytes(), &clock()).unwrap()
}

fn line(id: &str, host: &str, path: &str, subject: &str) -> String {
    let comma = if subject.is_empty() { "" } else { "," };
    format!("{{\"id\":\"{id}\",\"request\":{{\"host\":\"{host}\",\"path\":\"{path}\"}}{comma}{subject}}}\n")
}

#[test]
fn every_change_has_its_group() {
    let records = [
        line("1", "wiki.corp.test", "/", KIM),
        line("2", "wiki.corp.test", "/", ""),
        line("3", "open.corp.test", "/", ""),
        line("4", "wiki.corp.test", "/docs/a", KIM),
        line("5", "login.corp.test", "/", ""),
    ]
    .concat();
    for (right, other, changes) in [
        ("", "", &[][..]),
        ("domain: corp.test", "domain: else.test", &[("newly_denied", "wiki", 2)]),
        ("policy: staff", "allow_public_unauthenticated_access: true", &[("newly_allowed", "wiki", 1)]),
        (
            "name: open\n    from: https://open.corp.test\n    to: http://10.0.0.7\n    allow_public_unauthenticated_access: true",
            "name: open\n    from: https://open.corp.test\n    to: http://10.0.0.7\n    policy: staff",
            &[("now_challenged", "open", 1)],
        ),
        ("prefix: /admin/", "prefix: /docs/", &[("newly_denied", "admin", 1)]),
        ("name: wiki", "name: handbook", &[("other_route", "handbook", 2), ("other_route", "handbook", 1)]),
        ("host: auth.corp.test", "host: login.corp.test", &[("now_own", "", 1)]),
    ] {
        let new = CONFIG.replacen(right, other, 1);
        let found = compared(&new, &records);
        let json = found.json();
        let groups: Vec<_> = json["groups"].as_array().unwrap().iter().collect();
        let mut seen: Vec<_> = groups
            .iter()
            .map(|group| {
                (
                    group["change"].as_str().unwrap(),
                    group["route"].as_str().unwrap_or(""),
                    group["count"].as_i64().unwrap(),
                )
            })
            .collect();
        seen.sort_by_key(|(_, _, count)| std::cmp::Reverse(*count));
        assert_eq!(seen, changes, "{other}\n{}", found.text());
        assert_eq!(json["requests"], 5);
        assert_eq!(found.status(), u8::from(!changes.is_empty()));
    }
}

#[test]
fn a_group_shows_five_examples_and_counts_the_rest() {
    let records: String = (0..8).map(|number| line(&number.to_string(), "wiki.corp.test", "/", KIM)).collect();
    let found = compared(&CONFIG.replace("domain: corp.test", "domain: else.test"), &records);
    let text = found.text();
    assert!(text.starts_with("newly denied: wiki: domain-unauthorized  (8)\n  0: GET wiki.corp.test/ as kim@corp.test: permit (wiki) -> deny (wiki)\n"), "{text}");
    assert!(text.contains("  4: GET") && !text.contains("  5: GET") && text.contains("  and 3 more\n"), "{text}");
    assert!(text.ends_with("requests: 8, answered otherwise: 8"), "{text}");
}

#[test]
fn a_line_that_is_no_request_is_named_and_the_others_are_compared() {
    let long = format!("{{\"id\":\"{}\"}}\n", "x".repeat(1 << 20));
    let records =
        ["nonsense\n", "\n", "{\"id\":\"a\"}\n", "{\"reqest\":{}}\n", &long, &line("5", "wiki.corp.test", "/", KIM)]
            .concat();
    let found = compared(CONFIG, records.trim_end());
    assert_eq!((found.requests, found.count(), found.status()), (1, 0, 2));
    let expected =
        ["line 1: ", "line 3: request.host is needed", "line 4: unknown field `reqest`", "line 5: is longer than"];
    assert_eq!(found.broken.len(), expected.len(), "{:?}", found.broken);
    for (broken, expected) in found.broken.iter().zip(expected) {
        assert!(broken.starts_with(expected), "{broken}");
    }
}

#[test]
fn what_a_body_may_call_is_judged_as_it_was_recorded() {
    let new = CONFIG.replacen(
        "policy: staff",
        "policy: [{allow: {and: [{domain: corp.test}]}}, {deny: {or: [{mcp_tool: {is: drop}}]}}]",
        1,
    );
    let recorded =
        |request: &str| format!("{{\"request\":{{\"host\":\"wiki.corp.test\",\"path\":\"/\"{request}}},{KIM}}}\n");
    for (request, denied) in [
        ("", 0),
        (r#","mcp_tool":"none""#, 0),
        (r#","method":"DELETE","mcp_tool":"none""#, 0),
        // Over HTTP/2 a GET may go on without a header that says so: only the record knows.
        (r#","mcp_tool":"unread""#, 1),
        (r#","headers":{"content-length":"5"}"#, 1),
        (r#","method":"POST""#, 1),
        // A method that brings bodies is as little known as it was, whatever is written.
        (r#","method":"POST","mcp_tool":"none""#, 1),
    ] {
        let found = compared(&new, &recorded(request));
        assert_eq!((found.count(), found.status()), (denied, u8::from(denied > 0)), "{request}\n{}", found.text());
    }
    let broken = compared(&new, &recorded(r#","mcp_tool":"drop""#));
    assert!(broken.status() == 2 && broken.broken[0].contains("`none` or `unread`"), "{:?}", broken.broken);
}
