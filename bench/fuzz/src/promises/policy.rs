//! The policy language: YAML, its compiler, the decision, and `policy eval`.

use std::sync::Arc;

use portcullis_identity::{Claims, Device, DeviceState, Group, ManualClock, Records, Subject, Timestamp};
use portcullis_policy::yaml::{self, Kind, MAX_DEPTH, Node};
use portcullis_policy::{Diagnostic, Effect, Facts, Program, Request, Ternary, compile_policy, eval};

use crate::Shape;

pub(super) const YAML_WORDS: &[&str] = &[
    "&a ",
    "*a",
    "<<: ",
    "? ",
    "- ",
    ": ",
    ", ",
    "\n",
    "\n  ",
    "\n---\n",
    "\n...\n",
    "# ",
    "!!str ",
    "!!int ",
    "!",
    "!!binary ",
    "|\n  ",
    ">-\n  ",
    "'",
    "\"",
    "\\u0041",
    "\\x",
    "{",
    "}",
    "[",
    "]",
    "null",
    "~",
    "true",
    ".inf",
    ".nan",
    "0x1F",
    "0o17",
    "1e9",
    "-0.0",
    "99999999999999999999999999",
    "%YAML 1.2\n",
    "\u{feff}",
    "\u{2028}",
    "é",
    "\t",
];

pub(super) const POLICY_WORDS: &[&str] = &[
    "allow",
    "deny",
    "and",
    "or",
    "not",
    "nor",
    "accept",
    "reject",
    "authenticated_user",
    "user",
    "email",
    "domain",
    "claim/",
    "claim/a/b",
    "groups",
    "device",
    "client_certificate",
    "invalid_client_certificate",
    "source_ip",
    "http_method",
    "http_path",
    "cors_preflight",
    "mcp_tool",
    "date",
    "day_of_week",
    "time_of_day",
    "record",
    "is",
    "contains",
    "starts_with",
    "ends_with",
    "in",
    "not_in",
    "has",
    "exclude",
    "type",
    "approved",
    "after",
    "before",
    "timezone",
    "Europe/Berlin",
    "mon-fri",
    "22:00",
    "2026-11-23",
    "10.0.0.0/8",
    "::1/128",
    "fingerprint",
    "san_dns",
    "spki_hash",
    "field",
    "exists",
    "'>='",
    "5",
    "true",
    "null",
    "[",
    "]",
    "{",
    "}",
    ": ",
    ", ",
    "\n",
    "\n  - ",
    "ssh",
    "kim@corp.test",
    "corp.test",
    "GET",
    "/a",
    "admin",
];

pub(super) const LINE_WORDS: &[&str] = &[
    "\"policy\":",
    "\"route\":",
    "\"id\":",
    "\"now\":",
    "\"subject\":",
    "\"session\":",
    "\"service_account\":",
    "\"user\":",
    "\"directory\":",
    "\"groups\":",
    "\"claims\":",
    "\"devices\":",
    "\"expires_at\":",
    "\"request\":",
    "\"method\":",
    "\"path\":",
    "\"host\":",
    "\"client_address\":",
    "\"client_certificate\":",
    "\"headers\":",
    "\"impersonates\":",
    "\"email\":",
    "\"records\":",
    "null",
    "true",
    "{}",
    "[]",
    "\"\"",
    "1e400",
    "\\u0000",
    "\n",
    "\"2026-11-23T00:00:00Z\"",
    "\"allow: {and: [{accept: 1}]}\"",
    "-1",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
];

/// Any text is a tree within its bounds, or refused with a place inside of the text.
pub(super) fn yaml_text(input: &[u8]) -> Shape {
    let Ok(text) = std::str::from_utf8(input) else { return Shape::NEW };
    match yaml::parse(text) {
        Ok(tree) => {
            let mut kinds = [0; 6];
            let nodes = walk(&tree, 0, &mut kinds);
            Shape::NEW.with_count(nodes).with_facts(&kinds.map(|count: usize| u64::from(count > 0)))
        }
        Err(refused) => told(&refused, text),
    }
}

fn walk(node: &Node, depth: usize, kinds: &mut [usize; 6]) -> usize {
    assert!(depth <= MAX_DEPTH, "deeper than the bound");
    let (kind, below): (usize, Vec<&Node>) = match node.kind() {
        Kind::Null => (0, Vec::new()),
        Kind::Boolean(_) => (1, Vec::new()),
        Kind::Number(number) => {
            let again = yaml::parse(number).expect("a canonical number");
            assert_eq!(again.as_number(), Some(&**number), "a number has one spelling");
            (2, Vec::new())
        }
        Kind::Text(_) => (3, Vec::new()),
        Kind::List(items) => (4, items.iter().collect()),
        Kind::Mapping(entries) => {
            let mut keys: Vec<&str> = entries.iter().map(|entry| &*entry.key).collect();
            keys.sort_unstable();
            assert!(keys.is_sorted_by(|one, next| one < next), "a key twice");
            (5, entries.iter().map(|entry| &entry.value).collect())
        }
    };
    kinds.get_mut(kind).into_iter().for_each(|count| *count += 1);
    // Few mutations are large: a bound for the walk of the many aliases of one that is.
    below.into_iter().take(1000).fold(1, |nodes, node| nodes + walk(node, depth + 1, kinds))
}

/// The shape of what was refused, whose place must lie in the text.
fn told(found: &Diagnostic, text: &str) -> Shape {
    let Diagnostic { message, line, column, help: _ } = found;
    assert!(!message.is_empty() && (*line > 0) == (*column > 0), "half a place: {found:?}");
    // YAML 1.2.2, §5.4: a carriage return by itself ends a line too.
    let lines = text.bytes().filter(|byte| matches!(byte, b'\n' | b'\r')).count() + 1;
    assert!(*line <= lines, "a line behind the text: {found:?}");
    Shape::NEW.with_message(message)
}

/// Any policy compiles, or is refused with its place; whatever compiles decides everything without contradiction.
pub(super) fn policy(input: &[u8]) -> Shape {
    let Ok(text) = std::str::from_utf8(input) else { return Shape::NEW };
    let compiled = match yaml::parse(text).and_then(|tree| compile_policy(&tree)) {
        Ok(compiled) => compiled,
        Err(refused) => return told(&refused, text),
    };
    let mut shape = Shape::NEW;
    for (number, warning) in compiled.warnings.iter().enumerate() {
        let told = told(warning, text);
        // The first tells enough: every sequence of them would be a shape of its own.
        shape = if number == 0 { told } else { shape };
    }
    let program = &compiled.program;
    let (kim, nobody_special) = (kim(), Subject::default());
    for (subject, method) in [(None, "GET"), (Some(&kim), "GET"), (Some(&nobody_special), "POST"), (None, "OPTIONS")] {
        shape = shape.with_facts(&consistent(program, &facts(subject, method)));
    }
    shape
}

/// Decides, and holds what the decision says of itself against it.
fn consistent(program: &Program, facts: &Facts<'_>) -> [u64; 4] {
    let decision = program.decide(facts);
    let evaluation = program.evaluate(facts);
    assert_eq!(evaluation.decision, decision, "`evaluate` and `decide` disagree");
    let explanation = program.explain(facts);
    assert_eq!(explanation.decision, decision, "`explain` and `decide` disagree");
    assert_eq!(explanation.rules.len(), evaluation.rules.len(), "`explain` leaves rules out");
    let permitted = decision.allow == Ternary::True && decision.deny == Ternary::False;
    assert_eq!(decision.effect == Effect::Permit, permitted, "{decision:?}");
    assert!(!(permitted && decision.challenge), "permitted and challenged: {decision:?}");
    assert!(decision.rule.is_none_or(|rule| usize::from(rule) < evaluation.rules.len()), "{decision:?}");
    assert!(!program.is_public() || permitted, "public, yet refused: {decision:?}");
    assert!(program.asks_who() || !decision.challenge, "a sign-in cannot help: {decision:?}");
    if facts.subject.is_none() {
        // A sign-in may change what is unknown, never what is known.
        let kim = kim();
        let after = program.decide(&Facts { subject: Some(&kim), ..*facts });
        assert!(!permitted || after.effect == Effect::Permit, "refused for signing in: {decision:?} {after:?}");
        assert!(decision.challenge || permitted || after.effect == Effect::Deny, "never asked: {decision:?} {after:?}");
    }
    let reasons = decision.reasons.iter().fold(0, |bits, reason| bits ^ (1_u64 << (reason.len() % 64)));
    [
        u64::from(permitted),
        u64::from(decision.challenge),
        reasons,
        decision.rule.map_or(99, |rule| u64::from(rule.min(8))),
    ]
}

fn kim() -> Subject {
    let group = |id: &str| Group { id: id.into(), name: "".into(), email: "".into() };
    let claims = r#"{"roles": ["admin", "staff"], "a": {"b": "x"}, "a/b": "y", "level": 5, "ok": true, "none": null}"#;
    Subject {
        user_id: "u-1".into(),
        email: "kim@corp.test".into(),
        name: "Kim".into(),
        claims: Claims::from_json(claims).expect("claims"),
        groups: Some([group("admin"), group("staff")].into_iter().collect()),
        devices: Arc::new([Device { kind: "any".into(), id: Some("d-1".into()), state: DeviceState::Approved }]),
    }
}

fn facts<'a>(subject: Option<&'a Subject>, method: &'a str) -> Facts<'a> {
    let client_address = Some([10, 1, 2, 3].into());
    let cors_preflight = method == "OPTIONS";
    let request =
        Request { method, host: "wiki.corp.test", path: "/a/b", client_address, cors_preflight, ..Request::default() };
    Facts { now: Timestamp::from_unix_seconds(1_800_000_000), request, subject, records: Some(Records::none()) }
}

/// Each line that is not empty is answered by one line of JSON, or the run says that its input is bad.
pub(super) fn evaluation(input: &[u8]) -> Shape {
    let mut output = Vec::new();
    let clock = ManualClock::at(Timestamp::from_unix_seconds(1_800_000_000));
    let outcome = eval::run(input, &mut output, &clock).expect("neither end can fail");
    let output = String::from_utf8(output).expect("answers are UTF-8");
    assert!(output.is_empty() || output.ends_with('\n'), "an answer without its end");
    let shape = Shape::NEW.with_facts(&[u64::from(outcome.status())]);
    output.lines().take(4).fold(shape, |shape, line| {
        assert!(line.starts_with('{') && line.ends_with('}'), "no answer: {line}");
        // Values of the input stand between quotes and behind colons: names and words of ours are what is left.
        let words = line.split('"').filter(|word| word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'));
        words.fold(shape, Shape::with_message)
    })
}
