//! The visitor's cookies: what a real browser would refuse is refused here.

use super::*;
use crate::tour::config::Certificate;

fn visitor() -> Browser {
    Browser::new(&Certificate::generate(&["hello.localhost"]).unwrap().authority).unwrap()
}

#[test]
fn cookies_stay_with_their_host_until_they_are_cleared() {
    let mut visitor = visitor();
    visitor.keep("hello.localhost", "__Host-a=1; Secure; HttpOnly; Path=/; SameSite=Lax").unwrap();
    assert_eq!(visitor.cookie("hello.localhost", "__Host-a"), Some("1"));
    assert_eq!(visitor.cookie("vault.localhost", "__Host-a"), None);
    visitor.keep("hello.localhost", "__Host-a=; Secure; Path=/; Max-Age=0").unwrap();
    assert_eq!(visitor.cookie("hello.localhost", "__Host-a"), None);
}

#[test]
fn a_host_cookie_must_keep_its_rules() {
    let cases = [
        ("__Host-a=1; Path=/", false),
        ("__Host-a=1; Secure", false),
        ("__Host-a=1; Secure; Path=/x", false),
        ("__Host-a=1; Secure; Path=/; Domain=localhost", false),
        ("__Host-a=1; Secure; Path=/", true),
        ("plain=1", true),
        ("no pair", false),
    ];
    for (line, taken) in cases {
        assert_eq!(visitor().keep("hello.localhost", line).is_ok(), taken, "{line}");
    }
}

#[tokio::test]
async fn nothing_but_loopback_names_is_resolved() {
    let error = visitor().open("https://example.com/").await.unwrap_err();
    assert!(matches!(error, BrowserError::NoAnswer { .. }));
}
