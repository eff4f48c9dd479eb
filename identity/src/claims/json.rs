//! From a token's JSON to flat claims.

use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::value::RawValue;

use super::layout::Entry;
use super::{ClaimKind, ClaimRef, ClaimsError, MAX_CLAIMS_DEPTH, canonical_number};

/// Raw text keeps what a float would lose: the digits of large numbers.
type Object<'a> = BTreeMap<String, &'a RawValue>;

/// Every claim of one JSON object, in the order of the names of its levels.
pub(super) fn flatten(text: &str) -> Result<Flat, ClaimsError> {
    let mut flat = Flat { text: String::with_capacity(text.len()), claims: Vec::new() };
    flat.object(text, "", 0)?;
    Ok(flat)
}

struct Pending {
    name: Range<usize>,
    list: bool,
    values: Vec<(ClaimKind, Range<usize>)>,
}

/// The text of names and values as it grows, and what lies where in it.
pub(super) struct Flat {
    text: String,
    claims: Vec<Pending>,
}

impl Flat {
    /// The claims, ready to be laid out.
    pub(super) fn entries(&self) -> Vec<Entry<'_>> {
        let text = |range: &Range<usize>| self.text.get(range.clone()).unwrap_or_default();
        let claims = self.claims.iter().map(|Pending { name, list, values }| Entry {
            name: text(name),
            list: *list,
            values: values.iter().map(|(kind, range)| ClaimRef::new(*kind, text(range))).collect(),
        });
        claims.collect()
    }

    fn object(&mut self, text: &str, prefix: &str, depth: usize) -> Result<(), ClaimsError> {
        if depth > MAX_CLAIMS_DEPTH {
            return Err(ClaimsError::TooDeep);
        }
        let members: Object<'_> = serde_json::from_str(text).map_err(ClaimsError::NotAnObject)?;
        for (key, raw) in members {
            let name = if depth == 0 { key } else { format!("{prefix}.{key}") };
            match raw.get().as_bytes().first() {
                Some(b'{') => self.object(raw.get(), &name, depth.saturating_add(1))?,
                Some(b'[') => {
                    let items: Vec<&RawValue> = serde_json::from_str(raw.get()).map_err(ClaimsError::NotAnObject)?;
                    let mut values = Vec::with_capacity(items.len());
                    for item in items {
                        values.push(self.value(item.get())?);
                    }
                    self.claim(&name, true, values);
                }
                _ => {
                    let value = self.value(raw.get())?;
                    self.claim(&name, false, vec![value]);
                }
            }
        }
        Ok(())
    }

    fn claim(&mut self, name: &str, list: bool, values: Vec<(ClaimKind, Range<usize>)>) {
        let name = self.put(name);
        self.claims.push(Pending { name, list, values });
    }

    fn value(&mut self, raw: &str) -> Result<(ClaimKind, Range<usize>), ClaimsError> {
        let kind = kind(raw);
        let range = match kind {
            ClaimKind::Null | ClaimKind::Boolean => self.put(raw),
            ClaimKind::Number => self.put(&canonical_number(raw)),
            ClaimKind::Text => {
                let text: std::borrow::Cow<'_, str> = string(raw)?;
                self.put(&text)
            }
            ClaimKind::Nested => {
                let mut canonical = String::new();
                nested(raw, &mut canonical, 0)?;
                self.put(&canonical)
            }
        };
        Ok((kind, range))
    }

    fn put(&mut self, text: &str) -> Range<usize> {
        let start = self.text.len();
        self.text.push_str(text);
        start..self.text.len()
    }
}

fn kind(raw: &str) -> ClaimKind {
    match raw.as_bytes().first() {
        Some(b'n') => ClaimKind::Null,
        Some(b't' | b'f') => ClaimKind::Boolean,
        Some(b'"') => ClaimKind::Text,
        Some(b'{' | b'[') => ClaimKind::Nested,
        _ => ClaimKind::Number,
    }
}

fn string(raw: &str) -> Result<std::borrow::Cow<'_, str>, ClaimsError> {
    let inner = raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    match inner {
        Some(plain) if !plain.contains('\\') => Ok(plain.into()),
        _ => serde_json::from_str::<String>(raw).map(Into::into).map_err(ClaimsError::NotAnObject),
    }
}

/// Appends canonical JSON: sorted keys, no spaces, canonical numbers.
fn nested(raw: &str, out: &mut String, depth: usize) -> Result<(), ClaimsError> {
    if depth > MAX_CLAIMS_DEPTH {
        return Err(ClaimsError::TooDeep);
    }
    let deeper = depth.saturating_add(1);
    match raw.as_bytes().first() {
        Some(b'{') => {
            let members: Object<'_> = serde_json::from_str(raw).map_err(ClaimsError::NotAnObject)?;
            let mut separator = '{';
            for (key, value) in &members {
                out.push(separator);
                out.push_str(&serde_json::Value::from(key.as_str()).to_string());
                out.push(':');
                nested(value.get(), out, deeper)?;
                separator = ',';
            }
            out.push_str(if members.is_empty() { "{}" } else { "}" });
        }
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(raw).map_err(ClaimsError::NotAnObject)?;
            let mut separator = '[';
            for item in &items {
                out.push(separator);
                nested(item.get(), out, deeper)?;
                separator = ',';
            }
            out.push_str(if items.is_empty() { "[]" } else { "]" });
        }
        Some(b'"') => out.push_str(&serde_json::Value::from(&*string(raw)?).to_string()),
        Some(b'n' | b't' | b'f') => out.push_str(raw),
        _ => out.push_str(&canonical_number(raw)),
    }
    Ok(())
}
