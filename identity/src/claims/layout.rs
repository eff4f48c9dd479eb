//! How claims lie in memory: the names apart, for everybody who has the same ones, and of each session no more than
//! its values' text and where each of them ends.

use std::num::NonZeroU32;
use std::ops::Range;
use std::sync::Arc;

use super::value::digest;
use super::{ClaimKind, ClaimRef, Claims, NameKey};
use crate::digest_table::{self, FEW};
use crate::same;

/// A value's slot is its kind above this many bits and its end in the text below.
const END_BITS: u32 = 29;
const END_MASK: u32 = (1 << END_BITS) - 1;

/// One claim before it is laid out.
pub(super) struct Entry<'a> {
    pub(super) name: &'a str,
    pub(super) list: bool,
    pub(super) values: Vec<ClaimRef<'a>>,
}

/// The names of a session's claims and how many values each has: what sessions of one provider have in common.
#[derive(Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Names {
    /// The places of names by their digests; empty if there is none, or where they cannot be told apart by them.
    pub(super) table: Box<[u32]>,
    claims: Box<[Claim]>,
    text: Box<str>,
}

/// One name, in the order of names; no name twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Claim {
    /// Where the name stands in the names' text.
    start: u32,
    end: u32,
    /// The slot of the first value, and how many there are.
    pub(super) first: u32,
    pub(super) count: u32,
    /// Whether the token held a list, which [`Claims::to_json`] gives back as one.
    pub(super) list: bool,
    /// Where the table of a long list, if it has one, begins among the slots: the places of values by their digests.
    pub(super) table: Option<NonZeroU32>,
}

impl Claim {
    /// One without any value.
    pub(super) const NONE: Self = Self { start: 0, end: 0, first: 0, count: 0, list: false, table: None };

    /// Where its name stands in the names' text.
    #[inline]
    fn name(&self) -> Option<Range<usize>> {
        range(self.start, self.end)
    }
}

impl Names {
    pub(super) fn claim(&self, place: usize) -> Option<&Claim> {
        self.claims.get(place)
    }

    pub(super) fn name(&self, place: usize) -> Option<&str> {
        self.text.get(self.claim(place)?.name()?)
    }

    /// The claim of that name.
    #[inline(never)]
    pub(super) fn find(&self, name: &NameKey<'_>) -> Option<&Claim> {
        digest_table::find(&self.table, self.claims.len(), name.digest(), move |place| self.called(name, place))
    }

    /// The claim at `place`, if it has that name.
    #[inline]
    fn called(&self, name: &NameKey<'_>, place: usize) -> Option<&Claim> {
        let claim = self.claims.get(place)?;
        let own = self.text.as_bytes().get(claim.name()?)?;
        same(own, name.as_str().as_bytes()).then_some(claim)
    }

    pub(super) fn len(&self) -> usize {
        self.claims.len()
    }
}

/// Lays claims out; of two with the same name, the later one stays.
pub(super) fn lay_out(mut entries: Vec<Entry<'_>>) -> Claims {
    entries.sort_by(|a, b| a.name.cmp(b.name));
    // Sorting keeps the order of equal names.
    entries.reverse();
    entries.dedup_by(|a, b| a.name == b.name);
    entries.reverse();
    let (mut names, mut text) = (String::new(), String::new());
    let (mut claims, mut slots): (Vec<Claim>, Vec<u32>) = (Vec::with_capacity(entries.len()), Vec::new());
    for Entry { name, list, values } in &entries {
        let start = number(names.len());
        names.push_str(name);
        let (first, count) = (number(slots.len()), number(values.len()));
        for value in values {
            text.push_str(value.as_text());
            slots.push(slot(value.kind(), text.len()));
        }
        claims.push(Claim { start, end: number(names.len()), first, count, list: *list, table: None });
    }
    for (claim, Entry { values, .. }) in claims.iter_mut().zip(&entries) {
        if values.len() > FEW
            && let Some(table) = digest_table::table(values.iter().map(|value| value.digest()))
        {
            claim.table = NonZeroU32::new(number(slots.len()));
            slots.extend(table);
        }
    }
    let table = digest_table::table(entries.iter().map(|entry| digest(ClaimKind::Text, entry.name)));
    let names = Names { table: table.unwrap_or_default().into(), claims: claims.into(), text: names.into() };
    Claims { names: Arc::new(names), slots: slots.into(), text: text.into() }
}

fn slot(kind: ClaimKind, end: usize) -> u32 {
    (kind_number(kind) << END_BITS) | number(end).min(END_MASK)
}

/// Whether the value in a slot is of this kind.
#[inline]
pub(super) const fn is_of(slot: u32, kind: ClaimKind) -> bool {
    slot >> END_BITS == kind_number(kind)
}

const fn kind_number(kind: ClaimKind) -> u32 {
    match kind {
        ClaimKind::Null => 0,
        ClaimKind::Boolean => 1,
        ClaimKind::Number => 2,
        ClaimKind::Text => 3,
        ClaimKind::Nested => 4,
    }
}

pub(super) const fn kind_of(slot: u32) -> ClaimKind {
    match slot >> END_BITS {
        0 => ClaimKind::Null,
        1 => ClaimKind::Boolean,
        2 => ClaimKind::Number,
        3 => ClaimKind::Text,
        _ => ClaimKind::Nested,
    }
}

pub(super) const fn end_of(slot: u32) -> u32 {
    slot & END_MASK
}

/// The bytes between two offsets.
#[inline]
pub(super) fn range(start: u32, end: u32) -> Option<Range<usize>> {
    Some(usize::try_from(start).ok()?..usize::try_from(end).ok()?)
}

/// The caller bounds the text far below what a slot can say.
fn number(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
