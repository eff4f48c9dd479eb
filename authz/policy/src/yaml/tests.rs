use super::{Kind, MAX_DEPTH, Node, Place, parse};

fn json(node: &Node) -> String {
    match node.kind() {
        Kind::Null => "null".to_owned(),
        Kind::Boolean(value) => value.to_string(),
        Kind::Number(text) => text.to_string(),
        Kind::Text(text) => format!("{text:?}"),
        Kind::List(items) => format!("[{}]", items.iter().map(json).collect::<Vec<_>>().join(",")),
        Kind::Mapping(entries) => {
            let members: Vec<_> =
                entries.iter().map(|entry| format!("{:?}:{}", entry.key, json(&entry.value))).collect();
            format!("{{{}}}", members.join(","))
        }
    }
}

fn check(text: &str, expected: &str) {
    assert_eq!(parse(text).map(|node| json(&node)).as_deref(), Ok(expected), "{text}");
}

#[test]
fn scalars_follow_the_core_schema() {
    for (text, expected) in [
        ("010", "\"010\""),
        ("-07", "\"-07\""),
        ("0", "0"),
        ("-0", "0"),
        ("+5", "5"),
        ("5.0", "5"),
        ("1_000", "\"1_000\""),
        ("0x1F", "31"),
        ("0o17", "15"),
        ("0b11", "\"0b11\""),
        ("-0x1", "\"-0x1\""),
        ("1e3", "1000"),
        ("1.", "1"),
        (".5", "0.5"),
        (".", "\".\""),
        ("1e", "\"1e\""),
        ("-", "[null]"),
        ("--1", "\"--1\""),
        ("12345678901234567890123", "12345678901234567890123"),
        ("yes", "\"yes\""),
        ("on", "\"on\""),
        ("True", "true"),
        ("tRUE", "\"tRUE\""),
        ("NULL", "null"),
        ("~", "null"),
        ("2020-01-02", "\"2020-01-02\""),
        ("2020-01-02T16:20:00", "\"2020-01-02T16:20:00\""),
        ("12:30:45", "\"12:30:45\""),
        ("'5'", "\"5\""),
        ("\"null\"", "\"null\""),
        ("!!str 5", "\"5\""),
        ("! 5", "\"5\""),
        ("!!int 5", "5"),
        ("!!float 5", "5"),
        ("''", "\"\""),
    ] {
        check(text, expected);
    }
}

#[test]
fn anchors_aliases_and_merge_keys_work() {
    check("a: &x [1, 2]\nb: *x", r#"{"a":[1,2],"b":[1,2]}"#);
    check("a: &x {k: 1, l: 2}\nb: {<<: *x, l: 3}", r#"{"a":{"k":1,"l":2},"b":{"k":1,"l":3}}"#);
    check("a: &x {k: 1, l: 2}\nb: {l: 3, <<: *x}", r#"{"a":{"k":1,"l":2},"b":{"l":3,"k":1}}"#);
    check("- &x {k: 1}\n- &y {k: 2, l: 2}\n- {<<: [*x, *y]}", r#"[{"k":1},{"k":2,"l":2},{"k":1,"l":2}]"#);
    check("? \"<<\"\n: 1", r#"{"<<":1}"#);
    check("&k key: 1\nother: *k", r#"{"key":1,"other":"key"}"#);
}

#[test]
fn what_is_ambiguous_is_refused_with_its_place() {
    for (text, message, line, column) in [
        ("", "the text is empty", 0, 0),
        ("# nothing\n", "the text is empty", 0, 0),
        ("---\n", "the text is empty", 0, 0),
        ("a: 1\na: 2", "duplicate key `a`", 2, 1),
        ("{a: 1, 'a': 2}", "duplicate key `a`", 1, 8),
        ("5: x", "a key must be a string, not a number", 1, 1),
        ("a:\n  true: x", "a key must be a string, not a boolean", 2, 3),
        ("? [a]\n: x", "a key must be a string, not a list or a mapping", 1, 3),
        ("a: 1\n---\nb: 2", "a second document; only one is read", 2, 1),
        ("a: .nan", "`.nan` is not a finite number", 1, 4),
        ("- -.Inf", "`-.Inf` is not a finite number", 1, 3),
        ("!foo x", "unsupported tag `!foo`", 1, 1),
        ("!!int x", "`x` is no `!!int`", 1, 1),
        ("a: &x [*x]", "an alias inside what it names", 1, 8),
        ("a: {<<: 5}", "a merge key takes a mapping or a list of mappings", 1, 5),
    ] {
        let found = parse(text).unwrap_err();
        assert_eq!((found.message.as_str(), found.line, found.column), (message, line, column), "{text}");
    }
    for text in ["a: [", "a: *missing", "{a: 1", "a: b: c"] {
        let found = parse(text).unwrap_err();
        assert!(found.message.starts_with("invalid YAML: ") && found.line > 0, "{text}: {found}");
    }
}

#[test]
fn what_is_missing_at_the_end_is_missing_inside_of_the_text() {
    for (text, line, column) in [
        ("a: [1,\n  {b: {", 2, 8),
        ("a: {k: {", 1, 9),
        ("é: {\r", 2, 1),
        ("a: {\r\n", 2, 1),
        ("? ~", 1, 3),
        ("a: 1\n?", 2, 2),
    ] {
        let found = parse(text).unwrap_err();
        assert_eq!((found.line, found.column), (line, column), "{text:?}: {found}");
    }
}

#[test]
fn bombs_and_depth_name_their_bound() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let below = format!("*a{}", level - 1);
        bomb += &format!("a{level}: &a{level} [{}]\n", vec![below; 10].join(", "));
    }
    assert!(parse(&bomb).unwrap_err().message.contains("MAX_ALIASED_NODES"));
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert!(parse(&nested(MAX_DEPTH)).is_ok());
    assert!(parse(&nested(MAX_DEPTH + 1)).unwrap_err().message.contains("MAX_DEPTH"));
    let aliased = format!("- &a {}\n- {}", nested(40), "[".repeat(30) + "*a" + &"]".repeat(30));
    assert!(parse(&aliased).unwrap_err().message.contains("MAX_DEPTH"));
}

#[test]
fn every_node_and_key_knows_its_place() {
    let text = "allow:\n  or:\n    - emial: kim@corp.test\n    - {ü: 1, b: [x, y]}\n";
    let tree = parse(text).unwrap();
    let allow = tree.entry("allow").unwrap();
    assert_eq!(allow.key_span.start, Place { line: 1, column: 1 });
    let items = allow.value.get("or").unwrap().as_list().unwrap();
    let first = items[0].as_mapping().unwrap();
    assert_eq!(first[0].key_span.start, Place { line: 3, column: 7 });
    assert_eq!(first[0].value.place(), Place { line: 3, column: 14 });
    assert_eq!(items[0].place(), Place { line: 3, column: 7 });
    let b = items[1].entry("b").unwrap();
    assert_eq!(b.key_span.start, Place { line: 4, column: 14 });
    assert_eq!(b.value.as_list().unwrap()[1].place(), Place { line: 4, column: 21 });
}
