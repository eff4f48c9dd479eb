//! The application's page: who you are to it, how it knows, and everything that arrived.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::assertion::Judgement;
use super::{House, Received};
use crate::site::escape;

/// Claims that are shown as who somebody is, in this order.
const PERSON: [(&str, &str); 5] =
    [("name", "Name"), ("email", "E-mail"), ("user", "User"), ("sub", "Subject"), ("groups", "Groups")];
/// Groups beyond this many are counted, not listed.
const MAX_GROUPS_SHOWN: usize = 12;

/// The page for one request.
pub(super) fn render(house: &House, received: &Received) -> String {
    let nobody = Map::new();
    let (claims, seal) = match &received.judgement {
        Judgement::Verified(claims) => (claims, r#"<span class="seal good">assertion verified</span>"#),
        Judgement::Unchecked(claims) => (claims, r#"<span class="seal">assertion not checked</span>"#),
        Judgement::Rejected(_) => (&nobody, r#"<span class="seal bad">assertion refused</span>"#),
        Judgement::Absent => (&nobody, r#"<span class="seal">no assertion</span>"#),
    };
    let name = text(claims.get("name")).or_else(|| text(claims.get("email"))).unwrap_or_else(|| "stranger".to_owned());
    let initial = name.chars().next().map_or_else(|| "?".to_owned(), |letter| letter.to_uppercase().to_string());
    let (title, about, route) = (escape(&house.name), escape(&house.about), escape(&house.route));
    let neighbours: String =
        house.neighbours.iter().map(|origin| format!(r#"<a href="{0}/">{0}</a>"#, escape(origin))).collect();
    format!(
        r##"<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} · sample application</title><link rel="stylesheet" href="/style.css">
<link rel="icon" href="data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Crect width='16' height='16' rx='4' fill='%234338ca'/%3E%3C/svg%3E">
<script src="/app.js" defer></script></head>
<body><header><div><p class="kicker">Sample application at <code>{route}</code></p><h1>{title}</h1><p>{about}</p></div>
<nav aria-label="Account"><a href="/.portcullis/user">Your session</a><a href="/.portcullis/sign_out">Sign out</a>{neighbours}</nav></header>
<main>
<section class="card who"><div class="avatar" aria-hidden="true">{initial}</div><div><h2>Hello, {name}</h2>{seal}<dl>{person}</dl></div></section>
<section class="card" aria-labelledby="live"><h2 id="live">Live stream</h2><p class="tick"><output id="tick" data-state="connecting">connecting</output></p>
<p>One event a second from <code>/events</code>. It stops the moment your session ends or the policy no longer lets you in.</p></section>
<section class="card wide" aria-labelledby="identity"><h2 id="identity">Who the proxy says you are</h2><p>Headers that only Portcullis can set. It removes them from whatever a client sends.</p>{identity}</section>
<section class="card wide" aria-labelledby="assertion"><h2 id="assertion">The signed assertion</h2>{assertion}</section>
<section class="card wide" aria-labelledby="request"><h2 id="request">Everything that arrived</h2><p><code>{method} {target}</code></p>{headers}</section>
</main></body></html>
"##,
        name = escape(&name),
        initial = escape(&initial),
        person = person(claims),
        identity = table(received.identity()),
        assertion = assertion(&received.judgement, &house.route),
        method = escape(&received.method),
        target = escape(&received.target),
        headers = table(received.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()))),
    )
}

fn person(claims: &Map<String, Value>) -> String {
    let mut rows = String::new();
    for (claim, label) in PERSON {
        if let Some(value) = text(claims.get(claim)) {
            // Writing to a String cannot fail.
            let _infallible = write!(rows, "<dt>{label}</dt><dd>{}</dd>", escape(&value));
        }
    }
    if rows.is_empty() {
        rows.push_str("<dt>Identity</dt><dd>The proxy said nothing about you.</dd>");
    }
    rows
}

/// A claim as a person reads it.
fn text(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::Null => None,
        Value::String(text) => (!text.is_empty()).then(|| text.clone()),
        Value::Array(list) => {
            let names: Vec<&str> = list.iter().filter_map(Value::as_str).take(MAX_GROUPS_SHOWN).collect();
            let more = list.len().saturating_sub(names.len());
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            (!names.is_empty()).then(|| format!("{}{more}", names.join(", ")))
        }
        other @ (Value::Bool(_) | Value::Number(_) | Value::Object(_)) => Some(other.to_string()),
    }
}

fn assertion(judgement: &Judgement, route: &str) -> String {
    let shown = |claims: &Map<String, Value>| {
        let pretty = serde_json::to_string_pretty(claims).unwrap_or_default();
        format!(r#"<pre tabindex="0">{}</pre>"#, escape(&pretty))
    };
    let route = escape(route);
    match judgement {
        Judgement::Absent => {
            "<p>None arrived: this route does not pass identity, or nobody is signed in.</p>".to_owned()
        }
        Judgement::Verified(claims) => format!(
            "<p>Signature, audience, issuer and time are right; the keys are those of <code>{route}/.well-known/portcullis/jwks.json</code>.</p>{}",
            shown(claims)
        ),
        Judgement::Unchecked(claims) => format!("<p>This application has no way to the keys.</p>{}", shown(claims)),
        Judgement::Rejected(reason) => format!(r#"<p class="reason">{}</p>"#, escape(reason)),
    }
}

fn table<'a>(rows: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let rows: String = rows
        .map(|(name, value)| format!("<tr><th scope=\"row\">{}</th><td>{}</td></tr>", escape(name), escape(value)))
        .collect();
    if rows.is_empty() {
        return "<p class=\"none\">None.</p>".to_owned();
    }
    format!(
        r#"<div class="scroll" tabindex="0" role="group" aria-label="Headers"><table><tbody>{rows}</tbody></table></div>"#
    )
}
