//! A decision record in words.

use serde_json::Value;

use crate::terminal::printable;

/// What an operator reads: which request, what was decided, by which rule, because of which facts, and what would
/// have to change.
pub(crate) fn text(record: &Value) -> String {
    let field = |name: &str| record.get(name).and_then(Value::as_str).unwrap_or("-");
    let number = |name: &str| record.get(name).and_then(Value::as_u64);
    let mut text = String::new();
    let mut line = |label: &str, value: String| text.push_str(&format!("{label:<12}{value}\n"));
    line("request", format!("{}  {} {}{}", field("request_id"), field("method"), field("host"), field("path")));
    line("asked", format!("{}  from {}", instant(record), field("client_address")));
    line("subject", subject(record));
    let place = number("route_line").map(|line| format!("  (line {line})")).unwrap_or_default();
    line("route", format!("{}{place}", field("route")));
    let cause = record.get("cause").and_then(Value::as_str).map(|cause| format!("  ({cause})")).unwrap_or_default();
    line("decision", format!("{}{cause}", field("decision")));
    line("rule", rule(record));
    for (index, word) in texts(record, "reasons").enumerate() {
        line(if index == 0 { "reasons" } else { "" }, format!("{word:<28}{}", meaning(word)));
    }
    line("session", field("session").to_owned());
    let newer = field("generation") != field("generation_now");
    let note = if newer { format!("  (serving now: {})", field("generation_now")) } else { String::new() };
    line("generation", format!("{}{note}", field("generation")));
    if list(record, "rules").next().is_some() {
        let exact = record.get("exact").and_then(Value::as_bool).unwrap_or(true);
        let note = if exact {
            ""
        } else {
            "  (path or method too long to be kept, or external data has changed since: the facts below are not all of then)"
        };
        text.push_str(&format!("rules{note}\n{}", rules(record)));
    }
    if let Some(shadow) = record.get("shadow").filter(|shadow| !shadow.is_null()) {
        let decision = shadow.get("decision").and_then(Value::as_str).unwrap_or("-");
        let reasons = texts(shadow, "reasons").collect::<Vec<_>>().join(", ");
        text.push_str(&format!("{:<12}{decision}, {}: {reasons}\n{}", "shadow", rule(shadow), rules(shadow)));
    }
    let mut changes = texts(record, "to_pass").peekable();
    if changes.peek().is_some() {
        text.push_str("to pass\n");
        changes.for_each(|change| text.push_str(&format!("  - {change}\n")));
    }
    text.trim_end().to_owned()
}

fn list<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value.get(name).and_then(Value::as_array).into_iter().flatten()
}

fn texts<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a str> {
    list(value, name).filter_map(Value::as_str)
}

/// When, as RFC 3339 writes it.
pub(crate) fn instant(record: &Value) -> String {
    let millis = record.get("at").and_then(Value::as_i64);
    let instant = millis.and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok());
    instant.map_or_else(|| "-".to_owned(), |instant| instant.to_string())
}

fn subject(record: &Value) -> String {
    let field = |name: &str| record.pointer(&format!("/subject/{name}")).and_then(Value::as_str).unwrap_or_default();
    match (field("email"), field("user_id")) {
        ("", "") => "nobody".to_owned(),
        ("", id) => printable(id),
        (email, id) => printable(&format!("{email}  ({id})")),
    }
}

/// The rule that decided, by its index and place.
fn rule(decided: &Value) -> String {
    let number = |name: &str| decided.get(name).and_then(Value::as_u64);
    match (number("rule"), number("rule_line")) {
        (Some(index), Some(line)) => format!("rule {index} (line {line})"),
        (Some(index), None) => format!("rule {index}"),
        (None, _) => "no allow rule holds".to_owned(),
    }
}

/// Every rule and criterion with the fact it read.
fn rules(decided: &Value) -> String {
    let mut text = String::new();
    let number = |value: &Value, name: &str| value.get(name).and_then(Value::as_u64).unwrap_or_default();
    let word = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).unwrap_or("-").to_owned();
    let truth = |value: &Value| match value.get("value").and_then(Value::as_bool) {
        Some(true) => "true",
        Some(false) => "false",
        None => "unknown",
    };
    for rule in list(decided, "rules") {
        let (index, line) = (number(rule, "index"), number(rule, "line"));
        text.push_str(&format!("  rule {index} ({}, line {line}): {}\n", word(rule, "action"), truth(rule)));
        for operator in list(rule, "operators") {
            for criterion in list(operator, "criteria") {
                let place = format!("(line {})", number(criterion, "line"));
                let label = format!("{} {} {place}", word(operator, "operator"), word(criterion, "name"));
                let fact = criterion.get("fact").and_then(Value::as_str).filter(|fact| !fact.is_empty());
                let fact = fact.map(|fact| format!("  <- {}", printable(fact))).unwrap_or_default();
                text.push_str(&format!(
                    "    {label:<36} {:<8} {}{fact}\n",
                    truth(criterion),
                    word(criterion, "reason")
                ));
            }
        }
    }
    text
}

/// A reason in a sentence.
fn meaning(reason: &str) -> &'static str {
    match reason {
        "accept" => "the rule accepts everybody",
        "reject" => "the rule rejects everybody",
        "user-unauthenticated" => "nobody is signed in; a sign-in could change it",
        "user-ok" => "the user is one the policy names",
        "user-unauthorized" => "the user is none the policy names",
        "email-ok" => "the e-mail address fits",
        "email-unauthorized" => "the e-mail address does not fit",
        "domain-ok" => "the e-mail domain fits",
        "domain-unauthorized" => "the e-mail domain does not fit",
        "claim-ok" => "a claim has the value asked for",
        "claim-unauthorized" => "a claim lacks the value asked for",
        "groups-ok" => "the user is in a group asked for",
        "groups-unauthorized" => "the user is in no group asked for",
        "http-method-ok" => "the method fits",
        "http-method-unauthorized" => "the method does not fit",
        "http-path-ok" => "the path fits",
        "http-path-unauthorized" => "the path does not fit",
        "record-ok" => "external data is as asked for",
        "record-unauthorized" => "external data is not as asked for, or not known",
        "source-ip-ok" => "the client's address is within a range asked for",
        "source-ip-unauthorized" => "the client's address is within no range asked for",
        "device-ok" => "the device fits",
        "device-unauthenticated" => "the session has no such device",
        "device-unauthorized" => "the device does not fit",
        "cors-request" => "a CORS preflight",
        "non-cors-request" => "not a CORS preflight",
        "client-certificate-ok" => "the client certificate fits",
        "client-certificate-unauthorized" => "the client certificate does not fit",
        "client-certificate-required" => "no client certificate was shown",
        "valid-client-certificate" => "the client certificate is valid",
        "invalid-client-certificate" => "the client certificate is not valid",
        _ => "",
    }
}
