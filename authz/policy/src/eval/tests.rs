use portcullis_identity::{ManualClock, Timestamp};

use super::{MAX_LINE_BYTES, Outcome, run};

fn eval(input: &str) -> (String, Outcome) {
    let mut output = Vec::new();
    let clock = ManualClock::at(Timestamp::from_unix_seconds(1_800_000_000));
    let outcome = run(input.as_bytes(), &mut output, &clock).unwrap();
    (String::from_utf8(output).unwrap(), outcome)
}

/// The examples of the specification, byte for byte.
#[test]
fn the_examples_of_the_specification_hold() {
    let lines = include_str!("examples.jsonl");
    let (input, expected): (Vec<_>, Vec<_>) = lines.lines().partition(|line| !line.contains("\"error\":"));
    let (output, outcome) = eval(&input.join("\n"));
    assert_eq!(output, expected.join("\n") + "\n");
    assert_eq!((input.len(), outcome), (3, Outcome::Complete));
}

#[test]
fn a_line_that_is_no_case_is_answered_and_the_run_goes_on() {
    let good = r#"{"id":"g","policy":"allow: {or: [{accept: 1}]}"}"#;
    for (bad, id, word) in [
        ("nonsense", "", "expected"),
        ("[]", "", "invalid"),
        ("", "", "EOF"),
        (r#"{"id":"b","policy":"[]","polcy":"x"}"#, "b", "unknown field `polcy`"),
        (r#"{"id":"b","policy":5}"#, "b", "invalid type"),
        (r#"{"id":7,"policy":"[]"}"#, "", "invalid type"),
        (r#"{"id":"b"}"#, "b", "one of `policy` and `route` is needed"),
        (r#"{"id":"b","policy":"[]","route":"{}"}"#, "b", "exclude each other"),
        (r#"{"id":"b","policy":"[]","now":"today"}"#, "b", "now: `today` is no RFC 3339 time"),
        (r#"{"id":"b","policy":"[]","now":"2026-01-01 00:00"}"#, "b", "RFC 3339"),
        (r#"{"id":"b","policy":"[]","subject":{}}"#, "b", "one of `session` and `service_account` is needed"),
        (r#"{"id":"b","policy":"[]","subject":{"session":{},"service_account":{}}}"#, "b", "exclude each other"),
        (r#"{"id":"b","policy":"[]","subject":{"session":{"claims":[]}}}"#, "b", "claims"),
        (r#"{"id":"b","policy":"[]","subject":{"session":{"expires_at":"x"}}}"#, "b", "RFC 3339"),
        (r#"{"id":"b","policy":"[]","subject":{"session":{},"devices":[{"state":"lost"}]}}"#, "b", "unknown variant"),
        (r#"{"id":"b","policy":"[]","request":{"client_address":"10.0.0.1:80"}}"#, "b", "no IP address"),
        (r#"{"id":"b","policy":"[]","request":{"client_address":"fe80::1%eth0"}}"#, "b", "no IP address"),
        (r#"{"id":"b","policy":"[]","request":{"headers":{"a":1}}}"#, "b", "invalid type"),
        (r#"{"id":"b","policy":"[]","request":{"client_certificate":{"pem":"x"}}}"#, "b", "not a PEM certificate"),
    ] {
        let (output, outcome) = eval(&format!("{bad}\n{good}\n"));
        let answers: Vec<serde_json::Value> = output.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!((answers.len(), outcome), (2, Outcome::BadInput), "{bad}");
        let message = answers[0]["error"]["message"].as_str().unwrap();
        assert!(message.starts_with("input: ") && message.contains(word), "{bad}: {message}");
        assert_eq!((&answers[0]["id"], &answers[0]["decision"]), (&id.into(), &serde_json::Value::Null), "{bad}");
        assert_eq!(answers[1]["decision"], "permit", "{bad}");
    }
}

#[test]
fn a_line_of_the_largest_length_is_read_and_a_longer_one_refused() {
    let line = |bytes: usize| {
        let frame = r#"{"id":"","policy":"[]"}"#.len();
        format!("{{\"id\":\"{}\",\"policy\":\"[]\"}}\n", "x".repeat(bytes - frame))
    };
    let after = "{\"id\":\"after\",\"policy\":\"[]\"}";
    let (output, outcome) = eval(&(line(MAX_LINE_BYTES) + after));
    assert_eq!((output.lines().count(), outcome), (2, Outcome::Complete));
    for bytes in [MAX_LINE_BYTES + 1, 3 * MAX_LINE_BYTES] {
        let (output, outcome) = eval(&(line(bytes) + after));
        assert_eq!((output.lines().count(), outcome), (2, Outcome::BadInput));
        assert!(output.starts_with(r#"{"id":"","error":{"message":"input: the line is longer than 1048576 bytes","#));
        assert!(output.lines().nth(1).unwrap().starts_with("{\"id\":\"after\",\"error\":null"));
    }
    let (output, _) = eval(line(2 * MAX_LINE_BYTES).trim_end());
    assert_eq!(output.lines().count(), 1);
}

#[test]
fn nothing_in_gives_nothing_out() {
    assert_eq!(eval(""), (String::new(), Outcome::Complete));
}

#[test]
fn the_clock_stands_in_for_an_absent_instant() {
    let case = |expires: &str| {
        let line = format!(
            r#"{{"policy":"allow: {{or: [{{authenticated_user: 1}}]}}","now":null,"subject":{{"session":{{"user_id":"u","expires_at":"{expires}"}}}}}}"#
        );
        eval(&line).0.contains("\"permit\"")
    };
    assert!(case("2027-01-15T08:00:01Z") && !case("2027-01-15T08:00:00Z"));
}
