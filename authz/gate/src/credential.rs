//! Our credential among the cookies of a request, and the cookies without it.

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};
use portcullis_config::Cookie;
use portcullis_identity::SessionKey;
use portcullis_keys::{CredentialKeys, CredentialKind};

/// What the cookies of a request hold of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// No credential.
    Nothing,
    /// One credential that we made for this host; it names this session.
    Credential(SessionKey),
    /// A credential that we did not make for this host, or more than one cookie of its name: a sibling domain
    /// may have tossed one of them, and nobody can tell which.
    Rejected,
}

/// Looks for the session credential. Costs at most one HMAC, allocates nothing, looks nothing up.
///
/// Names are compared byte by byte, with nothing but spaces and tabs trimmed and no quoted or `$Version` form
/// understood, so that nothing is read as our cookie that a browser did not guard as one.
#[must_use]
pub fn find(headers: &HeaderMap, host: &str, keys: &CredentialKeys, cookie: &Cookie) -> Found {
    let mut values = cookie_values(headers, &cookie.name);
    let Some(credential) = values.next() else { return Found::Nothing };
    if values.next().is_some() {
        return Found::Rejected;
    }
    match keys.verify(CredentialKind::Session, credential, host) {
        Ok(handle) => Found::Credential(handle.key()),
        Err(_) => Found::Rejected,
    }
}

/// The values of every cookie of this name, byte by byte: what a neighbour put into its cookies hides none of ours.
pub fn cookie_values<'a>(headers: &'a HeaderMap, wanted: &str) -> impl Iterator<Item = &'a [u8]> {
    pairs(headers).filter(move |pair| name(pair) == wanted.as_bytes()).map(value)
}

/// What becomes of the `Cookie` field before the upstream sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CookieEdit {
    /// It goes as it came.
    Keep,
    /// Nothing remains of it.
    Remove,
    /// Every `Cookie` field is replaced by this one.
    Set(HeaderValue),
}

/// The cookies without our session and bind cookies, however they are spaced. Several fields, as HTTP/2 sends
/// them, become one (RFC 9113 §8.2.3).
#[must_use]
pub fn upstream_cookies(headers: &HeaderMap, cookie: &Cookie) -> CookieEdit {
    let ours = |pair: &&[u8]| [&cookie.name, &cookie.bind_name].iter().any(|own| name(pair) == own.as_bytes());
    let fields = headers.get_all(COOKIE).iter().count();
    if fields == 0 || (fields == 1 && !pairs(headers).any(|pair| ours(&pair))) {
        return CookieEdit::Keep;
    }
    let mut kept = Vec::new();
    for pair in pairs(headers).filter(|pair| !ours(pair) && !pair.is_empty()) {
        if !kept.is_empty() {
            kept.extend_from_slice(b"; ");
        }
        kept.extend_from_slice(pair);
    }
    if kept.is_empty() {
        return CookieEdit::Remove;
    }
    // The bytes come out of header values, so they make one; if ever they did not, none is the safe side.
    HeaderValue::from_bytes(&kept).map_or(CookieEdit::Remove, |mut value| {
        value.set_sensitive(true);
        CookieEdit::Set(value)
    })
}

/// Every `name=value` of every `Cookie` field, trimmed.
fn pairs(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let fields = headers.get_all(COOKIE).into_iter();
    fields.flat_map(|field| Pairs(Some(field.as_bytes()))).map(trim)
}

/// What stands between the semicolons of one field. Cookies are long, and read on every request.
struct Pairs<'a>(Option<&'a [u8]>);

impl<'a> Iterator for Pairs<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (pair, rest) = cut(self.0?, b';');
        self.0 = rest;
        Some(pair)
    }
}

fn name<'a>(pair: &&'a [u8]) -> &'a [u8] {
    trim(cut(pair, b'=').0)
}

fn value(pair: &[u8]) -> &[u8] {
    trim(cut(pair, b'=').1.unwrap_or_default())
}

/// What stands before the first `mark`, and what stands behind it, if there is one.
#[inline]
fn cut(bytes: &[u8], mark: u8) -> (&[u8], Option<&[u8]>) {
    match memchr::memchr(mark, bytes).and_then(|end| bytes.split_at_checked(end)) {
        Some((before, rest)) => (before, rest.get(1..)),
        None => (bytes, None),
    }
}

fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

#[cfg(test)]
mod tests;
