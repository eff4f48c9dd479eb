//! What a provider says of a principal: a flat map of dotted names to lists of values.
//!
//! Built once, when claims arrive; read in every decision, where nothing may be allocated. So all texts of
//! one token share one allocation, and names and long lists are ordered by a 32-bit digest: finding a
//! name, or a value in a list of hundreds, is one binary search over small integers.

mod json;
mod number;
mod value;

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::order::first_from;

pub use number::{canonical_number, compare_numbers};
pub use value::{ClaimKind, ClaimValue, NameKey};

/// The most bytes of claims, as JSON text, that a session may carry.
pub const MAX_CLAIMS_BYTES: usize = 64 * 1024;

/// The deepest nesting of lists and objects in claims.
pub const MAX_CLAIMS_DEPTH: usize = 128;

/// Lists up to this length are searched one by one.
const LINEAR: usize = 8;

/// Claims by name; objects are flattened with dots, scalars are lists of one. Cloning shares everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// Ordered by digest, then name; no name twice.
    entries: Arc<[Claim]>,
    /// The digest of each entry's name: a look-up reads one or two cache lines of these.
    digests: Arc<[u32]>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Claim {
    name: ClaimValue,
    /// Whether the token held a list, which [`Claims::to_json`] gives back as one.
    list: bool,
    values: Values,
}

/// One value without an allocation of its own, or a list with its index: digest and place of each value,
/// ordered; empty for a list so short that it is searched one by one.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Values {
    One(ClaimValue),
    Many(Arc<[ClaimValue]>, Arc<[(u32, u32)]>),
}

impl Values {
    fn from_list(values: Vec<ClaimValue>) -> Self {
        match <[ClaimValue; 1]>::try_from(values) {
            Ok([value]) => Self::One(value),
            Err(values) => {
                let mut index: Vec<(u32, u32)> = Vec::new();
                if values.len() > LINEAR {
                    let places = 0..u32::try_from(values.len()).unwrap_or(u32::MAX);
                    index.extend(values.iter().map(ClaimValue::digest).zip(places));
                    index.sort_unstable();
                }
                Self::Many(values.into(), index.into())
            }
        }
    }

    #[inline]
    fn as_slice(&self) -> &[ClaimValue] {
        match self {
            Self::One(value) => std::slice::from_ref(value),
            Self::Many(values, _) => values,
        }
    }

    #[inline]
    fn has(&self, wanted: &ClaimValue) -> bool {
        match self {
            Self::One(value) => value == wanted,
            Self::Many(values, index) if index.is_empty() => values.contains(wanted),
            Self::Many(values, index) => {
                let digest = wanted.digest();
                let start = first_from(index, digest, |(entry, _)| *entry);
                let (_, rest) = index.split_at_checked(start).unwrap_or_default();
                let same = rest.iter().take_while(|(entry, _)| *entry == digest);
                let mut values = same.filter_map(|(_, place)| values.get(usize::try_from(*place).ok()?));
                values.any(|value| value == wanted)
            }
        }
    }
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
        json::flatten(text).map(Self::from_entries)
    }

    fn from_entries(mut entries: Vec<Claim>) -> Self {
        entries.sort_by(|a, b| a.key().cmp(&b.key()));
        // Sorting keeps the order of equal names: of two, the later one stays.
        entries.reverse();
        entries.dedup_by(|a, b| a.name == b.name);
        entries.reverse();
        let digests = entries.iter().map(|claim| claim.name.digest()).collect();
        Self { entries: entries.into(), digests }
    }

    /// The values of `name`; empty if there is no such claim, or if it is an empty list.
    #[must_use]
    pub fn get(&self, name: &str) -> &[ClaimValue] {
        self.entry(&NameKey::borrowed(name)).map_or(&[], |claim| claim.values.as_slice())
    }

    /// The values of a name prepared beforehand; `None` if there is no such claim.
    #[must_use]
    #[inline]
    pub fn find(&self, name: &NameKey<'_>) -> Option<Found<'_>> {
        self.entry(name).map(|claim| Found(&claim.values))
    }

    #[inline]
    fn entry(&self, name: &NameKey<'_>) -> Option<&Claim> {
        let (digest, text) = name.key();
        let start = first_from(&self.digests, digest, |entry| *entry);
        // Usually one entry, or none: the name decides where digests collide.
        let (_, rest) = self.entries.split_at_checked(start)?;
        rest.iter()
            .take_while(|claim| claim.name.digest() == digest)
            .find(|claim| claim.name.as_bytes() == text.as_bytes())
    }

    /// The value of `name`, if it is exactly one string.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.get(name) {
            [value] if value.kind() == ClaimKind::Text => Some(value.as_text()),
            _ => None,
        }
    }

    /// Every claim, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[ClaimValue])> {
        self.entries.iter().map(|claim| (claim.name.as_text(), claim.values.as_slice()))
    }

    /// How many names there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no claim at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
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
        Self::from_entries(self.entries.iter().chain(by.entries.iter()).cloned().collect())
    }

    /// The flat claims as JSON; what was a list stays one. A number that JSON's usual readers would round
    /// is given as a string of its exact digits.
    #[must_use]
    pub fn to_json(&self) -> Map<String, Value> {
        let claims = self.entries.iter().map(|claim| {
            let values = claim.values.as_slice();
            let json = match values {
                [value] if !claim.list => value.to_json(),
                values => Value::Array(values.iter().map(ClaimValue::to_json).collect()),
            };
            (claim.name.as_text().to_owned(), json)
        });
        claims.collect()
    }
}

impl Claim {
    fn key(&self) -> (u32, &str) {
        (self.name.digest(), self.name.as_text())
    }
}

/// The values of one claim that is there.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a>(&'a Values);

impl<'a> Found<'a> {
    /// Whether one of the values equals `wanted`, in kind and text.
    #[must_use]
    #[inline]
    pub fn has(self, wanted: &ClaimValue) -> bool {
        self.0.has(wanted)
    }

    /// The values in the token's order.
    #[must_use]
    #[inline]
    pub fn values(self) -> &'a [ClaimValue] {
        self.0.as_slice()
    }
}

#[cfg(test)]
mod tests;
