//! `portcullis decisions`: the last decisions of a running process, those that are asked for.

use std::sync::Arc;

use portcullis_proxy::DecisionRecord;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::explain;
use crate::terminal::printable;

/// The most that one question is answered with.
pub(crate) const MAX_LISTED: u64 = 1000;
/// How many of the newest are looked at: requests that end wait while the ring is copied.
pub(crate) const MAX_LOOKED_AT: usize = 65_536;

/// Which decisions; all that is said must hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Wanted {
    /// What it came to, as the access event has it.
    pub(crate) decision: Option<String>,
    /// The route's name.
    pub(crate) route: Option<String>,
    /// The user's id or e-mail address.
    pub(crate) user: Option<String>,
    /// Only those of which a shadow policy would have made something else.
    pub(crate) shadow: bool,
    /// How many, the newest: 1 to [`MAX_LISTED`].
    pub(crate) limit: usize,
    /// With every rule and what it read, instead of a line's worth.
    pub(crate) facts: bool,
}

impl Default for Wanted {
    fn default() -> Self {
        Self { decision: None, route: None, user: None, shadow: false, limit: 20, facts: false }
    }
}

impl Wanted {
    /// Those of `records` that are wanted as JSON, oldest first as they are.
    pub(crate) fn told(&self, records: &[Arc<DecisionRecord>]) -> Value {
        let tell = if self.facts { super::json } else { super::row };
        self.of(records).into_iter().map(tell).collect()
    }

    /// Those of `records` that are wanted, oldest first as they are.
    pub(super) fn of<'a>(&self, records: &'a [Arc<DecisionRecord>]) -> Vec<&'a DecisionRecord> {
        let limit = self.limit.clamp(1, usize::try_from(MAX_LISTED).unwrap_or(usize::MAX));
        let wanted = records.iter().rev().map(Arc::as_ref).filter(|record| self.takes(record));
        let mut newest: Vec<_> = wanted.take(limit).collect();
        newest.reverse();
        newest
    }

    fn takes(&self, record: &DecisionRecord) -> bool {
        let Self { decision, route, user, shadow, limit: _, facts: _ } = self;
        let is_of = |user: &String| {
            let subject = record.session.as_ref().map(|session| &session.subject);
            subject.is_some_and(|subject| *subject.user_id == **user || *subject.email == **user)
        };
        decision.as_ref().is_none_or(|decision| record.outcome == decision)
            && route.as_ref().is_none_or(|name| record.route.as_ref().is_some_and(|route| *route.name == **name))
            && user.as_ref().is_none_or(is_of)
            && (!shadow || record.shadow.is_some())
    }
}

/// A listing for people: a line a decision, the request's id first, since `explain` takes it.
pub(crate) fn text(decisions: &Value) -> String {
    let columns = |id: &str, at: &str, decision: &str, route: &str, user: &str, request: &str| {
        format!("{id:<34}{at:<26}{decision:<36}{route:<18}{user:<26}{request}\n")
    };
    let mut text = columns("request id", "when", "decision", "route", "user", "request");
    for record in decisions.as_array().into_iter().flatten() {
        let field = |name: &str| printable(record.get(name).and_then(Value::as_str).unwrap_or("-"));
        let cause = record.get("cause").and_then(Value::as_str).map(|cause| format!(" ({cause})")).unwrap_or_default();
        let shadow = record.pointer("/shadow/decision").and_then(Value::as_str);
        let shadow = shadow.map(|shadow| format!(", shadow: {shadow}")).unwrap_or_default();
        let names =
            ["/subject/email", "/subject/user_id"].into_iter().filter_map(|name| record.pointer(name)?.as_str());
        let user = printable(names.into_iter().find(|name| !name.is_empty()).unwrap_or("-"));
        text.push_str(&columns(
            &field("request_id"),
            &explain::instant(record),
            &format!("{}{cause}{shadow}", field("decision")),
            &field("route"),
            &user,
            &format!("{} {}{}", field("method"), field("host"), field("path")),
        ));
    }
    text.trim_end().to_owned()
}
