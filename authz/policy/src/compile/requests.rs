//! Criteria about the request that are legal and surely not meant: a deny that can never fire is an open door.

use crate::yaml::Node;

use super::Compiler;
use super::criteria::texts;

/// The methods that everybody writes in upper case (RFC 9110 §9.1: they compare with case).
const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"];
/// Criteria whose value says nothing: that they stand there does.
const FLAGS: [&str; 5] = ["accept", "reject", "authenticated_user", "cors_preflight", "invalid_client_certificate"];

/// A method in another case than the one it is sent in.
pub(super) fn look_at_methods(compiler: &mut Compiler<'_>, value: &Node) {
    for node in texts(value) {
        let text = node.as_text().unwrap_or_default();
        let meant = METHODS.iter().find(|method| method.eq_ignore_ascii_case(text) && **method != text);
        if let Some(method) = meant {
            let message = format!("methods compare with case, and no client sends `{text}`");
            compiler.warn(node, message, &format!("write `{method}`"));
        }
    }
}

/// A path without its first slash, or in an encoded spelling: what is compared is the decoded path.
pub(super) fn look_at_paths(compiler: &mut Compiler<'_>, value: &Node) {
    let whole = |key: &str| matches!(key, "is" | "not" | "starts_with" | "in" | "not_in");
    match value.as_mapping() {
        None => look_at_path(compiler, value, true),
        Some(entries) => {
            for entry in entries {
                look_at_path(compiler, &entry.value, whole(&entry.key));
            }
        }
    }
}

fn look_at_path(compiler: &mut Compiler<'_>, value: &Node, from_the_front: bool) {
    for node in texts(value) {
        let text = node.as_text().unwrap_or_default();
        if from_the_front && !text.starts_with('/') && text != "*" && !text.is_empty() {
            let help = format!("write `/{text}`");
            compiler.warn(node, format!("every path begins with a slash, and `{text}` does not"), &help);
        }
        if holds_escape(text) {
            let message = format!("paths are compared decoded, and `{text}` is encoded");
            compiler.warn(node, message, "write the character itself; only `%2F` stays as it is");
        }
    }
}

/// Whether text holds an escape that no decoded path has: any but `%2F`.
fn holds_escape(text: &str) -> bool {
    text.match_indices('%').any(|(at, _)| {
        let digits = text.get(at.saturating_add(1)..at.saturating_add(3));
        digits.is_some_and(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()) && digits != "2F")
    })
}

/// `accept: false` accepts.
pub(super) fn look_at_flag(compiler: &mut Compiler<'_>, name: &str, value: &Node) {
    if FLAGS.contains(&name) && value.as_boolean() == Some(false) {
        let message = format!("`{name}: false` means `{name}: true`: the value is ignored");
        compiler.warn(value, message, "remove it, or put it under `not`");
    }
}
