//! The whole of a decision in words: each rule, operator and criterion with its value, its reason and the
//! fact it read. The same program as in the request; only the bookkeeping is more.

use std::fmt::Write;

use portcullis_identity::{ClaimKind, ClaimRef, Claims, DeviceState, Found, Subject};
use serde::Serialize;

use crate::criterion::{Criterion, RequestCriterion, SubjectCriterion};
use crate::program::{Action, OperatorKind, Program, Rule};
use crate::{Decision, Facts, McpTool, Ternary};

/// How many elements of a list of facts are written out.
const MAX_SHOWN: usize = 20;

/// A decision, and everything that led to it. It holds claims: it belongs to the operator, never to a log.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// What `decide` says.
    pub decision: Decision,
    /// Every rule, in the order of the text.
    pub rules: Vec<ExplainedRule>,
}

/// One rule.
#[derive(Clone, Debug, Serialize)]
pub struct ExplainedRule {
    /// Its place among the rules of both actions, from 0.
    pub index: usize,
    /// `allow` or `deny`.
    pub action: &'static str,
    /// Where it stands in the text, from 1.
    pub line: usize,
    /// True, false, or null for unknown.
    pub value: Option<bool>,
    /// Its operators.
    pub operators: Vec<ExplainedOperator>,
}

/// One operator of a rule.
#[derive(Clone, Debug, Serialize)]
pub struct ExplainedOperator {
    /// `and`, `or`, `not` or `nor`.
    pub operator: &'static str,
    /// True, false, or null for unknown.
    pub value: Option<bool>,
    /// Its criteria.
    pub criteria: Vec<ExplainedCriterion>,
}

/// One criterion of an operator.
#[derive(Clone, Debug, Serialize)]
pub struct ExplainedCriterion {
    /// Its key as written: `claim/department`, or the shorthand key it stands for.
    pub name: String,
    /// Where the key stands, from 1.
    pub line: usize,
    /// Where the key stands, from 1.
    pub column: usize,
    /// True, false, or null for unknown.
    pub value: Option<bool>,
    /// Why, in one word.
    pub reason: &'static str,
    /// What it read; empty where it reads nothing.
    pub fact: String,
}

impl Program {
    /// Decides, and tells everything that led there. Allocates freely: for operators, not for requests.
    #[must_use]
    pub fn explain(&self, facts: &Facts<'_>) -> Explanation {
        let rules = self.rules.iter().zip(self.evaluate(facts).rules);
        let rules = rules.map(|(rule, told)| explained(rule, told.index, told.value, facts)).collect();
        Explanation { decision: self.decide(facts), rules }
    }
}

fn explained(rule: &Rule, index: usize, value: Ternary, facts: &Facts<'_>) -> ExplainedRule {
    let operators = rule.operators.iter().map(|operator| {
        let criteria = operator.criteria.iter().zip(&operator.sources).map(|(criterion, source)| {
            let (value, reason) = criterion.find(facts);
            ExplainedCriterion {
                name: source.name.to_string(),
                line: source.place.line,
                column: source.place.column,
                value: value.known(),
                reason: reason.as_str(),
                fact: fact(criterion, facts),
            }
        });
        ExplainedOperator {
            operator: match operator.kind {
                OperatorKind::And => "and",
                OperatorKind::Or => "or",
                OperatorKind::Not => "not",
                OperatorKind::Nor => "nor",
            },
            value: operator.find(facts).0.known(),
            criteria: criteria.collect(),
        }
    });
    let action = match rule.action {
        Action::Allow => "allow",
        Action::Deny => "deny",
    };
    ExplainedRule { index, action, line: rule.line, value: value.known(), operators: operators.collect() }
}

/// What a criterion read, for people.
fn fact(criterion: &Criterion, facts: &Facts<'_>) -> String {
    match (criterion, facts.subject) {
        (Criterion::Request(criterion), _) => fact_of_request(criterion, facts),
        (Criterion::Subject(criterion), Some(subject)) => fact_about(criterion, subject),
        (Criterion::Subject(_), None) => "nobody is signed in".to_owned(),
    }
}

fn fact_of_request(criterion: &RequestCriterion, facts: &Facts<'_>) -> String {
    let request = &facts.request;
    match criterion {
        RequestCriterion::Accept | RequestCriterion::Reject => String::new(),
        RequestCriterion::ClientCertificate(_) | RequestCriterion::InvalidClientCertificate => {
            let certificate = &request.client_certificate;
            let state = if certificate.valid { "valid" } else { "not valid" };
            match certificate.leaf {
                Some(leaf) => format!("{state}, fingerprint {}", hex::encode(leaf.fingerprint())),
                None if certificate.presented => state.to_owned(),
                None => "no client certificate".to_owned(),
            }
        }
        RequestCriterion::SourceIp(_) => match request.client_address {
            Some(address) => address.to_canonical().to_string(),
            None => "no client address".to_owned(),
        },
        RequestCriterion::HttpMethod(_) => request.method.to_owned(),
        RequestCriterion::HttpPath(_) => request.path.to_owned(),
        RequestCriterion::CorsPreflight => {
            if request.cors_preflight { "a CORS preflight" } else { "no CORS preflight" }.to_owned()
        }
        RequestCriterion::McpTool(_) => match request.mcp_tool {
            McpTool::Named(tool) => tool,
            McpTool::None => "no MCP tool call",
            McpTool::Unread => "a body that is not read",
        }
        .to_owned(),
        RequestCriterion::Date(_) | RequestCriterion::DayOfWeek(_) | RequestCriterion::TimeOfDay(_) => instant(facts),
        RequestCriterion::Record(matcher) => {
            let kind = &matcher.kind;
            match facts.records {
                Some(records) => match &matcher.id {
                    Some(id) if records.with_id(kind, id).is_empty() => format!("no record {id} of type {kind}"),
                    Some(id) => format!("record {id} of type {kind}"),
                    None => format!("{} records of type {kind}", records.of_type(kind).len()),
                },
                None => format!("records of type {kind} are not known"),
            }
        }
    }
}

fn fact_about(criterion: &SubjectCriterion, subject: &Subject) -> String {
    match criterion {
        SubjectCriterion::Authenticated | SubjectCriterion::User(_) => subject.user_id.to_string(),
        SubjectCriterion::Email(_) | SubjectCriterion::DomainIs(_) | SubjectCriterion::Domain(_) => {
            subject.email.to_string()
        }
        SubjectCriterion::Claim(matcher) => claim(matcher.path.find(&subject.claims), &subject.claims),
        SubjectCriterion::Groups(_) => match &subject.groups {
            Some(groups) => listed(groups.iter().map(|group| &*group.id)),
            None => "the directory does not know the user".to_owned(),
        },
        SubjectCriterion::Device(matcher) => {
            let devices = subject.devices.iter().filter(|device| *device.kind == *matcher.kind);
            listed(devices.map(|device| match (&device.id, device.state) {
                (None, _) => "none",
                (Some(_), DeviceState::Unknown) => "unknown",
                (Some(_), DeviceState::Registered) => "registered",
                (Some(_), DeviceState::Enrolled) => "enrolled",
                (Some(_), DeviceState::Approved) => "approved",
            }))
        }
    }
}

fn claim(found: Option<Found<'_>>, claims: &Claims) -> String {
    match found {
        Some(found) => {
            let quoted = |value: ClaimRef<'_>| match value.kind() {
                ClaimKind::Text => format!("{:?}", value.as_text()),
                ClaimKind::Null | ClaimKind::Boolean | ClaimKind::Number | ClaimKind::Nested => {
                    value.as_text().to_owned()
                }
            };
            let texts: Vec<String> = found.iter().take(MAX_SHOWN.saturating_add(1)).map(quoted).collect();
            listed(texts.iter().map(String::as_str))
        }
        None => format!("no such claim among {}", claims.len()),
    }
}

fn listed<'a>(items: impl Iterator<Item = &'a str>) -> String {
    let mut text = String::from("[");
    for (place, item) in items.enumerate() {
        if place >= MAX_SHOWN {
            text.push_str(", …");
            break;
        }
        text.push_str(if place > 0 { ", " } else { "" });
        text.push_str(item);
    }
    text.push(']');
    text
}

fn instant(facts: &Facts<'_>) -> String {
    let millis = facts.now.unix_millis();
    jiff::Timestamp::from_millisecond(millis).map_or_else(|_| format!("{millis} ms"), |instant| instant.to_string())
}

/// One line for each rule and criterion, indented as they are nested.
impl std::fmt::Display for Explanation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = String::new();
        for rule in &self.rules {
            writeln!(text, "{} (rule {}, line {}): {}", rule.action, rule.index, rule.line, word(rule.value))?;
            for operator in &rule.operators {
                writeln!(text, "  {}: {}", operator.operator, word(operator.value))?;
                for criterion in &operator.criteria {
                    let ExplainedCriterion { name, line, column: _, value, reason, fact } = criterion;
                    write!(text, "    {name} (line {line}): {} ({reason})", word(*value))?;
                    writeln!(text, "{}{fact}", if fact.is_empty() { "" } else { " <- " })?;
                }
            }
        }
        f.write_str(&text)
    }
}

const fn word(value: Option<bool>) -> &'static str {
    match value {
        Some(true) => "true",
        Some(false) => "false",
        None => "unknown",
    }
}
