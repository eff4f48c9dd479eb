use super::{
    ClaimKind, ClaimRef, ClaimValue, Claims, ClaimsError, MAX_CLAIMS_BYTES, canonical_number, compare_numbers,
};

fn claims(text: &str) -> Claims {
    Claims::from_json(text).unwrap()
}

fn texts<'a>(claims: &'a Claims, name: &str) -> Vec<&'a str> {
    claims.get(name).iter().map(ClaimRef::as_text).collect()
}

#[test]
fn objects_flatten_with_dots_at_any_depth() {
    let claims = claims(r#"{"a":{"b":{"c":[1,"x"],"d":null}},"e.f":true,"g":{}}"#);
    assert_eq!(texts(&claims, "a.b.c"), ["1", "x"]);
    assert!(claims.get("a.b.d").iter().eq([ClaimValue::null()]));
    assert!(claims.get("e.f").iter().eq([ClaimValue::boolean(true)]));
    assert!(claims.get("g").is_empty() && claims.get("a").is_empty());
    assert_eq!(claims.len(), 3);
}

#[test]
fn numbers_are_equal_by_value_and_exact_at_any_size() {
    let equal = [("5", "5.0"), ("5e0", "0.5e1"), ("-0", "0"), ("0e99", "0.000"), ("100", "1E+2"), ("-1.50", "-15e-1")];
    for (a, b) in equal {
        assert_eq!(canonical_number(a), canonical_number(b), "{a} {b}");
    }
    let unequal = [("9007199254740993", "9007199254740992"), ("0.1", "0.10000000000000001"), ("1e400", "1e401")];
    for (a, b) in unequal {
        assert_ne!(canonical_number(a), canonical_number(b), "{a} {b}");
    }
    assert_eq!(canonical_number("12345678901234567890123"), "12345678901234567890123");
    assert_eq!(canonical_number("1e-3"), "0.001");
    assert_eq!(canonical_number("12.5e50"), "1.25e51");
}

#[test]
fn what_is_no_number_has_some_spelling_and_no_panic() {
    for text in ["", "-", "e", "é5", "5é.é", "1e", "1e99999999999999999999", "0x5", "..", "é", "-é1e-3"] {
        let spelled = canonical_number(text);
        assert!(compare_numbers(&spelled, &spelled).is_eq(), "{text}");
    }
}

#[test]
fn numbers_compare_by_value() {
    let ordered =
        ["-1e50", "-2.5", "-2", "0", "0.001", "0.01", "2", "2.5", "10", "99999999999999999999", "1e41", "2e41"];
    for (i, a) in ordered.iter().enumerate() {
        for (j, b) in ordered.iter().enumerate() {
            assert_eq!(compare_numbers(&canonical_number(a), &canonical_number(b)), i.cmp(&j), "{a} {b}");
        }
    }
}

#[test]
fn kinds_do_not_mix() {
    let claims = claims(r#"{"n":5,"s":"5","z":"null","list":[[1.0,{"b":2,"a":"\u00e9"}]]}"#);
    assert!(claims.get("n").iter().ne(claims.get("s").iter()));
    assert!(claims.get("n").iter().eq([ClaimValue::number("5.00")]));
    assert!(claims.get("z").iter().ne([ClaimValue::null()]));
    assert_eq!(texts(&claims, "list"), [r#"[1,{"a":"é","b":2}]"#]);
    assert_eq!(claims.get("list").first().map(ClaimRef::kind), Some(ClaimKind::Nested));
}

#[test]
fn long_lists_find_what_they_hold_and_nothing_else() {
    let items: Vec<String> = (0..500).map(|number| format!("\"group-{number}\"")).collect();
    let claims = claims(&format!("{{\"groups\":[{}]}}", items.join(",")));
    let found = claims.find(&super::NameKey::new("groups")).unwrap();
    for number in 0..500 {
        assert!(found.has(&ClaimValue::text(format!("group-{number}"))));
    }
    assert!(!found.has(&ClaimValue::text("group-500")) && !found.has(&ClaimValue::null()));
    assert_eq!(found.first().map(ClaimRef::as_text), Some("group-0"));
}

#[test]
fn a_later_overlay_replaces_the_same_flat_name_only() {
    let session = claims(r#"{"a":{"b":1,"c":2},"d":[1,2]}"#);
    let both = session.overlaid(&claims(r#"{"a":{"b":[]},"d":"x"}"#));
    assert!(both.find(&super::NameKey::new("a.b")).is_some_and(|found| found.is_empty()));
    assert_eq!((texts(&both, "a.c"), texts(&both, "d")), (vec!["2"], vec!["x"]));
}

#[test]
fn json_comes_back_flat_with_lists_kept() {
    let text = r#"{"a":{"b":[1]},"big":12345678901234567890123,"f":1.5,"l":[],"s":"x"}"#;
    let json = serde_json::Value::Object(claims(text).to_json());
    let expected = r#"{"a.b":[1],"big":"12345678901234567890123","f":1.5,"l":[],"s":"x"}"#;
    assert_eq!(json.to_string(), expected);
}

#[test]
fn what_is_no_object_or_too_much_is_refused() {
    for text in ["", "[]", "1", "{", r#"{"a":1}x"#] {
        assert!(matches!(Claims::from_json(text), Err(ClaimsError::NotAnObject(_))), "{text}");
    }
    let deep = |depth: usize| format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
    assert!(Claims::from_json(&deep(120)).is_ok());
    assert!(matches!(Claims::from_json(&deep(140)), Err(ClaimsError::TooDeep)));
    let nested = format!("{{\"a\":{}{}}}", "[".repeat(140), "]".repeat(140));
    assert!(matches!(Claims::from_json(&nested), Err(ClaimsError::TooDeep)));
    let padded = |bytes: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(bytes - 8));
    assert!(Claims::from_json(&padded(MAX_CLAIMS_BYTES)).is_ok());
    assert!(matches!(Claims::from_json(&padded(MAX_CLAIMS_BYTES + 1)), Err(ClaimsError::TooLarge { .. })));
}

#[test]
fn a_single_string_is_a_text() {
    let claims = claims(r#"{"a":"x","b":["x"],"c":["x","y"],"d":1}"#);
    assert_eq!((claims.text("a"), claims.text("b")), (Some("x"), Some("x")));
    assert_eq!((claims.text("c"), claims.text("d"), claims.text("e")), (None, None, None));
}

#[test]
fn every_value_lies_where_its_claim_says() {
    let many: Vec<String> = (0..40).map(|number| format!("\"{}\"", "é".repeat(number))).collect();
    let text = format!(r#"{{"a":[],"b":["x","",null],"c":[{0}],"d":7,"e":[{0}],"f":""}}"#, many.join(","));
    let claims = claims(&text);
    assert_eq!(texts(&claims, "b"), ["x", "", "null"]);
    assert_eq!((texts(&claims, "d"), texts(&claims, "f")), (vec!["7"], vec![""]));
    for name in ["c", "e"] {
        let found = claims.get(name);
        assert_eq!(found.len(), 40);
        assert!((0..40).all(|number| found.has(&ClaimValue::text("é".repeat(number)))), "{name}");
        assert!(!found.has(&ClaimValue::text("é".repeat(40))) && !found.has(&ClaimValue::text("x")), "{name}");
    }
    assert!(claims.get("a").is_list() && claims.get("a").is_empty() && !claims.get("d").is_list());
    assert!(claims.get("none").is_empty() && !claims.get("none").has(&ClaimValue::null()));
}
