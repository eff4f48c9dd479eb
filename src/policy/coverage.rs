//! Which rules and criteria held in some case, and which in none: what the cases leave untried.

use std::sync::Arc;

use portcullis_config::Route;
use portcullis_identity::{Records, Timestamp};
use portcullis_policy::{Explanation, Facts, Request};

use crate::policy::judge::Judged;
use crate::policy::site::Site;

/// The policies of a configuration, and what of them cases made true.
#[derive(Clone, Debug)]
pub(crate) struct Coverage {
    policies: Vec<Tried>,
}

/// One policy; routes that share its rules share it.
#[derive(Clone, Debug)]
struct Tried {
    routes: Vec<Arc<str>>,
    /// What it says, and where: routes with equal policies in different places are told apart.
    key: ([u8; 32], Vec<usize>),
    cases: usize,
    rules: Vec<TriedRule>,
}

#[derive(Clone, Debug)]
struct TriedRule {
    action: &'static str,
    line: usize,
    held: bool,
    criteria: Vec<TriedCriterion>,
}

#[derive(Clone, Debug)]
struct TriedCriterion {
    name: String,
    line: usize,
    held: bool,
}

/// How much held, of how much there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) held: usize,
    pub(crate) all: usize,
}

impl Coverage {
    /// Nothing tried yet.
    pub(crate) fn of(site: &Site) -> Self {
        let mut policies: Vec<Tried> = Vec::new();
        for route in site.routes() {
            let key = key(&route);
            match policies.iter_mut().find(|tried| tried.key == key) {
                Some(tried) => tried.routes.push(Arc::clone(&route.name)),
                None => policies.push(Tried::new(&route, key)),
            }
        }
        Self { policies }
    }

    /// Adds what one case made true.
    pub(crate) fn add(&mut self, judged: &Judged) {
        let (Some(route), Some(explanation)) = (&judged.route, &judged.explanation) else { return };
        let key = key(route);
        if let Some(tried) = self.policies.iter_mut().find(|tried| tried.key == key) {
            tried.add(explanation);
        }
    }

    /// Adds what the cases of another file made true of the same configuration.
    pub(crate) fn join(&mut self, other: &Self) {
        for (tried, other) in self.policies.iter_mut().zip(&other.policies) {
            tried.cases = tried.cases.saturating_add(other.cases);
            for (rule, other) in tried.rules.iter_mut().zip(&other.rules) {
                rule.held |= other.held;
                for (criterion, other) in rule.criteria.iter_mut().zip(&other.criteria) {
                    criterion.held |= other.held;
                }
            }
        }
    }

    /// How many rules held, and how many criteria.
    pub(crate) fn shares(&self) -> (Share, Share) {
        let rules = self.policies.iter().flat_map(|tried| &tried.rules);
        let criteria = rules.clone().flat_map(|rule| &rule.criteria);
        (Share::of(rules.map(|rule| rule.held)), Share::of(criteria.map(|criterion| criterion.held)))
    }

    /// What no case made true, one line each.
    pub(crate) fn untried(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for Tried { routes, key: _, cases, rules } in &self.policies {
            let routes = routes.join(", ");
            if *cases == 0 {
                lines.push(format!("{routes}: no case"));
                continue;
            }
            for TriedRule { action, line, held, criteria } in rules {
                if !held {
                    lines.push(format!("{routes}: {action} (line {line}) never held"));
                }
                let idle = criteria.iter().filter(|criterion| !criterion.held);
                lines.extend(idle.map(|idle| {
                    format!("{routes}: {action} (line {line}): `{}` (line {}) never held", idle.name, idle.line)
                }));
            }
        }
        lines
    }
}

impl Tried {
    fn new(route: &Route, key: ([u8; 32], Vec<usize>)) -> Self {
        let nothing =
            Facts { now: Timestamp::EPOCH, request: Request::default(), subject: None, records: Some(Records::none()) };
        let rules = route.policy.explain(&nothing).rules.into_iter().map(|rule| TriedRule {
            action: rule.action,
            line: rule.line,
            held: false,
            criteria: rule
                .operators
                .into_iter()
                .flat_map(|operator| operator.criteria)
                .map(|criterion| TriedCriterion { name: criterion.name, line: criterion.line, held: false })
                .collect(),
        });
        Self { routes: vec![Arc::clone(&route.name)], key, cases: 0, rules: rules.collect() }
    }

    fn add(&mut self, explanation: &Explanation) {
        self.cases = self.cases.saturating_add(1);
        for (tried, said) in self.rules.iter_mut().zip(&explanation.rules) {
            tried.held |= said.value == Some(true);
            let criteria = said.operators.iter().flat_map(|operator| &operator.criteria);
            for (tried, said) in tried.criteria.iter_mut().zip(criteria) {
                tried.held |= said.value == Some(true);
            }
        }
    }
}

impl Share {
    fn of(held: impl Iterator<Item = bool>) -> Self {
        held.fold(Self::default(), |share, held| Self {
            held: share.held.saturating_add(usize::from(held)),
            all: share.all.saturating_add(1),
        })
    }
}

/// Equal for routes whose rules say the same in the same place.
fn key(route: &Route) -> ([u8; 32], Vec<usize>) {
    let nothing =
        Facts { now: Timestamp::EPOCH, request: Request::default(), subject: None, records: Some(Records::none()) };
    let lines = route.policy.evaluate(&nothing).rules.into_iter().map(|rule| rule.line);
    (route.policy.digest(), lines.collect())
}
