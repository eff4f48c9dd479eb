//! What the standard requires of a log (SARIF 2.1.0, §3), looked at field by field.

use std::path::Path;

use portcullis_config::{ProcessEnvironment, from_text};
use serde_json::Value;

use super::{log, uri};

/// A warning for a policy, one for a key of a route, one for a section that is missing.
const DOUBTFUL: &str = "\
routes:
  - from: https://a.test
    prefix: /app
    to: http://10.0.0.7
    policy: {allow: {or: [{source_ip: 10.0.0.1/8}]}}
";

/// Four mistakes: a policy, a key, a value and something missing.
const REFUSED: &str = "\
listen: {pubic: ':1'}
routes:
  - from: https://a.test
    to: http://10.0.0.7
    timeout: soon
    policy: {allow: {or: [{emial: a@b.test}]}}
";

fn logged(text: &str) -> Value {
    match from_text(text, "conf/my file.yaml", Path::new("/"), &ProcessEnvironment) {
        Ok(loaded) => log(&[], &loaded.config.warnings),
        Err(error) => log(error.problems(), &[]),
    }
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("{pointer} in {value:#}"))
}

/// The required structure; answers `ruleId line:column` of every result.
fn checked(log: &Value) -> Vec<String> {
    assert_eq!(log["version"], "2.1.0");
    assert!(text(log, "/$schema").ends_with("sarif-2.1.0.json"));
    let [run] = log["runs"].as_array().unwrap().as_slice() else { panic!("one run: {log:#}") };
    assert_eq!(run["tool"]["driver"]["name"], "Portcullis");
    assert_eq!(run["columnKind"], "unicodeCodePoints");
    assert_eq!(run["invocations"][0]["executionSuccessful"], true);
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    let mut ids: Vec<&str> = rules.iter().map(|rule| text(rule, "/id")).collect();
    for rule in rules {
        for field in ["/shortDescription/text", "/fullDescription/text", "/help/text"] {
            assert!(!text(rule, field).is_empty());
        }
        assert!(["error", "warning"].contains(&text(rule, "/defaultConfiguration/level")));
    }
    let count = ids.len();
    ids.dedup();
    assert_eq!(ids.len(), count, "every rule once");
    let results = run["results"].as_array().unwrap();
    let place = |result: &Value| {
        let (id, level) = (text(result, "/ruleId"), text(result, "/level"));
        assert_eq!(rules[usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap()]["id"], id);
        assert!(id.starts_with(level), "{id} is of another level than {level}");
        assert!(!text(result, "/message/text").is_empty());
        let location = &result["locations"][0]["physicalLocation"];
        assert_eq!(location["artifactLocation"]["uri"], "conf/my%20file.yaml");
        let Some(region) = location.get("region") else { return format!("{id} -") };
        let number = |name: &str| region[name].as_u64().filter(|number| *number > 0).unwrap();
        format!("{id} {}:{}", number("startLine"), number("startColumn"))
    };
    results.iter().map(place).collect()
}

#[test]
fn warnings_have_rules_and_places() {
    let log = logged(DOUBTFUL);
    let found = checked(&log);
    assert_eq!(found, ["warning/tls 1:1", "warning/routes.prefix 3:13", "warning/routes.policy 5:39"]);
    let messages: Vec<&str> =
        log["runs"][0]["results"].as_array().unwrap().iter().map(|result| text(result, "/message/text")).collect();
    assert!(
        messages
            .iter()
            .any(|message| message.starts_with("routes[0].policy: the host bits of `10.0.0.1/8`")
                && message.ends_with(')')),
        "the help is told too: {messages:?}"
    );
}

#[test]
fn errors_have_rules_and_places() {
    let found = checked(&logged(REFUSED));
    assert_eq!(found, ["error/listen 1:10", "error/routes.timeout 5:14", "error/routes.policy 6:28"]);
    let found = checked(&logged(""));
    assert_eq!(found, ["error/file -"]);
}

#[test]
fn a_good_file_gives_a_log_without_results() {
    let log = log(&[], &[]);
    assert_eq!(checked(&log), Vec::<String>::new());
    assert_eq!(log["runs"][0]["results"], serde_json::json!([]), "an empty list says that it was looked");
}

#[test]
fn file_names_are_uri_references() {
    for (file, expected) in [
        ("p.yaml", "p.yaml"),
        ("./conf/p.yaml", "conf/p.yaml"),
        ("../p.yaml", "../p.yaml"),
        ("/etc/a b/ü:?.yaml", "file:///etc/a%20b/%C3%BC%3A%3F.yaml"),
    ] {
        assert_eq!(uri(file), expected);
    }
}
