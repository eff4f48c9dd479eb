//! One mapping on its way from theirs to ours: a table says what becomes of each key.

use super::findings::{Finding, Weight};
use super::secrets::Secrets;
use super::tree::{Member, Remarks, Tree, Value};
use super::values;

/// What a conversion has found out and set aside.
#[derive(Debug)]
pub(crate) struct Journal {
    pub(crate) findings: Vec<Finding>,
    pub(crate) secrets: Secrets,
}

/// A key of theirs, and what becomes of it. Every key stands in its table once.
#[derive(Debug)]
pub(crate) struct Key<A> {
    /// Its name; `otel_bsp_*` names every key that begins so.
    pub(crate) name: &'static str,
    pub(crate) treatment: Treatment<A>,
}

/// What becomes of a key.
#[derive(Debug)]
pub(crate) enum Treatment<A> {
    /// The value goes to this path of ours.
    Moves(&'static str, Shape),
    /// A function of its own converts it.
    Converts(fn(&mut Scope<'_, A>, &Member)),
    /// Another step reads it together with others.
    Elsewhere,
    /// Nothing of ours corresponds because nothing needs to: why.
    Needless(&'static str),
    /// No equivalent, and nobody gets in by that: why, and the nearest thing (or nothing).
    Lost(&'static str, &'static str),
    /// No equivalent, and it protected: why, and the nearest thing.
    Protects(&'static str, &'static str),
}

/// What a value must be to move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Flag,
    Text,
    Texts,
    Duration,
    /// An address to listen on.
    Address,
    /// Names with texts.
    Map,
    AsIs,
}

/// One mapping: theirs, what has become of it, and what surrounds it.
#[derive(Debug)]
pub(crate) struct Scope<'a, A> {
    pub(crate) source: &'a Tree,
    /// What stands before a key in messages: `routes[2].`.
    pub(crate) prefix: String,
    pub(crate) out: Tree,
    pub(crate) around: A,
    pub(crate) journal: &'a mut Journal,
}

impl<'a, A> Scope<'a, A> {
    pub(crate) fn new(source: &'a Tree, prefix: String, around: A, journal: &'a mut Journal) -> Self {
        Self { source, prefix, out: Value::Map(Vec::new()).into(), around, journal }
    }

    /// Treats every key as the table says; one that the table does not have is named.
    pub(crate) fn apply(&mut self, table: &[Key<A>]) {
        for member in self.source.members() {
            let name = member.key.to_ascii_lowercase();
            match find(table, &name) {
                Some(key) => self.treat(&key.treatment, member),
                None => self.unknown(member, table.iter().map(|key| key.name)),
            }
        }
    }

    fn treat(&mut self, treatment: &Treatment<A>, member: &Member) {
        match treatment {
            Treatment::Elsewhere => {}
            // A key without a value is as if it were not there, in both.
            _ if matches!(member.value.value, Value::Null) => {}
            Treatment::Moves(path, shape) => self.moves(path, *shape, member),
            Treatment::Converts(convert) => convert(self, member),
            Treatment::Needless(why) => self.note(member, why),
            Treatment::Lost(why, nearest) if !member.value.is_off() => self.lost(member, why, nearest),
            Treatment::Protects(why, nearest) if !member.value.is_off() => self.protects(member, why, nearest),
            Treatment::Lost(..) | Treatment::Protects(..) => {}
        }
    }

    fn moves(&mut self, path: &str, shape: Shape, member: &Member) {
        let value = &member.value;
        if value.as_text() == Some("") {
            return;
        }
        let moved = match shape {
            Shape::Flag => value.as_boolean().map(Tree::boolean),
            Shape::Text => value.scalar().map(Tree::text),
            Shape::Texts => texts(value),
            Shape::Duration => values::duration(value).map(Tree::text),
            Shape::Address => value.scalar().and_then(|text| values::address(&text)).map(Tree::text),
            Shape::Map => texts_by_name(value),
            Shape::AsIs => Some(Tree { remarks: Remarks::default(), ..value.clone() }),
        };
        match moved {
            Some(moved) => self.out.set(path, moved.with_remarks_of(value)),
            None => {
                let wanted = match shape {
                    Shape::Flag => "is neither true nor false",
                    Shape::Text => "is no text",
                    Shape::Texts => "is no list of texts",
                    Shape::Duration => "is no duration",
                    Shape::Address => "is no IP address with a port",
                    Shape::Map => "is no mapping of names to texts",
                    Shape::AsIs => "has a value that nobody knows",
                };
                self.lost(member, wanted, path);
            }
        }
    }

    fn unknown(&mut self, member: &Member, known: impl Iterator<Item = &'static str>) {
        let meant = portcullis_policy::nearest(&member.key, known);
        let nearest = meant.map(|meant| format!("did you mean `{meant}`?")).unwrap_or_default();
        // The reference ignores what it does not know; but a name like these was meant to keep somebody out.
        let restricts = ["allow", "deny", "require", "restrict", "downstream"];
        if restricts.iter().any(|word| member.key.to_ascii_lowercase().starts_with(word)) {
            self.protects(member, "an unknown key that looks like a restriction", &nearest);
        } else {
            self.lost(member, "an unknown key", &nearest);
        }
    }

    pub(crate) fn note(&mut self, member: &Member, why: &str) {
        self.find(Weight::Note, member, (why, ""));
    }

    pub(crate) fn lost(&mut self, member: &Member, why: &str, nearest: &str) {
        self.find(Weight::Lost, member, (why, nearest));
    }

    pub(crate) fn protects(&mut self, member: &Member, why: &str, nearest: &str) {
        self.find(Weight::Protects, member, (why, nearest));
    }

    pub(crate) fn find(&mut self, weight: Weight, member: &Member, (reason, nearest): (&str, &str)) {
        self.journal.findings.push(Finding {
            weight,
            place: member.place.clone(),
            key: format!("{}{}", self.prefix, member.key),
            reason: reason.to_owned(),
            nearest: (!nearest.is_empty()).then(|| nearest.to_owned()),
        });
    }

    /// The member of a key, with its place.
    pub(crate) fn member(&self, key: &str) -> Option<&'a Member> {
        self.source.members().iter().find(|member| member.key.eq_ignore_ascii_case(key))
    }

    /// The value of a key, unless it is null or an empty text.
    pub(crate) fn given(&self, key: &str) -> Option<&'a Tree> {
        let value = &self.member(key)?.value;
        let empty = matches!(value.value, Value::Null) || value.as_text() == Some("");
        (!empty).then_some(value)
    }
}

/// The entry of a table for a key.
pub(crate) fn find<'t, A>(table: &'t [Key<A>], name: &str) -> Option<&'t Key<A>> {
    let begins = |key: &&Key<A>| key.name.strip_suffix('*').is_some_and(|start| name.starts_with(start));
    table.iter().find(|key| key.name == name).or_else(|| table.iter().find(begins))
}

/// A list of texts with the comments of its items; a comma-separated text is one too.
fn texts(value: &Tree) -> Option<Tree> {
    match &value.value {
        Value::List(items) => {
            let text = |item: &Tree| item.scalar().map(|text| Tree::text(text).with_remarks_of(item));
            let items: Option<Vec<Tree>> = items.iter().map(text).collect();
            Some(Tree { flow: value.flow, ..Tree::list(items?) })
        }
        Value::Text(_) | Value::Number(_) => Some(Tree::texts(value.strings())),
        Value::Null | Value::Boolean(_) | Value::Map(_) => None,
    }
}

fn texts_by_name(value: &Tree) -> Option<Tree> {
    let Value::Map(members) = &value.value else { return None };
    let member = |one: &Member| {
        let text = Tree::text(one.value.scalar()?).with_remarks_of(&one.value);
        Some(Member { key: one.key.clone(), place: None, value: text })
    };
    let members: Option<Vec<Member>> = members.iter().map(member).collect();
    Some(Tree { flow: value.flow, ..Value::Map(members?).into() })
}
