//! What a provider says of a principal: a flat map of dotted names to lists of values.
//!
//! Built once, when claims arrive; read in every decision, where nothing may be allocated; held by the million. So
//! the names are apart from the values and shared by whoever has the same ones, all values of one token share one
//! text, and names and long lists have a table of 32-bit digests: finding a name, or a value in a list of hundreds,
//! reads one or two numbers before the text.

mod json;
mod layout;
mod number;
mod value;

use std::num::NonZeroU32;
use std::ops::Range;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::{digest_table, same};

pub(crate) use layout::Names;
use layout::{Claim, Entry};
pub use number::{canonical_number, compare_numbers};
pub(crate) use value::digest;
pub use value::{ClaimKind, ClaimRef, ClaimValue, NameKey};

/// The most bytes of claims, as JSON text, that a session may carry.
pub const MAX_CLAIMS_BYTES: usize = 64 * 1024;

/// The deepest nesting of lists and objects in claims.
pub const MAX_CLAIMS_DEPTH: usize = 128;

/// Claims by name; objects are flattened with dots, scalars are lists of one. Cloning shares everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    names: Arc<Names>,
    /// Kind and end of each value, claim by claim; behind them the tables of long lists.
    slots: Arc<[u32]>,
    /// The values, one behind the other.
    text: Arc<str>,
}

/// Why a text is not a set of claims.
#[derive(Debug, thiserror::Error)]
pub enum ClaimsError {
    /// Not one JSON object.
    #[error("claims are not a JSON object")]
    NotAnObject(#[source] serde_json::Error),
    /// More than [`MAX_CLAIMS_BYTES`].
    #[error("claims take {bytes} bytes, more than {MAX_CLAIMS_BYTES}")]
    TooLarge {
        /// The text's length.
        bytes: usize,
    },
    /// Lists and objects inside each other more than [`MAX_CLAIMS_DEPTH`] times.
    #[error("claims are nested more than {MAX_CLAIMS_DEPTH} times")]
    TooDeep,
}

impl Claims {
    /// Reads one JSON object, flattening objects with dots at any depth.
    ///
    /// Numbers keep their exact value whatever their size. Where two paths lead to one flat name, the one
    /// whose top-level name sorts later wins.
    ///
    /// # Errors
    /// If the text is not one JSON object, is larger than [`MAX_CLAIMS_BYTES`] or nested too deep.
    pub fn from_json(text: &str) -> Result<Self, ClaimsError> {
        if text.len() > MAX_CLAIMS_BYTES {
            return Err(ClaimsError::TooLarge { bytes: text.len() });
        }
        Self::from_trusted_json(text)
    }

    /// As [`Claims::from_json`], for text whose size the caller has bounded already.
    ///
    /// # Errors
    /// If the text is not one JSON object or is nested too deep.
    pub fn from_trusted_json(text: &str) -> Result<Self, ClaimsError> {
        json::flatten(text).map(|flat| layout::lay_out(flat.entries()))
    }

    /// The values of `name`; empty if there is no such claim, or if it is an empty list.
    #[must_use]
    pub fn get(&self, name: &str) -> Found<'_> {
        self.find(&NameKey::borrowed(name)).unwrap_or(Found { claims: self, claim: &Claim::NONE })
    }

    /// The values of a name prepared beforehand; `None` if there is no such claim.
    #[must_use]
    #[inline]
    pub fn find(&self, name: &NameKey<'_>) -> Option<Found<'_>> {
        Some(Found { claims: self, claim: self.names.find(name)? })
    }

    /// The value of `name`, if it is exactly one string.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        let found = self.get(name);
        let value = found.first().filter(|value| found.len() == 1 && value.kind() == ClaimKind::Text)?;
        Some(value.as_text())
    }

    /// Every claim, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Found<'_>)> {
        let claims =
            (0..self.names.len()).filter_map(|place| Some((self.names.name(place)?, self.names.claim(place)?)));
        claims.map(|(name, claim)| (name, Found { claims: self, claim }))
    }

    /// How many names there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there is no claim at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.len() == 0
    }

    /// These claims with those of `by` in place of the ones of the same flat name.
    #[must_use]
    pub fn overlaid(&self, by: &Self) -> Self {
        if by.is_empty() {
            return self.clone();
        }
        if self.is_empty() {
            return by.clone();
        }
        layout::lay_out(self.entries().chain(by.entries()).collect())
    }

    /// The flat claims as JSON; what was a list stays one. A number that JSON's usual readers would round
    /// is given as a string of its exact digits.
    #[must_use]
    pub fn to_json(&self) -> Map<String, Value> {
        let claims = self.iter().map(|(name, found)| {
            let mut values = found.iter().map(ClaimRef::to_json);
            let json = match (found.claim.list, values.next(), found.len()) {
                (false, Some(value), 1) => value,
                (_, first, _) => Value::Array(first.into_iter().chain(values).collect()),
            };
            (name.to_owned(), json)
        });
        claims.collect()
    }

    /// The bytes that these claims keep from others: text and slots, without the names.
    #[must_use]
    pub fn own_bytes(&self) -> usize {
        self.text.len().saturating_add(size_of_val(&*self.slots))
    }

    pub(crate) const fn names(&self) -> &Arc<Names> {
        &self.names
    }

    /// With equal names in the place of its own.
    pub(crate) fn with_names(self, names: Arc<Names>) -> Self {
        Self { names, ..self }
    }

    fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        self.iter().map(|(name, found)| Entry { name, list: found.claim.list, values: found.iter().collect() })
    }

    /// Whether the value in `slot` equals `wanted`, in kind and text: as bytes, which need no look for where
    /// characters begin.
    #[inline]
    fn value_is(&self, slot: u32, wanted: &ClaimValue) -> bool {
        let Some((own, range)) = self.slot(slot) else { return false };
        let text = self.text.as_bytes().get(range);
        layout::is_of(own, wanted.kind()) && text.is_some_and(|text| same(text, wanted.as_text().as_bytes()))
    }

    #[inline]
    fn value(&self, slot: u32) -> Option<ClaimRef<'_>> {
        let (slot, range) = self.slot(slot)?;
        Some(ClaimRef::new(layout::kind_of(slot), self.text.get(range)?))
    }

    /// What stands in a slot, and where its value's text stands.
    #[inline]
    fn slot(&self, slot: u32) -> Option<(u32, Range<usize>)> {
        let place = usize::try_from(slot).ok()?;
        let own = *self.slots.get(place)?;
        let before = place.checked_sub(1).and_then(|before| self.slots.get(before));
        let start = before.map_or(0, |before| layout::end_of(*before));
        Some((own, layout::range(start, layout::end_of(own))?))
    }
}

/// The values of one claim.
#[derive(Clone, Copy)]
pub struct Found<'a> {
    claims: &'a Claims,
    claim: &'a Claim,
}

impl<'a> Found<'a> {
    /// Whether one of the values equals `wanted`, in kind and text.
    #[must_use]
    #[inline]
    pub fn has(self, wanted: &ClaimValue) -> bool {
        match (self.claim.table, self.claim.count) {
            (None, 1) => self.claims.value_is(self.claim.first, wanted),
            (table, _) => self.has_among_many(table, wanted),
        }
    }

    #[inline(never)]
    fn has_among_many(self, table: Option<NonZeroU32>, wanted: &ClaimValue) -> bool {
        let table = table.and_then(|start| self.claims.slots.get(usize::try_from(start.get()).ok()?..));
        let table = table.and_then(|table| table.get(..digest_table::size(self.len()))).unwrap_or_default();
        digest_table::find(table, self.len(), wanted.digest(), move |place| self.at(place, wanted)).is_some()
    }

    /// Something, if the value at `place` is this one.
    #[inline]
    fn at(self, place: usize, wanted: &ClaimValue) -> Option<()> {
        let slot = self.claim.first.checked_add(u32::try_from(place).ok()?)?;
        self.claims.value_is(slot, wanted).then_some(())
    }

    /// The values in the token's order.
    #[inline]
    pub fn iter(self) -> impl Iterator<Item = ClaimRef<'a>> {
        let slots = self.claim.first..self.claim.first.saturating_add(self.claim.count);
        slots.filter_map(move |slot| self.claims.value(slot))
    }

    /// The first value.
    #[must_use]
    pub fn first(self) -> Option<ClaimRef<'a>> {
        self.iter().next()
    }

    /// How many values there are.
    #[must_use]
    #[inline]
    pub fn len(self) -> usize {
        usize::try_from(self.claim.count).unwrap_or(usize::MAX)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.claim.count == 0
    }

    /// Whether the token held a list.
    #[must_use]
    pub fn is_list(self) -> bool {
        self.claim.list
    }
}

impl std::fmt::Debug for Found<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests;
