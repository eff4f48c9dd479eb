//! Comments travel with the configuration, secrets in them do not.

use super::tree::{Remarks, Tree, Value};

/// Parts of key names whose values are secret.
const SECRET_NAMES: [&str; 7] =
    ["secret", "password", "token", "_key", "credential", "basic_auth", "connection_string"];

/// The shortest text that is looked for in comments: shorter ones are words.
const MIN_SECRET: usize = 6;

/// Blanks out, in every comment, the values of secret keys and what follows the name of one.
pub(crate) fn comments(sources: &[&Tree], root: &mut Tree, header: &mut [String]) {
    let mut secrets = Vec::new();
    sources.iter().for_each(|source| collect(source, "", &mut secrets));
    header.iter_mut().for_each(|line| blank(line, &secrets));
    walk(root, &secrets);
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    !name.ends_with("_file") && SECRET_NAMES.iter().any(|part| name.contains(part))
}

fn collect(tree: &Tree, name: &str, secrets: &mut Vec<String>) {
    match &tree.value {
        Value::Map(members) => members.iter().for_each(|member| collect(&member.value, &member.key, secrets)),
        Value::List(items) => items.iter().for_each(|item| collect(item, name, secrets)),
        Value::Text(text) if is_secret(name) && text.len() >= MIN_SECRET => secrets.push(text.clone()),
        Value::Text(_) | Value::Null | Value::Boolean(_) | Value::Number(_) => {}
    }
}

fn walk(tree: &mut Tree, secrets: &[String]) {
    let Remarks { above, behind } = &mut tree.remarks;
    above.iter_mut().chain(behind).for_each(|line| blank(line, secrets));
    match &mut tree.value {
        Value::Map(members) => members.iter_mut().for_each(|member| walk(&mut member.value, secrets)),
        Value::List(items) => items.iter_mut().for_each(|item| walk(item, secrets)),
        Value::Text(_) | Value::Null | Value::Boolean(_) | Value::Number(_) => {}
    }
}

/// `# client_secret: abc` loses what follows the colon; a known secret goes wherever it stands.
fn blank(line: &mut String, secrets: &[String]) {
    for secret in secrets {
        if line.contains(secret.as_str()) {
            *line = line.replace(secret.as_str(), "…");
        }
    }
    let bare = line.trim_start_matches(['#', ' ', '-']);
    let Some(end) = bare.find([':', '=']) else { return };
    let name = bare.get(..end).unwrap_or_default().trim();
    let word = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c));
    let value = bare.get(end.saturating_add(1)..).unwrap_or_default().trim();
    if word && is_secret(name) && !value.is_empty() {
        let kept = line.len().saturating_sub(bare.len()).saturating_add(end).saturating_add(1);
        line.truncate(kept);
        line.push_str(" …");
    }
}
