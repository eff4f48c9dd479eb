//! What would have to change for a request to pass.

use std::sync::Arc;
use std::time::Duration;

use portcullis_config::{HostPattern, Route};
use portcullis_gate::Missing;
use portcullis_policy::{ExplainedCriterion, ExplainedOperator, ExplainedRule, nearest};

use crate::policy::judge::{Judged, Outcome, Why};
use crate::policy::report::named;

/// What a request knocks at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Door<'a> {
    /// The routes there are, in the order of the file.
    pub(crate) routes: &'a [Arc<Route>],
    /// The host that is asked, with a port or without.
    pub(crate) host: &'a str,
}

/// Sentences, the first thing to do first; none for what passes.
pub(crate) fn changes(door: Door<'_>, judged: &Judged) -> Vec<String> {
    if matches!(judged.outcome, Outcome::Permit | Outcome::Own) {
        return Vec::new();
    }
    match judged.why {
        Why::NoRoute => vec![no_route(door)],
        Why::Malformed(malformed) => vec![format!("send a request with one meaning: {malformed}")],
        Why::EncodedSlash => vec!["write `encoded_slashes: keep` at the route, or send no %2F in the path".to_owned()],
        Why::Ours => Vec::new(),
        Why::Policy => of_policy(judged),
        Why::Lacks(missing) => {
            let first = judged.route.as_deref().map(|route| sign_in(missing, route));
            // Who only has to prove it anew is somebody already: the rules say nothing more of them.
            let rules = match missing {
                Missing::Subject | Missing::Provider => of_policy(judged),
                Missing::Fresh | Missing::Acr => Vec::new(),
            };
            first.into_iter().chain(rules).collect()
        }
    }
}

fn sign_in(missing: Missing, route: &Route) -> String {
    let providers: Vec<&str> = route.needs.providers.iter().map(|provider| provider.as_str()).collect();
    let at = if providers.is_empty() { String::new() } else { format!(" at {}", providers.join(" or ")) };
    match missing {
        Missing::Subject => format!("sign in{at}"),
        Missing::Provider => format!("sign in{at}: sessions of other providers do not count here"),
        Missing::Fresh => {
            let within =
                |limit: Option<Duration>, what: &str| limit.map(|limit| format!("{what} {}s", limit.as_secs()));
            let limits = [within(route.needs.max_age, "a sign-in within"), within(route.idle, "a use within")];
            let limits: Vec<String> = limits.into_iter().flatten().collect();
            format!("sign in again{at}: the route wants {}", limits.join(" and "))
        }
        Missing::Acr => format!("sign in again{at} with a context class of: {}", route.needs.acr.join(", ")),
    }
}

fn of_policy(judged: &Judged) -> Vec<String> {
    let Some(explanation) = &judged.explanation else { return Vec::new() };
    let of = |action: &'static str| explanation.rules.iter().filter(move |rule| rule.action == action);
    let mut changes = Vec::new();
    for rule in of("deny") {
        match rule.value {
            Some(true) => changes.push(format!("{} must not hold: {}", named(rule), holding(rule))),
            None => changes.push(format!("{} must turn out not to hold: {}", named(rule), undecided(rule))),
            Some(false) => {}
        }
    }
    if of("allow").any(|rule| rule.value == Some(true)) {
        return changes;
    }
    let needed: Vec<String> = of("allow").map(|rule| format!("{} needs {}", named(rule), wanting(rule))).collect();
    if needed.is_empty() {
        changes.push("the policy has no allow rule: nobody passes".to_owned());
    } else {
        changes.push(needed.join("; or "));
    }
    changes
}

/// What keeps a rule from holding: its operators are alternatives.
fn wanting(rule: &ExplainedRule) -> String {
    let alternatives: Vec<String> = rule.operators.iter().map(missing_of).collect();
    if alternatives.is_empty() { "a criterion, it has none".to_owned() } else { alternatives.join(", or ") }
}

fn missing_of(operator: &ExplainedOperator) -> String {
    let ExplainedOperator { operator, value: _, criteria } = operator;
    let unmet = |wanted: bool| criteria.iter().filter(move |criterion| criterion.value != Some(wanted)).map(now);
    match *operator {
        "and" => join(unmet(true), " and "),
        "not" => format!("not {}", join(unmet(false), " and not ")),
        "nor" => format!("one not to hold of {}", join(unmet(false), ", ")),
        _ => {
            let any = join(unmet(true), ", ");
            if criteria.len() > 1 { format!("one of {any}") } else { any }
        }
    }
}

/// The criteria that make a rule hold.
fn holding(rule: &ExplainedRule) -> String {
    let operators = rule.operators.iter().filter(|operator| operator.value == Some(true));
    let criteria = operators.flat_map(|operator| {
        let decisive = !matches!(operator.operator, "not" | "nor");
        operator.criteria.iter().filter(move |criterion| criterion.value == Some(decisive))
    });
    join(criteria.map(now), ", ")
}

fn undecided(rule: &ExplainedRule) -> String {
    let criteria = rule.operators.iter().flat_map(|operator| &operator.criteria);
    join(criteria.filter(|criterion| criterion.value.is_none()).map(now), ", ")
}

/// A criterion with what it reads at present.
fn now(criterion: &ExplainedCriterion) -> String {
    let ExplainedCriterion { name, line, column: _, value: _, reason: _, fact } = criterion;
    let fact = if fact.is_empty() { String::new() } else { format!(", now: {fact}") };
    format!("`{name}` (line {line}{fact})")
}

fn join(parts: impl Iterator<Item = String>, between: &str) -> String {
    parts.collect::<Vec<_>>().join(between)
}

fn no_route(Door { routes, host }: Door<'_>) -> String {
    let asked = host.split(':').next().unwrap_or_default();
    let exact = |route: &Route| match &route.host {
        HostPattern::Exact(host) => Some(host.to_string()),
        HostPattern::Wildcard(_) => None,
    };
    let mut hosts: Vec<String> = routes.iter().filter_map(|route| exact(route)).collect();
    hosts.dedup();
    if hosts.iter().any(|host| *host == asked) {
        let names: Vec<&str> =
            routes.iter().filter(|route| exact(route).as_deref() == Some(asked)).map(|route| &*route.name).collect();
        return format!("{asked} has routes, but none for this path and port: {}", names.join(", "));
    }
    let meant = nearest(asked, hosts.iter().map(String::as_str));
    let meant = meant.map(|host| format!("; did you mean {host}?")).unwrap_or_default();
    format!("add a route for {asked}{meant}")
}
