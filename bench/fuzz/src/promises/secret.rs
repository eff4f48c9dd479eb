//! What only we can make: credentials and sealed messages.

use std::sync::LazyLock;

use http::{HeaderMap, HeaderValue, header};
use portcullis_config::{Cookie, SameSite};
use portcullis_gate::{Found, cookie_values, find, upstream_cookies};
use portcullis_keys::{Handle, KeyRing, SealError};

use crate::Shape;

pub(super) const COOKIE_WORDS: &[&str] = &[
    "__Host-portcullis=",
    "__Host-portcullis",
    "__Host-portcullis-bind=x",
    "; ",
    ";",
    "=",
    " ",
    "\t",
    "\"",
    "$Version=1",
    "theme=dark",
    CREDENTIAL,
    "\n",
    "%3D",
    "AAAA",
    "==",
    "-",
    "_",
];

pub(super) const SEALED_WORDS: &[&str] = &[SEALED, "A", "AAAA", "-", "_", "=", "+", "/", "\n", " "];

/// A ring of no consequence.
const RING: &str = "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWY=\n";
/// The one credential and the one sealed text that this ring has given out.
const CREDENTIAL: &str = "ARJt1DAxMjM0NTY3ODlhYmNkZWZWdj7Iz7odLLc3y_BTgBIF";
const SEALED: &str = "ARJt1GeA7oDcg3g5IWGVW1pxDyQviaGtlYdv-RK30_AkaMx1pAQtha4Ytt6tR7g";
const HANDLE: [u8; 16] = *b"0123456789abcdef";
const HOST: &str = "wiki.corp.test";
const PLAIN: &[u8] = b"what was sealed";

static KEYS: LazyLock<KeyRing> = LazyLock::new(|| KeyRing::parse(RING).expect("a ring"));

/// Cookies of every kind name the one session that was given out, or none; and ours never reach an upstream.
pub(super) fn credential(input: &[u8]) -> Shape {
    let keys = KEYS.credential().expect("a whole ring");
    let cookie = Cookie {
        name: "__Host-portcullis".into(),
        bind_name: "__Host-portcullis-bind".into(),
        domain: None,
        same_site: SameSite::Lax,
    };
    let mut headers = HeaderMap::new();
    for line in input.split(|byte| *byte == b'\n') {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(header::COOKIE, value);
        }
    }
    let found = find(&headers, HOST, &keys, &cookie);
    let ours = cookie_values(&headers, &cookie.name).count();
    match found {
        Found::Credential(key) => {
            assert_eq!(key, Handle::from_bytes(HANDLE).key(), "a session that nobody was given");
            assert_eq!(ours, 1, "one of several");
            assert_eq!(find(&headers, "else.corp.test", &keys, &cookie), Found::Rejected, "good for another host");
        }
        Found::Rejected => assert!(ours > 0, "nothing was rejected"),
        Found::Nothing => assert_eq!(ours, 0, "overlooked"),
    }
    let edit = upstream_cookies(&headers, &cookie);
    if let portcullis_gate::CookieEdit::Set(value) = &edit {
        let mut sent = HeaderMap::new();
        sent.insert(header::COOKIE, value.clone());
        let left = [&cookie.name, &cookie.bind_name].map(|name| cookie_values(&sent, name).count());
        assert_eq!(left, [0, 0], "a cookie of ours goes on");
    }
    let edit = format!("{edit:?}");
    Shape::NEW.with_message(edit.split('(').next().unwrap_or_default()).with_facts(&[match found {
        Found::Nothing => 0,
        Found::Credential(_) => 1,
        Found::Rejected => 2,
    }])
}

/// Nothing opens but what was sealed.
pub(super) fn sealed(input: &[u8]) -> Shape {
    let Ok(text) = std::str::from_utf8(input) else { return Shape::NEW };
    let keys = KEYS.handover().expect("a whole ring");
    let opened = keys.open(HOST, text);
    assert_eq!(keys.open("else.corp.test", text).ok(), None, "opens for another receiver");
    match opened {
        Ok(plain) => {
            assert_eq!((text, &*plain), (SEALED, PLAIN), "forged");
            Shape::NEW.with_facts(&[1])
        }
        Err(cause @ (SealError::Malformed | SealError::UnknownKey | SealError::Forged)) => {
            Shape::NEW.with_message(&cause.to_string()).with_count(text.len())
        }
    }
}
