//! How claims lie in memory: the names apart, for everybody who has the same ones, and of each session no more than
//! its values' text and where each of them ends.

use std::sync::Arc;

use super::value::digest;
use super::{ClaimKind, ClaimRef, Claims};

/// Lists up to this length are searched one by one.
pub(super) const LINEAR: usize = 8;
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
    /// The digest of each name, ascending: a look-up reads one or two cache lines of these.
    pub(super) digests: Box<[u32]>,
    claims: Box<[Claim]>,
    text: Box<str>,
}

/// One name, in the order of digests, then names; no name twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Claim {
    /// Where the name ends in the names' text; it begins where the one before ends.
    end: u32,
    /// The slot of the first value, and how many there are.
    pub(super) first: u32,
    pub(super) count: u32,
    /// Whether the token held a list, which [`Claims::to_json`] gives back as one.
    pub(super) list: bool,
    /// Where the index of a long list begins among the slots: digest and place of each value, ordered.
    pub(super) index: Option<u32>,
}

impl Names {
    pub(super) fn claim(&self, place: usize) -> Option<(&str, Claim)> {
        let claim = *self.claims.get(place)?;
        let start = place.checked_sub(1).and_then(|before| self.claims.get(before)).map_or(0, |before| before.end);
        Some((self.text.get(range(start, claim.end)?)?, claim))
    }

    /// The claim at `place`, if that is its name.
    #[inline]
    pub(super) fn claim_called(&self, place: usize, name: &str) -> Option<Claim> {
        let claim = self.claims.get(place)?;
        let before = place.checked_sub(1).and_then(|before| self.claims.get(before));
        let own = range(before.map_or(0, |before| before.end), claim.end)?;
        (self.text.as_bytes().get(own)? == name.as_bytes()).then_some(*claim)
    }

    pub(super) fn len(&self) -> usize {
        self.claims.len()
    }
}

/// Lays claims out; of two with the same name, the later one stays.
pub(super) fn lay_out(mut entries: Vec<Entry<'_>>) -> Claims {
    let key = |entry: &Entry<'_>| digest(ClaimKind::Text, entry.name);
    entries.sort_by(|a, b| (key(a), a.name).cmp(&(key(b), b.name)));
    // Sorting keeps the order of equal names.
    entries.reverse();
    entries.dedup_by(|a, b| a.name == b.name);
    entries.reverse();
    let (mut names, mut text) = (String::new(), String::new());
    let (mut claims, mut slots): (Vec<Claim>, Vec<u32>) = (Vec::with_capacity(entries.len()), Vec::new());
    for Entry { name, list, values } in &entries {
        names.push_str(name);
        let (first, count) = (number(slots.len()), number(values.len()));
        for value in values {
            text.push_str(value.as_text());
            slots.push(slot(value.kind(), text.len()));
        }
        claims.push(Claim { end: number(names.len()), first, count, list: *list, index: None });
    }
    for (claim, Entry { values, .. }) in claims.iter_mut().zip(&entries) {
        if values.len() > LINEAR {
            claim.index = Some(number(slots.len()));
            let places = 0..number(values.len());
            let mut index: Vec<(u32, u32)> = values.iter().map(|value| value.digest()).zip(places).collect();
            index.sort_unstable();
            slots.extend(index.into_iter().flat_map(|(digest, place)| [digest, place]));
        }
    }
    let digests = entries.iter().map(key).collect();
    let names = Names { digests, claims: claims.into(), text: names.into() };
    Claims { names: Arc::new(names), slots: slots.into(), text: text.into() }
}

fn slot(kind: ClaimKind, end: usize) -> u32 {
    let kind: u32 = match kind {
        ClaimKind::Null => 0,
        ClaimKind::Boolean => 1,
        ClaimKind::Number => 2,
        ClaimKind::Text => 3,
        ClaimKind::Nested => 4,
    };
    (kind << END_BITS) | number(end).min(END_MASK)
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
pub(super) fn range(start: u32, end: u32) -> Option<std::ops::Range<usize>> {
    Some(usize::try_from(start).ok()?..usize::try_from(end).ok()?)
}

/// The caller bounds the text far below what a slot can say.
fn number(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
