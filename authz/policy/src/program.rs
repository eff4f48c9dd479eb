//! A compiled policy, and the one function that decides.

use std::sync::Arc;

use crate::criterion::{Criterion, RequestCriterion};
use crate::yaml::Place;
use crate::{Facts, Reason, Reasons, Ternary};

/// A compiled policy: immutable, shared between equal routes.
///
/// Rules stand in the order of the text; operators of a rule, and criteria of an operator, are contiguous.
#[derive(Debug)]
pub struct Program {
    pub(crate) rules: Box<[Rule]>,
    pub(crate) digest: [u8; 32],
    /// Whether a rule looks at external data: asked before each decision, so that only who needs it fetches it.
    pub(crate) reads_records: bool,
}

/// What a rule does when it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// It permits, if no rule denies.
    Allow,
    /// It denies, whatever is allowed.
    Deny,
}

#[derive(Debug)]
pub(crate) struct Rule {
    pub action: Action,
    /// Where its key stands in the text, from 1.
    pub line: usize,
    pub operators: Box<[Operator]>,
}

#[derive(Debug)]
pub(crate) struct Operator {
    pub kind: OperatorKind,
    /// Never empty: an operator with an empty list is as if it were not there.
    pub criteria: Box<[Criterion]>,
    /// Where each of them stands: for explanations, never read by a decision.
    pub sources: Box<[Source]>,
}

/// A criterion's key in the text.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub name: Arc<str>,
    pub place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OperatorKind {
    /// All are true.
    And,
    /// Any is true.
    Or,
    /// None is true.
    Not,
    /// At least one is not true.
    Nor,
}

/// What a decision comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    /// The request may pass.
    Permit,
    /// The request may not pass.
    Deny,
}

/// The answer to one set of facts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Permit where `deny` is false and `allow` is true.
    pub effect: Effect,
    /// Denied, but signing in (or enrolling a device) could change it.
    pub challenge: bool,
    /// Whether an allow rule holds.
    pub allow: Ternary,
    /// Whether a deny rule holds.
    pub deny: Ternary,
    /// Why: of `deny` if it is true; else of `allow` and, where `deny` is unknown, of both.
    pub reasons: Reasons,
    /// The first rule that made it so, counted from 0 in the order of the text; `None`: no rule allows.
    pub rule: Option<u16>,
    /// With `challenge`: the subject is known, only its device is not.
    pub device: bool,
}

/// A decision with the value of every rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evaluation {
    /// What `decide` says.
    pub decision: Decision,
    /// Every rule, in the order of the text.
    pub rules: Vec<RuleValue>,
}

/// What one rule says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuleValue {
    /// Its place among the rules of both actions, from 0.
    pub index: usize,
    /// What it does.
    pub action: Action,
    /// Where it stands in the text, from 1.
    pub line: usize,
    /// Whether it holds.
    pub value: Ternary,
}

impl Program {
    /// The program without a rule: nobody passes.
    #[must_use]
    pub fn nobody() -> Self {
        Self::new(Box::default(), crate::certificate::sha256(b"nobody"))
    }

    pub(crate) fn new(rules: Box<[Rule]>, digest: [u8; 32]) -> Self {
        let program = Self { rules, digest, reads_records: false };
        let reads_records =
            program.request_criteria().any(|criterion| matches!(criterion, RequestCriterion::Record(_)));
        Self { reads_records, ..program }
    }

    /// Decides. Allocates nothing, takes no lock, visits each criterion once.
    #[must_use]
    pub fn decide(&self, facts: &Facts<'_>) -> Decision {
        self.run(facts, |_| ())
    }

    /// Decides, and tells what every rule said.
    #[must_use]
    pub fn evaluate(&self, facts: &Facts<'_>) -> Evaluation {
        let mut rules = Vec::with_capacity(self.rules.len());
        let decision = self.run(facts, |rule| rules.push(rule));
        Evaluation { decision, rules }
    }

    fn run(&self, facts: &Facts<'_>, mut tell: impl FnMut(RuleValue)) -> Decision {
        let (mut allow, mut deny) = (Any::default(), Any::default());
        for (index, rule) in self.rules.iter().enumerate() {
            let action = match rule.action {
                Action::Allow => &mut allow,
                Action::Deny => &mut deny,
            };
            let mut highest = Ternary::False;
            for operator in &rule.operators {
                let (value, reasons) = operator.find(facts);
                // A rule is any of its operators, and an action any of its rules.
                action.add(value, reasons, index);
                highest = highest.max(value);
            }
            tell(RuleValue { index, action: rule.action, line: rule.line, value: highest });
        }
        Decision::of(&allow, &deny, facts.subject.is_some())
    }

    /// SHA-256 of what the policy says, without where it says it: equal policies have equal digests.
    #[must_use]
    pub const fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// Whether it permits everybody whatever the facts.
    #[must_use]
    pub fn is_public(&self) -> bool {
        let of = |action| self.rules.iter().filter(move |rule| rule.action == action);
        of(Action::Allow).any(|rule| rule.constant() == Some(true))
            && of(Action::Deny).all(|rule| rule.constant() == Some(false))
    }

    /// Whether a rule looks at who asks: without one, no sign-in can change the answer.
    #[must_use]
    pub fn asks_who(&self) -> bool {
        self.criteria().any(|criterion| matches!(criterion, Criterion::Subject(_)))
    }

    /// Whether a rule looks at the client certificate.
    #[must_use]
    pub fn reads_client_certificate(&self) -> bool {
        use RequestCriterion::{ClientCertificate, InvalidClientCertificate};
        self.request_criteria().any(|criterion| matches!(criterion, ClientCertificate(_) | InvalidClientCertificate))
    }

    /// Whether a rule looks at the tool that an MCP request calls.
    #[must_use]
    pub fn reads_mcp_tool(&self) -> bool {
        self.request_criteria().any(|criterion| matches!(criterion, RequestCriterion::McpTool(_)))
    }

    /// Whether a rule looks at external data.
    #[must_use]
    pub const fn reads_records(&self) -> bool {
        self.reads_records
    }

    fn request_criteria(&self) -> impl Iterator<Item = &RequestCriterion> {
        self.criteria().filter_map(|criterion| match criterion {
            Criterion::Request(criterion) => Some(criterion),
            Criterion::Subject(_) => None,
        })
    }

    fn criteria(&self) -> impl Iterator<Item = &Criterion> {
        let operators = self.rules.iter().flat_map(|rule| &rule.operators);
        operators.flat_map(|operator| &operator.criteria)
    }
}

impl Rule {
    /// The value whatever the facts, where there is one.
    pub(crate) fn constant(&self) -> Option<bool> {
        let values = || self.operators.iter().map(Operator::constant);
        if values().any(|value| value == Some(true)) {
            Some(true)
        } else {
            values().all(|value| value == Some(false)).then_some(false)
        }
    }
}

impl Operator {
    /// Kleene's conjunction or disjunction over the members, inverted for `not` and `nor`, with the reasons
    /// of the members that share the value.
    #[inline(never)]
    pub(crate) fn find(&self, facts: &Facts<'_>) -> (Ternary, Reasons) {
        let (all, inverted) = self.kind.parts();
        let mut tally = Tally::default();
        for criterion in &self.criteria {
            let (value, reason) = criterion.find(facts);
            tally.add(value, reason);
        }
        // All hold where the lowest does, and not any does where the highest does not.
        let (value, reasons) = if all == inverted { tally.highest() } else { tally.lowest() };
        (if inverted { value.inverted() } else { value }, reasons)
    }

    pub(crate) fn constant(&self) -> Option<bool> {
        let (all, inverted) = self.kind.parts();
        let values = || self.criteria.iter().map(|criterion| criterion.constant().map(|value| value != inverted));
        // One member decides with this value alone; the other value needs every member.
        let decisive = !all;
        if values().any(|value| value == Some(decisive)) {
            Some(decisive)
        } else {
            values().all(|value| value == Some(all)).then_some(all)
        }
    }
}

impl OperatorKind {
    /// Whether all members count (else any), and whether they are inverted.
    const fn parts(self) -> (bool, bool) {
        match self {
            Self::And => (true, false),
            Self::Or => (false, false),
            Self::Not => (true, true),
            Self::Nor => (false, true),
        }
    }
}

/// The reasons of an operator's members, by the value that they have. Every member has a reason, so a value without
/// any is no member's.
#[derive(Clone, Copy, Default)]
struct Tally([Reasons; 3]);

impl Tally {
    #[inline]
    fn add(&mut self, value: Ternary, reason: Reason) {
        if let Some(reasons) = self.0.get_mut(value as usize) {
            *reasons = reasons.union(Reasons::of(reason));
        }
    }

    #[inline]
    const fn highest(self) -> (Ternary, Reasons) {
        let [no, unknown, yes] = self.0;
        first_of([(Ternary::True, yes), (Ternary::Unknown, unknown), (Ternary::False, no)])
    }

    #[inline]
    const fn lowest(self) -> (Ternary, Reasons) {
        let [no, unknown, yes] = self.0;
        first_of([(Ternary::False, no), (Ternary::Unknown, unknown), (Ternary::True, yes)])
    }
}

/// The first value that a member has; the last one where none does.
#[inline]
const fn first_of([one, other, last]: [(Ternary, Reasons); 3]) -> (Ternary, Reasons) {
    match (one.1.is_empty(), other.1.is_empty()) {
        (false, _) => one,
        (true, false) => other,
        (true, true) => last,
    }
}

/// A disjunction as its members come: the highest value so far, with the reasons of the members that have it, and
/// the rule of the first of them that is not false.
#[derive(Clone, Copy, Default)]
struct Any {
    value: Ternary,
    reasons: Reasons,
    first: usize,
}

impl Any {
    #[inline]
    fn add(&mut self, value: Ternary, reasons: Reasons, rule: usize) {
        if value > self.value {
            *self = Self { value, reasons, first: rule };
        } else if value == self.value {
            self.reasons = self.reasons.union(reasons);
        }
    }

    fn place(&self) -> Option<u16> {
        u16::try_from(self.first).ok()
    }
}

impl Decision {
    fn of(allow: &Any, deny: &Any, known: bool) -> Self {
        let permitted = deny.value == Ternary::False && allow.value == Ternary::True;
        let challenge = !permitted && deny.value != Ternary::True && allow.value != Ternary::False;
        let reasons = match deny.value {
            Ternary::True => deny.reasons,
            Ternary::Unknown => allow.reasons.union(deny.reasons),
            Ternary::False => allow.reasons,
        };
        let rule = match (deny.value, allow.value) {
            (Ternary::True, _) | (Ternary::Unknown, Ternary::Unknown | Ternary::True) => deny.place(),
            (Ternary::Unknown | Ternary::False, Ternary::False) => None,
            (Ternary::False, Ternary::Unknown | Ternary::True) => allow.place(),
        };
        Self {
            effect: if permitted { Effect::Permit } else { Effect::Deny },
            challenge,
            allow: allow.value,
            deny: deny.value,
            reasons,
            rule,
            device: challenge && known && reasons.contains(Reason::DeviceUnauthenticated),
        }
    }
}
