//! The canonical path: one decode, dot segments resolved, one spelling. What is judged is what is sent.

use std::borrow::Cow;

use crate::Malformed;

/// A request's path in the one spelling that is judged and sent.
///
/// - Unreserved characters are never encoded (RFC 3986 §6.2.2.2), whatever may not stand in a path always is,
///   hexadecimal digits are upper case. Other reserved characters keep the spelling they came in, because
///   upstreams may tell `;` from `%3B`.
/// - Dot segments, plain or encoded, are resolved. Climbing above the root is refused, and so are dot segments
///   that only some servers would see: beside `%2F`, or with a parameter (`..;x`).
/// - Runs of slashes are merged, as the reference does: `//admin` must not pass beside a route for `/admin`.
/// - It is decoded once: `%252e` stays as it is. `%2F` stays too and is flagged.
/// - A segment's parameters (`;x`, `%3Bx`) stay: some servers cut them off, others do not. Where that cannot be
///   told apart (a segment that is nothing but parameters, `;` beside `%3B` or `%2F`) the path is refused; else
///   the gate judges both readings.
/// - NUL, control characters, spaces and backslashes are refused, plain or encoded (an encoded space is fine).
///
/// A path that is canonical already is borrowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CanonicalPath<'a> {
    to_send: Cow<'a, str>,
    /// Where it differs from `to_send`: reserved characters decoded too.
    to_match: Option<String>,
    /// Where it differs from `to_send`: everything decoded but `%2F`.
    decoded: Option<String>,
    encoded_slash: bool,
    /// Whether a segment has parameters.
    parameters: bool,
}

/// What one pass over the raw bytes tells.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "what was seen, each for itself")]
struct Shape {
    rebuild: bool,
    /// Whether there is an escape of any kind.
    escapes: bool,
    reserved_escapes: bool,
    encoded_slash: bool,
    /// Whether a segment begins with a dot: it may be a dot segment.
    leading_dot: bool,
    /// Whether a slash follows a slash.
    double_slash: bool,
    semicolon: bool,
}

impl<'a> CanonicalPath<'a> {
    /// Reads an absolute path, without its query.
    ///
    /// # Errors
    /// [`Malformed::Target`] if it does not begin with `/` or holds `?` or `#`; the `Path…` causes otherwise.
    pub fn parse(raw: &'a str) -> Result<Self, Malformed> {
        let shape = Shape::of(raw)?;
        let plain = raw.strip_prefix('/').ok_or(Malformed::Target)?;
        let dots = shape.leading_dot && plain.split('/').any(|segment| matches!(segment, "." | ".."));
        let to_send = if shape.rebuild || dots || shape.double_slash {
            Cow::Owned(rebuild(plain)?)
        } else {
            if shape.leading_dot || shape.escapes {
                plain.split('/').try_for_each(refuse_hidden_dots)?;
            }
            Cow::Borrowed(raw)
        };
        // Neither has a path without semicolons and escapes, however it is rebuilt.
        let parameters = (shape.semicolon || shape.escapes) && has_parameters(&to_send);
        if parameters {
            refuse_misleading_parameters(&to_send)?;
        }
        // A segment that dots took away has taken its escapes with it.
        let to_match = shape.reserved_escapes.then(|| respell(&to_send)).filter(|spelled| *spelled != *to_send);
        let decoded = ((shape.escapes || shape.rebuild) && to_send.contains('%')).then(|| decode(&to_send));
        let encoded_slash = shape.encoded_slash && to_send.contains("%2F");
        Ok(Self { to_send, to_match, decoded, encoded_slash, parameters })
    }

    /// The target of `OPTIONS *`.
    pub(crate) const fn asterisk() -> Self {
        Self { to_send: Cow::Borrowed("*"), to_match: None, decoded: None, encoded_slash: false, parameters: false }
    }

    /// The canonical spelling: this is what upstreams get.
    #[must_use]
    pub fn to_send(&self) -> &str {
        &self.to_send
    }

    /// What routes are found by: as sent, with the reserved characters that may stand in a path decoded, so that
    /// `/a%21` cannot pass beside a route for `/a!`. `%2F`, `%25` and what may not stand in a path stay encoded.
    #[must_use]
    pub fn to_match(&self) -> &str {
        self.to_match.as_deref().unwrap_or(&self.to_send)
    }

    /// What policies see: percent-decoded but for `%2F`; bytes that are not UTF-8 appear as U+FFFD.
    #[must_use]
    pub fn decoded(&self) -> &str {
        self.decoded.as_deref().unwrap_or(&self.to_send)
    }

    /// The path as a server reads it that cuts off the parameters of segments; `None` if there are none.
    ///
    /// # Errors
    /// As for [`CanonicalPath::parse`]: what is left may be ambiguous.
    #[must_use]
    pub fn without_parameters(&self) -> Option<Result<CanonicalPath<'static>, Malformed>> {
        if !self.parameters {
            return None;
        }
        let name = |segment: &'_ str| segment.find(';').into_iter().chain(segment.find("%3B")).min();
        let mut bare = String::with_capacity(self.to_send.len());
        for segment in self.to_send.split_inclusive('/') {
            match name(segment) {
                None => bare.push_str(segment),
                Some(end) => {
                    bare.push_str(segment.get(..end).unwrap_or_default());
                    bare.push_str(if segment.ends_with('/') { "/" } else { "" });
                }
            }
        }
        Some(CanonicalPath::parse(&bare).map(CanonicalPath::into_owned))
    }

    /// Whether it holds `%2F`.
    #[must_use]
    pub const fn has_encoded_slash(&self) -> bool {
        self.encoded_slash
    }

    /// The same path, borrowing nothing.
    #[must_use]
    pub fn into_owned(self) -> CanonicalPath<'static> {
        let Self { to_send, to_match, decoded, encoded_slash, parameters } = self;
        CanonicalPath { to_send: Cow::Owned(to_send.into_owned()), to_match, decoded, encoded_slash, parameters }
    }
}

impl Shape {
    fn of(raw: &str) -> Result<Self, Malformed> {
        let mut shape = Self::default();
        let mut bytes = raw.bytes();
        let mut begins = false;
        while let Some(byte) = bytes.next() {
            let first = std::mem::replace(&mut begins, byte == b'/');
            match byte {
                b'a'..=b'z' | b'0'..=b'9' | b'A'..=b'Z' => {}
                b'/' => shape.double_slash |= first,
                b'.' => shape.leading_dot |= first,
                b';' => shape.semicolon = true,
                b'%' => shape.note_escape(bytes.next(), bytes.next())?,
                b'?' | b'#' => return Err(Malformed::Target),
                _ if is_forbidden(byte) || byte == b' ' => return Err(Malformed::PathCharacter),
                _ => shape.rebuild |= !may_stand_in_segment(byte),
            }
        }
        Ok(shape)
    }

    fn note_escape(&mut self, high: Option<u8>, low: Option<u8>) -> Result<(), Malformed> {
        let byte = high.zip(low).and_then(|(high, low)| unhex(high, low)).ok_or(Malformed::PathEncoding)?;
        if is_forbidden(byte) {
            return Err(Malformed::PathCharacter);
        }
        self.escapes = true;
        let lower = [high, low].into_iter().flatten().any(|digit| digit.is_ascii_lowercase());
        self.rebuild |= lower || is_unreserved(byte);
        self.reserved_escapes |= may_stand_in_segment(byte) && !is_unreserved(byte);
        self.encoded_slash |= byte == b'/';
        Ok(())
    }
}

/// How an escape is spelled anew.
#[derive(Clone, Copy)]
enum Spelling {
    /// Only unreserved characters are decoded.
    Canonical,
    /// Reserved characters that may stand in a segment are decoded as well.
    ForMatching,
}

/// The path behind its first slash in canonical spelling, with both slashes.
fn rebuild(plain: &str) -> Result<String, Malformed> {
    let mut path = String::with_capacity(plain.len().saturating_add(8));
    let mut ends_with_slash = false;
    for raw in plain.split('/') {
        let start = path.len();
        path.push('/');
        spell(raw, Spelling::Canonical, &mut path);
        let segment = path.get(start.saturating_add(1)..).unwrap_or_default();
        ends_with_slash = matches!(segment, "" | "." | "..");
        match segment {
            "" | "." => path.truncate(start),
            ".." => {
                path.truncate(start);
                let parent = path.rfind('/').ok_or(Malformed::PathAboveRoot)?;
                path.truncate(parent);
            }
            named => refuse_hidden_dots(named)?,
        }
    }
    if ends_with_slash || path.is_empty() {
        path.push('/');
    }
    Ok(path)
}

/// Refuses a segment in which a laxer server would see a dot segment: one that decodes `%2F` before it
/// resolves, or one that drops `;parameters` before it resolves. Plain dot segments never get here.
fn refuse_hidden_dots(segment: &str) -> Result<(), Malformed> {
    let hides = |piece: &str| {
        let name = piece.split(';').next().unwrap_or_default();
        matches!(name.split("%3B").next(), Some("." | ".."))
    };
    if segment.split("%2F").any(hides) { Err(Malformed::PathHiddenDots) } else { Ok(()) }
}

fn has_parameters(path: &str) -> bool {
    path.contains(';') || path.contains("%3B")
}

/// Refuses parameters that servers read in more than two ways.
fn refuse_misleading_parameters(path: &str) -> Result<(), Malformed> {
    let mixed = path.contains("%2F") || (path.contains(';') && path.contains("%3B"));
    let nameless = |segment: &str| segment.starts_with(';') || segment.starts_with("%3B");
    if mixed || path.split('/').any(nameless) { Err(Malformed::PathParameters) } else { Ok(()) }
}

/// Spells valid path text with reserved characters decoded.
fn respell(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    spell(text, Spelling::ForMatching, &mut out);
    out
}

/// Appends `text`, whose escapes are valid, in one spelling; slashes and literal characters stay.
fn spell(text: &str, spelling: Spelling, out: &mut String) {
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let escaped = if byte == b'%' { bytes.next().zip(bytes.next()).and_then(|(a, b)| unhex(a, b)) } else { None };
        let plain = match (escaped, spelling) {
            (None, _) => byte == b'/' || may_stand_in_segment(byte),
            (Some(byte), Spelling::Canonical) => is_unreserved(byte),
            (Some(byte), Spelling::ForMatching) => may_stand_in_segment(byte),
        };
        let byte = escaped.unwrap_or(byte);
        if plain { out.push(char::from(byte)) } else { push_escape(byte, out) }
    }
}

/// A pattern of the configuration in the spelling of [`CanonicalPath::to_match`]; borrowed if it is so already.
/// `None` if it holds a broken escape.
pub(crate) fn canonical_pattern(text: &str) -> Option<Cow<'_, str>> {
    if text.bytes().all(|byte| byte == b'/' || may_stand_in_segment(byte)) {
        return Some(Cow::Borrowed(text));
    }
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            bytes.next().zip(bytes.next()).and_then(|(high, low)| unhex(high, low))?;
        }
    }
    Some(Cow::Owned(respell(text)))
}

/// Decodes everything but `%2F`.
fn decode(path: &str) -> String {
    let mut out = Vec::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        match bytes.next().zip(bytes.next()).and_then(|(high, low)| unhex(high, low)) {
            Some(b'/') | None => out.extend_from_slice(b"%2F"),
            Some(byte) => out.push(byte),
        }
    }
    String::from_utf8(out).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

fn push_escape(byte: u8, out: &mut String) {
    out.push('%');
    for digit in [byte >> 4, byte & 0x0f] {
        out.push(char::from_digit(u32::from(digit), 16).unwrap_or('0').to_ascii_uppercase());
    }
}

fn unhex(high: u8, low: u8) -> Option<u8> {
    let high = char::from(high).to_digit(16)?;
    let low = char::from(low).to_digit(16)?;
    u8::try_from(high << 4 | low).ok()
}

/// RFC 3986 §2.3.
const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// RFC 3986 §3.3, `pchar` without escapes.
const fn may_stand_in_segment(byte: u8) -> bool {
    is_unreserved(byte)
        || matches!(byte, b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' | b':' | b'@')
}

/// What no path may hold, plain or encoded.
const fn is_forbidden(byte: u8) -> bool {
    byte < 0x20 || byte == 0x7f || byte == b'\\'
}

#[cfg(test)]
mod tests;
