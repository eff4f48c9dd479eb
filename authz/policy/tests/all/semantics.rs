//! The language, sentence by sentence. A case is a policy, the rest of the line, and what must come out:
//! effect (`permit`, `deny`, `challenge`), the values of allow and deny (`T`, `F`, `U`), the reasons.

use serde_json::{Value, json};

use super::answer;

/// A person with everything a policy may ask for.
pub(crate) fn kim() -> Value {
    json!({
        "session": {"id": "s-1", "user_id": "u-1", "expires_at": "2027-06-01T00:00:00Z", "claims": {
            "plan": "trial", "level": 5, "big": 9007199254740993_u64, "none": null, "flag": true, "teams": ["a", "b"],
            "deep": {"er": {"est": ["x"]}}, "a/b": "slash", "a": {"b": "dot", "c": "dot-c"}, "nested": [["a"], {"k": 1}], "empty": []
        }},
        "user": {"email": "kim@corp.test", "name": "Kim", "claims": {"plan": "paid", "extra": ["y"]}},
        "directory": {"groups": [{"id": "g-1", "name": "ops"}, {"id": "g-2"}]},
        "devices": [{"type": "any", "id": "d-1"}, {"type": "enclave_only", "id": "d-2", "state": "approved"},
            {"type": "old", "id": "d-3", "state": "registered"}, {"type": "gone", "state": "enrolled"}, {"type": "lost", "id": "d-4", "state": "unknown"}]
    })
}

pub(crate) fn outcome(line: &Value) -> String {
    let found = answer(line);
    if let Some(error) = found["error"]["message"].as_str() {
        return format!("error: {error}");
    }
    let letter = |value: &Value| match value.as_bool() {
        Some(true) => "T",
        Some(false) => "F",
        None => "U",
    };
    let effect = if found["challenge"] == true { "challenge" } else { found["decision"].as_str().unwrap() };
    let reasons: Vec<_> = found["reasons"].as_array().unwrap().iter().map(|reason| reason.as_str().unwrap()).collect();
    format!("{effect} {}{} {}", letter(&found["allow"]["value"]), letter(&found["deny"]["value"]), reasons.join(","))
}

/// Checks a policy with Kim signed in.
fn check(policy: &str, expected: &str) {
    let line = json!({"policy": policy, "subject": kim(), "now": "2027-01-15T08:00:00Z"});
    assert_eq!(outcome(&line), expected, "{policy}");
}

/// Checks one criterion under `allow: {or: […]}` with Kim signed in: whether it holds.
fn holds(criterion: &str, expected: bool) {
    let line =
        json!({"policy": format!("allow: {{or: [{{{criterion}}}]}}"), "subject": kim(), "now": "2027-01-15T08:00:00Z"});
    let outcome = outcome(&line);
    assert_eq!(outcome.split(' ').nth(1), Some(if expected { "TF" } else { "FF" }), "{criterion}: {outcome}");
}

/// Checks a whole line.
pub(crate) fn line(line: &Value, expected: &str) {
    assert_eq!(outcome(line), expected, "{line}");
}

#[test]
fn operators_follow_kleene() {
    // true: accept; false: reject; unknown: a device without an enrolment.
    let u = "device: {type: none}";
    let (t, f) = ("accept: 1", "reject: 1");
    let values = [("T", t), ("F", f), ("U", u)];
    let and = |a: &str, b: &str| {
        if a == "F" || b == "F" {
            "F"
        } else if a == "U" || b == "U" {
            "U"
        } else {
            "T"
        }
    };
    let invert = |a: &str| match a {
        "T" => "F",
        "F" => "T",
        _ => "U",
    };
    for (x, first) in values {
        for (y, second) in values {
            let or = invert(and(invert(x), invert(y)));
            for (operator, expected) in
                [("and", and(x, y)), ("or", or), ("not", and(invert(x), invert(y))), ("nor", invert(and(x, y)))]
            {
                let policy = format!("allow: {{{operator}: [{{{first}}}, {{{second}}}]}}");
                let found = answer(&json!({"policy": policy, "subject": kim()}));
                let value = match found["allow"]["value"].as_bool() {
                    Some(true) => "T",
                    Some(false) => "F",
                    None => "U",
                };
                assert_eq!(value, expected, "{policy}");
            }
        }
    }
}

#[test]
fn rules_and_operators_are_or_ed_and_deny_wins() {
    check("[]", "deny FF ");
    check("{}", "deny FF ");
    check("allow: {}", "deny FF ");
    check("allow: {and: []}", "deny FF ");
    check("allow: {and: [], or: [{accept: 1}]}", "permit TF accept");
    check("allow: {not: [{accept: 1}], or: [{accept: 1}]}", "permit TF accept");
    check("- allow: {or: [{reject: 1}]}\n- allow: {or: [{accept: 1}]}", "permit TF accept");
    check("- allow: {or: [{accept: 1}]}\n- deny: {or: [{accept: 1}]}", "deny TT accept");
    check("deny: {or: [{reject: 1}]}", "deny FF ");
    check("allow: {or: [{accept: 1}], and: [{reject: 1}]}\ndeny: {and: []}", "permit TF accept");
    check("- {allow: {or: [{accept: ~}]}, deny: {or: [{user: other}]}}", "permit TF accept");
    check("allow: {action: allow, or: [{accept: 1}]}", "permit TF accept");
}

#[test]
fn reasons_are_those_of_the_members_that_share_the_value() {
    check(
        "allow: {and: [{email: kim@corp.test}, {user: x}, {claim/plan: x}, {accept: 1}]}",
        "deny FF claim-unauthorized,user-unauthorized",
    );
    check("allow: {or: [{email: kim@corp.test}, {user: u-1}, {reject: 1}]}", "permit TF email-ok,user-ok");
    check("allow: {not: [{user: x}, {reject: 1}]}", "permit TF reject,user-unauthorized");
    check("allow: {nor: [{accept: 1}, {reject: 1}]}", "permit TF reject");
    check("allow: {or: [{accept: 1}]}\ndeny: {or: [{device: {}}, {device: {type: none}}]}", "deny TT device-ok");
    check(
        "allow: {or: [{accept: 1}]}\ndeny: {or: [{device: {type: none}}, {reject: 1}]}",
        "challenge TU accept,device-unauthenticated",
    );
    check("allow: {or: [{reject: 1}]}\ndeny: {or: [{device: {type: none}}]}", "deny FU device-unauthenticated,reject");
    check("allow: {or: [{device: {type: none}}, {reject: 1}]}", "challenge UF device-unauthenticated");
    check("- allow: {or: [{reject: 1}]}\n- allow: {or: [{user: x}]}\n- allow: {}", "deny FF reject,user-unauthorized");
}

#[test]
fn without_a_subject_what_is_about_it_is_unknown() {
    for criterion in [
        "authenticated_user: 1",
        "user: {}",
        "email: {not: x}",
        "domain: x",
        "claim/a: {exclude: x}",
        "groups: {exclude: x}",
        "device: {}",
    ] {
        line(&json!({"policy": format!("allow: {{or: [{{{criterion}}}]}}")}), "challenge UF user-unauthenticated");
        line(
            &json!({"policy": format!("allow: {{not: [{{{criterion}}}]}}"), "subject": null}),
            "challenge UF user-unauthenticated",
        );
        let denied = format!("allow: {{or: [{{accept: 1}}]}}\ndeny: {{or: [{{{criterion}}}]}}");
        line(&json!({"policy": denied}), "challenge TU accept,user-unauthenticated");
    }
    line(&json!({"policy": "allow: {and: [{domain: x}, {http_method: POST}]}"}), "deny FF http-method-unauthorized");
    line(&json!({"policy": "allow: {or: [{domain: x}]}\ndeny: {or: [{http_method: GET}]}"}), "deny UT http-method-ok");
}

#[test]
fn strings_match_with_type_and_case() {
    for (criterion, expected) in [
        ("email: kim@corp.test", true),
        ("email: Kim@corp.test", false),
        ("email: {is: kim@corp.test}", true),
        ("email: {not: x}", true),
        ("email: {not: kim@corp.test}", false),
        ("email: {contains: '@corp'}", true),
        ("email: {contains: ''}", true),
        ("email: {starts_with: kim, ends_with: test}", true),
        ("email: {starts_with: kim, ends_with: tes}", false),
        ("email: {in: [a, kim@corp.test]}", true),
        ("email: {in: []}", false),
        ("email: {not_in: []}", true),
        ("email: {not_in: [kim@corp.test]}", false),
        ("email: {not_in: [5]}", true),
        ("email: {}", true),
        ("email: 5", false),
        ("email: ", false),
        ("email: true", false),
        ("email: {not: 5}", true),
        ("email: {is: [kim@corp.test]}", false),
        ("email: [kim@corp.test]", false),
        ("user: u-1", true),
        ("user: {}", true),
        ("user: U-1", false),
        ("domain: corp.test", true),
        ("domain: CORP.test", false),
        ("domain: {ends_with: .test}", true),
        ("domain: {}", true),
        ("domain: {not_in: [other.test]}", true),
        ("email/ignored: kim@corp.test", true),
        ("http_method: GET", true),
        ("http_method: get", false),
        ("http_method: {not_in: [POST]}", true),
        ("http_path: /", true),
        ("http_path: {starts_with: /}", true),
        ("mcp_tool: {}", false),
        ("mcp_tool: {not: x}", false),
        ("authenticated_user: false", true),
    ] {
        holds(criterion, expected);
    }
}

#[test]
fn lists_match_with_type_and_size() {
    for (criterion, expected) in [
        ("claim/teams: a", true),
        ("claim/teams: c", false),
        ("claim/teams: {is: a}", false),
        ("claim/plan: {is: paid}", true),
        ("claim/teams: {has: a, exclude: c}", true),
        ("claim/teams: {exclude: a}", false),
        ("claim/teams: {}", true),
        ("claim/missing: {}", true),
        ("claim/missing: {exclude: a}", true),
        ("claim/missing: {has: a}", false),
        ("claim/missing: ", false),
        ("claim/plan: trial", false),
        ("claim/extra: y", true),
        ("claim/level: 5", true),
        ("claim/level: 5.0", true),
        ("claim/level: 0x5", true),
        ("claim/level: '5'", false),
        ("claim/level: 5e0", true),
        ("claim/big: 9007199254740993", true),
        ("claim/big: 9007199254740992", false),
        ("claim/none: null", true),
        ("claim/none: ~", true),
        ("claim/none: 'null'", false),
        ("claim/flag: true", true),
        ("claim/flag: yes", false),
        ("claim/flag: 'true'", false),
        ("claim/deep.er.est: x", true),
        ("claim/deep/er/est: x", true),
        ("claim/deep/er.est: x", true),
        ("claim/deep: {exclude: x}", true),
        ("claim/a/b: slash", true),
        ("claim/a/b: dot", false),
        ("claim/a.b: dot", true),
        ("claim/a/c: dot-c", true),
        ("claim/nested: [a]", true),
        ("claim/nested: {has: {k: 1.0}}", true),
        ("claim/nested: a", false),
        ("claim/teams: [a, b]", false),
        ("claim/empty: {is: a}", false),
        ("claim/empty: {exclude: a}", true),
        ("claim: x", false),
        ("claim/Plan: paid", false),
        ("groups: g-1", true),
        ("groups: ops", false),
        ("groups: {has: g-2, exclude: g-3}", true),
        ("groups: {is: g-1}", false),
        ("groups: {exclude: g-1}", false),
        ("groups: {}", true),
        ("groups: 5", false),
        ("groups: {exclude: 5}", true),
    ] {
        holds(criterion, expected);
    }
}

#[test]
fn addresses_fall_back_and_read_as_empty() {
    let with = |user: Value, directory: Value, criterion: &str| {
        let subject = json!({"session": {"user_id": "u"}, "user": user, "directory": directory});
        outcome(&json!({"policy": format!("allow: {{or: [{{{criterion}}}]}}"), "subject": subject}))
    };
    let (ok, bad) = ("permit TF email-ok", "deny FF email-unauthorized");
    assert_eq!(with(json!({"email": "u@a.test"}), json!({"email": "d@b.test"}), "email: d@b.test"), ok);
    assert_eq!(with(json!({"email": "u@a.test"}), json!({"email": ""}), "email: u@a.test"), ok);
    assert_eq!(with(json!({"email": "u@a.test"}), json!({}), "email: u@a.test"), ok);
    assert_eq!(with(Value::Null, Value::Null, "email: {is: ''}"), ok);
    assert_eq!(with(Value::Null, Value::Null, "email: {not: x}"), ok);
    assert_eq!(with(Value::Null, Value::Null, "email: {contains: x}"), bad);
    assert_eq!(with(Value::Null, Value::Null, "domain: {}"), "deny FF domain-unauthorized");
    assert_eq!(with(Value::Null, Value::Null, "domain: {not: x}"), "deny FF domain-unauthorized");
    assert_eq!(with(json!({"email": "a@b@c.test"}), Value::Null, "domain: c.test"), "permit TF domain-ok");
    assert_eq!(with(json!({"email": "a@"}), Value::Null, "domain: {is: ''}"), "permit TF domain-ok");
    assert_eq!(with(json!({"email": "a@xc.test"}), Value::Null, "domain: c.test"), "deny FF domain-unauthorized");
    assert_eq!(with(json!({"email": "a@b@c.test"}), Value::Null, "domain: b@c.test"), "deny FF domain-unauthorized");
    assert_eq!(with(json!({"email": "c.test"}), Value::Null, "domain: c.test"), "deny FF domain-unauthorized");
    assert_eq!(with(Value::Null, Value::Null, "groups: {exclude: x}"), "deny FF groups-unauthorized");
    assert_eq!(with(Value::Null, json!({}), "groups: {exclude: x}"), "permit TF groups-ok");
}

#[test]
fn a_subject_without_a_user_id_is_known_and_nobody() {
    let subject = json!({"session": {"id": "s"}});
    for (criterion, expected) in [
        ("authenticated_user: 1", "deny FF user-unauthenticated"),
        ("user: {}", "deny FF user-unauthorized"),
        ("user: {not: x}", "deny FF user-unauthorized"),
        ("claim/x: {}", "permit TF claim-ok"),
    ] {
        line(&json!({"policy": format!("allow: {{or: [{{{criterion}}}]}}"), "subject": subject}), expected);
    }
}

#[test]
fn sessions_expire_and_impersonate_one_level() {
    let policy = "allow: {or: [{user: other}]}";
    let own = |expires: &str| json!({"user_id": "me", "expires_at": expires});
    let (dead, alive, now) = ("2026-01-01T00:00:00Z", "2028-01-01T00:00:00+02:00", "2027-01-15T08:00:00.5Z");
    let at = |subject: Value| json!({"policy": policy, "now": now, "subject": subject});
    let other = |expires: &str| json!({"session": {"user_id": "other", "expires_at": expires}});
    line(&at(json!({"session": own(alive)})), "deny FF user-unauthorized");
    line(&at(json!({"session": own(dead)})), "challenge UF user-unauthenticated");
    line(&at(json!({"session": own("2027-01-15T08:00:00.5Z")})), "challenge UF user-unauthenticated");
    line(&at(json!({"session": own("2027-01-15T08:00:00.500001Z")})), "deny FF user-unauthorized");
    line(&at(json!({"service_account": own(dead)})), "challenge UF user-unauthenticated");
    line(&at(json!({"service_account": {"user_id": "other"}})), "permit TF user-ok");
    line(&at(json!({"session": own(alive), "impersonates": other(alive)})), "permit TF user-ok");
    line(&at(json!({"session": own(dead), "impersonates": other(alive)})), "challenge UF user-unauthenticated");
    line(&at(json!({"session": own(alive), "impersonates": other(dead)})), "challenge UF user-unauthenticated");
    let mut twice = other(alive);
    twice["impersonates"] = json!({"session": {"user_id": "third"}});
    line(&at(json!({"session": own(alive), "impersonates": twice})), "permit TF user-ok");
    let mut known = json!({"session": own(alive), "user": {"email": "me@a.test"}, "impersonates": other(alive)});
    known["impersonates"]["user"] = json!({"email": "other@a.test"});
    line(
        &json!({"policy": "allow: {or: [{email: other@a.test}]}", "now": now, "subject": known}),
        "permit TF email-ok",
    );
}

#[test]
fn devices_count_when_enrolled() {
    for (criterion, expected) in [
        ("{}", "permit TF device-ok"),
        ("{type: any}", "permit TF device-ok"),
        ("{is: d-1}", "permit TF device-ok"),
        ("{is: d-2}", "deny FF device-unauthorized"),
        ("{is: d-2, type: enclave_only}", "permit TF device-ok"),
        ("{approved: true}", "deny FF device-unauthorized"),
        ("{approved: false}", "permit TF device-ok"),
        ("{type: enclave_only, approved: true}", "permit TF device-ok"),
        ("{type: enclave_only, approved: false}", "deny FF device-unauthorized"),
        ("{type: old}", "challenge UF device-unauthenticated"),
        ("{type: gone}", "challenge UF device-unauthenticated"),
        ("{type: lost}", "challenge UF device-unauthenticated"),
        ("{type: none}", "challenge UF device-unauthenticated"),
    ] {
        check(&format!("allow: {{or: [{{device: {criterion}}}]}}"), expected);
    }
    let machine = json!({"service_account": {"user_id": "m"}, "devices": [{"type": "any", "id": "d"}]});
    line(&json!({"policy": "allow: {or: [{device: {}}]}", "subject": machine}), "challenge UF device-unauthenticated");
}
