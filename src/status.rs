//! The answer of `portcullis status` in words.

use jiff::Timestamp;
use serde_json::Value;

use crate::terminal::printable;

/// Whether everything is as it should be: the exit status of `portcullis status`.
pub(crate) fn is_well(status: &Value) -> bool {
    let refused = status.pointer("/configuration/last_error").is_some_and(|error| !error.is_null());
    let degraded = status.get("degraded").and_then(Value::as_array).is_some_and(|list| !list.is_empty());
    !refused && !degraded && status.get("stage").and_then(Value::as_str) == Some("ready")
}

/// What an operator reads.
pub(crate) fn text(status: &Value) -> String {
    let mut text = String::new();
    let mut line = |label: &str, value: String| text.push_str(&format!("{label:<14}{value}\n"));
    let at = |path: &str| status.pointer(path).filter(|value| !value.is_null());
    let word = |path: &str| at(path).map(show).unwrap_or_else(|| "-".to_owned());
    line("portcullis", format!("{}, process {}, {}", word("/version"), word("/process"), word("/stage")));
    line("generation", format!("{} since {}", word("/configuration/generation"), instant(at("/configuration/since"))));
    if let Some(error) = at("/configuration/last_error") {
        line("refused", show(error));
    }
    for section in at("/configuration/restart_for").and_then(Value::as_array).into_iter().flatten() {
        line("restart for", show(section));
    }
    if let Some(keys) = at("/keys").and_then(Value::as_array) {
        line("keys", keys.iter().map(show).collect::<Vec<_>>().join(", "));
    }
    if at("/replica").is_some() {
        let state = if at("/replica/following") == Some(&Value::Bool(true)) { "following" } else { "cut off" };
        let held = format!("{} sessions, {} bytes", word("/replica/sessions"), word("/replica/bytes"));
        line(
            "replica",
            format!(
                "{state}, version {}, {held}, last word {} ms ago",
                word("/replica/version"),
                word("/replica/silent_for_ms")
            ),
        );
    }
    if at("/replica/records").is_some() {
        let state = if at("/replica/records/known") == Some(&Value::Bool(true)) { "known" } else { "not known" };
        line(
            "records",
            format!(
                "{state}, {} held, last word {} ms ago",
                word("/replica/records/count"),
                word("/replica/records/silent_for_ms")
            ),
        );
    }
    for provider in at("/providers").and_then(Value::as_array).into_iter().flatten() {
        let field = |name: &str| provider.get(name).map(show).unwrap_or_default();
        line("provider", format!("{}: {} {}", field("name"), field("state"), field("reason")).trim_end().to_owned());
    }
    for certificate in at("/certificates").and_then(Value::as_array).into_iter().flatten() {
        let name = certificate.get("name").map(show).unwrap_or_default();
        line("certificate", format!("{name}, until {}", instant(certificate.get("not_after"))));
    }
    for ill in at("/unhealthy_upstreams").and_then(Value::as_array).into_iter().flatten() {
        let field = |name: &str| ill.get(name).map(show).unwrap_or_default();
        line("unhealthy", format!("{} at {}: {}", field("upstream"), field("address"), field("cause")));
    }
    for degraded in at("/degraded").and_then(Value::as_array).into_iter().flatten() {
        line("degraded", show(degraded));
    }
    text.trim_end().to_owned()
}

/// The list of `portcullis sessions list`.
pub(crate) fn sessions(list: &Value) -> String {
    let mut text = format!(
        "{:<18}{:<24}{:<14}{:<24}{:<24}{:<18}for\n",
        "session", "user", "provider", "last used", "expires", "made of"
    );
    for session in list.as_array().into_iter().flatten() {
        let field = |name: &str| session.get(name).map(|value| printable(&show(value))).unwrap_or_default();
        let (used, expires) = (instant(session.get("last_used")), instant(session.get("expires_at")));
        // What a program has was made of the session of a browser, for one host.
        let of_program = |name: &str| session.get(name).and_then(Value::as_str).map(printable).unwrap_or_default();
        let (parent, host) = (of_program("parent"), of_program("host"));
        let (session, user, provider) = (field("session"), field("user"), field("provider"));
        let line = format!("{session:<18}{user:<24}{provider:<14}{used:<24}{expires:<24}{parent:<18}{host}");
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text.trim_end().to_owned()
}

fn show(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn instant(seconds: Option<&Value>) -> String {
    let instant = seconds.and_then(Value::as_i64).and_then(|seconds| Timestamp::from_second(seconds).ok());
    instant.map_or_else(|| "-".to_owned(), |instant| instant.to_string())
}

#[cfg(test)]
mod tests;
