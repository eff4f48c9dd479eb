//! The criterion over external data.

use std::cmp::Ordering;

use portcullis_identity::{ClaimKind, ClaimRef, Claims, Found, NameKey, Records, compare_numbers};

use crate::criterion::Path;
use crate::matcher::{ListMatcher, StringMatcher};

/// The value of a `record` criterion.
#[derive(Debug)]
pub(crate) struct RecordMatcher {
    pub kind: Box<str>,
    pub id: Option<Box<str>>,
    /// Whether there must be such a record (true), or must not (false).
    pub exists: bool,
    pub field: Option<FieldMatcher>,
}

/// Conditions on one field; all must hold.
#[derive(Debug)]
pub(crate) struct FieldMatcher {
    pub path: Path,
    /// One string of the field must meet this.
    pub text: StringMatcher,
    pub list: ListMatcher,
    /// One number of the field must meet all of these.
    pub numbers: Box<[(Comparison, Box<str>)]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    Less,
    LessOrEqual,
    Equal,
    GreaterOrEqual,
    Greater,
}

impl RecordMatcher {
    /// An id is looked up; without one every record of the type is, and none of another.
    #[inline(never)]
    pub(crate) fn holds(&self, records: &Records) -> bool {
        let Self { kind, id, exists, field } = self;
        let found = match id {
            Some(id) => records.with_id(kind, id),
            None => records.of_type(kind),
        };
        found.iter().any(|record| field.as_ref().is_none_or(|field| field.holds(&record.data))) == *exists
    }
}

impl FieldMatcher {
    fn holds(&self, data: &Claims) -> bool {
        let found = self.path.find(data);
        self.list.holds(found) && self.text_holds(found) && self.numbers_hold(found)
    }

    fn text_holds(&self, found: Option<Found<'_>>) -> bool {
        self.text.is_empty() || values(found, ClaimKind::Text).any(|value| self.text.holds(value.as_text()))
    }

    fn numbers_hold(&self, found: Option<Found<'_>>) -> bool {
        let meets = |value: ClaimRef<'_>| {
            self.numbers.iter().all(|(comparison, bound)| comparison.accepts(compare_numbers(value.as_text(), bound)))
        };
        self.numbers.is_empty() || values(found, ClaimKind::Number).any(meets)
    }
}

fn values(found: Option<Found<'_>>, kind: ClaimKind) -> impl Iterator<Item = ClaimRef<'_>> {
    found.into_iter().flat_map(Found::iter).filter(move |value| value.kind() == kind)
}

impl Comparison {
    fn accepts(self, order: Ordering) -> bool {
        match self {
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Equal => order.is_eq(),
            Self::GreaterOrEqual => order.is_ge(),
            Self::Greater => order.is_gt(),
        }
    }
}

impl Path {
    /// A path as a policy writes it: `a/b` is a claim of that very name, else `a.b`.
    pub(crate) fn new(written: &str) -> Self {
        let dotted = written.contains('/').then(|| NameKey::new(written.replace('/', ".")));
        Self { exact: NameKey::new(written), dotted }
    }

    pub(crate) fn find<'a>(&self, claims: &'a Claims) -> Option<Found<'a>> {
        let dotted = || self.dotted.as_ref().and_then(|dotted| claims.find(dotted));
        claims.find(&self.exact).or_else(dotted)
    }
}
