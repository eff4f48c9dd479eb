//! From a token's JSON to flat claims.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::value::RawValue;

use super::{Claim, ClaimKind, ClaimValue, ClaimsError, MAX_CLAIMS_DEPTH, Values, canonical_number};

/// Raw text keeps what a float would lose: the digits of large numbers.
type Object<'a> = BTreeMap<String, &'a RawValue>;

/// Every claim of one JSON object, in the order of the names of its levels.
pub(super) fn flatten(text: &str) -> Result<Vec<Claim>, ClaimsError> {
    let mut flat = Flat { text: String::with_capacity(text.len()), claims: Vec::new() };
    flat.object(text, "", 0)?;
    Ok(flat.finish())
}

/// A stretch of the shared text.
type Range = (u32, u32);

struct Pending {
    name: Range,
    list: bool,
    values: Vec<(ClaimKind, Range)>,
}

/// The shared text as it grows, and what lies where in it.
struct Flat {
    text: String,
    claims: Vec<Pending>,
}

impl Flat {
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

    fn claim(&mut self, name: &str, list: bool, values: Vec<(ClaimKind, Range)>) {
        let name = self.put(name);
        self.claims.push(Pending { name, list, values });
    }

    fn value(&mut self, raw: &str) -> Result<(ClaimKind, Range), ClaimsError> {
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

    /// A text of the same length may stand in the arena already: most names and values are short and few,
    /// so looking for them costs more than it saves.
    fn put(&mut self, text: &str) -> Range {
        let start = offset(self.text.len());
        self.text.push_str(text);
        (start, offset(self.text.len()))
    }

    fn finish(mut self) -> Vec<Claim> {
        self.text.shrink_to_fit();
        let arena = Arc::new(self.text);
        let claims = self.claims.into_iter().map(|Pending { name, list, values }| Claim {
            name: ClaimValue::shared(ClaimKind::Text, &arena, name),
            list,
            values: Values::from_list(
                values.into_iter().map(|(kind, range)| ClaimValue::shared(kind, &arena, range)).collect(),
            ),
        });
        claims.collect()
    }
}

/// The caller bounds the text far below 4 GiB.
fn offset(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
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
