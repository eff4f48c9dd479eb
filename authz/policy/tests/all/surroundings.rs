//! Requests, certificates, times, records and routes: the facts besides the subject.

use serde_json::{Value, json};

use super::answer;
use super::semantics::{kim, line, outcome};

#[test]
fn requests_are_seen_decoded_and_exactly() {
    let with = |request: Value, criterion: &str, expected: &str| {
        line(&json!({"policy": format!("allow: {{or: [{{{criterion}}}]}}"), "request": request}), expected);
    };
    with(json!({"path": "/a%20b?x=/admin"}), "http_path: /a b", "permit TF http-path-ok");
    with(json!({"path": "/?/admin"}), "http_path: {contains: admin}", "deny FF http-path-unauthorized");
    with(json!({"path": "/wiki", "method": "POST"}), "http_method: {in: [PUT, POST]}", "permit TF http-method-ok");
    with(json!({"client_address": "::ffff:192.0.2.7"}), "source_ip: 192.0.2.0/24", "permit TF source-ip-ok");
    with(
        json!({"client_address": "192.0.2.7"}),
        "source_ip: [10.0.0.0/8, '::ffff:192.0.2.7']",
        "permit TF source-ip-ok",
    );
    with(json!({"client_address": "192.0.2.7"}), "source_ip: 192.0.2.200/24", "permit TF source-ip-ok");
    with(json!({"client_address": "192.0.2.7"}), "source_ip: []", "deny FF source-ip-unauthorized");
    with(json!({}), "source_ip: 0.0.0.0/0", "deny FF source-ip-unauthorized");
    let preflight = |method: &str, origin: &str| json!({"method": method, "headers": {"origin": origin, "Access-Control-Request-Method": "GET"}});
    with(preflight("OPTIONS", "https://a"), "cors_preflight: no", "permit TF cors-request");
    with(preflight("OPTIONS", ""), "cors_preflight: 1", "deny FF non-cors-request");
    with(preflight("GET", "https://a"), "cors_preflight: 1", "deny FF non-cors-request");
    with(json!({"method": "OPTIONS", "headers": {"Origin": "x"}}), "cors_preflight: 1", "deny FF non-cors-request");
}

#[test]
fn certificates_count_by_what_cannot_be_chosen() {
    let pem = include_str!("client.pem");
    let long = "E6:71:99:FA:EB:A0:9B:19:65:98:49:F8:7C:56:A1:23:B4:09:C6:6D:B9:4C:45:C5:CC:B8:7F:4F:A9:96:CC:DB";
    let short = long.replace(':', "").to_lowercase();
    let spki = "zkRTu1+jhNB5BSFOfcz46eI3jtmOVDFIm8mmbHUGmqU=";
    let (ok, bad) = ("permit TF client-certificate-ok", "deny FF client-certificate-unauthorized");
    let with = |valid: bool, matcher: &str| {
        let request = json!({"client_certificate": {"pem": pem, "valid": valid}});
        outcome(&json!({"policy": format!("allow: {{or: [{{client_certificate: {matcher}}}]}}"), "request": request}))
    };
    for (matcher, when_valid, when_not) in [
        (format!("{{fingerprint: '{long}'}}"), ok, ok),
        (format!("{{fingerprint: ['{}', {short}]}}", "0".repeat(64)), ok, ok),
        (format!("{{spki_hash: {spki}}}"), ok, ok),
        (format!("{{fingerprint: {short}, spki_hash: ['{}=']}}", "A".repeat(43)), bad, bad),
        ("{fingerprint: []}".to_owned(), bad, bad),
        ("{}".to_owned(), ok, bad),
        ("{san_dns: {ends_with: .dev.corp.test}}".to_owned(), ok, bad),
        ("{san_dns: {starts_with: laptop, ends_with: other.corp.test}}".to_owned(), bad, bad),
        ("{san_dns: {}}".to_owned(), ok, bad),
        ("{san_email: kim@corp.test, san_uri: {starts_with: 'spiffe://'}}".to_owned(), ok, bad),
        (format!("{{san_dns: other.corp.test, fingerprint: {short}}}"), ok, bad),
        ("{san_email: {not_in: [kim@corp.test]}}".to_owned(), bad, bad),
    ] {
        assert_eq!(with(true, &matcher), when_valid, "valid {matcher}");
        assert_eq!(with(false, &matcher), when_not, "invalid {matcher}");
    }
    line(
        &json!({"policy": "allow: {or: [{client_certificate: {}}]}", "request": {"client_certificate": {"valid": true}}}),
        bad,
    );
    for (certificate, allowed, denied) in [
        (json!({}), "permit TF client-certificate-required", "deny FF client-certificate-required"),
        (json!({"presented": true}), "permit TF invalid-client-certificate", "deny FF invalid-client-certificate"),
        (json!({"pem": pem}), "permit TF invalid-client-certificate", "deny FF invalid-client-certificate"),
        (json!({"valid": true}), "deny FF valid-client-certificate", "permit TF valid-client-certificate"),
    ] {
        let request = json!({"client_certificate": certificate});
        line(&json!({"policy": "allow: {or: [{invalid_client_certificate: 1}]}", "request": request}), allowed);
        line(&json!({"policy": "allow: {not: [{invalid_client_certificate: 1}]}", "request": request}), denied);
    }
}

#[test]
fn time_follows_the_wall_clock_of_its_zone() {
    let at = |now: &str, criterion: &str, expected: bool| {
        let found = outcome(&json!({"policy": format!("allow: {{or: [{{{criterion}}}]}}"), "now": now}));
        assert_eq!(found.starts_with("permit"), expected, "{now} {criterion}: {found}");
    };
    let office = "time_of_day: {timezone: Europe/Berlin, after: 9:00, before: 5 PM}";
    at("2026-01-15T08:00:00Z", office, true);
    at("2026-01-15T07:59:59.999Z", office, false);
    at("2026-07-15T07:00:00Z", office, true);
    at("2026-07-15T15:00:00Z", office, false);
    let night = "time_of_day: {timezone: UTC, after: '22:00', before: '06:00'}";
    for (now, expected) in [
        ("2026-01-15T22:00:00Z", true),
        ("2026-01-15T00:00:00Z", true),
        ("2026-01-15T05:59:59Z", true),
        ("2026-01-15T06:00:00Z", false),
        ("2026-01-15T21:59:59Z", false),
    ] {
        at(now, night, expected);
    }
    // The hour that daylight saving skips: 02:30 of that day does not exist, 03:00 follows 01:59.
    at("2026-03-29T01:00:00Z", "time_of_day: {timezone: Europe/Berlin, after: 2:00, before: 3:00}", false);
    at("2026-01-16T23:30:00Z", "day_of_week: sat", false);
    at("2026-01-16T23:30:00Z", "day_of_week: {is: sat, timezone: Europe/Berlin}", true);
    for (days, expected) in [
        ("fri-mon", true),
        ("mon-fri", true),
        ("sat-thu", false),
        ("'mon, Friday'", true),
        ("'*'", true),
        ("[tue, fri]", true),
    ] {
        at("2026-01-16T12:00:00Z", &format!("day_of_week: {days}"), expected);
    }
    at("2026-01-16T12:00:00Z", "date: {after: 2026-01-16T12:00:00, before: 2026-02-01}", true);
    at("2026-01-16T11:59:59Z", "date: {after: 2026-01-16T12:00:00, before: 2026-02-01}", false);
    at("2026-02-01T00:00:00Z", "date: {after: 2026-01-16T12:00:00, before: 2026-02-01}", false);
    at("2026-01-16T11:30:00Z", "date: {after: 2026-01-16T12:00:00+01:00}", true);
    at("2026-01-16T11:30:00Z", "date: {after: 2026-01-16T12:00:00, timezone: Europe/Berlin}", true);
}

#[test]
fn records_extend_the_facts() {
    let records = json!([{"type": "hr", "id": "u-1", "data": {"country": "DE", "score": 4.5, "teams": ["a"], "x": {"y": 1}}}, {"type": "hr", "id": "u-2", "data": {"country": "US"}}]);
    for (criterion, expected) in [
        ("{type: hr, exists: true}", true),
        ("{type: geo, exists: true}", false),
        ("{type: geo, exists: false}", true),
        ("{type: hr, field: country, is: DE}", true),
        ("{type: hr, id: u-2, field: country, is: DE}", false),
        ("{type: hr, field: score, '>=': 4.5, '<': 5}", true),
        ("{type: hr, field: score, '>': 4.5}", false),
        ("{type: hr, field: teams, has: a}", true),
        ("{type: hr, field: x/y, '=': 1.0}", true),
        ("{type: hr, field: country, in: [US, FR]}", true),
        ("{type: hr, field: country, starts_with: F}", false),
        ("{type: hr, id: u-2, field: missing, exclude: x}", true),
    ] {
        let line = json!({"policy": format!("allow: {{or: [{{record: {criterion}}}]}}"), "records": records});
        let expected = if expected { "permit TF record-ok" } else { "deny FF record-unauthorized" };
        assert_eq!(outcome(&line), expected, "{criterion}");
    }
}

#[test]
fn shorthand_becomes_one_rule_before_the_policy() {
    let route = |text: &str, expected: &str| {
        line(&json!({"route": text, "subject": kim(), "now": "2027-01-15T08:00:00Z"}), expected)
    };
    route("{}", "deny FF ");
    route("allow_public_unauthenticated_access: true", "permit TF accept");
    route("allow_public_unauthenticated_access: false", "deny FF ");
    route("allow_any_authenticated_user: true\nallowed_idp_claims: {plan: x}", "permit TF user-ok");
    route("allowed_users: [u-1]", "permit TF user-ok");
    route("allowed_users: [other, kim@corp.test]", "permit TF email-ok");
    route("allowed_domains: [corp.test]\nallowed_users: ~", "permit TF domain-ok");
    route("allowed_domains: ['@corp.test']", "deny FF domain-unauthorized");
    route("allowed_idp_claims: {deep: {er: {est: [z, x]}}, level: 5}", "permit TF claim-ok");
    route("cors_allow_preflight: true", "deny FF non-cors-request");
    route("allowed_users: [x]\npolicy: {allow: {or: [{claim/plan: paid}]}}", "permit TF claim-ok");
    let found = answer(
        &json!({"route": "policy:\n  - deny: {or: [{reject: 1}]}\ncors_allow_preflight: false\nallowed_users: []\nallowed_domains: [x]\n"}),
    );
    assert_eq!(found["allow"]["rules"], json!([{"index": 0, "line": 5, "value": null}]), "{found}");
    assert_eq!(found["deny"]["rules"], json!([{"index": 1, "line": 2, "value": false}]));
}

#[test]
fn rules_are_counted_in_the_order_of_the_text() {
    let policy = "- deny:\n    or: [{reject: 1}]\n  allow:\n    or: [{accept: 1}]\n-\n  allow: {}\n";
    let found = answer(&json!({"policy": policy}));
    assert_eq!(found["deny"]["rules"], json!([{"index": 0, "line": 1, "value": false}]));
    assert_eq!(
        found["allow"]["rules"],
        json!([{"index": 1, "line": 3, "value": true}, {"index": 2, "line": 6, "value": false}])
    );
}
