//! The host family: what names one place, and what could name two.

use proptest::prelude::*;

use super::CanonicalHost;
use crate::Malformed;

#[test]
fn hosts_have_one_spelling() {
    let long = format!("{}.test", ["a".repeat(63), "b".repeat(63), "c".repeat(63)].join("."));
    let table = [
        ("a.test", "a.test", None),
        ("a.test:443", "a.test", Some(443)),
        ("A.TEST", "a.test", None),
        ("a.test.", "a.test", None),
        ("a.test.:8443", "a.test", Some(8443)),
        ("localhost", "localhost", None),
        ("xn--bcher-kva.test", "xn--bcher-kva.test", None),
        ("under_score.test", "under_score.test", None),
        ("127.0.0.1", "127.0.0.1", None),
        ("[::1]", "[::1]", None),
        ("[::1]:8443", "[::1]", Some(8443)),
        ("[2001:DB8:0:0::1]", "[2001:db8::1]", None),
        (&long, &long, None),
    ];
    for (text, name, port) in table {
        let host = CanonicalHost::parse(text).unwrap();
        assert_eq!((host.name(), host.port()), (name, port), "{text}");
    }
}

#[test]
fn what_is_not_one_host_is_refused() {
    let label = format!("{}.test", "a".repeat(64));
    let name = format!("{}.test", ["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(63)].join("."));
    let refused = [
        "",
        ".",
        "..",
        ".a.test",
        "a..test",
        "a.test..",
        "a.test:",
        "a.test:0",
        "a.test:00443",
        "a.test:+443",
        "a.test:65536",
        "a.test:443:443",
        "a.test:x",
        "a.test: 443",
        "user@a.test",
        "a.test@evil",
        "u:p@a.test",
        "a.test,b.test",
        "a.test b.test",
        " a.test",
        "a.test ",
        "a.test\\b",
        "a.test/b",
        "a.test?b",
        "a.test#b",
        "a%2etest",
        "bücher.test",
        "a.test\t",
        "::1",
        "[::1",
        "::1]",
        "[::1]x",
        "[::1]:",
        "[fe80::1%25eth0]",
        "[127.0.0.1]",
        "[]",
        "[v1.x]",
        "*.test",
        "a.test;b",
        label.as_str(),
        name.as_str(),
    ];
    for text in refused {
        assert_eq!(CanonicalHost::parse(text), Err(Malformed::Host), "{text}");
    }
}

proptest! {
    #[test]
    fn any_text_is_answered(text in ".*") {
        let _answer = CanonicalHost::parse(&text);
    }

    #[test]
    fn a_canonical_host_is_its_own_canonical_form(text in "[A-Ca-c0-9._-]{1,12}(:[0-9]{1,5})?") {
        if let Ok(host) = CanonicalHost::parse(&text) {
            let again = CanonicalHost::parse(host.name()).unwrap();
            prop_assert_eq!(again.name(), host.name());
        }
    }
}
