//! Hostile paths, each beside the harmless one it resembles.

use proptest::prelude::*;

use super::{CanonicalPath, canonical_pattern};
use crate::Malformed;

fn sent(raw: &str) -> Result<String, Malformed> {
    CanonicalPath::parse(raw).map(|path| path.to_send().to_owned())
}

#[test]
fn paths_have_one_spelling() {
    let table = [
        ("/", "/"),
        ("/a/b", "/a/b"),
        ("/a/b/", "/a/b/"),
        ("/%61/%7E", "/a/~"),
        ("/a%2fb", "/a%2Fb"),
        ("/a%c3%a9", "/a%C3%A9"),
        ("/é", "/%C3%A9"),
        ("/a[1]|\"<>^`{}", "/a%5B1%5D%7C%22%3C%3E%5E%60%7B%7D"),
        ("/a%20b", "/a%20b"),
        ("/a;v=1,2/b:c@d!$&'()*+", "/a;v=1,2/b:c@d!$&'()*+"),
        ("/a%3Bb", "/a%3Bb"),
        ("/.", "/"),
        ("/./", "/"),
        ("/a/.", "/a/"),
        ("/a/..", "/"),
        ("/a/../b", "/b"),
        ("/a/./b", "/a/b"),
        ("/a/b/../../c", "/c"),
        ("/a/%2e%2e/b", "/b"),
        ("/a/.%2E/b", "/b"),
        ("/a/%2e/b", "/a/b"),
        ("//", "/"),
        ("//a", "/a"),
        ("/a//b///c//", "/a/b/c/"),
        ("/a//../b", "/b"),
        ("/...", "/..."),
        ("/..a/b..", "/..a/b.."),
        ("/.well-known/x", "/.well-known/x"),
        ("/%252e%252e/x", "/%252e%252e/x"),
        ("/%25", "/%25"),
        ("/a%2F%2Fb", "/a%2F%2Fb"),
        ("/group%2Fproject.v1", "/group%2Fproject.v1"),
        ("/a;..", "/a;.."),
    ];
    for (raw, expected) in table {
        assert_eq!(sent(raw).as_deref(), Ok(expected), "{raw}");
    }
}

#[test]
fn parameters_of_segments_can_be_cut_off() {
    for (raw, expected) in [
        ("/a;x/b", Some("/a/b")),
        ("/a;x=1;y/b;jsessionid=5", Some("/a/b")),
        ("/a/b;/", Some("/a/b/")),
        ("/a%3bx/b", Some("/a/b")),
        ("/a/b", None),
        ("/a%253Bx", None),
    ] {
        let path = CanonicalPath::parse(raw).unwrap();
        let bare = path.without_parameters().map(Result::unwrap);
        assert_eq!(bare.as_ref().map(CanonicalPath::to_send), expected, "{raw}");
    }
}

#[test]
fn what_servers_read_differently_is_refused() {
    use Malformed::{PathAboveRoot, PathCharacter, PathEncoding, PathHiddenDots, PathParameters, Target};
    let table = [
        ("/..", PathAboveRoot, "/a/.."),
        ("/a/../../b", PathAboveRoot, "/a/../b"),
        ("/%2e%2e/b", PathAboveRoot, "/a/%2e%2e/b"),
        ("//../b", PathAboveRoot, "//b"),
        ("/a\\b", PathCharacter, "/a/b"),
        ("/a/..\\b", PathCharacter, "/a/b"),
        ("/a%5Cb", PathCharacter, "/a%5Bb"),
        ("/a%5cb", PathCharacter, "/a%5bb"),
        ("/a%00b", PathCharacter, "/a%30b"),
        ("/a\0b", PathCharacter, "/a0b"),
        ("/a%0d%0ab", PathCharacter, "/a%20b"),
        ("/a%7fb", PathCharacter, "/a%7eb"),
        ("/a\tb", PathCharacter, "/a%20b"),
        ("/a b", PathCharacter, "/a+b"),
        ("/a%", PathEncoding, "/a%25"),
        ("/a%2", PathEncoding, "/a%20"),
        ("/a%zz", PathEncoding, "/a%7A"),
        ("/a%+1", PathEncoding, "/a+1"),
        ("/a%u002e", PathEncoding, "/a%25u002e"),
        ("/a%é0", PathEncoding, "/aé0"),
        ("/x/..%2Fb", PathHiddenDots, "/x/.a%2Fb"),
        ("/x/a%2f..", PathHiddenDots, "/x/a%2f..."),
        ("/x/a%2F%2e%2e%2Fb", PathHiddenDots, "/x/a%2Fb"),
        ("/x/a%2F./b", PathHiddenDots, "/x/a%2F/b"),
        ("/x/..;/b", PathHiddenDots, "/x/a;/b"),
        ("/x/..;v=1/b", PathHiddenDots, "/x/..v=1/b"),
        ("/x/.;v=1/b", PathHiddenDots, "/x/v=1/b"),
        ("/x/..%3B/b", PathHiddenDots, "/x/a%3B/b"),
        ("/x/..%3b/b", PathHiddenDots, "/x/a%3b/b"),
        ("/;/admin", PathParameters, "/a;/admin"),
        ("/;x/admin", PathParameters, "/a;x/admin"),
        ("/a/;", PathParameters, "/a/"),
        ("/%3bx/admin", PathParameters, "/a%3bx/admin"),
        ("//;x", PathParameters, "//a;x"),
        ("/a;x/b%3By", PathParameters, "/a;x/b;y"),
        ("/a;x%2Fb", PathParameters, "/a%2Fb"),
        ("/a%2F;x/b", PathParameters, "/a%2Fx/b"),
        ("a/b", Target, "/a/b"),
        ("", Target, "/"),
        ("/a#b", Target, "/a%23b"),
        ("/a?b", Target, "/a%3Fb"),
    ];
    for (refused, cause, twin) in table {
        assert_eq!(sent(refused), Err(cause), "{refused}");
        assert!(sent(twin).is_ok(), "{twin}");
    }
}

#[test]
fn policies_see_the_path_decoded_once() {
    let table = [
        ("/a%20b", "/a b"),
        ("/%C3%A9", "/é"),
        ("/%252F", "/%2F"),
        ("/a%2Fb", "/a%2Fb"),
        ("/a%3Bb", "/a;b"),
        ("/%FF", "/\u{FFFD}"),
        ("/plain", "/plain"),
    ];
    for (raw, expected) in table {
        assert_eq!(CanonicalPath::parse(raw).unwrap().decoded(), expected, "{raw}");
    }
}

#[test]
fn routes_see_reserved_characters_in_one_spelling() {
    let table = [("/a%21b", "/a!b"), ("/a!b", "/a!b"), ("/a%3Bb", "/a;b"), ("/a%20b", "/a%20b"), ("/a%2Fb", "/a%2Fb")];
    for (raw, expected) in table {
        assert_eq!(CanonicalPath::parse(raw).unwrap().to_match(), expected, "{raw}");
        assert_eq!(canonical_pattern(raw).as_deref(), Some(expected), "{raw}");
    }
    assert_eq!(canonical_pattern("/a b/é"), Some("/a%20b/%C3%A9".into()));
    assert_eq!(canonical_pattern("/100%"), None);
}

/// Raw paths of the pieces that make trouble.
fn raw_path() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "/", "/", "/", ".", "..", "a", "b", "%2e", "%2E", "%2f", "%2F", "%5c", "\\", "%25", "%00", ";", "%3B", "%41",
        "%c3%a9", "é", "%", " ", "%20", "!", "%21", "~", "%7e", "?", "#", "\r\n", "[",
    ]);
    prop::collection::vec(piece, 0..12).prop_map(|pieces| format!("/{}", pieces.concat()))
}

/// What a lax server behind us might make of a path: everything decoded, backslashes turned, parameters gone.
fn lax(path: &str) -> String {
    let mut bytes = path.bytes();
    let mut out = Vec::new();
    while let Some(byte) = bytes.next() {
        let escape = |bytes: &mut std::str::Bytes<'_>| {
            let text = [bytes.next().unwrap(), bytes.next().unwrap()];
            u8::from_str_radix(std::str::from_utf8(&text).unwrap(), 16).unwrap()
        };
        out.push(if byte == b'%' { escape(&mut bytes) } else { byte });
    }
    let text = String::from_utf8_lossy(&out).replace('\\', "/");
    text.split('/').map(|segment| segment.split(';').next().unwrap()).collect::<Vec<_>>().join("/")
}

#[test]
fn an_encoded_slash_that_dots_took_away_is_gone() {
    for (raw, sent, held) in
        [("/a%2Fb/../c", "/c", false), ("/a%2Fb/c", "/a%2Fb/c", true), ("/a/../c%2F", "/c%2F", true)]
    {
        let path = CanonicalPath::parse(raw).unwrap();
        assert_eq!((path.to_send(), path.has_encoded_slash()), (sent, held), "{raw}");
    }
}

proptest! {
    #[test]
    fn any_text_is_answered(raw in ".*") {
        let _answer = CanonicalPath::parse(&raw);
    }

    #[test]
    fn a_canonical_path_is_its_own_canonical_form(raw in prop_oneof![raw_path(), raw_path().prop_map(|raw| format!("/%3B/..{raw}"))]) {
        if let Ok(path) = CanonicalPath::parse(&raw) {
            let again = CanonicalPath::parse(path.to_send()).unwrap();
            prop_assert_eq!(&again, &path);
            prop_assert!(matches!(again.to_send, std::borrow::Cow::Borrowed(_)), "copied without need: {}", raw);
        }
    }

    #[test]
    fn no_reading_of_a_canonical_path_has_dot_segments(raw in raw_path()) {
        if let Ok(path) = CanonicalPath::parse(&raw) {
            let read = lax(path.to_send());
            prop_assert!(!read.split('/').any(|segment| matches!(segment, "." | "..")), "{} -> {}", raw, path.to_send());
            prop_assert!(!path.to_send().contains("//"));
            prop_assert!(path.to_send().starts_with('/'));
            prop_assert!(path.to_send().bytes().all(|byte| byte.is_ascii_graphic()));
        }
    }

    #[test]
    fn spellings_say_the_same(raw in raw_path()) {
        if let Ok(path) = CanonicalPath::parse(&raw) {
            prop_assert_eq!(super::decode(path.to_match()), path.decoded());
            let pattern = canonical_pattern(path.to_match()).unwrap();
            prop_assert_eq!(&*pattern, path.to_match());
        }
    }
}
