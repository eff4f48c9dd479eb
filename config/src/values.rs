//! From the marked tree to the values that serde reads: one reading of the text serves both, so that no scalar
//! means one thing to the policy language and another to the rest of the file.

use portcullis_policy::yaml::{Entry, Kind, Node};
use serde_yaml::{Number, Value};

use crate::schema::READ_BY_POLICY;

/// The value of a route, where a mere `true` stands for what the policy language reads by itself: that is most of it.
pub(crate) fn of_route(route: &Node) -> Value {
    let Some(entries) = route.as_mapping() else { return value(route) };
    mapping(entries, |entry| {
        let read_already = READ_BY_POLICY.contains(&&*entry.key) && !entry.value.is_null();
        if read_already { Value::Bool(true) } else { value(&entry.value) }
    })
}

/// A mapping with the keys of `entries`.
pub(crate) fn mapping(entries: &[Entry], value: impl Fn(&Entry) -> Value) -> Value {
    let pair = |entry: &Entry| (Value::String(entry.key.as_ref().to_owned()), value(entry));
    Value::Mapping(entries.iter().map(pair).collect())
}

/// The value of a node and of everything below it.
pub(crate) fn value(node: &Node) -> Value {
    match node.kind() {
        Kind::Null => Value::Null,
        Kind::Boolean(value) => Value::Bool(*value),
        Kind::Number(canonical) => number(canonical),
        Kind::Text(text) => Value::String(text.as_ref().to_owned()),
        Kind::List(items) => Value::Sequence(items.iter().map(value).collect()),
        Kind::Mapping(entries) => mapping(entries, |entry| value(&entry.value)),
    }
}

/// Appends what a node says, whatever its layout: two nodes give the same bytes only if they say the same.
pub(crate) fn canonical(node: &Node, out: &mut Vec<u8>) {
    match node.kind() {
        Kind::Null => out.push(b'0'),
        Kind::Boolean(value) => out.extend([b'b', u8::from(*value)]),
        Kind::Number(text) => part(b'n', text, out),
        Kind::Text(text) => part(b't', text, out),
        Kind::List(items) => {
            length(b'l', items.len(), out);
            items.iter().for_each(|item| canonical(item, out));
        }
        Kind::Mapping(entries) => {
            length(b'm', entries.len(), out);
            for entry in entries.iter() {
                part(b'k', &entry.key, out);
                canonical(&entry.value, out);
            }
        }
    }
}

fn part(kind: u8, text: &str, out: &mut Vec<u8>) {
    length(kind, text.len(), out);
    out.extend_from_slice(text.as_bytes());
}

/// Every length goes in front of what it counts, so that no two sequences of parts read alike.
fn length(kind: u8, length: usize, out: &mut Vec<u8>) {
    out.push(kind);
    out.extend_from_slice(&u64::try_from(length).unwrap_or(u64::MAX).to_be_bytes());
}

/// A number whose digits no type of ours holds stays what it is for messages: a float of about that size.
fn number(canonical: &str) -> Value {
    let whole = canonical.parse::<u64>().map(Number::from).or_else(|_| canonical.parse::<i64>().map(Number::from));
    match whole.ok().or_else(|| canonical.parse::<f64>().map(Number::from).ok()) {
        Some(number) => Value::Number(number),
        None => Value::String(canonical.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use portcullis_policy::yaml;

    use super::*;

    #[test]
    fn every_kind_is_what_it_was() {
        let text =
            "a: [1, -2, 2.5, 1e3, 340282366920938463463374607431768211455]\nb: {c: ~, d: true, e: '1', f: 010}\n";
        let read = value(&yaml::parse(text).unwrap());
        let list = read.get("a").and_then(Value::as_sequence).unwrap();
        assert_eq!(list.first().and_then(Value::as_u64), Some(1));
        assert_eq!(list.get(1).and_then(Value::as_i64), Some(-2));
        assert_eq!(list.get(2).and_then(Value::as_f64), Some(2.5));
        assert_eq!(list.get(3).and_then(Value::as_u64), Some(1000));
        assert!(list.get(4).is_some_and(|large| large.is_f64()));
        let map = read.get("b").unwrap();
        assert!(map.get("c").is_some_and(Value::is_null));
        assert_eq!(map.get("d").and_then(Value::as_bool), Some(true));
        assert_eq!(map.get("e").and_then(Value::as_str), Some("1"));
        assert_eq!(map.get("f").and_then(Value::as_str), Some("010"));
    }

    #[test]
    fn equal_bytes_mean_equal_routes() {
        let bytes = |text: &str| {
            let mut out = Vec::new();
            canonical(&yaml::parse(text).unwrap(), &mut out);
            out
        };
        assert_eq!(bytes("a: [x, 1.0]\nb: ~\n"), bytes("{\"a\": ['x', 1], b: null}"));
        let different = [
            "a: b",
            "a: [b]",
            "{a: {b: ~}}",
            "a: '1'",
            "a: 1",
            "a: true",
            "a: 'true'",
            "[a, b]",
            "[ab]",
            "[[a], b]",
            "[[a, b]]",
        ];
        let unique: std::collections::HashSet<_> = different.iter().map(|text| bytes(text)).collect();
        assert_eq!(unique.len(), different.len());
    }

    #[test]
    fn what_is_merged_is_there_and_what_is_written_wins() {
        let text = "base: &b {x: 1, y: 2}\nuse: {<<: *b, y: 3}\n";
        let read = value(&yaml::parse(text).unwrap());
        let used = read.get("use").unwrap();
        assert_eq!((used.get("x").and_then(Value::as_u64), used.get("y").and_then(Value::as_u64)), (Some(1), Some(3)));
        assert!(used.get("<<").is_none());
    }
}
