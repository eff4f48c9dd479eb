//! Cookies as browsers, attackers and sloppy clients write them.

use http::{HeaderMap, HeaderValue, header::COOKIE};
use portcullis_config::Namespace;
use portcullis_keys::{CredentialKeys, CredentialKind, Handle, KeyRing, SystemRandom};

use super::{CookieEdit, Found, find, upstream_cookies};
use crate::sample;

fn cookies(fields: &[&[u8]]) -> HeaderMap {
    fields.iter().map(|field| (COOKIE, HeaderValue::from_bytes(field).unwrap())).collect()
}

struct Case {
    keys: CredentialKeys,
    handle: Handle,
    text: String,
}

fn case() -> Case {
    let keys = KeyRing::generate(&SystemRandom).0.credential().unwrap();
    let handle = Handle::random(&SystemRandom);
    let text = keys.mint(CredentialKind::Session, &handle, "a.test");
    Case { keys, handle, text }
}

#[test]
fn what_neighbours_put_into_their_cookies_hides_none_of_ours() {
    let Case { keys, handle, text } = case();
    let cookie = sample::sign_in(Namespace::Portcullis).cookie;
    let line = [b"name=Jos\xe9; \"a=1; x=\xff\xfe; ".as_slice(), b"__Host-portcullis=", text.as_bytes()].concat();
    let headers = cookies(&[&line, b"__Host-portcullis-bind=b=c; y=\x80"]);
    assert_eq!(find(&headers, "a.test", &keys, &cookie), Found::Credential(handle.key()));
    let bind: Vec<_> = super::cookie_values(&headers, &cookie.bind_name).collect();
    assert_eq!(bind, [b"b=c"]);
    assert_eq!(super::cookie_values(&headers, "name").count(), 1);
    assert_eq!(super::cookie_values(&headers, "Name").count(), 0);
}

#[test]
fn exactly_one_cookie_of_our_name_counts() {
    let Case { keys, handle, text } = case();
    let cookie = sample::sign_in(Namespace::Portcullis).cookie;
    let service = keys.mint(CredentialKind::Service, &handle, "a.test");
    let mut wrong = text.clone();
    let last = if wrong.pop() == Some('A') { 'B' } else { 'A' };
    wrong.push(last);
    let ours = Found::Credential(handle.key());
    let name = "__Host-portcullis";
    let cases: Vec<(Vec<String>, Found)> = vec![
        (vec![], Found::Nothing),
        (vec!["a=b".into()], Found::Nothing),
        (vec![format!("{name}={text}")], ours),
        (vec![format!("a=b; {name}={text}; c=d")], ours),
        (vec![format!("a=b;{name}={text}")], ours),
        (vec![format!("a=b;\t {name}={text} \t;c")], ours),
        (vec!["a=b".into(), format!("{name}={text}")], ours),
        // Two of our name, in one field or two, equal or not.
        (vec![format!("{name}={text}; {name}={text}")], Found::Rejected),
        (vec![format!("{name}={text}; {name}=x")], Found::Rejected),
        (vec![format!("{name}={text}"), format!("{name}={text}")], Found::Rejected),
        // Not what we made.
        (vec![format!("{name}={wrong}")], Found::Rejected),
        (vec![format!("{name}=")], Found::Rejected),
        (vec![name.into()], Found::Rejected),
        (vec![format!("{name}=\"{text}\"")], Found::Rejected),
        (vec![format!("{name}={text}=")], Found::Rejected),
        (vec![format!("{name}={service}")], Found::Rejected),
        // Not our name, however much it looks like it.
        (vec![format!("__host-portcullis={text}")], Found::Nothing),
        (vec![format!("{name}2={text}")], Found::Nothing),
        (vec![format!("x{name}={text}")], Found::Nothing),
        (vec![format!("\u{2000}{name}={text}")], Found::Nothing),
        (vec![format!("\u{a0}{name}={text}")], Found::Nothing),
        (vec![format!("$Version=1,{name}={text}")], Found::Nothing),
        (vec![format!("\"{name}\"={text}")], Found::Nothing),
        (vec![format!("a={name}={text}")], Found::Nothing),
        // A quoted value ends at the semicolon for us, as it does for browsers.
        (vec![format!("a=\"x; {name}={text}; y\"")], ours),
    ];
    for (fields, expected) in cases {
        let fields: Vec<&[u8]> = fields.iter().map(String::as_bytes).collect();
        assert_eq!(find(&cookies(&fields), "a.test", &keys, &cookie), expected, "{fields:?}");
    }
}

#[test]
fn a_credential_is_worth_nothing_on_another_host() {
    let Case { keys, handle, text } = case();
    let cookie = sample::sign_in(Namespace::Portcullis).cookie;
    let headers = cookies(&[format!("__Host-portcullis={text}").as_bytes()]);
    assert_eq!(find(&headers, "a.test", &keys, &cookie), Found::Credential(handle.key()));
    assert_eq!(find(&headers, "b.test", &keys, &cookie), Found::Rejected);
    let others = KeyRing::generate(&SystemRandom).0.credential().unwrap();
    assert_eq!(find(&headers, "a.test", &others, &cookie), Found::Rejected);
}

#[test]
fn upstreams_get_every_cookie_but_ours() {
    let cookie = sample::sign_in(Namespace::Portcullis).cookie;
    let set = |text: &str| CookieEdit::Set(HeaderValue::from_str(text).unwrap());
    let cases: &[(&[&[u8]], CookieEdit)] = &[
        (&[], CookieEdit::Keep),
        (&[b"a=b;c = d ;; e"], CookieEdit::Keep),
        (&[b"__Host-portcullis=x"], CookieEdit::Remove),
        (&[b"__Host-portcullis-bind=x; __Host-portcullis=y"], CookieEdit::Remove),
        (&[b"a=b; __Host-portcullis=x; c=d"], set("a=b; c=d")),
        (&[b" ;a=b ;\t__Host-portcullis = x;c=\"d\";"], set("a=b; c=\"d\"")),
        (&[b"a=b; __Host-portcullis"], set("a=b")),
        (&[b"a=b", b"c=d"], set("a=b; c=d")),
        (&[b"a=b", b"__Host-portcullis=x", b"__Host-portcullis-bind=y"], set("a=b")),
        (&[b"__Host-portcullis2=x"], CookieEdit::Keep),
        (&[b"__host-portcullis=x"], CookieEdit::Keep),
    ];
    for (fields, expected) in cases {
        assert_eq!(&upstream_cookies(&cookies(fields), &cookie), expected, "{fields:?}");
    }
    // What is not text goes through untouched.
    let kept = upstream_cookies(&cookies(&[b"a=\xff; __Host-portcullis=x"]), &cookie);
    assert_eq!(kept, CookieEdit::Set(HeaderValue::from_bytes(b"a=\xff").unwrap()));
}
