//! Reads YAML into a tree, with the comments that stand directly above a key or a list item or behind it.

use std::collections::BTreeSet;
use std::sync::Arc;

use portcullis_policy::Diagnostic;
use portcullis_policy::yaml::{self, Kind, Node, Span};

use super::tree::{Member, Place, Remarks, Tree, Value};

/// A file, read.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    pub(crate) root: Tree,
    /// Comments at the top, with an empty line below them: they speak of the whole file.
    pub(crate) header: Vec<String>,
}

/// Reads one YAML document.
///
/// # Errors
/// It is not the YAML of one mapping with string keys.
pub(crate) fn yaml(text: &str, file: &Arc<str>) -> Result<Document, Diagnostic> {
    let node = yaml::parse(text)?;
    let mut inside = BTreeSet::new();
    scalar_lines(&node, &mut inside);
    let mut reader =
        Reader { lines: text.lines().collect(), file, inside, claimed: BTreeSet::new(), spoken: BTreeSet::new() };
    let header = reader.header();
    Ok(Document { root: reader.tree(&node), header })
}

/// Lines that continue a scalar: a `#` there is no comment.
fn scalar_lines(node: &Node, inside: &mut BTreeSet<usize>) {
    match node.kind() {
        Kind::List(items) => items.iter().for_each(|item| scalar_lines(item, inside)),
        Kind::Mapping(entries) => entries.iter().for_each(|entry| scalar_lines(&entry.value, inside)),
        Kind::Null | Kind::Boolean(_) | Kind::Number(_) | Kind::Text(_) => {
            let Span { start, end } = node.span();
            let last = if end.column > 1 { end.line } else { end.line.saturating_sub(1) };
            inside.extend(start.line.saturating_add(1)..=last);
        }
    }
}

struct Reader<'a> {
    lines: Vec<&'a str>,
    file: &'a Arc<str>,
    inside: BTreeSet<usize>,
    /// Comment lines that belong to somebody already; the outermost value takes them.
    claimed: BTreeSet<usize>,
    /// Lines whose comment at the end belongs to somebody already.
    spoken: BTreeSet<usize>,
}

impl Reader<'_> {
    fn header(&mut self) -> Vec<String> {
        let comment = |line: &&str| line.trim_start().starts_with('#');
        let block: Vec<&str> = self.lines.iter().copied().take_while(comment).collect();
        let behind = self.lines.get(block.len());
        if !behind.is_some_and(|line| line.trim().is_empty() || line.trim() == "---") {
            return Vec::new();
        }
        self.claimed.extend(1..=block.len());
        block.into_iter().map(|line| line.trim().to_owned()).collect()
    }

    fn tree(&mut self, node: &Node) -> Tree {
        let Span { start, end } = node.span();
        let flow = matches!(self.from(start.line, start.column).chars().next(), Some('{' | '['));
        // Before the values inside, so that what is in brackets stays on its line.
        let behind = match node.kind() {
            Kind::Text(text) if text.contains('\n') => self.behind(start.line, start.column),
            Kind::List(_) | Kind::Mapping(_) if !flow => None,
            Kind::Null | Kind::Boolean(_) | Kind::Number(_) | Kind::Text(_) | Kind::List(_) | Kind::Mapping(_) => {
                self.behind(end.line, end.column)
            }
        };
        let value = match node.kind() {
            Kind::Null => Value::Null,
            Kind::Boolean(value) => Value::Boolean(*value),
            Kind::Number(number) => Value::Number(number.to_string()),
            Kind::Text(text) => Value::Text(text.to_string()),
            Kind::List(items) => Value::List(items.iter().map(|item| self.item(item)).collect()),
            Kind::Mapping(entries) => {
                let member = |entry: &yaml::Entry| {
                    let key = entry.key_span;
                    let above = self.above(key.start.line);
                    let mut value = self.tree(&entry.value);
                    value.remarks.above.splice(0..0, above);
                    // `key:   # why` above a list or mapping.
                    if value.remarks.behind.is_none() && entry.value.place().line > key.end.line {
                        value.remarks.behind = self.behind(key.end.line, key.end.column);
                    }
                    Member { key: entry.key.to_string(), place: Some(self.place(key)), value }
                };
                Value::Map(entries.iter().map(member).collect())
            }
        };
        Tree { value, remarks: Remarks { above: Vec::new(), behind }, place: Some(self.place(node.span())), flow }
    }

    fn item(&mut self, node: &Node) -> Tree {
        let above = self.above(node.place().line);
        let mut tree = self.tree(node);
        tree.remarks.above.splice(0..0, above);
        tree
    }

    fn place(&self, span: Span) -> Place {
        Place { file: Arc::clone(self.file), line: span.start.line, column: span.start.column }
    }

    fn from(&self, line: usize, column: usize) -> &str {
        let text = self.lines.get(line.saturating_sub(1)).copied().unwrap_or_default();
        let at = text.char_indices().nth(column.saturating_sub(1)).map_or(text.len(), |(at, _)| at);
        text.get(at..).unwrap_or_default()
    }

    /// Unclaimed comment lines directly above a line, or with empty lines between.
    fn above(&mut self, line: usize) -> Vec<String> {
        let mut found = Vec::new();
        for number in (1..line).rev() {
            let text = self.lines.get(number.saturating_sub(1)).copied().unwrap_or_default().trim();
            let comment = text.starts_with('#') && !self.inside.contains(&number);
            if self.claimed.contains(&number) || !(comment || text.is_empty()) {
                break;
            }
            if comment {
                self.claimed.insert(number);
                found.push(text.to_owned());
            }
        }
        found.reverse();
        found
    }

    /// A comment behind a place, with nothing but punctuation between.
    fn behind(&mut self, line: usize, column: usize) -> Option<String> {
        let rest = self.from(line, column);
        let (before, comment) = rest.split_once('#')?;
        let bare = before.chars().all(|c| c.is_whitespace() || matches!(c, ',' | ']' | '}' | ':' | '|' | '-' | '>'));
        if !bare || !before.ends_with(char::is_whitespace) || self.inside.contains(&line) {
            return None;
        }
        let comment = format!("#{}", comment.trim_end());
        self.spoken.insert(line).then_some(comment)
    }
}
