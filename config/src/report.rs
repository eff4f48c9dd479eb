//! Collects what is wrong during one load and finds each place in the text.

use portcullis_policy::Diagnostic;
use portcullis_policy::yaml::{Entry, Node};

use crate::field::{Field, Step, display};
use crate::problem::{Problem, Warning};

/// What is wrong with one value, before anybody asks where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    message: String,
    help: Option<String>,
    confidential: bool,
}

impl Fault {
    /// In lower case, without a full stop, never with a secret in it.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), help: None, confidential: false }
    }

    /// What to do about it.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The source line may hold a secret and is not shown.
    pub(crate) fn confidential(mut self) -> Self {
        self.confidential = true;
        self
    }
}

impl<E: std::error::Error> From<E> for Fault {
    fn from(error: E) -> Self {
        Self::new(error.to_string())
    }
}

/// Which part of an entry is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Key,
    Value,
}

/// The findings of one load.
#[derive(Debug)]
pub(crate) struct Report<'a> {
    file: &'a str,
    lines: Vec<&'a str>,
    tree: Option<&'a Node>,
    problems: Vec<Problem>,
    warnings: Vec<Warning>,
}

impl<'a> Report<'a> {
    /// An empty report about a file's text.
    pub(crate) fn new(file: &'a str, text: &'a str) -> Self {
        Self { file, lines: text.lines().collect(), tree: None, problems: Vec::new(), warnings: Vec::new() }
    }

    /// From now on, places come from this tree of the same text.
    pub(crate) const fn locate_in(&mut self, tree: &'a Node) {
        self.tree = Some(tree);
    }

    /// Records what is wrong with a value.
    pub(crate) fn fault(&mut self, at: &Field<'_>, fault: Fault) {
        self.fault_at(&at.steps(), Part::Value, fault);
    }

    /// Records a fault and has no value then.
    pub(crate) fn take<T>(&mut self, at: &Field<'_>, result: Result<T, Fault>) -> Option<T> {
        result.map_err(|fault| self.fault(at, fault)).ok()
    }

    /// Records what is wrong with an entry's key or value.
    pub(crate) fn fault_at(&mut self, steps: &[Step<'_>], part: Part, fault: Fault) {
        let steps = self.as_written(steps);
        let (line, column) = self.place(&steps, part);
        let mut field = String::new();
        if display(&steps, &mut field).is_err() {
            // Writing into a String has no way to fail; a path cut short is still a path.
            field.push('…');
        }
        self.fault_in_line(line, column, field, fault);
    }

    /// Records what another reader of the text found.
    pub(crate) fn diagnostic(&mut self, at: &Field<'_>, found: Diagnostic) {
        let Diagnostic { message, line, column, help } = found;
        let fault = Fault { message, help, confidential: false };
        if line == 0 {
            self.fault(at, fault);
        } else {
            self.fault_in_line(line, column, self.holder(at, (line, column)), fault);
        }
    }

    /// Records what another reader of the text would look at.
    pub(crate) fn advice(&mut self, at: &Field<'_>, found: Diagnostic) {
        let Diagnostic { message, line, column, help } = found;
        let (field, file) = (self.holder(at, (line, column)), self.file.to_owned());
        self.warnings.push(Warning { file, line, column, field, message, help });
    }

    /// Records what is wrong at a place of the text.
    pub(crate) fn fault_in_line(&mut self, line: usize, column: usize, field: String, fault: Fault) {
        let Fault { message, help, confidential } = fault;
        let source = line.checked_sub(1).and_then(|index| self.lines.get(index));
        let snippet = source.filter(|line| !confidential && !may_hold_a_secret(line)).map(|line| (*line).to_owned());
        self.problems.push(Problem { file: self.file.to_owned(), line, column, field, message, help, snippet });
    }

    /// Records something to look at.
    pub(crate) fn warn(&mut self, at: &Field<'_>, message: impl Into<String>, help: Option<&str>) {
        let (line, column) = self.place(&at.steps(), Part::Value);
        let (file, field) = (self.file.to_owned(), at.to_string());
        self.warnings.push(Warning {
            file,
            line,
            column,
            field,
            message: message.into(),
            help: help.map(str::to_owned),
        });
    }

    /// Whether nothing was wrong so far.
    pub(crate) const fn is_clean(&self) -> bool {
        self.problems.is_empty()
    }

    /// The line on which a value begins; 0 if nobody knows.
    pub(crate) fn line_of(&self, at: &Field<'_>) -> usize {
        self.place(&at.steps(), Part::Value).0
    }

    /// The file's name, as messages show it.
    pub(crate) const fn file(&self) -> &'a str {
        self.file
    }

    /// Everything that was found: problems, and warnings in the order of the file.
    pub(crate) fn finish(self) -> (Vec<Problem>, Vec<Warning>) {
        let Self { problems, mut warnings, .. } = self;
        warnings.sort_by_key(|warning| (warning.line, warning.column));
        warnings.dedup();
        (problems, warnings)
    }

    /// Without the steps into what the file writes as one value: an element of a list, `file` of a reference.
    fn as_written<'s>(&self, steps: &[Step<'s>]) -> Vec<Step<'s>> {
        let mut node = self.tree;
        let mut written = Vec::with_capacity(steps.len());
        for step in steps {
            match step {
                Step::Key(_) if node.is_some_and(|node| node.as_mapping().is_none()) => continue,
                Step::Key(name) => node = node.and_then(|node| node.get(name)),
                Step::Index(_) if node.is_some_and(|node| node.as_list().is_none()) => continue,
                Step::Index(index) => node = node.and_then(|node| node.as_list()?.get(*index)),
            }
            written.push(*step);
        }
        written
    }

    /// The field of the mapping `at` that a place is in, as far as the text tells.
    fn holder(&self, at: &Field<'_>, place: (usize, usize)) -> String {
        let step = |node: Option<&'a Node>, step: &Step<'_>| match step {
            Step::Key(name) => node?.get(name),
            Step::Index(index) => node?.as_list()?.get(*index),
        };
        let node = at.steps().iter().fold(self.tree, step);
        let entries = node.and_then(Node::as_mapping).unwrap_or_default();
        let starts = |entry: &&Entry| (entry.key_span.start.line, entry.key_span.start.column) <= place;
        match entries.iter().filter(starts).max_by_key(|entry| entry.key_span.start) {
            Some(entry) => at.key(&entry.key).to_string(),
            None => at.to_string(),
        }
    }

    /// Where an entry stands, or the nearest one around it that stands somewhere.
    fn place(&self, steps: &[Step<'_>], part: Part) -> (usize, usize) {
        let Some(mut node) = self.tree else { return (0, 0) };
        let start = node.place();
        let mut place = (start.line, start.column);
        for (index, step) in steps.iter().enumerate() {
            let last = index.saturating_add(1) == steps.len();
            let next = match step {
                Step::Key(name) => node.entry(name).map(|entry| (entry.key_span.start, &entry.value)),
                Step::Index(index) => {
                    node.as_list().and_then(|list| list.get(*index)).map(|value| (value.place(), value))
                }
            };
            let Some((key, value)) = next else { break };
            let at = if last && part == Part::Key { key } else { value.place() };
            place = (at.line, at.column);
            node = value;
        }
        place
    }
}

/// Words beside which people write secrets, though none belongs into the file.
const TELLTALES: [&str; 7] = ["secret", "key", "password", "token", "authorization", "cookie", "-----begin"];

/// Whether a line of the file is better not shown.
fn may_hold_a_secret(line: &str) -> bool {
    let line = line.to_ascii_lowercase();
    TELLTALES.iter().any(|word| line.contains(word))
}
