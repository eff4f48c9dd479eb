//! One line of output, its keys in the order of the specification.

use crate::program::{Action, Evaluation, RuleValue};
use crate::{Diagnostic, Effect, Ternary};

/// Appends the answer to a policy that was decided.
pub(super) fn decided(id: &str, evaluation: &Evaluation, out: &mut String) {
    let Evaluation { decision, rules } = evaluation;
    out.push_str("{\"id\":");
    quote(id, out);
    out.push_str(",\"error\":null,\"decision\":");
    out.push_str(match decision.effect {
        Effect::Permit => "\"permit\"",
        Effect::Deny => "\"deny\"",
    });
    out.push_str(",\"challenge\":");
    out.push_str(if decision.challenge { "true" } else { "false" });
    out.push_str(",\"allow\":");
    action(decision.allow, of(rules, Action::Allow), out);
    out.push_str(",\"deny\":");
    action(decision.deny, of(rules, Action::Deny), out);
    out.push_str(",\"reasons\":[");
    for (place, reason) in decision.reasons.iter().enumerate() {
        separate(place, out);
        quote(reason, out);
    }
    out.push_str("]}\n");
}

fn of(rules: &[RuleValue], action: Action) -> impl Iterator<Item = &RuleValue> {
    rules.iter().filter(move |rule| rule.action == action)
}

fn action<'a>(value: Ternary, rules: impl Iterator<Item = &'a RuleValue>, out: &mut String) {
    out.push_str("{\"value\":");
    out.push_str(word(value));
    out.push_str(",\"rules\":[");
    for (place, RuleValue { index, action: _, line, value }) in rules.enumerate() {
        separate(place, out);
        out.push_str(&format!("{{\"index\":{index},\"line\":{line},\"value\":{}}}", word(*value)));
    }
    out.push_str("]}");
}

/// Appends the answer to a policy, or a line, that is refused.
pub(super) fn refused(id: &str, diagnostic: &Diagnostic, out: &mut String) {
    let Diagnostic { message, line, column, help: _ } = diagnostic;
    out.push_str("{\"id\":");
    quote(id, out);
    out.push_str(",\"error\":{\"message\":");
    quote(message, out);
    let place = |number: usize| if number == 0 { "null".to_owned() } else { number.to_string() };
    out.push_str(&format!(",\"line\":{},\"column\":{}}}", place(*line), place(*column)));
    out.push_str(",\"decision\":null,\"challenge\":null,\"allow\":null,\"deny\":null,\"reasons\":null}\n");
}

fn separate(place: usize, out: &mut String) {
    if place > 0 {
        out.push(',');
    }
}

const fn word(value: Ternary) -> &'static str {
    match value {
        Ternary::True => "true",
        Ternary::False => "false",
        Ternary::Unknown => "null",
    }
}

fn quote(text: &str, out: &mut String) {
    out.push_str(&serde_json::Value::from(text).to_string());
}
