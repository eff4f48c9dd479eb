//! Literals of a policy as values that compare with claims.

use portcullis_identity::ClaimValue;

use crate::yaml::{Kind, Node};

/// The value a claim must equal, in type and text.
pub(super) fn literal(node: &Node) -> ClaimValue {
    match node.kind() {
        Kind::Null => ClaimValue::null(),
        Kind::Boolean(value) => ClaimValue::boolean(*value),
        Kind::Number(text) => ClaimValue::number(text),
        Kind::Text(text) => ClaimValue::text(&**text),
        Kind::List(_) | Kind::Mapping(_) => {
            let mut json = String::new();
            canonical(node, &mut json);
            ClaimValue::nested(json)
        }
    }
}

/// Appends the canonical JSON of `portcullis_identity::ClaimKind::Nested`. The tree's depth is bounded.
fn canonical(node: &Node, out: &mut String) {
    match node.kind() {
        Kind::Null => out.push_str("null"),
        Kind::Boolean(value) => out.push_str(if *value { "true" } else { "false" }),
        Kind::Number(text) => out.push_str(text),
        Kind::Text(text) => out.push_str(&quoted(text)),
        Kind::List(items) => {
            out.push('[');
            for (place, item) in items.iter().enumerate() {
                out.push_str(if place > 0 { "," } else { "" });
                canonical(item, out);
            }
            out.push(']');
        }
        Kind::Mapping(entries) => {
            let mut sorted: Vec<_> = entries.iter().collect();
            sorted.sort_by(|a, b| a.key.cmp(&b.key));
            out.push('{');
            for (place, entry) in sorted.iter().enumerate() {
                out.push_str(if place > 0 { "," } else { "" });
                out.push_str(&quoted(&entry.key));
                out.push(':');
                canonical(&entry.value, out);
            }
            out.push('}');
        }
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
