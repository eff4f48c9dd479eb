//! YAML as a tree that remembers where everything stood.
//!
//! One document of YAML 1.2 with the core schema, read strictly: keys are strings and occur once, numbers
//! are exact, nothing is guessed. Aliases share what they name, so a tree is as small in memory as its
//! text; [`MAX_NODES`] bounds what a walk over it can meet.

mod build;
mod halves;
mod scalar;

use std::fmt;
use std::sync::Arc;

use crate::Diagnostic;

/// The most nodes a tree may have, each alias counted with everything it stands for.
pub const MAX_NODES: usize = 4_000_000;

/// The most nodes that aliases may add.
pub const MAX_ALIASED_NODES: usize = 1_000_000;

/// The deepest nesting of lists and mappings, aliases followed.
pub const MAX_DEPTH: usize = 64;

/// A place in the text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
}

/// Where something begins and ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// The first character.
    pub start: Place,
    /// Behind the last character.
    pub end: Place,
}

/// A value and where it stood. Cloning shares what is below.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    kind: Kind,
    span: Span,
    /// How many nodes a walk meets, this one among them.
    size: usize,
    /// How many lists and mappings are inside each other, this one among them.
    depth: usize,
}

/// What a node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `null`, `~` or nothing.
    Null,
    /// `true` or `false`.
    Boolean(bool),
    /// A number, in the canonical spelling of `portcullis_identity::canonical_number`.
    Number(Arc<str>),
    /// A string.
    Text(Arc<str>),
    /// A list.
    List(Arc<[Node]>),
    /// A mapping in the order of the text; no key occurs twice.
    Mapping(Arc<[Entry]>),
}

/// One key and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: Arc<str>,
    /// Where the key stands.
    pub key_span: Span,
    /// The value.
    pub value: Node,
}

/// Reads one document.
///
/// # Errors
/// If the text is empty, no YAML, has a second document, a key that is no string or occurs twice, `.nan` or
/// `.inf`, a tag outside the core schema, or exceeds a bound of this module, which the message names.
pub fn parse(text: &str) -> Result<Node, Diagnostic> {
    match halves::document(text) {
        Some(tree) => Ok(tree),
        None => build::document(text, 0).map(|read| read.root),
    }
}

impl Node {
    pub(super) fn new(kind: Kind, span: Span) -> Self {
        let (size, depth) = match &kind {
            Kind::List(items) => below(items.iter()),
            Kind::Mapping(entries) => below(entries.iter().map(|entry| &entry.value)),
            Kind::Null | Kind::Boolean(_) | Kind::Number(_) | Kind::Text(_) => (1, 0),
        };
        Self { kind, span, size, depth }
    }

    /// What it is.
    #[must_use]
    pub const fn kind(&self) -> &Kind {
        &self.kind
    }

    /// Where it stands; of an alias, where its anchor stands.
    #[must_use]
    pub const fn span(&self) -> Span {
        self.span
    }

    /// Where it begins.
    #[must_use]
    pub const fn place(&self) -> Place {
        self.span.start
    }

    pub(super) const fn size(&self) -> usize {
        self.size
    }

    pub(super) const fn depth(&self) -> usize {
        self.depth
    }

    /// Whether it is null.
    #[must_use]
    pub const fn is_null(&self) -> bool {
        matches!(self.kind, Kind::Null)
    }

    /// The string, if it is one.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        if let Kind::Text(text) = &self.kind { Some(text) } else { None }
    }

    /// The boolean, if it is one.
    #[must_use]
    pub const fn as_boolean(&self) -> Option<bool> {
        if let Kind::Boolean(value) = &self.kind { Some(*value) } else { None }
    }

    /// The canonical text of a number, if it is one.
    #[must_use]
    pub fn as_number(&self) -> Option<&str> {
        if let Kind::Number(text) = &self.kind { Some(text) } else { None }
    }

    /// The elements, if it is a list.
    #[must_use]
    pub fn as_list(&self) -> Option<&[Self]> {
        if let Kind::List(items) = &self.kind { Some(items) } else { None }
    }

    /// The entries, if it is a mapping.
    #[must_use]
    pub fn as_mapping(&self) -> Option<&[Entry]> {
        if let Kind::Mapping(entries) = &self.kind { Some(entries) } else { None }
    }

    /// The value of `key`, if it is a mapping that has it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// The entry of `key`, if it is a mapping that has it.
    #[must_use]
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.as_mapping()?.iter().find(|entry| *entry.key == *key)
    }
}

fn below<'a>(nodes: impl Iterator<Item = &'a Node>) -> (usize, usize) {
    nodes.fold((1, 1), |(size, depth), node| (size.saturating_add(node.size), depth.max(node.depth.saturating_add(1))))
}

/// What it is, in the words of a message: `a list`.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Null => "nothing",
            Self::Boolean(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::Text(_) => "a string",
            Self::List(_) => "a list",
            Self::Mapping(_) => "a mapping",
        })
    }
}

#[cfg(test)]
mod tests;
