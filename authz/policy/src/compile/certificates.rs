//! The value of `client_certificate`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::Diagnostic;
use crate::certificate::CertificateMatcher;
use crate::yaml::{Entry, Node};

use super::Compiler;
use super::criteria::{mapping, unknown_field};
use super::matchers::Literals;

const FIELDS: [&str; 5] = ["fingerprint", "spki_hash", "san_dns", "san_email", "san_uri"];

pub(super) fn matcher(compiler: &mut Compiler<'_>, entry: &Entry) -> Result<CertificateMatcher, Diagnostic> {
    let mut matcher = CertificateMatcher::default();
    for field in mapping(entry, "`fingerprint`, `spki_hash`, `san_dns`, `san_email` and `san_uri`")? {
        let value = &field.value;
        match &*field.key {
            "fingerprint" => matcher.fingerprints = Some(hashes(compiler, field, fingerprint)?),
            "spki_hash" => matcher.spki_hashes = Some(hashes(compiler, field, spki_hash)?),
            "san_dns" => matcher.dns = Some(compiler.string_matcher(value, Literals::Any)?),
            "san_email" => matcher.email = Some(compiler.string_matcher(value, Literals::Any)?),
            "san_uri" => matcher.uri = Some(compiler.string_matcher(value, Literals::Any)?),
            _ => return Err(unknown_field(field, &FIELDS)),
        }
    }
    Ok(matcher)
}

/// A hash or a list of them, sorted.
fn hashes(
    compiler: &mut Compiler<'_>,
    field: &Entry,
    read: fn(&Node, &str) -> Result<[u8; 32], Diagnostic>,
) -> Result<Box<[[u8; 32]]>, Diagnostic> {
    let one = std::slice::from_ref(&field.value);
    let items = field.value.as_list().unwrap_or(one);
    compiler.bounded(&field.value, items)?;
    if items.is_empty() {
        compiler.warn(&field.value, format!("`{}` of an empty list never matches", field.key), "add one or remove it");
    }
    let mut hashes = Vec::with_capacity(items.len());
    for item in items {
        let Some(text) = item.as_text() else {
            let message = format!("`{}` takes a string or a list of strings, not {}", field.key, item.kind());
            return Err(Diagnostic::at(item.place(), message).with_help("put it in quotes"));
        };
        hashes.push(read(item, text)?);
    }
    hashes.sort_unstable();
    Ok(hashes.into())
}

/// 64 lower-case hexadecimal digits, or 32 upper-case pairs with colons between.
fn fingerprint(node: &Node, text: &str) -> Result<[u8; 32], Diagnostic> {
    let upper = |byte: u8| byte.is_ascii_digit() || (b'A'..=b'F').contains(&byte);
    let lower = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let long = text.len() == 95 && text.split(':').all(|pair| pair.len() == 2 && pair.bytes().all(upper));
    let short = text.len() == 64 && text.bytes().all(lower);
    let mut hash = [0; 32];
    let digits = if long { text.replace(':', "") } else { text.to_owned() };
    if (long || short) && hex::decode_to_slice(digits, &mut hash).is_ok() {
        return Ok(hash);
    }
    let message = format!("`{text}` is no SHA-256 fingerprint");
    Err(Diagnostic::at(node.place(), message)
        .with_help("write 64 lower-case hex digits, or 32 upper-case pairs with colons"))
}

/// Base64 of 32 bytes.
fn spki_hash(node: &Node, text: &str) -> Result<[u8; 32], Diagnostic> {
    let bytes = STANDARD.decode(text).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    bytes.ok_or_else(|| Diagnostic::at(node.place(), format!("`{text}` is no base64 of a SHA-256 hash")))
}
