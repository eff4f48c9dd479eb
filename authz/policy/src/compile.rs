//! From the marked tree to a program: every refusal and every warning has its place.

mod certificates;
mod criteria;
mod digest;
mod matchers;
mod requests;
mod route;
mod times;
mod values;

use std::sync::Arc;

use crate::diagnostic::suggestion;
use crate::program::{Action, Operator, OperatorKind, Program, Rule, Source};
use crate::yaml::{Entry, Kind, Node};
use crate::{Diagnostic, Ternary};

pub use route::{
    ACCESS_KEYS, SHADOW_KEY, SharedPolicies, compile_guarded_route, compile_guarded_shadow, compile_route,
    compile_shadow,
};

/// The most rules of one policy.
pub(crate) const MAX_RULES: usize = 10_000;
/// The most criteria of one policy.
pub(crate) const MAX_CRITERIA: usize = 100_000;
/// The longest list of a matcher.
pub(crate) const MAX_LIST: usize = 100_000;

/// A program, and what its author should look at.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// Ready to decide.
    pub program: Arc<Program>,
    /// What is legal and surely not meant.
    pub warnings: Vec<Diagnostic>,
}

/// Compiles the value of `policy`: one rule or a list of them.
///
/// # Errors
/// The first thing that is not the language, with its place.
pub fn compile_policy(node: &Node) -> Result<Compiled, Diagnostic> {
    let shared = SharedPolicies::NONE;
    let mut compiler = Compiler::new(&shared);
    compiler.policy(node)?;
    Ok(compiler.finish())
}

impl Source {
    fn of(entry: &Entry) -> Self {
        Self { name: Arc::clone(&entry.key), place: entry.key_span.start }
    }
}

/// What has been compiled so far.
struct Compiler<'a> {
    shared: &'a SharedPolicies,
    rules: Vec<Rule>,
    criteria: usize,
    digest: digest::Digester,
    warnings: Vec<Diagnostic>,
}

impl<'a> Compiler<'a> {
    fn new(shared: &'a SharedPolicies) -> Self {
        Self { shared, rules: Vec::new(), criteria: 0, digest: digest::Digester::new(), warnings: Vec::new() }
    }

    fn finish(self) -> Compiled {
        let Self { shared: _, rules, criteria: _, digest, warnings } = self;
        Compiled { program: Arc::new(Program::new(rules.into(), digest.finish())), warnings }
    }

    fn warn(&mut self, node: &Node, message: impl Into<String>, help: &str) {
        self.warnings.push(Diagnostic::at(node.place(), message).with_help(help));
    }

    fn policy(&mut self, node: &Node) -> Result<(), Diagnostic> {
        match node.kind() {
            Kind::List(items) => {
                if items.is_empty() {
                    self.warn(node, "a policy without rules permits nobody", "add an `allow` rule");
                }
                items.iter().try_for_each(|item| self.rule(item))
            }
            Kind::Mapping(_) | Kind::Text(_) => self.rule(node),
            kind @ (Kind::Null | Kind::Boolean(_) | Kind::Number(_)) => {
                Err(Diagnostic::at(node.place(), format!("a policy is a rule or a list of rules, not {kind}")))
            }
        }
    }

    /// One rule object, or the name of a shared policy.
    fn rule(&mut self, node: &Node) -> Result<(), Diagnostic> {
        if let Some(name) = node.as_text() {
            return self.shared_policy(name, node);
        }
        let Some(entries) = node.as_mapping() else {
            return Err(Diagnostic::at(
                node.place(),
                format!("a rule is a mapping of `allow` and `deny`, not {}", node.kind()),
            ));
        };
        if entries.is_empty() {
            self.warn(node, "a rule without `allow` or `deny` says nothing", "remove it");
        }
        for entry in entries {
            let action = match &*entry.key {
                "allow" => Action::Allow,
                "deny" => Action::Deny,
                key => {
                    let message = format!("unknown action `{key}`{}", suggestion(key, ["allow", "deny"]));
                    return Err(Diagnostic::at(entry.key_span.start, message));
                }
            };
            self.action(action, entry)?;
        }
        Ok(())
    }

    fn shared_policy(&mut self, name: &str, node: &Node) -> Result<(), Diagnostic> {
        let shared = self.shared;
        let Some(policy) = shared.get(name) else {
            let message = format!("unknown policy `{name}`{}", suggestion(name, shared.names()));
            return Err(Diagnostic::at(node.place(), message).with_help("name one of `policies`, or write a rule"));
        };
        // A shared policy holds rules, never names: SharedPolicies::new saw to it.
        self.policy(policy)
    }

    fn action(&mut self, action: Action, entry: &Entry) -> Result<(), Diagnostic> {
        let Some(members) = entry.value.as_mapping() else {
            let message =
                format!("`{}` is a mapping of `and`, `or`, `not` and `nor`, not {}", entry.key, entry.value.kind());
            return Err(Diagnostic::at(entry.value.place(), message));
        };
        if self.rules.len() >= MAX_RULES {
            return Err(Diagnostic::at(entry.key_span.start, format!("more than {MAX_RULES} rules (MAX_RULES)")));
        }
        self.digest.open(&entry.key);
        let mut operators = Vec::with_capacity(members.len());
        for member in members {
            if &*member.key == "action" {
                let key = Node::new(Kind::Null, member.key_span);
                self.warn(&key, "`action` inside a rule is ignored", "remove it: the rule's key says what it does");
                continue;
            }
            operators.extend(self.operator(member)?);
        }
        self.digest.close();
        let rule = Rule { action, line: entry.key_span.start.line, operators: operators.into() };
        self.look_at(&rule, entry);
        self.rules.push(rule);
        Ok(())
    }

    /// Warns of a rule whose value no request can change.
    fn look_at(&mut self, rule: &Rule, entry: &Entry) {
        let key = Node::new(Kind::Null, entry.key_span);
        match (rule.action, rule.never_holds(), rule.constant()) {
            (Action::Allow, true, _) => self.warn(&key, "this rule can never match", "nobody is allowed by it"),
            (Action::Deny, true, _) => self.warn(&key, "this deny can never fire", "nobody is denied by it"),
            (Action::Deny, false, Some(true)) => self.warn(&key, "this rule denies everybody", "no `allow` can help"),
            (Action::Allow | Action::Deny, false, _) => {}
        }
    }

    fn operator(&mut self, entry: &Entry) -> Result<Option<Operator>, Diagnostic> {
        let kind = match &*entry.key {
            "and" => OperatorKind::And,
            "or" => OperatorKind::Or,
            "not" => OperatorKind::Not,
            "nor" => OperatorKind::Nor,
            key => {
                let message = format!("unknown operator `{key}`{}", suggestion(key, ["and", "or", "not", "nor"]));
                let help = "a rule combines criteria with `and`, `or`, `not` and `nor`";
                return Err(Diagnostic::at(entry.key_span.start, message).with_help(help));
            }
        };
        let Some(items) = entry.value.as_list() else {
            let message = format!("`{}` takes a list of criteria, not {}", entry.key, entry.value.kind());
            return Err(Diagnostic::at(entry.value.place(), message));
        };
        if items.is_empty() {
            self.warn(
                &entry.value,
                format!("an empty `{}` is as if it were not there", entry.key),
                "add a criterion or remove it",
            );
            return Ok(None);
        }
        self.criteria = self.criteria.saturating_add(items.len());
        if self.criteria > MAX_CRITERIA {
            return Err(Diagnostic::at(
                entry.key_span.start,
                format!("more than {MAX_CRITERIA} criteria (MAX_CRITERIA)"),
            ));
        }
        self.digest.open(&entry.key);
        let (mut criteria, mut sources) = (Vec::with_capacity(items.len()), Vec::with_capacity(items.len()));
        for item in items {
            let (criterion, source) = self.criterion_object(item)?;
            criteria.push(criterion);
            sources.push(source);
        }
        self.digest.close();
        Ok(Some(Operator { kind, criteria: criteria.into(), sources: sources.into() }))
    }
}

impl Rule {
    /// Whether no facts at all make it true. A member that never holds is looked for, not proven.
    fn never_holds(&self) -> bool {
        self.operators.iter().all(|operator| {
            let possible = |value: Ternary| operator.criteria.iter().any(|criterion| criterion.can_be(value));
            let all = |value: Ternary| operator.criteria.iter().all(|criterion| criterion.can_be(value));
            !match operator.kind {
                OperatorKind::And => all(Ternary::True),
                OperatorKind::Or => possible(Ternary::True),
                OperatorKind::Not => all(Ternary::False),
                OperatorKind::Nor => possible(Ternary::False),
            }
        })
    }
}
