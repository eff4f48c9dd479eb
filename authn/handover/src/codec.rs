//! The binary form inside a seal: fixed fields and texts with a length in front, each with a bound.
//!
//! Strict: what is left over at the end, a flag that is neither 0 nor 1, a length beyond its bound are
//! refused, so that a message has exactly one form.

use std::sync::Arc;

/// Builds a message.
#[derive(Default)]
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    pub(crate) fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub(crate) fn byte(self, byte: u8) -> Self {
        self.bytes(&[byte])
    }

    pub(crate) fn flag(self, flag: Flag) -> Self {
        self.byte(u8::from(flag.0))
    }

    pub(crate) fn integer(self, number: i64) -> Self {
        self.bytes(&number.to_be_bytes())
    }

    /// A text of at most 65535 bytes; what is longer is cut at a character, and then not what it was: the
    /// callers bound their texts before.
    pub(crate) fn text(self, text: &str) -> Self {
        let longest = text.len().min(usize::from(u16::MAX));
        let kept = (0..=longest).rev().find_map(|end| text.get(..end)).unwrap_or_default();
        let length = u16::try_from(kept.len()).unwrap_or(u16::MAX);
        self.bytes(&length.to_be_bytes()).bytes(kept.as_bytes())
    }

    pub(crate) fn optional_text(self, text: Option<&str>) -> Self {
        match text {
            None => self.byte(0),
            Some(text) => self.byte(1).text(text),
        }
    }

    /// At most 255 texts; the rest is left out.
    pub(crate) fn texts<'a>(self, texts: impl ExactSizeIterator<Item = &'a str>) -> Self {
        let count = u8::try_from(texts.len()).unwrap_or(u8::MAX);
        texts.take(usize::from(count)).fold(self.byte(count), Self::text)
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.0
    }
}

/// A flag of a message, so that no call takes a bare `bool`.
#[derive(Clone, Copy)]
pub(crate) struct Flag(pub(crate) bool);

/// Takes a message apart; `None` everywhere means "not a message of ours".
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (front, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*front)
    }

    pub(crate) fn byte(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn flag(&mut self) -> Option<bool> {
        match self.byte()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    pub(crate) fn integer(&mut self) -> Option<i64> {
        self.array().map(i64::from_be_bytes)
    }

    pub(crate) fn text(&mut self, longest: usize) -> Option<&'a str> {
        let length = usize::from(u16::from_be_bytes(self.array()?));
        if length > longest {
            return None;
        }
        let (front, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        std::str::from_utf8(front).ok()
    }

    #[expect(clippy::option_option, reason = "outer: not a message of ours; inner: the message says there is none")]
    pub(crate) fn optional_text(&mut self, longest: usize) -> Option<Option<&'a str>> {
        if self.flag()? { self.text(longest).map(Some) } else { Some(None) }
    }

    pub(crate) fn texts(&mut self, longest: usize) -> Option<Vec<Arc<str>>> {
        let count = self.byte()?;
        (0..count).map(|_| self.text(longest).map(Arc::from)).collect()
    }

    /// Nothing may be left.
    pub(crate) fn end(&self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}
