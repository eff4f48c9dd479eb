//! What is refused, with its place.

use serde_json::json;

use super::answer;

/// A policy in flow style on one line: the message and the column.
fn check(policy: &str, message: &str, column: u64) {
    at(policy, message, 1, column);
}

fn at(policy: &str, message: &str, line: u64, column: u64) {
    let found = answer(&json!({"id": "x", "policy": policy}));
    let error = &found["error"];
    assert_eq!(
        (error["message"].as_str(), error["line"].as_u64(), error["column"].as_u64()),
        (Some(message), Some(line), Some(column)),
        "{policy}: {found}"
    );
    let nothing = ["decision", "challenge", "allow", "deny", "reasons"].map(|key| found[key].is_null());
    assert_eq!((&found["id"], nothing), (&json!("x"), [true; 5]));
}

fn criterion(criterion: &str, message: &str, column: u64) {
    check(&format!("allow: {{or: [{{{criterion}}}]}}"), message, column + 13);
}

#[test]
fn shapes_are_checked() {
    check("5", "a policy is a rule or a list of rules, not a number", 1);
    check("~", "a policy is a rule or a list of rules, not nothing", 1);
    check("[5]", "a rule is a mapping of `allow` and `deny`, not a number", 2);
    check("[[]]", "a rule is a mapping of `allow` and `deny`, not a list", 2);
    check("staff", "unknown policy `staff`", 1);
    check("{alow: {}}", "unknown action `alow`, did you mean `allow`?", 2);
    check("{allow: []}", "`allow` is a mapping of `and`, `or`, `not` and `nor`, not a list", 9);
    check("{allow: ~}", "`allow` is a mapping of `and`, `or`, `not` and `nor`, not nothing", 9);
    check("{allow: {nand: []}}", "unknown operator `nand`, did you mean `and`?", 10);
    check("{allow: {And: []}}", "unknown operator `And`, did you mean `and`?", 10);
    check("{allow: {and: {accept: 1}}}", "`and` takes a list of criteria, not a mapping", 15);
    check("{allow: {and: ~}}", "`and` takes a list of criteria, not nothing", 15);
    check("{allow: {and: [accept]}}", "a criterion is a mapping with one key, not a string", 16);
    check("{allow: {and: [{}]}}", "a criterion has exactly one key, this one has none", 16);
    check("{allow: {and: [{accept: 1, reject: 1}]}}", "a criterion has exactly one key, `reject` is another", 28);
    at("allow:\n  or:\n    - accept: 1\n  or: []\n", "duplicate key `or`", 4, 3);
    at("a: 1\n---\nb: 1", "a second document; only one is read", 2, 1);
}

#[test]
fn criteria_matchers_and_values_are_checked() {
    criterion("Email: x", "unknown criterion `Email`, did you mean `email`?", 2);
    criterion("group: x", "unknown criterion `group`, did you mean `groups`?", 2);
    criterion("weather: sunny", "unknown criterion `weather`", 2);
    criterion("ssh_publickey: x", "criterion `ssh_publickey` is about SSH, which is not served here", 2);
    criterion(
        "pomerium_routes: 1",
        "criterion `pomerium_routes` does not exist: the proxy's own paths protect themselves",
        2,
    );
    criterion("email: {iss: x}", "unknown matcher `iss`, did you mean `is`?", 10);
    criterion("email: {has: x}", "unknown matcher `has`", 10);
    criterion("groups: {in: [x]}", "unknown matcher `in`, did you mean `is`?", 11);
    criterion("email: {in: x}", "`in` takes a list of strings, not a string", 14);
    criterion("email: {not_in: {a: 1}}", "`not_in` takes a list of strings, not a mapping", 18);
    criterion("email: {contains: 5}", "`contains` takes a string, not a number", 20);
    criterion("email: {starts_with: [x]}", "`starts_with` takes a string, not a list", 23);
    criterion("email: {ends_with: ~}", "`ends_with` takes a string, not nothing", 21);
    criterion("domain: 5", "expected a string, not a number", 10);
    criterion("domain: {not: true}", "expected a string, not a boolean", 16);
    criterion("domain: {in: [a, 5]}", "expected a string, not a number", 19);
    criterion("device: x", "`device` takes a mapping of `is`, `type` and `approved`, not a string", 10);
    criterion("device: {approved: yes}", "`approved` takes `true` or `false`, not a string", 21);
    criterion("device: {id: x}", "unknown field `id`, did you mean `is`?", 11);
    criterion("source_ip: 10.0.0.300", "`10.0.0.300` is no IP address and no CIDR", 13);
    criterion("source_ip: [10.0.0.0/8, 010.0.0.1]", "`010.0.0.1` is no IP address and no CIDR", 26);
    criterion("source_ip: 'fe80::1%eth0'", "`fe80::1%eth0` is no IP address and no CIDR", 13);
    criterion("source_ip: 5", "`source_ip` takes an address, a CIDR or a list of them, not a number", 13);
    criterion(
        "client_certificate: x",
        "`client_certificate` takes a mapping of `fingerprint`, `spki_hash`, `san_dns`, `san_email` and `san_uri`, not a string",
        22,
    );
    criterion("client_certificate: {sandns: x}", "unknown field `sandns`, did you mean `san_dns`?", 23);
    criterion("client_certificate: {fingerprint: ab}", "`ab` is no SHA-256 fingerprint", 36);
    criterion("client_certificate: {spki_hash: [x]}", "`x` is no base64 of a SHA-256 hash", 35);
    criterion("time_of_day: {after: '9:00'}", "`time_of_day` needs a `timezone`", 2);
    criterion("time_of_day: {timezone: Mars/Olympus}", "unknown time zone `Mars/Olympus`", 26);
    criterion("time_of_day: {timezone: UTC, after: noon}", "`noon` is no time of day", 38);
    criterion("day_of_week: funday", "unknown day `funday`, did you mean `sunday`?", 15);
    criterion("date: {after: tomorrow}", "`tomorrow` is no date", 16);
    criterion("record: {exists: true}", "`record` needs a `type`", 2);
    criterion("record: {type: a, is: x}", "`record` needs a `field` to compare", 2);
    criterion("record: {type: a, field: x}", "`record` needs a matcher for its `field`", 2);
    for fingerprint in ["A".repeat(64), "ab:".repeat(31) + "ab", "a".repeat(63)] {
        let policy = format!("allow: {{or: [{{client_certificate: {{fingerprint: '{fingerprint}'}}}}]}}");
        assert!(answer(&json!({"policy": policy}))["error"]["column"].as_u64().is_some(), "{fingerprint}");
    }
}

#[test]
fn an_empty_text_has_no_place() {
    for (field, text) in [("policy", ""), ("route", ""), ("policy", "# only a comment\n")] {
        let error = answer(&json!({field: text}))["error"].clone();
        assert_eq!(error, json!({"message": "the text is empty", "line": null, "column": null}));
    }
}

#[test]
fn routes_are_checked() {
    for (route, message, line, column) in [
        ("[]", "a route is a mapping, not a list", 1, 1),
        ("allow_users: [x]", "unknown field `allow_users`, did you mean `allowed_users`?", 1, 1),
        ("allowed_users: x", "`allowed_users` takes a list of strings, not a string", 1, 16),
        ("allowed_domains: [x, 5]", "`allowed_domains` takes a list of strings, not a number", 1, 22),
        (
            "allow_any_authenticated_user: yes",
            "`allow_any_authenticated_user` takes `true` or `false`, not a string",
            1,
            31,
        ),
        ("allowed_idp_claims: [x]", "`allowed_idp_claims` maps claims to values, not a list", 1, 21),
        (
            "allow_public_unauthenticated_access: true\nallowed_users: [x]",
            "`allow_public_unauthenticated_access` and `allowed_users` contradict each other",
            2,
            1,
        ),
        (
            "allowed_domains: [x]\nallow_public_unauthenticated_access: true",
            "`allow_public_unauthenticated_access` and `allowed_domains` contradict each other",
            2,
            1,
        ),
        (
            "allow_public_unauthenticated_access: true\nallow_any_authenticated_user: true",
            "`allow_public_unauthenticated_access` and `allow_any_authenticated_user` contradict each other",
            2,
            1,
        ),
        (
            "allow_any_authenticated_user: true\nallowed_users: [x]",
            "`allow_any_authenticated_user` and `allowed_users` contradict each other",
            2,
            1,
        ),
        ("policy: 5", "a policy is a rule or a list of rules, not a number", 1, 9),
    ] {
        let error = answer(&json!({"route": route}))["error"].clone();
        assert_eq!(error, json!({"message": message, "line": line, "column": column}), "{route}");
    }
    for allowed in [
        "allow_public_unauthenticated_access: true\nallowed_idp_claims: {a: [b]}\ncors_allow_preflight: true",
        "allow_public_unauthenticated_access: false\nallowed_users: [x]",
        "allow_any_authenticated_user: false\nallowed_domains: [x]",
        "allow_any_authenticated_user: true\nallowed_users: ~",
        "policy: ~",
    ] {
        assert!(answer(&json!({"route": allowed}))["error"].is_null(), "{allowed}");
    }
}
