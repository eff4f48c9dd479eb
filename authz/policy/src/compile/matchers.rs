//! Matchers over strings and over lists.

use crate::Diagnostic;
use crate::diagnostic::suggestion;
use crate::matcher::{ListMatcher, ListTest, Relation, StringMatcher, StringTest};
use crate::yaml::{Entry, Kind, Node};

use super::values::literal;
use super::{Compiler, MAX_LIST};

pub(super) const STRING_MATCHERS: [&str; 7] = ["is", "not", "contains", "starts_with", "ends_with", "in", "not_in"];
pub(super) const LIST_MATCHERS: [&str; 3] = ["has", "is", "exclude"];

/// What a string matcher may be compared with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Literals {
    /// Anything; what is no string is just never equal.
    Any,
    /// Strings only.
    Text,
}

impl Compiler<'_> {
    pub(super) fn string_matcher(&mut self, node: &Node, literals: Literals) -> Result<StringMatcher, Diagnostic> {
        let Some(entries) = node.as_mapping() else {
            let test = self.equality(node, literals)?;
            return Ok(StringMatcher::new(vec![test]));
        };
        let mut tests = Vec::with_capacity(entries.len());
        for entry in entries {
            tests.extend(self.string_test(entry, literals, &STRING_MATCHERS)?);
        }
        Ok(StringMatcher::new(tests))
    }

    fn equality(&mut self, node: &Node, literals: Literals) -> Result<StringTest, Diagnostic> {
        if let Some(text) = node.as_text() {
            return Ok(StringTest::Is(text.into()));
        }
        self.no_string(node, literals)?;
        Ok(StringTest::Never)
    }

    /// A comparison with something that is no string: refused, or at least told.
    fn no_string(&mut self, node: &Node, literals: Literals) -> Result<(), Diagnostic> {
        if literals == Literals::Text {
            return Err(Diagnostic::at(node.place(), format!("expected a string, not {}", node.kind())));
        }
        let help = if matches!(node.kind(), Kind::List(_)) { "use `in` for a list" } else { "put it in quotes" };
        self.warn(node, format!("{} never equals a string", node.kind()), help);
        Ok(())
    }

    /// `None`: the condition always holds.
    pub(super) fn string_test(
        &mut self,
        entry: &Entry,
        literals: Literals,
        known: &[&str],
    ) -> Result<Option<StringTest>, Diagnostic> {
        let value = &entry.value;
        let text = |node: &Node| match node.as_text() {
            Some(text) => Ok(Box::from(text)),
            None => Err(Diagnostic::at(node.place(), format!("`{}` takes a string, not {}", entry.key, node.kind()))),
        };
        let test = match &*entry.key {
            "is" => self.equality(value, literals)?,
            "not" => match value.as_text() {
                Some(text) => StringTest::Not(text.into()),
                None => {
                    self.no_string(value, literals)?;
                    return Ok(None);
                }
            },
            "contains" => StringTest::Contains(text(value)?),
            "starts_with" => StringTest::StartsWith(text(value)?),
            "ends_with" => StringTest::EndsWith(text(value)?),
            "in" => StringTest::In(self.strings(entry, literals)?),
            "not_in" => StringTest::NotIn(self.strings(entry, literals)?),
            _ => return Err(unknown_matcher(entry, known)),
        };
        Ok(Some(test))
    }

    /// The strings of a list, sorted.
    fn strings(&mut self, entry: &Entry, literals: Literals) -> Result<Box<[Box<str>]>, Diagnostic> {
        let Some(items) = entry.value.as_list() else {
            let message = format!("`{}` takes a list of strings, not {}", entry.key, entry.value.kind());
            return Err(Diagnostic::at(entry.value.place(), message));
        };
        self.bounded(&entry.value, items)?;
        if items.is_empty() {
            self.warn(&entry.value, format!("`{}` of an empty list", entry.key), "add an entry or remove it");
        }
        let mut strings: Vec<Box<str>> = Vec::with_capacity(items.len());
        for item in items {
            match item.as_text() {
                Some(text) => strings.push(text.into()),
                None => self.no_string(item, literals)?,
            }
        }
        strings.sort_unstable();
        strings.dedup();
        Ok(strings.into())
    }

    pub(super) fn bounded(&self, node: &Node, items: &[Node]) -> Result<(), Diagnostic> {
        if items.len() > MAX_LIST {
            return Err(Diagnostic::at(node.place(), format!("a list of more than {MAX_LIST} entries (MAX_LIST)")));
        }
        Ok(())
    }

    pub(super) fn list_matcher(&mut self, node: &Node) -> Result<ListMatcher, Diagnostic> {
        let Some(entries) = node.as_mapping() else {
            self.compared_list(node);
            return Ok(ListMatcher::new(vec![ListTest::new(Relation::Has, literal(node))]));
        };
        let tests = entries.iter().map(|entry| {
            let relation = relation(&entry.key).ok_or_else(|| unknown_matcher(entry, &LIST_MATCHERS))?;
            self.compared_list(&entry.value);
            Ok(ListTest::new(relation, literal(&entry.value)))
        });
        Ok(ListMatcher::new(tests.collect::<Result<_, _>>()?))
    }

    fn compared_list(&mut self, node: &Node) {
        if matches!(node.kind(), Kind::List(_)) {
            let help = "write one criterion for each value, under `or`";
            self.warn(node, "a list is compared as one element, so it never equals a string", help);
        }
    }
}

pub(super) fn relation(key: &str) -> Option<Relation> {
    match key {
        "has" => Some(Relation::Has),
        "is" => Some(Relation::Is),
        "exclude" => Some(Relation::Exclude),
        _ => None,
    }
}

pub(super) fn unknown_matcher(entry: &Entry, known: &[&str]) -> Diagnostic {
    let message = format!("unknown matcher `{}`{}", entry.key, suggestion(&entry.key, known.iter().copied()));
    Diagnostic::at(entry.key_span.start, message).with_help(format!("known here: {}", known.join(", ")))
}
