//! From the parser's events to a tree. An explicit stack, so that no text can exhaust ours.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Tag};

use super::scalar::{self, Refused};
use super::{Entry, Kind, MAX_ALIASED_NODES, MAX_DEPTH, MAX_NODES, Node, Place, Span};
use crate::Diagnostic;
use crate::diagnostic::suggestion;

const MERGE: &str = "<<";

/// A document that was read.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) root: Node,
    /// How many nodes aliases have added.
    pub(super) aliased: usize,
}

/// Reads a text before which there are `lines_before` lines.
pub(super) fn document(text: &str, lines_before: usize) -> Result<Read, Diagnostic> {
    let mut builder = Builder::default();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    // The parser ends the last line itself, and finds what is missing behind it.
    let end = end(text);
    let below = |place: Place| Place { line: place.line.saturating_add(lines_before), ..place };
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| refused(&error, end))?;
        let Span { start, end } = convert(span, end);
        builder.take(event, Span { start: below(start), end: below(end) })?;
    }
    let Builder { root, aliased, .. } = builder;
    root.map(|root| Read { root, aliased }).ok_or_else(|| Diagnostic::anywhere("the text is empty"))
}

fn refused(error: &ScanError, end: Place) -> Diagnostic {
    Diagnostic::at(place(error.marker()).min(end), format!("invalid YAML: {}", error.info()))
}

/// Behind the last character.
fn end(text: &str) -> Place {
    let last = text.rsplit(['\n', '\r']).next().unwrap_or_default();
    let breaks = text.matches(['\n', '\r']).count().saturating_sub(text.matches("\r\n").count());
    Place { line: breaks.saturating_add(1), column: last.chars().count().saturating_add(1) }
}

fn place(marker: &Marker) -> Place {
    Place { line: marker.line(), column: marker.col().saturating_add(1) }
}

fn convert(span: saphyr_parser::Span, end: Place) -> Span {
    Span { start: place(&span.start).min(end), end: place(&span.end).min(end) }
}

/// What is open, what anchors name, and how much aliases have added.
#[derive(Default)]
struct Builder {
    documents: usize,
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    aliased: usize,
    nodes: usize,
    root: Option<Node>,
}

/// A list or mapping whose end has not come yet.
struct Open {
    start: Span,
    anchor: usize,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    Mapping(Members),
}

/// Mappings up to this long are searched from end to end: few have more keys.
const SHORT: usize = 16;

#[derive(Default)]
struct Members {
    entries: Vec<Entry>,
    /// Where each key's entry is, once there are more than [`SHORT`].
    places: HashMap<Arc<str>, usize>,
    /// The entries that were merged: they give way to written ones.
    merged: HashSet<usize>,
    key: Option<Key>,
}

/// A key whose value has not come yet.
enum Key {
    Written(Arc<str>, Span),
    Merge(Span),
}

impl Builder {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Diagnostic> {
        match event {
            Event::DocumentStart(_) => {
                self.documents = self.documents.saturating_add(1);
                if self.documents > 1 {
                    return Err(Diagnostic::at(span.start, "a second document; only one is read"));
                }
            }
            Event::Scalar(text, style, anchor, tag) => return self.scalar((&text, style), anchor, (tag, span)),
            Event::SequenceStart(anchor, tag) => {
                known_tag(tag.as_deref(), "seq", span)?;
                self.start(Content::List(Vec::new()), anchor, span)?;
            }
            Event::MappingStart(anchor, tag) => {
                known_tag(tag.as_deref(), "map", span)?;
                self.start(Content::Mapping(Members::default()), anchor, span)?;
            }
            Event::SequenceEnd | Event::MappingEnd => return self.end(span),
            Event::Alias(anchor) => {
                let node = self.anchors.get(&anchor).cloned();
                let node = node.ok_or_else(|| Diagnostic::at(span.start, "an alias inside what it names"))?;
                self.aliased = self.aliased.saturating_add(node.size());
                if self.aliased > MAX_ALIASED_NODES {
                    return Err(exceeds(span, "aliases add", "MAX_ALIASED_NODES", MAX_ALIASED_NODES, "nodes"));
                }
                return self.place(node, 0, span);
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
        Ok(())
    }

    fn scalar(
        &mut self,
        (text, style): (&str, ScalarStyle),
        anchor: usize,
        (tag, span): (Option<Cow<'_, Tag>>, Span),
    ) -> Result<(), Diagnostic> {
        // An empty document is one empty plain scalar.
        if self.open.is_empty()
            && text.is_empty()
            && style == ScalarStyle::Plain
            && tag.is_none()
            && span.start == span.end
        {
            return Ok(());
        }
        let plain = style == ScalarStyle::Plain && tag.is_none();
        if plain
            && text == MERGE
            && let Some(members) = self.awaiting_key()
        {
            members.key = Some(Key::Merge(span));
            return Ok(());
        }
        let kind = resolve(text, style, tag.as_deref(), span)?;
        self.place(Node::new(kind, span), anchor, span)
    }

    fn awaiting_key(&mut self) -> Option<&mut Members> {
        match self.open.last_mut() {
            Some(Open { content: Content::Mapping(members), .. }) if members.key.is_none() => Some(members),
            _ => None,
        }
    }

    fn start(&mut self, content: Content, anchor: usize, start: Span) -> Result<(), Diagnostic> {
        if let Some(Members { .. }) = self.awaiting_key() {
            return Err(Diagnostic::at(start.start, "a key must be a string, not a list or a mapping"));
        }
        if self.open.len() >= MAX_DEPTH {
            return Err(exceeds(start, "nested", "MAX_DEPTH", MAX_DEPTH, "levels"));
        }
        self.open.push(Open { start, anchor, content });
        Ok(())
    }

    fn end(&mut self, end: Span) -> Result<(), Diagnostic> {
        let Some(Open { start, anchor, content }) = self.open.pop() else { return Ok(()) };
        let span = Span { start: start.start, end: end.end };
        let kind = match content {
            Content::List(items) => Kind::List(items.into()),
            Content::Mapping(members) => Kind::Mapping(members.entries.into()),
        };
        self.place(Node::new(kind, span), anchor, span)
    }

    /// Puts a finished node where it belongs. `span` is where the text has it: an alias, not its anchor.
    fn place(&mut self, node: Node, anchor: usize, span: Span) -> Result<(), Diagnostic> {
        self.nodes = self.nodes.saturating_add(1);
        if self.nodes.saturating_add(self.aliased) > MAX_NODES {
            return Err(exceeds(span, "the text has", "MAX_NODES", MAX_NODES, "nodes"));
        }
        if self.open.len().saturating_add(node.depth()) > MAX_DEPTH {
            return Err(exceeds(span, "nested", "MAX_DEPTH", MAX_DEPTH, "levels"));
        }
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Open { content: Content::List(items), .. }) => items.push(node),
            Some(Open { content: Content::Mapping(members), .. }) => members.take(node, span)?,
        }
        Ok(())
    }
}

impl Members {
    fn take(&mut self, node: Node, span: Span) -> Result<(), Diagnostic> {
        match self.key.take() {
            None => {
                let Kind::Text(key) = node.kind() else {
                    let message = format!("a key must be a string, not {}", node.kind());
                    return Err(Diagnostic::at(span.start, message).with_help("put it in quotes"));
                };
                self.key = Some(Key::Written(Arc::clone(key), span));
                Ok(())
            }
            Some(Key::Written(key, key_span)) => self.written(key, key_span, node),
            Some(Key::Merge(merge)) => self.merge(&node, merge),
        }
    }

    fn written(&mut self, key: Arc<str>, key_span: Span, value: Node) -> Result<(), Diagnostic> {
        let Some(place) = self.find(&key) else {
            self.push(Entry { key, key_span, value });
            return Ok(());
        };
        if !self.merged.remove(&place) {
            return Err(Diagnostic::at(key_span.start, format!("duplicate key `{key}`")));
        }
        if let Some(slot) = self.entries.get_mut(place) {
            *slot = Entry { key, key_span, value };
        }
        Ok(())
    }

    fn find(&self, key: &str) -> Option<usize> {
        if self.places.is_empty() {
            return self.entries.iter().position(|entry| &*entry.key == key);
        }
        self.places.get(key).copied()
    }

    fn push(&mut self, entry: Entry) {
        if self.entries.len() >= SHORT {
            let known = self.places.len();
            let unknown = self.entries.iter().enumerate().skip(known);
            self.places.extend(unknown.map(|(place, entry)| (Arc::clone(&entry.key), place)));
            self.places.insert(Arc::clone(&entry.key), self.entries.len());
        }
        self.entries.push(entry);
    }

    /// Merges a mapping, or several of which the earlier win; what is written here always wins.
    fn merge(&mut self, node: &Node, place: Span) -> Result<(), Diagnostic> {
        let one = std::slice::from_ref(node);
        for source in node.as_list().unwrap_or(one) {
            let Some(entries) = source.as_mapping() else {
                return Err(Diagnostic::at(place.start, "a merge key takes a mapping or a list of mappings"));
            };
            for entry in entries {
                if self.find(&entry.key).is_none() {
                    self.merged.insert(self.entries.len());
                    self.push(entry.clone());
                }
            }
        }
        Ok(())
    }
}

const CORE: &str = "tag:yaml.org,2002:";

fn known_tag(tag: Option<&Tag>, expected: &str, span: Span) -> Result<(), Diagnostic> {
    match tag {
        None => Ok(()),
        Some(tag) if tag.handle == CORE && tag.suffix == expected => Ok(()),
        Some(tag) if tag.handle.is_empty() && tag.suffix == "!" => Ok(()),
        Some(tag) => Err(unknown_tag(tag, span)),
    }
}

fn unknown_tag(tag: &Tag, span: Span) -> Diagnostic {
    let known = ["str", "int", "float", "bool", "null", "map", "seq"];
    Diagnostic::at(span.start, format!("unsupported tag `{tag}`{}", suggestion(&tag.suffix, known)))
}

fn resolve(text: &str, style: ScalarStyle, tag: Option<&Tag>, span: Span) -> Result<Kind, Diagnostic> {
    let plain = |text| {
        scalar::resolve(text).map_err(|refused| match refused {
            Refused::NotFinite => Diagnostic::at(span.start, format!("`{text}` is not a finite number")),
            Refused::TooLarge => Diagnostic::at(span.start, "a number of more than 128 bits; write it in decimal"),
        })
    };
    let Some(tag) = tag else {
        return if style == ScalarStyle::Plain { plain(text) } else { Ok(Kind::Text(text.into())) };
    };
    if (tag.handle.is_empty() && tag.suffix == "!") || (tag.handle == CORE && tag.suffix == "str") {
        return Ok(Kind::Text(text.into()));
    }
    let kind = plain(text)?;
    let fits = match (&kind, tag.suffix.as_str()) {
        _ if tag.handle != CORE => return Err(unknown_tag(tag, span)),
        (Kind::Null, "null") | (Kind::Boolean(_), "bool") | (Kind::Number(_), "float") => true,
        (Kind::Number(number), "int") => number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-'),
        (_, "null" | "bool" | "float" | "int") => false,
        _ => return Err(unknown_tag(tag, span)),
    };
    if fits { Ok(kind) } else { Err(Diagnostic::at(span.start, format!("`{text}` is no `!!{}`", tag.suffix))) }
}

fn exceeds(span: Span, what: &str, bound: &str, limit: usize, unit: &str) -> Diagnostic {
    Diagnostic::at(span.start, format!("{what} more than {limit} {unit} ({bound})"))
}
