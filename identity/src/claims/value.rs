//! One element of a claim: as a policy writes it, and as a session holds it.

use std::borrow::Cow;

use serde_json::{Number, Value};

use super::canonical_number;

/// One element of a claim, to compare with: a literal of a policy. Two values are equal when kind and canonical
/// text are.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ClaimValue {
    kind: ClaimKind,
    digest: u32,
    text: Box<str>,
}

/// One element of a claim as a session holds it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClaimRef<'a> {
    kind: ClaimKind,
    text: &'a str,
}

/// The JSON type of a claim's element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ClaimKind {
    /// `null`.
    Null,
    /// `true` or `false`.
    Boolean,
    /// A number; the text is canonical, so that `5` and `5.0` are one value, exactly at any size.
    Number,
    /// A string.
    Text,
    /// A list or an object inside a list; the text is canonical JSON.
    Nested,
}

/// A claim's name with its digest: made once, looked up often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameKey<'a> {
    name: Cow<'a, str>,
    digest: u32,
}

impl NameKey<'static> {
    /// A name to keep.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        let name = name.into();
        Self { digest: digest(ClaimKind::Text, &name), name: Cow::Owned(name) }
    }
}

impl<'a> NameKey<'a> {
    /// A name for one look-up.
    #[must_use]
    pub fn borrowed(name: &'a str) -> Self {
        Self { digest: digest(ClaimKind::Text, name), name: Cow::Borrowed(name) }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.name
    }

    #[inline]
    pub(super) const fn digest(&self) -> u32 {
        self.digest
    }
}

impl ClaimValue {
    /// A string.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self::alone(ClaimKind::Text, text.into())
    }

    /// A boolean.
    #[must_use]
    pub fn boolean(value: bool) -> Self {
        Self::alone(ClaimKind::Boolean, value.to_string())
    }

    /// `null`.
    #[must_use]
    pub fn null() -> Self {
        Self::alone(ClaimKind::Null, "null".to_owned())
    }

    /// A number in JSON's notation, of any size.
    #[must_use]
    pub fn number(text: &str) -> Self {
        Self::alone(ClaimKind::Number, canonical_number(text))
    }

    /// A list or an object, as canonical JSON: sorted keys, no spaces, canonical numbers.
    #[must_use]
    pub fn nested(canonical: String) -> Self {
        Self::alone(ClaimKind::Nested, canonical)
    }

    fn alone(kind: ClaimKind, text: String) -> Self {
        Self { kind, digest: digest(kind, &text), text: text.into() }
    }

    /// The JSON type.
    #[must_use]
    #[inline]
    pub fn kind(&self) -> ClaimKind {
        self.kind
    }

    /// The canonical text; of a string, the string itself.
    #[must_use]
    #[inline]
    pub fn as_text(&self) -> &str {
        &self.text
    }

    #[inline]
    pub(crate) fn digest(&self) -> u32 {
        self.digest
    }

    /// As a session would hold it.
    #[must_use]
    #[inline]
    pub fn as_claim(&self) -> ClaimRef<'_> {
        ClaimRef { kind: self.kind, text: &self.text }
    }
}

impl<'a> ClaimRef<'a> {
    #[inline]
    pub(super) const fn new(kind: ClaimKind, text: &'a str) -> Self {
        Self { kind, text }
    }

    /// The JSON type.
    #[must_use]
    #[inline]
    pub fn kind(self) -> ClaimKind {
        self.kind
    }

    /// The canonical text; of a string, the string itself.
    #[must_use]
    #[inline]
    pub fn as_text(self) -> &'a str {
        self.text
    }

    #[inline]
    pub(super) fn digest(self) -> u32 {
        digest(self.kind, self.text)
    }

    /// The value as JSON, flat claims' kinds only; see [`super::Claims::to_json`].
    pub(super) fn to_json(self) -> Value {
        let text = self.text;
        match self.kind {
            ClaimKind::Null => Value::Null,
            ClaimKind::Boolean => Value::Bool(text == "true"),
            ClaimKind::Number => exact_number(text).unwrap_or_else(|| Value::String(text.to_owned())),
            ClaimKind::Text => Value::String(text.to_owned()),
            ClaimKind::Nested => serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned())),
        }
    }
}

fn exact_number(canonical: &str) -> Option<Value> {
    if let Ok(value) = canonical.parse::<i64>() {
        return Some(Value::from(value));
    }
    if let Ok(value) = canonical.parse::<u64>() {
        return Some(Value::from(value));
    }
    let number = Number::from_f64(canonical.parse().ok()?)?;
    (canonical_number(&number.to_string()) == canonical).then_some(Value::Number(number))
}

/// FNV-1a over kind and text, and then mixed so that each bit says as much as any other: the low ones say where to look
/// first. Equality is always decided by the text, so collisions that somebody provokes decide nothing, and cost whoever is
/// asked about as much as looking at each of their own texts.
pub(crate) fn digest(kind: ClaimKind, text: &str) -> u32 {
    let start = 0x811c_9dc5_u32 ^ u32::from(kind as u8);
    let digest = text.bytes().fold(start, |digest, byte| (digest ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    // The finalizer of MurmurHash3.
    let digest = (digest ^ (digest >> 16)).wrapping_mul(0x85eb_ca6b);
    let digest = (digest ^ (digest >> 13)).wrapping_mul(0xc2b2_ae35);
    digest ^ (digest >> 16)
}

impl PartialEq<ClaimValue> for ClaimRef<'_> {
    #[inline]
    fn eq(&self, other: &ClaimValue) -> bool {
        *self == other.as_claim()
    }
}

impl std::fmt::Debug for ClaimRef<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}({:?})", self.kind, self.text)
    }
}

impl std::fmt::Debug for ClaimValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.as_claim().fmt(f)
    }
}
