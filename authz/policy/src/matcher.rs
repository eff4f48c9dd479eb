//! Compiled matchers over one string, and over a list of values.

use portcullis_identity::{ClaimKind, ClaimValue, Found, Groups, same};

/// Tests that must all hold; none at all always holds.
#[derive(Debug)]
enum Tests<T> {
    /// What nearly every matcher has: it stands in the matcher's own place.
    One(T),
    Many(Box<[T]>),
}

/// Conditions on one string.
#[derive(Debug)]
pub(crate) struct StringMatcher(Tests<StringTest>);

/// One condition on a string. Comparisons with something that is no string are folded when compiled: they
/// are `Never` or left out.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum StringTest {
    Is(Box<str>),
    Not(Box<str>),
    Contains(Box<str>),
    StartsWith(Box<str>),
    EndsWith(Box<str>),
    /// Sorted.
    In(Box<[Box<str>]>),
    /// Sorted.
    NotIn(Box<[Box<str>]>),
    Never,
}

impl StringMatcher {
    pub(crate) fn new(tests: Vec<StringTest>) -> Self {
        Self(Tests::new(tests))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.as_slice().is_empty()
    }

    /// Whether some text meets it: a test that names its texts is tried on them.
    pub(crate) fn can_hold(&self) -> bool {
        self.0.as_slice().iter().all(|test| match test {
            StringTest::Is(text) => self.holds(text),
            StringTest::In(list) => list.iter().any(|text| self.holds(text)),
            StringTest::Never => false,
            StringTest::Not(_)
            | StringTest::Contains(_)
            | StringTest::StartsWith(_)
            | StringTest::EndsWith(_)
            | StringTest::NotIn(_) => true,
        })
    }

    /// The text it accepts, where that is all it says.
    pub(crate) fn only(&self) -> Option<&str> {
        match self.0.as_slice() {
            [StringTest::Is(text)] => Some(text),
            _ => None,
        }
    }

    /// Whether `text` is all it accepts.
    pub(crate) fn is_exactly(&self, text: &str) -> bool {
        self.0.as_slice().iter().any(|test| matches!(test, StringTest::Is(wanted) if **wanted == *text))
    }

    /// Whether only texts with this character meet it.
    pub(crate) fn needs(&self, character: char) -> bool {
        self.0.as_slice().iter().any(|test| match test {
            StringTest::Is(text)
            | StringTest::Contains(text)
            | StringTest::StartsWith(text)
            | StringTest::EndsWith(text) => text.contains(character),
            StringTest::In(list) => list.iter().all(|text| text.contains(character)),
            StringTest::Not(_) | StringTest::NotIn(_) | StringTest::Never => false,
        })
    }

    #[inline]
    pub(crate) fn holds(&self, text: &str) -> bool {
        self.0.all(text, StringTest::holds)
    }
}

impl StringTest {
    #[inline(never)]
    fn holds(&self, text: &str) -> bool {
        match self {
            Self::Is(wanted) => equal(wanted, text),
            Self::Not(unwanted) => !equal(unwanted, text),
            Self::Contains(part) => contains(text, part),
            Self::StartsWith(start) => begins(text, start),
            Self::EndsWith(end) => ends(text, end),
            Self::In(list) => is_listed(list, text),
            Self::NotIn(list) => !is_listed(list, text),
            Self::Never => false,
        }
    }
}

#[inline]
fn equal(one: &str, other: &str) -> bool {
    same(one.as_bytes(), other.as_bytes())
}

#[inline]
fn begins(text: &str, start: &str) -> bool {
    text.as_bytes().get(..start.len()).is_some_and(|beginning| same(beginning, start.as_bytes()))
}

#[inline]
pub(crate) fn ends(text: &str, end: &str) -> bool {
    let start = text.len().checked_sub(end.len());
    start.and_then(|start| text.as_bytes().get(start..)).is_some_and(|ending| same(ending, end.as_bytes()))
}

/// Apart, so that what it needs weighs on no other test.
#[inline(never)]
fn contains(text: &str, part: &str) -> bool {
    text.contains(part)
}

/// Lists up to this length are searched one by one: most entries differ in their length already.
const LINEAR: usize = 8;

#[inline(never)]
fn is_listed(list: &[Box<str>], text: &str) -> bool {
    if list.len() > LINEAR {
        return is_among_many(list, text);
    }
    list.iter().any(|entry| equal(entry, text))
}

#[inline(never)]
fn is_among_many(list: &[Box<str>], text: &str) -> bool {
    list.binary_search_by(|entry| (**entry).cmp(text)).is_ok()
}

/// Conditions on a list of values.
#[derive(Debug)]
pub(crate) struct ListMatcher(Tests<ListTest>);

#[derive(Debug)]
pub(crate) struct ListTest {
    relation: Relation,
    value: ClaimValue,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Relation {
    /// One element equals the value.
    Has,
    /// There is exactly one element, and it equals the value.
    Is,
    /// No element equals the value.
    Exclude,
}

impl ListTest {
    pub(crate) const fn new(relation: Relation, value: ClaimValue) -> Self {
        Self { relation, value }
    }

    #[inline]
    fn holds_for_claim(&self, found: Option<Found<'_>>) -> bool {
        self.holds(found.map_or(0, Found::len), || found.is_some_and(|found| found.has(&self.value)))
    }

    #[inline]
    fn holds_for_groups(&self, groups: &Groups) -> bool {
        self.holds(groups.len(), || groups.has_value(&self.value))
    }

    /// One search, whatever is asked of it.
    #[inline]
    fn holds(&self, count: usize, has: impl FnOnce() -> bool) -> bool {
        let asked = self.relation != Relation::Is || count == 1;
        asked && has() != (self.relation == Relation::Exclude)
    }
}

impl ListMatcher {
    pub(crate) fn new(tests: Vec<ListTest>) -> Self {
        Self(Tests::new(tests))
    }

    /// Whether some list of strings meets it.
    pub(crate) fn can_hold_for_texts(&self) -> bool {
        self.0.as_slice().iter().all(|test| test.relation == Relation::Exclude || test.value.kind() == ClaimKind::Text)
    }

    /// Over a claim; a missing one is the empty list.
    #[inline]
    pub(crate) fn holds(&self, found: Option<Found<'_>>) -> bool {
        self.0.all(found, ListTest::holds_for_claim)
    }

    /// Over group ids, which are strings.
    #[inline(never)]
    pub(crate) fn holds_for_groups(&self, groups: &Groups) -> bool {
        self.0.all(groups, ListTest::holds_for_groups)
    }
}

impl<T> Tests<T> {
    fn new(tests: Vec<T>) -> Self {
        match <[T; 1]>::try_from(tests) {
            Ok([test]) => Self::One(test),
            Err(tests) => Self::Many(tests.into()),
        }
    }

    const fn as_slice(&self) -> &[T] {
        match self {
            Self::One(test) => std::slice::from_ref(test),
            Self::Many(tests) => tests,
        }
    }

    #[inline]
    fn all<V: Copy>(&self, value: V, holds: impl Fn(&T, V) -> bool) -> bool {
        match self {
            Self::One(test) => holds(test, value),
            Self::Many(tests) => each(tests, value, holds),
        }
    }
}

#[inline(never)]
fn each<T, V: Copy>(tests: &[T], value: V, holds: impl Fn(&T, V) -> bool) -> bool {
    tests.iter().all(|test| holds(test, value))
}
