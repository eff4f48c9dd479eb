//! What is wrong with a file that somebody wrote for these commands, and where; and the strict reading of its keys.

use portcullis_policy::yaml::{Entry, Node, Place};
use portcullis_policy::{Diagnostic, nearest};

/// One mistake, with its place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}:{column}: {message}")]
pub(crate) struct Fault {
    /// The file, as it was named.
    pub(crate) file: String,
    /// From 1.
    pub(crate) line: usize,
    /// From 1, in characters.
    pub(crate) column: usize,
    /// What is wrong.
    pub(crate) message: String,
}

/// Reads the nodes of one file, so that what is wrong is said with its place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    /// The file, as it was named.
    pub(crate) file: &'a str,
}

impl Reader<'_> {
    /// A mistake at a place.
    pub(crate) fn fault(&self, place: Place, message: impl Into<String>) -> Fault {
        Fault { file: self.file.to_owned(), line: place.line, column: place.column, message: message.into() }
    }

    /// A mistake that the policy language found. What has no place stands for the whole file.
    pub(crate) fn found(&self, diagnostic: Diagnostic) -> Fault {
        let Diagnostic { message, line, column, help } = diagnostic;
        let message = help.map_or_else(|| message.clone(), |help| format!("{message} ({help})"));
        Fault { file: self.file.to_owned(), line: line.max(1), column: column.max(1), message }
    }

    /// The entries of a mapping that has only these keys.
    pub(crate) fn mapping<'n>(&self, what: &str, node: &'n Node, known: &[&str]) -> Result<&'n [Entry], Fault> {
        let entries = node
            .as_mapping()
            .ok_or_else(|| self.fault(node.place(), format!("{what} is a mapping, not {}", node.kind())))?;
        for Entry { key, key_span, value: _ } in entries {
            if !known.contains(&&**key) {
                let meant = nearest(key, known.iter().copied());
                let meant = meant.map(|word| format!(", did you mean `{word}`?")).unwrap_or_default();
                return Err(self.fault(key_span.start, format!("unknown key `{key}`{meant}")));
            }
        }
        Ok(entries)
    }

    /// The elements of a list.
    pub(crate) fn list<'n>(&self, what: &str, node: &'n Node) -> Result<&'n [Node], Fault> {
        node.as_list().ok_or_else(|| self.fault(node.place(), format!("{what} is a list, not {}", node.kind())))
    }

    /// A string.
    pub(crate) fn text<'n>(&self, what: &str, node: &'n Node) -> Result<&'n str, Fault> {
        node.as_text().ok_or_else(|| self.fault(node.place(), format!("{what} is a string, not {}", node.kind())))
    }

    /// A whole number.
    pub(crate) fn number(&self, what: &str, node: &Node) -> Result<usize, Fault> {
        let number = node.as_number().and_then(|text| text.parse().ok());
        number.ok_or_else(|| self.fault(node.place(), format!("{what} is a whole number from 0")))
    }
}

/// The value of a key that is there and not null.
pub(crate) fn given<'n>(node: &'n Node, key: &str) -> Option<&'n Node> {
    node.get(key).filter(|value| !value.is_null())
}
