//! One case of a test file, and the subjects that cases name.

use portcullis_identity::Timestamp;
use portcullis_policy::yaml::Node;
use portcullis_policy::{Reason, eval, nearest};
use serde_json::value::RawValue;

use crate::policy::ask::{Ask, AskLine};
use crate::policy::fault::{Fault, Reader, given};
use crate::policy::judge::Outcome;
use crate::policy::tree_json;

/// The keys of a case.
const KEYS: [&str; 11] =
    ["name", "route", "request", "as", "now", "sign_in", "records", "expect", "rule", "line", "reasons"];
const REQUEST: [&str; 7] = ["method", "host", "path", "headers", "client_address", "client_certificate", "mcp_tool"];
const CERTIFICATE: [&str; 3] = ["presented", "pem", "valid"];
const SIGN_IN: [&str; 4] = ["provider", "acr", "authenticated_at", "last_used"];
const SUBJECT: [&str; 6] = ["session", "service_account", "user", "directory", "devices", "impersonates"];

/// One case.
#[derive(Debug)]
pub(crate) struct Case {
    /// What it is called.
    pub(crate) name: String,
    /// Where it stands, from 1.
    pub(crate) line: usize,
    /// The route that must serve it.
    pub(crate) route: Option<String>,
    /// What is asked.
    pub(crate) ask: Ask,
    /// What must come of it.
    pub(crate) expect: Outcome,
    /// The index of the rule that must decide, from 0.
    pub(crate) rule: Option<usize>,
    /// The line of the rule that must decide.
    pub(crate) rule_line: Option<usize>,
    /// All reasons, sorted.
    pub(crate) reasons: Option<Vec<String>>,
}

/// Reads the cases of one file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cases<'a> {
    pub(crate) reader: Reader<'a>,
    /// The instant of cases without one.
    pub(crate) now: Timestamp,
    /// Whether requests are routed by a configuration: then a case names a route or a host.
    pub(crate) routed: bool,
    pub(crate) subjects: Option<&'a Node>,
}

impl Cases<'_> {
    /// Every case, after every subject.
    ///
    /// # Errors
    /// The first mistake.
    pub(crate) fn read(&self, list: &Node) -> Result<Vec<Case>, Fault> {
        if let Some(subjects) = self.subjects {
            let entries = subjects.as_mapping();
            let entries =
                entries.ok_or_else(|| self.reader.fault(subjects.place(), "`subjects` maps names to subjects"))?;
            for entry in entries {
                self.subject(&entry.value, self.now)?;
            }
        }
        self.reader.list("`cases`", list)?.iter().map(|node| self.case(node)).collect()
    }

    fn case(&self, node: &Node) -> Result<Case, Fault> {
        let reader = self.reader;
        reader.mapping("a case", node, &KEYS)?;
        let text = |key: &str| given(node, key).map(|value| reader.text(&format!("`{key}`"), value)).transpose();
        let number = |key: &str| given(node, key).map(|value| reader.number(&format!("`{key}`"), value)).transpose();
        let name = text("name")?.ok_or_else(|| reader.fault(node.place(), "the case has no `name`"))?;
        let ask = self.ask(node)?;
        let route = text("route")?.map(str::to_owned);
        if self.routed && route.is_none() && ask.host.is_none() {
            return Err(reader.fault(node.place(), "the case names neither a `route` nor a `request` with a `host`"));
        }
        if let Some(route) = given(node, "route").filter(|_| !self.routed) {
            return Err(reader.fault(route.place(), "there are no routes: this file tests a policy of its own"));
        }
        Ok(Case {
            name: name.to_owned(),
            line: node.place().line,
            route,
            ask,
            expect: self.expected(node)?,
            rule: number("rule")?,
            rule_line: number("line")?,
            reasons: given(node, "reasons").map(|list| self.reasons(list)).transpose()?,
        })
    }

    fn ask(&self, node: &Node) -> Result<Ask, Fault> {
        let reader = self.reader;
        let mut line = AskLine::default();
        let mut now = self.now;
        if let Some(value) = given(node, "now") {
            let instant = eval::instant("now", reader.text("`now`", value)?);
            now = instant.map_err(|message| reader.fault(value.place(), message))?;
        }
        let request = given(node, "request");
        if let Some(request) = request {
            reader.mapping("`request`", request, &REQUEST)?;
            if let Some(certificate) = given(request, "client_certificate") {
                reader.mapping("`client_certificate`", certificate, &CERTIFICATE)?;
            }
            line.request = Some(self.decoded(request)?);
        }
        if let Some(sign_in) = given(node, "sign_in") {
            reader.mapping("`sign_in`", sign_in, &SIGN_IN)?;
            line.sign_in = Some(self.decoded(sign_in)?);
        }
        if let Some(records) = given(node, "records") {
            line.records = Some(self.raw(records)?);
        }
        if let Some(who) = given(node, "as") {
            let subject = self.named(who)?;
            self.subject(subject, now)?;
            line.subject = Some(self.raw(subject)?);
        }
        Ask::read(line, now).map_err(|message| reader.fault(request.unwrap_or(node).place(), message))
    }

    /// The subject that a case names.
    fn named(&self, who: &Node) -> Result<&Node, Fault> {
        let name = self.reader.text("`as`", who)?;
        let known = self.subjects.and_then(Node::as_mapping).unwrap_or_default();
        known.iter().find(|entry| *entry.key == *name).map(|entry| &entry.value).ok_or_else(|| {
            let meant = nearest(name, known.iter().map(|entry| &*entry.key));
            let meant = meant.map(|word| format!(", did you mean `{word}`?")).unwrap_or_default();
            self.reader.fault(who.place(), format!("there is no subject `{name}`{meant}"))
        })
    }

    /// Whether a subject is one.
    fn subject(&self, node: &Node, now: Timestamp) -> Result<(), Fault> {
        subject(self.reader, node, now).map(drop)
    }

    fn expected(&self, node: &Node) -> Result<Outcome, Fault> {
        let Some(value) = given(node, "expect") else {
            return Err(self.reader.fault(node.place(), "the case has no `expect`"));
        };
        match self.reader.text("`expect`", value)? {
            "permit" => Ok(Outcome::Permit),
            "deny" => Ok(Outcome::Deny),
            "challenge" => Ok(Outcome::Challenge),
            other => Err(self
                .reader
                .fault(value.place(), format!("`expect` is `permit`, `deny` or `challenge`, not `{other}`"))),
        }
    }

    fn reasons(&self, list: &Node) -> Result<Vec<String>, Fault> {
        let words = self.reader.list("`reasons`", list)?.iter().map(|node| {
            let word = self.reader.text("a reason", node)?;
            let known = || Reason::ALL.into_iter().map(Reason::as_str);
            if known().any(|known| known == word) {
                return Ok(word.to_owned());
            }
            let meant = nearest(word, known()).map(|word| format!(", did you mean `{word}`?")).unwrap_or_default();
            Err(self.reader.fault(node.place(), format!("unknown reason `{word}`{meant}")))
        });
        let mut words = words.collect::<Result<Vec<_>, _>>()?;
        words.sort();
        Ok(words)
    }

    fn decoded<T: serde::de::DeserializeOwned>(&self, node: &Node) -> Result<T, Fault> {
        let decoded = serde_json::from_str(&tree_json::json(node));
        decoded.map_err(|error| self.reader.fault(node.place(), unplaced(&error)))
    }

    fn raw(&self, node: &Node) -> Result<Box<RawValue>, Fault> {
        RawValue::from_string(tree_json::json(node)).map_err(|error| self.reader.fault(node.place(), unplaced(&error)))
    }
}

/// A subject as JSON, once it is known to be one.
pub(crate) fn subject(reader: Reader<'_>, node: &Node, now: Timestamp) -> Result<String, Fault> {
    reader.mapping("a subject", node, &SUBJECT)?;
    for (key, known) in [
        ("session", &["id", "user_id", "expires_at", "claims"][..]),
        ("service_account", &["id", "user_id", "expires_at"]),
        ("user", &["email", "name", "claims"]),
        ("directory", &["email", "groups"]),
    ] {
        if let Some(part) = given(node, key) {
            reader.mapping(&format!("`{key}`"), part, known)?;
        }
    }
    let json = tree_json::json(node);
    match eval::subject(&json, now) {
        Ok(_) => Ok(json),
        Err(message) => Err(reader.fault(node.place(), without_place(&message))),
    }
}

/// The place in the JSON text that we made says nothing to whoever wrote YAML.
fn unplaced(error: &serde_json::Error) -> String {
    without_place(&error.to_string())
}

fn without_place(message: &str) -> String {
    message.rsplit_once(" at line ").map_or(message, |(what, _)| what).to_owned()
}
