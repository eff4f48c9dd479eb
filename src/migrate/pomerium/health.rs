//! `health_checks` of a route, which have the shape of Envoy's.

use std::sync::Arc;

use super::around::Around;
use crate::migrate::scope::Scope;
use crate::migrate::tree::{Member, Tree, Value};
use crate::migrate::values;

/// The shortest interval that ours takes, in milliseconds.
const LEAST_INTERVAL: u64 = 100;

/// The kinds of checks, with the keys of theirs that ours has too.
const KINDS: [(&str, &[&str]); 3] = [
    ("http_health_check", &["host", "path", "expected_statuses"]),
    ("tcp_health_check", &[]),
    ("grpc_health_check", &["service_name", "authority"]),
];

/// Each entry that ours has too; of the others it is said what they lack.
pub(super) fn checks(scope: &mut Scope<'_, Arc<Around>>, member: &Member) {
    let plain = scope.given("to").is_some_and(|to| {
        let urls = to.items().iter();
        urls.filter_map(|to| to.scalar().or_else(|| to.get("url").and_then(Tree::scalar)))
            .any(|url| url.starts_with("http://"))
    });
    let mut kept = Vec::new();
    for entry in member.value.items() {
        let Some((kind, _)) = KINDS.iter().find(|(kind, _)| entry.get(kind).is_some()) else {
            scope.lost(member, "a check that is none of HTTP, TCP and gRPC", "http_health_check");
            continue;
        };
        if *kind == "grpc_health_check" && plain {
            scope.lost(member, "an `http` upstream is not asked by gRPC", "to: h2c://HOST:PORT");
            continue;
        }
        kept.extend(check(scope, member, entry).map(|made| made.with_remarks_of(entry)));
    }
    if !kept.is_empty() {
        scope.out.set("health_checks", Tree::list(kept).with_remarks_of(&member.value));
    }
}

fn check(scope: &mut Scope<'_, Arc<Around>>, member: &Member, entry: &Tree) -> Option<Tree> {
    let mut made: Tree = Value::Map(Vec::new()).into();
    for Member { key, place: _, value } in entry.members() {
        let name = key.to_ascii_lowercase();
        if let Some((kind, known)) = KINDS.iter().find(|(kind, _)| *kind == name) {
            made.set(kind, of_kind(scope, member, (kind, known), value)?);
            continue;
        }
        match name.as_str() {
            "interval" | "timeout" => match values::duration(value) {
                Some(text) => made.set(&name, Tree::text(least(&name, text)).with_remarks_of(value)),
                None => scope.lost(member, &format!("`{name}` is no duration"), ""),
            },
            "unhealthy_threshold" | "healthy_threshold" => match number(value) {
                Some(number @ 1..) => made.set(&name, Tree::number(number).with_remarks_of(value)),
                _ => scope.lost(member, &format!("`{name}` is no number from 1"), ""),
            },
            _ if value.is_off() => {}
            _ => scope.lost(member, &format!("`{name}` of a check"), ""),
        }
    }
    Some(made)
}

/// What is asked; `None`: nothing that ours could ask.
fn of_kind(
    scope: &mut Scope<'_, Arc<Around>>,
    member: &Member,
    (kind, known): (&str, &[&str]),
    theirs: &Tree,
) -> Option<Tree> {
    let mut made = Tree::map([]).flowing();
    for Member { key, place: _, value } in theirs.members() {
        let name = key.to_ascii_lowercase();
        if !known.contains(&name.as_str()) {
            if !value.is_off() {
                scope.lost(member, &format!("`{kind}.{name}`"), "");
            }
        } else if name == "expected_statuses" {
            made.set(&name, statuses(scope, member, value));
        } else if !value.is_off() {
            made.set(&name, Tree::text(value.scalar()?).with_remarks_of(value));
        }
    }
    if kind == "http_health_check"
        && !made.get("path").and_then(Tree::as_text).is_some_and(|path| path.starts_with('/'))
    {
        scope.lost(member, "a check without a path", "http_health_check.path");
        return None;
    }
    Some(made)
}

/// Ranges with the end left out, within the statuses that end an exchange.
fn statuses(scope: &mut Scope<'_, Arc<Around>>, member: &Member, theirs: &Tree) -> Tree {
    let range = |tree: &Tree| {
        let start = tree.get("start").and_then(number).unwrap_or(0).max(200);
        let end = tree.get("end").and_then(number).unwrap_or(0).min(600);
        (start < end).then(|| Tree::map([("start", Tree::number(start)), ("end", Tree::number(end))]).flowing())
    };
    let entries = theirs.items();
    let made: Vec<Tree> = entries.iter().filter_map(range).collect();
    if made.len() != entries.len() {
        scope.lost(member, "`expected_statuses` outside 200 to 599", "");
    }
    Tree { flow: true, ..Tree::list(made) }
}

/// A number, or one in the wrapping that protobuf gives it.
fn number(tree: &Tree) -> Option<u16> {
    tree.scalar().or_else(|| tree.get("value").and_then(Tree::scalar))?.parse().ok()
}

fn least(name: &str, text: String) -> String {
    let short =
        text.strip_suffix("ms").and_then(|number| number.parse::<u64>().ok()).is_some_and(|ms| ms < LEAST_INTERVAL);
    if name == "interval" && (short || text == "0") {
        format!("{LEAST_INTERVAL}ms")
    } else if text == "0" {
        "1ms".to_owned()
    } else {
        text
    }
}
