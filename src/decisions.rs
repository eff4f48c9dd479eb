//! Decision records as JSON: what was asked, what decided, and every fact it read. For the operator alone: they hold
//! claims, so they go to the admin socket and to the decision sink, never into a log.

mod list;

use portcullis_gate::{Shadowed, Snapshot};
use portcullis_identity::Records;
use portcullis_policy::{ExplainedRule, McpTool};
use portcullis_proxy::{DecisionRecord, Explained};
use serde_json::{Value, json};

use crate::policy::{Door, Judged, Outcome, Why, changes};
pub(crate) use list::{MAX_LISTED, MAX_LOOKED_AT, Wanted, text};

/// A record with the facts its decision read: a line of the decision sink.
pub(crate) fn json(record: &DecisionRecord) -> Value {
    told(record, record.explained(None).as_ref(), None)
}

/// A record as `portcullis explain` shows it: with what would have to change, and what serves now.
pub(crate) fn explained(record: &DecisionRecord, now: &Snapshot, records: Option<&Records>) -> Value {
    let explained = record.explained(records);
    let told = told(record, explained.as_ref(), records);
    let to_pass = to_pass(record, explained, now);
    with(told, json!({ "to_pass": to_pass, "generation_now": now.generation().to_string() }))
}

/// What a line of a listing shows of a record: no rule, and nothing that a rule has read.
fn row(record: &DecisionRecord) -> Value {
    let DecisionRecord {
        request_id,
        at,
        method,
        host,
        path,
        client_address: _,
        preflight: _,
        mcp_tool: _,
        certificate: _,
        route,
        session,
        outcome,
        cause,
        missing,
        decision: _,
        shadow,
        generation: _,
        records: _,
    } = record;
    let missing = missing.and_then(|missing| Why::Lacks(missing).word());
    json!({
        "request_id": request_id,
        "at": at.unix_millis(),
        "method": method.as_ref().map(http::Method::as_str),
        "host": host,
        "path": path,
        "subject": session.as_ref().map(|session| {
            json!({ "user_id": &*session.subject.user_id, "email": &*session.subject.email })
        }),
        "route": route.as_ref().map(|route| &*route.name),
        "decision": outcome,
        "cause": Some(*cause).filter(|cause| !cause.is_empty()).or(missing),
        "shadow": shadow.as_ref().map(|shadowed| json!({ "decision": shadowed.shadow.label() })),
    })
}

fn told(record: &DecisionRecord, explained: Option<&Explained>, newest: Option<&Records>) -> Value {
    let DecisionRecord { client_address, mcp_tool, route, session, decision, shadow, generation, .. } = record;
    let rules = explained.map(|explained| explained.explanation.rules.as_slice()).unwrap_or_default();
    let rule = decision.and_then(|decision| decision.rule);
    let reasons: Vec<&str> = decision.iter().flat_map(|decision| decision.reasons.iter()).collect();
    let rest = json!({
        "client_address": client_address,
        "mcp_tool": match mcp_tool {
            McpTool::None => json!("none"),
            McpTool::Unread => json!("unread"),
            McpTool::Named(name) => json!({ "named": name }),
        },
        "route_line": route.as_ref().map(|route| route.line),
        "reasons": reasons,
        "rule": rule,
        "rule_line": line_of(rules, rule),
        "rules": rules,
        "exact": explained.map(|explained| explained.exact),
        "shadow": shadow.as_ref().map(|shadowed| on_trial(shadowed, record.shadow_explained(newest).as_ref())),
        "session": session.as_ref().map(|session| session.key.to_string()),
        "generation": generation.map(|generation| generation.to_string()),
    });
    with(row(record), rest)
}

/// An object with the members of another one; of two of one name, the other's.
fn with(mut object: Value, other: Value) -> Value {
    if let (Value::Object(members), Value::Object(others)) = (&mut object, other) {
        members.extend(others);
    }
    object
}

fn line_of(rules: &[ExplainedRule], rule: Option<u16>) -> Option<usize> {
    rules.get(usize::from(rule?)).map(|rule| rule.line)
}

/// What a shadow policy would have done.
fn on_trial(shadowed: &Shadowed, explained: Option<&Explained>) -> Value {
    let Shadowed { live: _, shadow, decision } = shadowed;
    let rules = explained.map(|explained| explained.explanation.rules.as_slice()).unwrap_or_default();
    json!({
        "decision": shadow.label(),
        "rule": decision.rule,
        "rule_line": line_of(rules, decision.rule),
        "reasons": decision.reasons.iter().collect::<Vec<_>>(),
        "rules": rules,
    })
}

fn to_pass(record: &DecisionRecord, explained: Option<Explained>, now: &Snapshot) -> Vec<String> {
    let why = match (record.cause, record.missing) {
        ("no_route", _) => Why::NoRoute,
        ("encoded_slash", _) => Why::EncodedSlash,
        ("unavailable", _) => return vec!["ask again: the session could not be looked up".to_owned()],
        ("records_unknown", _) => return vec!["ask again: the external data could not be looked up".to_owned()],
        (_, Some(missing)) => Why::Lacks(missing),
        (_, None) => Why::Policy,
    };
    let outcome = match record.outcome {
        "refuse" => Outcome::Deny,
        "challenge" => Outcome::Challenge,
        _ => return Vec::new(),
    };
    let explanation = explained.map(|Explained { explanation, exact: _ }| explanation);
    let judged = Judged { outcome, why, route: record.route.clone(), explanation, shadow: None };
    changes(Door { routes: now.routes(), host: &record.host }, &judged)
}

#[cfg(test)]
mod tests;
