//! How an answer is said in one line, and its rules and criteria in a few.

use portcullis_policy::{ExplainedCriterion, ExplainedRule, Explanation, Ternary};

use crate::policy::judge::{Judged, Why};

/// The route and what decided: `route wiki (line 40), rule 0 (allow, line 28): domain-ok`.
pub(crate) fn because(judged: &Judged) -> String {
    let place = match &judged.route {
        Some(route) => format!("route {} (line {})", route.name, route.line),
        None => match judged.why {
            Why::Malformed(malformed) => return format!("the request is malformed: {malformed}"),
            Why::Ours => return "Portcullis answers this path itself".to_owned(),
            Why::NoRoute | Why::Policy | Why::Lacks(_) | Why::EncodedSlash => {
                return "no route serves this host and path".to_owned();
            }
        },
    };
    let Some(explanation) = &judged.explanation else {
        return format!("{place}, {}", judged.reasons().join(", "));
    };
    let rule = decider(explanation);
    let reasons = judged.reasons();
    let reasons = if reasons.is_empty() { String::new() } else { format!(": {}", reasons.join(", ")) };
    format!("{place}, {rule}{reasons}")
}

/// What decided, without the route: `rule 0 (allow, line 28): domain-ok`.
pub(crate) fn deciding(explanation: &Explanation) -> String {
    let reasons: Vec<&str> = explanation.decision.reasons.iter().collect();
    format!("{}: {}", decider(explanation), reasons.join(", "))
}

fn decider(explanation: &Explanation) -> String {
    let deciding = explanation.decision.rule.and_then(|index| explanation.rules.get(usize::from(index)));
    match deciding {
        Some(rule) => named(rule),
        None if explanation.decision.allow == Ternary::True => "a rule".to_owned(),
        None => "no allow rule holds".to_owned(),
    }
}

/// A rule by its index, action and line.
pub(crate) fn named(rule: &ExplainedRule) -> String {
    format!("rule {} ({}, line {})", rule.index, rule.action, rule.line)
}

/// Every rule with its criteria, indented.
pub(crate) fn rules(rules: &[ExplainedRule]) -> String {
    let mut text = String::new();
    for rule in rules {
        text.push_str(&format!("  {}: {}\n", named(rule), word(rule.value)));
        for operator in &rule.operators {
            for criterion in &operator.criteria {
                let ExplainedCriterion { name, line, column: _, value, reason, fact } = criterion;
                let fact = if fact.is_empty() { String::new() } else { format!("  <- {fact}") };
                let label = format!("{} {name} (line {line})", operator.operator);
                text.push_str(&format!("    {label:<36} {:<8} {reason}{fact}\n", word(*value)));
            }
        }
    }
    text
}

/// A value in a word.
pub(crate) const fn word(value: Option<bool>) -> &'static str {
    match value {
        Some(true) => "true",
        Some(false) => "false",
        None => "unknown",
    }
}
