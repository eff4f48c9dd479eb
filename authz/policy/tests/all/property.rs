//! The compiled program agrees with the definition on policies and facts that nobody thought of.

use std::fmt::Write;

use portcullis_identity::{ManualClock, Timestamp};
use portcullis_policy::eval;
use serde_json::{Value, json};

use super::naive;

const SEED: u64 = 0x0070_6f72_7463_756c;
const POLICIES: usize = 5_000;
const LINES_PER_POLICY: usize = 20;

/// Small numbers from a fixed seed: Marsaglia's xorshift.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % sides
    }

    fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.roll(from.len())]
    }

    fn maybe(&mut self, value: impl FnOnce(&mut Self) -> Value) -> Value {
        if self.roll(4) == 0 { Value::Null } else { value(self) }
    }
}

fn policy(dice: &mut Dice) -> Value {
    let rules = (0..dice.roll(4)).map(|_| {
        let mut rule = serde_json::Map::new();
        for _ in 0..=dice.roll(2) {
            let operators = (0..dice.roll(3)).map(|_| {
                let criteria: Vec<Value> = (0..dice.roll(4)).map(|_| criterion(dice)).collect();
                (dice.pick(&["and", "or", "not", "nor"]).to_owned(), json!(criteria))
            });
            let operators = Value::Object(operators.collect());
            rule.insert(dice.pick(&["allow", "allow", "deny"]).to_owned(), operators);
        }
        Value::Object(rule)
    });
    let rules: Vec<Value> = rules.collect();
    if rules.len() == 1 && dice.roll(2) == 0 { rules[0].clone() } else { json!(rules) }
}

fn criterion(dice: &mut Dice) -> Value {
    let name = dice.pick(&[
        "accept",
        "reject",
        "authenticated_user",
        "user",
        "email",
        "domain",
        "claim",
        "claim",
        "groups",
        "device",
        "source_ip",
        "http_method",
        "http_path",
        "cors_preflight",
        "invalid_client_certificate",
    ]);
    let (key, value) = match name {
        "user" | "email" | "http_method" | "http_path" => (name.to_owned(), string_matcher(dice, true)),
        "domain" => (name.to_owned(), string_matcher(dice, false)),
        "claim" => (format!("claim/{}", dice.pick(&["a", "a.b", "a/b", "c", "d", "missing"])), list_matcher(dice)),
        "groups" => (name.to_owned(), list_matcher(dice)),
        "device" => {
            let mut device = serde_json::Map::new();
            for field in ["is", "type", "approved"] {
                match (field, dice.roll(2)) {
                    (_, 0) => {}
                    ("is", _) => drop(device.insert(field.to_owned(), json!(dice.pick(&["d1", "d2"])))),
                    ("type", _) => drop(device.insert(field.to_owned(), json!(dice.pick(&["any", "enclave_only"])))),
                    _ => drop(device.insert(field.to_owned(), json!(dice.roll(2) == 0))),
                }
            }
            (name.to_owned(), Value::Object(device))
        }
        "source_ip" => {
            let networks: Vec<&str> = (0..dice.roll(3))
                .map(|_| dice.pick(&["10.0.0.0/8", "10.1.0.0/16", "10.1.2.3", "192.0.2.0/24"]))
                .collect();
            (name.to_owned(), if networks.len() == 1 { json!(networks[0]) } else { json!(networks) })
        }
        _ => (name.to_owned(), json!(dice.roll(3))),
    };
    json!({ key: value })
}

const WORDS: [&str; 10] = ["", "u1", "a@b.test", "kim@corp.test", "corp.test", "b.test", "GET", "OPTIONS", "/", "/a b"];

fn literal(dice: &mut Dice) -> Value {
    match dice.roll(8) {
        0 => json!(5),
        1 => Value::Null,
        2 => json!(true),
        3 => json!("5"),
        4 => json!(["x"]),
        _ => json!(dice.pick(&["x", "y", "g1", "g2"])),
    }
}

fn string_matcher(dice: &mut Dice, mixed: bool) -> Value {
    let word = |dice: &mut Dice| if mixed && dice.roll(8) == 0 { literal(dice) } else { json!(dice.pick(&WORDS)) };
    if dice.roll(3) == 0 {
        return word(dice);
    }
    let matchers = (0..dice.roll(3)).map(|_| {
        let name = dice.pick(&["is", "not", "contains", "starts_with", "ends_with", "in", "not_in"]);
        let value = match name {
            "in" | "not_in" => json!((0..dice.roll(4)).map(|_| word(dice)).collect::<Vec<_>>()),
            "is" | "not" => word(dice),
            _ => json!(dice.pick(&["", "corp", "/a", "test", "kim", "G", "u"])),
        };
        (name.to_owned(), value)
    });
    Value::Object(matchers.collect())
}

fn list_matcher(dice: &mut Dice) -> Value {
    if dice.roll(3) == 0 {
        return literal(dice);
    }
    let matchers = (0..dice.roll(3)).map(|_| (dice.pick(&["has", "is", "exclude"]).to_owned(), literal(dice)));
    Value::Object(matchers.collect())
}

fn line(dice: &mut Dice) -> Value {
    let request = json!({
        "method": dice.maybe(|dice| json!(dice.pick(&["GET", "POST", "OPTIONS"]))),
        "path": dice.maybe(|dice| json!(dice.pick(&["/", "/a%20b?q=/", "/a"]))),
        "client_address": dice.maybe(|dice| json!(dice.pick(&["10.1.2.3", "10.9.9.9", "::ffff:192.0.2.9", "203.0.113.1"]))),
        "headers": dice.maybe(|dice| json!({"Origin": dice.pick(&["", "x"]), "access-control-request-method": dice.pick(&["", "PUT"])})),
        "client_certificate": dice.maybe(|dice| json!({"presented": dice.roll(2) == 0, "valid": dice.roll(3) == 0})),
    });
    let mut whole = json!({"id": format!("{}", dice.roll(1000)), "now": "2026-06-01T00:00:00Z", "request": request});
    if dice.roll(4) > 0 {
        whole["subject"] = subject(dice);
        if dice.roll(6) == 0 {
            whole["subject"]["impersonates"] = subject(dice);
        }
    }
    whole
}

fn subject(dice: &mut Dice) -> Value {
    let expires_at = dice.maybe(|dice| {
        json!(dice.pick(&[
            "2026-06-02T00:00:00Z",
            "2027-01-01T00:00:00Z",
            "2026-05-31T00:00:00Z",
            "2026-06-01T00:00:00Z",
            "2027-06-01T00:00:00Z"
        ]))
    });
    let user_id = dice.maybe(|dice| json!(dice.pick(&["u1", "u2", ""])));
    let mut subject = if dice.roll(6) == 0 {
        json!({"service_account": {"user_id": user_id, "expires_at": expires_at}})
    } else {
        json!({"session": {"id": "s", "user_id": user_id, "expires_at": expires_at, "claims": dice.maybe(claims)}})
    };
    let addresses = ["kim@corp.test", "a@b.test", "a@x@b.test", "plain", ""];
    subject["user"] = dice
        .maybe(|dice| json!({"email": dice.maybe(|dice| json!(dice.pick(&addresses))), "claims": dice.maybe(claims)}));
    subject["directory"] = dice.maybe(|dice| {
        let groups: Vec<Value> = (0..dice.roll(4)).map(|_| json!({"id": dice.pick(&["g1", "g2", "x", "5"])})).collect();
        json!({"email": dice.maybe(|dice| json!(dice.pick(&addresses))), "groups": groups})
    });
    subject["devices"] = dice.maybe(|dice| {
        let devices = (0..dice.roll(4)).map(|_| {
            let state = dice.maybe(|dice| json!(dice.pick(&["unknown", "registered", "enrolled", "approved"])));
            json!({"type": dice.pick(&["any", "enclave_only"]), "id": dice.maybe(|dice| json!(dice.pick(&["d1", "d2"]))), "state": state})
        });
        json!(devices.collect::<Vec<_>>())
    });
    subject
}

fn claims(dice: &mut Dice) -> Value {
    let mut claims = serde_json::Map::new();
    for _ in 0..dice.roll(4) {
        let values: Vec<Value> = (0..dice.roll(12)).map(|_| literal(dice)).collect();
        let value = match dice.roll(3) {
            0 => literal(dice),
            1 => json!({"b": literal(dice)}),
            _ => json!(values),
        };
        claims.insert(dice.pick(&["a", "a/b", "c", "d"]).to_owned(), value);
    }
    Value::Object(claims)
}

fn answers(lines: &[Value]) -> Vec<Value> {
    let input = lines.iter().fold(String::new(), |mut input, line| {
        writeln!(input, "{line}").unwrap();
        input
    });
    let mut output = Vec::new();
    eval::run(input.as_bytes(), &mut output, &ManualClock::at(Timestamp::EPOCH)).unwrap();
    output
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect()
}

fn with_policy(policy: &Value, line: &Value) -> Value {
    let mut line = line.clone();
    line["policy"] = json!(policy.to_string());
    line
}

fn agrees(policy: &Value, line: &Value) -> bool {
    answers(&[with_policy(policy, line)]) == [naive::answer(policy, line)]
}

/// Removes what can be removed without losing the disagreement.
fn shrunk(policy: &Value, line: &Value) -> (Value, Value) {
    let (mut policy, mut line) = (policy.clone(), line.clone());
    loop {
        let smaller_policy =
            smaller(&policy).into_iter().find(|candidate| well_formed(candidate) && !agrees(candidate, &line));
        let smaller_line =
            smaller(&line).into_iter().find(|candidate| answerable(candidate) && !agrees(&policy, candidate));
        match (smaller_policy, smaller_line) {
            (Some(candidate), _) => policy = candidate,
            (None, Some(candidate)) => line = candidate,
            (None, None) => return (policy, line),
        }
    }
}

fn answerable(line: &Value) -> bool {
    let known =
        |subject: &Value| subject.is_null() || subject["session"].is_object() || subject["service_account"].is_object();
    line["now"].is_string() && known(&line["subject"]) && known(&line["subject"]["impersonates"])
}

fn well_formed(policy: &Value) -> bool {
    answers(&[json!({"policy": policy.to_string()})])[0]["error"].is_null()
}

/// The value with one member less, at any depth.
fn smaller(value: &Value) -> Vec<Value> {
    let mut candidates = Vec::new();
    if let Value::Array(items) = value {
        for place in 0..items.len() {
            let mut without = items.clone();
            without.remove(place);
            candidates.push(json!(without));
            for candidate in smaller(&items[place]) {
                let mut with = items.clone();
                with[place] = candidate;
                candidates.push(json!(with));
            }
        }
    }
    if let Value::Object(members) = value {
        for key in members.keys() {
            let mut without = members.clone();
            without.remove(key);
            candidates.push(Value::Object(without));
            for candidate in smaller(&members[key]) {
                let mut with = members.clone();
                with.insert(key.clone(), candidate);
                candidates.push(Value::Object(with));
            }
        }
    }
    candidates
}

#[test]
fn the_compiled_program_agrees_with_the_definition() {
    let mut dice = Dice(SEED);
    let (mut permits, mut challenges) = (0, 0);
    for _ in 0..POLICIES {
        let policy = policy(&mut dice);
        let lines: Vec<Value> = (0..LINES_PER_POLICY).map(|_| with_policy(&policy, &line(&mut dice))).collect();
        let found = answers(&lines);
        assert_eq!(found.len(), lines.len());
        for (line, found) in lines.iter().zip(found) {
            permits += usize::from(found["decision"] == "permit");
            challenges += usize::from(found["challenge"] == true);
            if found != naive::answer(&policy, line) {
                let mut bare = line.clone();
                bare.as_object_mut().unwrap().remove("policy");
                let (policy, line) = shrunk(&policy, &bare);
                let found = answers(&[with_policy(&policy, &line)]);
                panic!(
                    "seed {SEED:#x}\npolicy   {policy}\nline     {line}\nfound    {}\nexpected {}",
                    found[0],
                    naive::answer(&policy, &line)
                );
            }
        }
    }
    // Neither side may win by answering always the same.
    assert!(permits > 5_000 && challenges > 5_000, "seed {SEED:#x}: {permits} permitted, {challenges} challenged");
}
