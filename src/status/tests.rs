//! The words of `status` and its exit status.

use serde_json::json;

use super::*;

fn good() -> Value {
    json!({
        "version": "0.1.0", "process": 7, "stage": "ready", "degraded": [], "keys": ["0a0b0c", "010203"],
        "configuration": {"generation": "abc", "since": 0, "last_error": null, "restart_for": []},
        "replica": {"following": true, "version": 3, "sessions": 2, "bytes": 99, "silent_for_ms": 5, "stale": false,
            "records": {"following": true, "known": true, "count": 4, "version": 3, "silent_for_ms": 7}},
        "providers": [{"name": "corp", "state": "reachable", "since": 0}],
        "certificates": [{"name": "tls.pem", "not_after": 86_400}],
    })
}

#[test]
fn a_healthy_process_is_well() {
    assert!(is_well(&good()));
    let text = text(&good());
    assert!(text.contains("generation    abc since 1970-01-01T00:00:00Z"), "{text}");
    assert!(text.contains("keys          0a0b0c, 010203"), "{text}");
    assert!(text.contains("following, version 3, 2 sessions"), "{text}");
    assert!(text.contains("records       known, 4 held, last word 7 ms ago"), "{text}");
}

#[test]
fn unhealthy_upstreams_are_named() {
    let mut status = good();
    status["unhealthy_upstreams"] = json!([{"upstream": "http://app:80", "address": "10.0.0.8:80", "cause": "answer"}]);
    assert!(text(&status).contains("unhealthy     http://app:80 at 10.0.0.8:80: answer"), "{}", text(&status));
    // Others of the route serve: nothing an operator's script has to fail for.
    assert!(is_well(&status));
}

#[test]
fn a_refused_file_a_degradation_or_draining_is_not_well() {
    for (pointer, value) in [
        ("/configuration/last_error", json!("portcullis.yaml:3:1: unknown key")),
        ("/degraded", json!(["provider corp: does not answer"])),
        ("/stage", json!("draining")),
    ] {
        let mut status = good();
        *status.pointer_mut(pointer).unwrap() = value;
        assert!(!is_well(&status), "{pointer}");
    }
    let mut refused = good();
    *refused.pointer_mut("/configuration/last_error").unwrap() = json!("portcullis.yaml:3:1: unknown key");
    assert!(text(&refused).contains("portcullis.yaml:3:1"));
}

#[test]
fn what_a_program_has_is_told_from_what_it_was_made_of() {
    let session = |name: &str, parent: Value, host: Value| json!({ "session": name, "user": "kim", "provider": "corp", "last_used": 0, "expires_at": 9, "parent": parent, "host": host });
    let null = || json!(null);
    let list = [
        session("aa11", null(), null()),
        session("bb22", json!("aa11"), json!("wiki.corp.test")),
        session("cc33", json!("aa11"), null()),
    ];
    let text = sessions(&json!(list));
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].ends_with("made of           for"), "{text}");
    assert!(lines[1].starts_with("aa11") && lines[1].ends_with('Z'), "{text}");
    assert!(lines[2].starts_with("bb22") && lines[2].ends_with("aa11              wiki.corp.test"), "{text}");
    assert!(lines[3].starts_with("cc33") && lines[3].ends_with("aa11"), "{text}");
}
