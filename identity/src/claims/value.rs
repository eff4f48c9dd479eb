//! One element of a claim, comparable without touching its text in the usual case.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use serde_json::{Number, Value};

use super::canonical_number;

/// One element of a claim. Two values are equal when kind and canonical text are.
#[derive(Clone)]
pub struct ClaimValue {
    /// The text of the whole token; all its values share it.
    arena: Arc<String>,
    start: u32,
    end: u32,
    digest: u32,
    kind: ClaimKind,
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
    pub(super) fn key(&self) -> (u32, &str) {
        (self.digest, &self.name)
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
        let end = u32::try_from(text.len()).unwrap_or(u32::MAX);
        Self::shared(kind, &Arc::new(text), (0, end))
    }

    /// The part of `arena` between two byte offsets.
    pub(super) fn shared(kind: ClaimKind, arena: &Arc<String>, (start, end): (u32, u32)) -> Self {
        let mut value = Self { arena: Arc::clone(arena), start, end, digest: 0, kind };
        value.digest = digest(kind, value.as_text());
        value
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
        self.range().and_then(|range| self.arena.get(range)).unwrap_or_default()
    }

    /// The text for comparing: without the checks that cutting a string needs.
    #[inline]
    pub(super) fn as_bytes(&self) -> &[u8] {
        self.range().and_then(|range| self.arena.as_bytes().get(range)).unwrap_or_default()
    }

    #[inline]
    fn range(&self) -> Option<std::ops::Range<usize>> {
        Some(usize::try_from(self.start).ok()?..usize::try_from(self.end).ok()?)
    }

    /// The value as JSON, flat claims' kinds only; see [`super::Claims::to_json`].
    pub(super) fn to_json(&self) -> Value {
        let text = self.as_text();
        match self.kind {
            ClaimKind::Null => Value::Null,
            ClaimKind::Boolean => Value::Bool(text == "true"),
            ClaimKind::Number => exact_number(text).unwrap_or_else(|| Value::String(text.to_owned())),
            ClaimKind::Text => Value::String(text.to_owned()),
            ClaimKind::Nested => serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned())),
        }
    }

    #[inline]
    pub(super) fn digest(&self) -> u32 {
        self.digest
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

/// FNV-1a over kind and text. It only orders; equality is always decided by the text, so a
/// collision somebody provokes costs a comparison and decides nothing.
fn digest(kind: ClaimKind, text: &str) -> u32 {
    let start = 0x811c_9dc5_u32 ^ u32::from(kind as u8);
    text.bytes().fold(start, |digest, byte| (digest ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

impl PartialEq for ClaimValue {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest && self.kind == other.kind && self.as_bytes() == other.as_bytes()
    }
}

impl Eq for ClaimValue {}

impl PartialOrd for ClaimValue {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ClaimValue {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.kind, self.as_text()).cmp(&(other.kind, other.as_text()))
    }
}

impl Hash for ClaimValue {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.kind, self.as_text()).hash(state);
    }
}

impl std::fmt::Debug for ClaimValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}({:?})", self.kind, self.as_text())
    }
}
