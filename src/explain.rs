//! A decision record in words.

use serde_json::Value;

/// What an operator reads: which request, what was decided, by which rule, because of what.
pub(crate) fn text(record: &Value) -> String {
    let field = |name: &str| record.get(name).and_then(Value::as_str).unwrap_or("-");
    let number = |name: &str| record.get(name).and_then(Value::as_u64);
    let mut text = String::new();
    let mut line = |label: &str, value: String| text.push_str(&format!("{label:<12}{value}\n"));
    line("request", format!("{}  {} {}{}", field("request_id"), field("method"), field("host"), field("path")));
    let place = number("route_line").map(|line| format!("  (line {line})")).unwrap_or_default();
    line("route", format!("{}{place}", field("route")));
    line("decision", field("decision").to_owned());
    let rule = number("rule").map_or_else(
        || "none of the route's rules allows it".to_owned(),
        |rule| format!("{} of the route's policy", rule.saturating_add(1)),
    );
    line("rule", rule);
    for (index, reason) in record.get("reasons").and_then(Value::as_array).into_iter().flatten().enumerate() {
        let word = reason.as_str().unwrap_or("-");
        line(if index == 0 { "reasons" } else { "" }, format!("{word:<28}{}", meaning(word)));
    }
    if let Some(shadow) = record.get("shadow").filter(|shadow| !shadow.is_null()) {
        line("shadow", shadowed(shadow));
    }
    line("session", field("session").to_owned());
    let newer = field("generation") != field("generation_now");
    let note = if newer { format!("  (serving now: {})", field("generation_now")) } else { String::new() };
    line("generation", format!("{}{note}", field("generation")));
    text.trim_end().to_owned()
}

/// What the route's shadow policy would have done.
fn shadowed(shadow: &Value) -> String {
    let decision = shadow.get("decision").and_then(Value::as_str).unwrap_or("-");
    let rule = shadow.get("rule").and_then(Value::as_u64);
    let rule = rule.map_or_else(|| "no rule".to_owned(), |rule| format!("rule {}", rule.saturating_add(1)));
    let reasons = shadow.get("reasons").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    format!("{decision} by {rule} of the shadow policy: {}", reasons.collect::<Vec<_>>().join(", "))
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
