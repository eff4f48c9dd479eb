//! Findings as SARIF 2.1.0 (OASIS, Static Analysis Results Interchange Format), which editors and CI systems show
//! beside the line.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Component, Path};

use portcullis_config::{Problem, Warning};
use serde_json::{Value, json};

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

/// How many keys of a field's way name its rule: the section, and the key in it.
const RULE_DEPTH: usize = 2;

/// One finding.
struct Finding<'a> {
    level: &'static str,
    file: &'a str,
    line: usize,
    column: usize,
    field: &'a str,
    message: &'a str,
    help: Option<&'a str>,
}

/// A rule: the part of the configuration that a finding is about. Ids come from the schema, so the set is closed.
struct Rule {
    level: &'static str,
    /// `routes.policy`; empty for the whole file.
    key: String,
    /// What the schema says of it.
    description: String,
}

/// The log of one run.
pub(super) fn log(problems: &[Problem], warnings: &[Warning]) -> Value {
    let schema = portcullis_config::schema();
    let found: Vec<Finding<'_>> = problems.iter().map(refused).chain(warnings.iter().map(doubtful)).collect();
    let mut rules: BTreeMap<String, Rule> = BTreeMap::new();
    for finding in &found {
        let rule = Rule::of(finding, &schema);
        rules.insert(rule.id(), rule);
    }
    let ids: Vec<&String> = rules.keys().collect();
    let results: Vec<Value> = found
        .iter()
        .map(|finding| {
            let id = Rule::of(finding, &schema).id();
            let index = ids.iter().position(|known| **known == id);
            result(finding, &id, index)
        })
        .collect();
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "Portcullis",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules.iter().map(|(id, rule)| rule.descriptor(id)).collect::<Vec<_>>(),
            } },
            "columnKind": "unicodeCodePoints",
            "invocations": [{ "executionSuccessful": true }],
            "results": results,
        }],
    })
}

fn refused(problem: &Problem) -> Finding<'_> {
    let Problem { file, line, column, field, message, help, snippet: _ } = problem;
    Finding { level: "error", file, line: *line, column: *column, field, message, help: help.as_deref() }
}

fn doubtful(warning: &Warning) -> Finding<'_> {
    let Warning { file, line, column, field, message, help } = warning;
    Finding { level: "warning", file, line: *line, column: *column, field, message, help: help.as_deref() }
}

fn result(finding: &Finding<'_>, id: &str, index: Option<usize>) -> Value {
    let Finding { level, file, line, column, field, message, help } = finding;
    let mut text = if field.is_empty() { (*message).to_owned() } else { format!("{field}: {message}") };
    if let Some(help) = help {
        text.push_str(&format!(" ({help})"));
    }
    let mut place = json!({ "artifactLocation": { "uri": uri(file) } });
    if let (true, Some(fields)) = (*line > 0, place.as_object_mut()) {
        fields.insert("region".into(), json!({ "startLine": line, "startColumn": (*column).max(1) }));
    }
    json!({
        "ruleId": id,
        "ruleIndex": index,
        "level": level,
        "message": { "text": text },
        "locations": [{ "physicalLocation": place }],
    })
}

impl Rule {
    fn of(finding: &Finding<'_>, schema: &Value) -> Self {
        let mut rule = Self { level: finding.level, key: String::new(), description: described(schema) };
        let mut here = schema;
        // Indices and the names that an operator chose are no part of a rule.
        let steps = finding.field.split('.').map(|step| step.split('[').next().unwrap_or_default());
        for step in steps.take(RULE_DEPTH) {
            let Some(property) = properties(here, schema).and_then(|properties| properties.get(step)) else { break };
            rule.key.push_str(if rule.key.is_empty() { "" } else { "." });
            rule.key.push_str(step);
            rule.description = described(property);
            here = property;
        }
        rule
    }

    fn id(&self) -> String {
        let key = if self.key.is_empty() { "file" } else { &self.key };
        format!("{}/{key}", self.level)
    }

    fn descriptor(&self, id: &str) -> Value {
        let about = if self.key.is_empty() { "the configuration".to_owned() } else { format!("`{}`", self.key) };
        let short = match self.level {
            "error" => format!("{about} cannot be used as it is written"),
            _ => format!("{about} is legal and perhaps not meant"),
        };
        json!({
            "id": id,
            "shortDescription": { "text": short },
            "fullDescription": { "text": self.description },
            "help": { "text": self.description },
            "defaultConfiguration": { "level": self.level },
        })
    }
}

fn described(schema: &Value) -> String {
    schema.get("description").and_then(Value::as_str).unwrap_or("A part of the configuration.").to_owned()
}

/// The keys of a mapping, through a reference, a list of such mappings or a choice that allows one.
fn properties<'a>(here: &'a Value, schema: &'a Value) -> Option<&'a Value> {
    if let Some(properties) = here.get("properties") {
        return Some(properties);
    }
    if let Some(reference) = here.get("$ref").and_then(Value::as_str) {
        return properties(schema.pointer(reference.strip_prefix('#')?)?, schema);
    }
    if let Some(items) = here.get("items") {
        return properties(items, schema);
    }
    here.get("anyOf")?.as_array()?.iter().find_map(|choice| properties(choice, schema))
}

/// A file's name as a URI reference (RFC 3986): relative as it was given, or `file://`.
fn uri(file: &str) -> String {
    let mut uri = String::from(if Path::new(file).is_absolute() { "file://" } else { "" });
    let parts = Path::new(file).components().filter(|part| !matches!(part, Component::CurDir));
    for (place, part) in parts.enumerate() {
        let text = part.as_os_str().to_string_lossy();
        if matches!(part, Component::RootDir) {
            continue;
        }
        uri.push_str(if place > 0 { "/" } else { "" });
        for byte in text.bytes() {
            match byte {
                b'-' | b'.' | b'_' | b'~' => uri.push(char::from(byte)),
                byte if byte.is_ascii_alphanumeric() => uri.push(char::from(byte)),
                // Writing into a String has no way to fail.
                byte => write!(uri, "%{byte:02X}").unwrap_or_default(),
            }
        }
    }
    uri
}

#[cfg(test)]
mod tests;
