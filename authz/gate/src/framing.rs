//! Where a request ends: the rules that leave no two readers of one connection in disagreement.

use http::header::{CONTENT_LENGTH, EXPECT, TE, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, Version};
use portcullis_config::Limits;

use crate::{Malformed, RequestHead};

/// Fields that belong to a connection and may not travel on HTTP/2 (RFC 9113 §8.2.2).
const CONNECTION_FIELDS: &[&str] = &["connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade"];

/// Checks size, field values and everything that says how long the body is.
pub(crate) fn check(head: &RequestHead<'_>, limits: &Limits) -> Result<(), Malformed> {
    check_size(head, limits)?;
    if head.headers.values().any(|value| holds_forbidden(value.as_bytes())) {
        return Err(Malformed::FieldValue);
    }
    if head.version == Version::HTTP_2 {
        check_http2(head.headers)?;
    }
    let length = content_length(head.headers)?;
    let chunked = transfer_encoding(head.version, head.headers)?;
    // RFC 9112 §6.3 would let the encoding win; a server behind us might let the length win.
    if length.is_some() && chunked {
        return Err(Malformed::LengthAndEncoding);
    }
    check_expectation(head.version, head.headers)
}

/// Whether a body follows the head.
pub(crate) fn has_body(headers: &HeaderMap) -> bool {
    let length = headers.get(CONTENT_LENGTH).is_some_and(|length| length.as_bytes().iter().any(|digit| *digit != b'0'));
    length || headers.contains_key(TRANSFER_ENCODING)
}

fn check_size(head: &RequestHead<'_>, limits: &Limits) -> Result<(), Malformed> {
    if head.headers.len() > limits.header_fields {
        return Err(Malformed::TooManyFields);
    }
    // Colon, space and line end of each field count, as on HTTP/1.
    let field = |(name, value): (&http::HeaderName, &HeaderValue)| {
        name.as_str().len().saturating_add(value.len()).saturating_add(4)
    };
    let first = head.method.as_str().len().saturating_add(head.target.len()).saturating_add(12);
    let bytes = head.headers.iter().map(field).fold(first, usize::saturating_add);
    if bytes > limits.head_bytes { Err(Malformed::HeadTooLarge) } else { Ok(()) }
}

/// RFC 9110 §5.5: a value with CR, LF or NUL is refused or sanitised; we refuse, and the other controls too.
/// A folded line (obs-fold) leaves CR and LF behind where a reader does not refuse it itself.
pub(crate) const fn is_forbidden(byte: &u8) -> bool {
    (*byte < 0x20 && *byte != b'\t') || *byte == 0x7f
}

/// Looks at every byte, also behind the first that decides: without a way out early the compiler takes many at a time.
fn holds_forbidden(value: &[u8]) -> bool {
    value.iter().fold(false, |found, byte| found | is_forbidden(byte))
}

fn check_http2(headers: &HeaderMap) -> Result<(), Malformed> {
    if CONNECTION_FIELDS.iter().any(|name| headers.contains_key(*name)) {
        return Err(Malformed::ConnectionField);
    }
    if headers.get_all(TE).iter().any(|value| !value.as_bytes().eq_ignore_ascii_case(b"trailers")) {
        return Err(Malformed::ConnectionField);
    }
    Ok(())
}

fn content_length(headers: &HeaderMap) -> Result<Option<u64>, Malformed> {
    let mut values = headers.get_all(CONTENT_LENGTH).iter();
    let Some(value) = values.next() else { return Ok(None) };
    // RFC 9112 §6.3 lets equal repetitions pass; the engine would forward them as they came, and a lenient
    // origin may read another one than we did.
    if values.next().is_some() || value.as_bytes().contains(&b',') {
        return Err(Malformed::ContentLengthRepeated);
    }
    let digits = value.to_str().ok().filter(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()));
    digits.and_then(|text| text.parse().ok()).map(Some).ok_or(Malformed::ContentLength)
}

fn transfer_encoding(version: Version, headers: &HeaderMap) -> Result<bool, Malformed> {
    let mut values = headers.get_all(TRANSFER_ENCODING).iter();
    let Some(value) = values.next() else { return Ok(false) };
    let chunked = value.as_bytes().eq_ignore_ascii_case(b"chunked");
    if version != Version::HTTP_11 || values.next().is_some() || !chunked {
        return Err(Malformed::TransferEncoding);
    }
    Ok(true)
}

fn check_expectation(version: Version, headers: &HeaderMap) -> Result<(), Malformed> {
    // RFC 9110 §10.1.1: from an HTTP/1.0 client the field means nothing, so nobody behind us may act on it.
    let met = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"100-continue");
    let mut values = headers.get_all(EXPECT).iter();
    let Some(value) = values.next() else { return Ok(()) };
    if values.next().is_some() || !met(value) || version < Version::HTTP_11 {
        return Err(Malformed::Expectation);
    }
    Ok(())
}

/// Whether any `name` field lists `token`.
pub(crate) fn lists(headers: &HeaderMap, name: &http::HeaderName, token: &[u8]) -> bool {
    let values = headers.get_all(name).into_iter();
    values.flat_map(|value| value.as_bytes().split(|byte| *byte == b',')).any(|item| {
        let item = item.trim_ascii();
        item.eq_ignore_ascii_case(token)
    })
}
