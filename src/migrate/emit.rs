//! Writes a tree as YAML that our reader takes back as the same tree.

use super::tree::{Member, Remarks, Tree, Value};

/// The widest line that a mapping in braces or a list in brackets may make.
const MAX_WIDTH: usize = 100;

/// The text of a mapping, each section of the top level with an empty line above.
pub(crate) fn document(header: &[String], root: &Tree) -> String {
    let mut out = String::new();
    for line in header {
        out.push_str(line);
        out.push('\n');
    }
    for member in root.members() {
        if !out.is_empty() {
            out.push('\n');
        }
        self::member(&mut out, member, 0);
    }
    out
}

/// The text of one value, on one line where that can be.
pub(crate) fn value(tree: &Tree) -> String {
    let mut out = String::new();
    match inline(tree) {
        Some(text) => {
            out.push_str(&text);
            out.push('\n');
        }
        None => block(&mut out, tree, 0),
    }
    out
}

fn member(out: &mut String, member: &Member, indent: usize) {
    above(out, &member.value.remarks, indent);
    pad(out, indent);
    out.push_str(&scalar(&member.key));
    out.push(':');
    behind_colon(out, &member.value, indent);
}

/// What follows `key:`.
fn behind_colon(out: &mut String, tree: &Tree, indent: usize) {
    if let Value::Text(text) = &tree.value
        && is_literal(text)
    {
        out.push_str(if text.ends_with('\n') { " |" } else { " |-" });
        line_end(out, &tree.remarks);
        for line in text.trim_end_matches('\n').split('\n') {
            if !line.is_empty() {
                pad(out, indent.saturating_add(2));
                out.push_str(line);
            }
            out.push('\n');
        }
        return;
    }
    match inline(tree) {
        Some(text) => {
            if !text.is_empty() {
                out.push(' ');
                out.push_str(&text);
            }
            line_end(out, &tree.remarks);
        }
        None => {
            line_end(out, &tree.remarks);
            block(out, tree, indent.saturating_add(2));
        }
    }
}

/// A list or mapping on lines of its own.
fn block(out: &mut String, tree: &Tree, indent: usize) {
    match &tree.value {
        Value::Map(members) => members.iter().for_each(|one| member(out, one, indent)),
        Value::List(items) => items.iter().for_each(|one| item(out, one, indent)),
        Value::Null | Value::Boolean(_) | Value::Number(_) | Value::Text(_) => {}
    }
}

fn item(out: &mut String, tree: &Tree, indent: usize) {
    above(out, &tree.remarks, indent);
    if let Some(text) = inline(tree) {
        pad(out, indent);
        out.push_str("- ");
        out.push_str(&text);
        return line_end(out, &tree.remarks);
    }
    if let Value::Map(members) = &tree.value
        && let Some((first, rest)) = members.split_first()
    {
        above(out, &first.value.remarks, indent);
        pad(out, indent);
        out.push_str("- ");
        out.push_str(&scalar(&first.key));
        out.push(':');
        let inner = indent.saturating_add(2);
        behind_colon(out, &first.value, inner);
        return rest.iter().for_each(|one| member(out, one, inner));
    }
    pad(out, indent);
    out.push('-');
    line_end(out, &tree.remarks);
    block(out, tree, indent.saturating_add(2));
}

fn above(out: &mut String, remarks: &Remarks, indent: usize) {
    for line in &remarks.above {
        pad(out, indent);
        out.push_str(line);
        out.push('\n');
    }
}

fn line_end(out: &mut String, remarks: &Remarks) {
    if let Some(remark) = &remarks.behind {
        out.push_str("  ");
        out.push_str(remark);
    }
    out.push('\n');
}

fn pad(out: &mut String, indent: usize) {
    out.extend(std::iter::repeat_n(' ', indent));
}

/// The text on one line; `None` for what has comments inside, is too wide, or was written in block style.
fn inline(tree: &Tree) -> Option<String> {
    match &tree.value {
        Value::List(items) if !items.is_empty() => {
            let quiet = tree.flow && items.iter().all(is_quiet);
            quiet.then(|| flow(tree)).flatten().filter(|text| text.len() <= MAX_WIDTH)
        }
        Value::Map(members) if !members.is_empty() => {
            let quiet = tree.flow && members.iter().all(|member| is_quiet(&member.value));
            quiet.then(|| flow(tree)).flatten().filter(|text| text.len() <= MAX_WIDTH)
        }
        Value::Null | Value::Boolean(_) | Value::Number(_) | Value::Text(_) | Value::List(_) | Value::Map(_) => {
            flow(tree)
        }
    }
}

fn is_quiet(tree: &Tree) -> bool {
    let Remarks { above, behind } = &tree.remarks;
    let inside = match &tree.value {
        Value::List(items) => items.iter().all(is_quiet),
        Value::Map(members) => members.iter().all(|member| is_quiet(&member.value)),
        Value::Null | Value::Boolean(_) | Value::Number(_) | Value::Text(_) => true,
    };
    above.is_empty() && behind.is_none() && inside
}

fn flow(tree: &Tree) -> Option<String> {
    Some(match &tree.value {
        Value::Null => String::new(),
        Value::Boolean(value) => value.to_string(),
        Value::Number(number) => number.clone(),
        Value::Text(text) => scalar(text),
        Value::List(items) => {
            let items: Option<Vec<String>> = items.iter().map(inside_flow).collect();
            format!("[{}]", items?.join(", "))
        }
        Value::Map(members) => {
            let member = |one: &Member| Some(format!("{}: {}", scalar(&one.key), inside_flow(&one.value)?));
            let members: Option<Vec<String>> = members.iter().map(member).collect();
            format!("{{{}}}", members?.join(", "))
        }
    })
}

/// Nothing at all is ambiguous inside brackets.
fn inside_flow(tree: &Tree) -> Option<String> {
    if matches!(tree.value, Value::Null) { Some("null".to_owned()) } else { flow(tree) }
}

/// Whether a text reads best as a literal block: PEM, pages.
fn is_literal(text: &str) -> bool {
    let plain = |line: &str| !line.ends_with(char::is_whitespace) && !line.chars().any(|c| c.is_control());
    text.trim_end().contains('\n')
        && !text.starts_with([' ', '\n', '\t'])
        && !text.ends_with("\n\n")
        && text.trim_end_matches('\n').split('\n').all(plain)
}

/// A text as a scalar that no reader of YAML takes for anything else.
fn scalar(text: &str) -> String {
    if is_plain(text) {
        return text.to_owned();
    }
    if text.chars().any(char::is_control) || text.contains(['\u{feff}', '\u{2028}', '\u{2029}', '\u{85}']) {
        // JSON's strings are YAML's.
        return serde_json::Value::from(text).to_string();
    }
    if text.contains('"') || text.contains('\\') {
        return format!("'{}'", text.replace('\'', "''"));
    }
    format!("\"{text}\"")
}

/// Conservative: letters, digits and what is harmless inside a word.
fn is_plain(text: &str) -> bool {
    let Some(first) = text.chars().next() else { return false };
    let fits = |c: char| c.is_ascii_alphanumeric() || "_./@+-*:= ;()%$".contains(c);
    let spaced = text.contains("  ") || text.contains(": ") || text.ends_with([' ', ':']);
    if !text.chars().all(fits) || spaced {
        return false;
    }
    let word = text.to_ascii_lowercase();
    if matches!(word.as_str(), "true" | "false" | "null" | "yes" | "no" | "on" | "off" | "y" | "n" | "nan" | "inf") {
        return false;
    }
    if first.is_ascii_digit() {
        // Durations and addresses; everything else that begins with a digit might be a number to somebody.
        let duration =
            text.ends_with(['s', 'm', 'h', 'd']) && text.chars().all(|c| c.is_ascii_digit() || "smhd".contains(c));
        let address = text.matches('.').count() >= 3 || text.contains("://");
        return duration || address;
    }
    first.is_ascii_alphabetic() || (matches!(first, '/' | '_' | '$') && text.len() > 1)
}
