//! Names that are ours in every spelling, and values that cannot pass for others.

use std::time::Duration;

use http::HeaderName;
use portcullis_config::{Assertion, IssuerFormat, Namespace};
use portcullis_identity::{Group, Groups, Session, Subject};
use serde_json::{Value, json};

use super::{IdentityHeaders, MAX_CLAIM_HEADER_BYTES, is_ours};
use crate::sample::{NOW, session};
use crate::{AssertionClaims, MAX_ASSERTION_BYTES};

fn identity(claims: &[(&str, &'static str)], issuer_format: IssuerFormat) -> IdentityHeaders {
    let claim_headers =
        claims.iter().map(|(claim, header)| ((*claim).to_owned(), HeaderName::from_static(header))).collect();
    IdentityHeaders::new(Namespace::Portcullis, &Assertion { signing_keys: Vec::new(), issuer_format, claim_headers })
}

#[test]
fn every_spelling_of_an_identity_header_is_ours() {
    let identity = identity(&[("email", "x-auth-email")], IssuerFormat::HostOnly);
    for name in [
        "x-portcullis-jwt-assertion",
        "X-Portcullis-Jwt-Assertion",
        "x_portcullis_jwt_assertion",
        "X.Portcullis.Claim.Email",
        "x-portcullis_claim.groups",
        "x--portcullis-claim-x",
        "x-_portcullis._claim",
        "x-portcullis-",
        "x-portcullis-anything",
        "x-pomerium-jwt-assertion",
        "X_POMERIUM_CLAIM_EMAIL",
        "x.pomerium.jwt.assertion.for",
        "X~Portcullis~Claim~Email",
        "x'portcullis'claim'email",
        "x+portcullis|claim!email",
        "x-portcullis$-claim",
    ] {
        assert!(is_ours(name.as_bytes()) && identity.strips(name.as_bytes()), "{name}");
    }
    for name in ["x-auth-email", "X_Auth_Email", "x.auth--email", "x~auth|email"] {
        assert!(!is_ours(name.as_bytes()) && identity.strips(name.as_bytes()), "{name}");
    }
    for name in [
        "x-portcullis",
        "x-portcullisx-y",
        "portcullis-claim",
        "x-auth-emails",
        "x-auth",
        "host",
        "",
        "-x-portcullis-y",
    ] {
        assert!(!identity.strips(name.as_bytes()), "{name}");
    }
}

#[test]
fn claim_headers_say_what_the_session_says() {
    let claims = r#"{"roles":["a","b"],"team":{"name":"x"},"title":"Doe, Jane","one":["x,admin"],"many":["a,b","c%"],
        "bad":"a\r\nb","utf8":"José","flag":true,"n":5.0}"#;
    let table = [
        ("roles", "x-a", "a,b"),
        ("team.name", "x-b", "x"),
        ("title", "x-c", "Doe, Jane"),
        ("one", "x-d", "x%2Cadmin"),
        ("many", "x-e", "a%2Cb,c%25"),
        ("bad", "x-f", "a%0D%0Ab"),
        ("utf8", "x-g", "José"),
        ("flag", "x-h", "true"),
        ("n", "x-i", "5"),
        ("missing", "x-j", ""),
        ("email", "x-k", "kim@corp.test"),
        ("user", "x-l", "u-1"),
        ("sub", "x-m", "u-1"),
        ("name", "x-n", "Kim"),
        ("groups", "x-o", "g-1,g-2,Admins"),
    ];
    let names: Vec<_> = table.iter().map(|(claim, header, _)| (*claim, *header)).collect();
    let group = |id: &str, name: &str| Group { id: id.into(), name: name.into(), email: "".into() };
    let kim = session("kim@corp.test", claims);
    let groups = Some(Groups::from(vec![group("g-1", ""), group("g-2", "Admins")]));
    let kim = Session { subject: Subject { groups, ..kim.subject.clone() }, ..kim };
    let identity = identity(&names, IssuerFormat::HostOnly);
    let made: Vec<_> = identity.claim_headers(&kim).collect();
    assert_eq!(made.len(), table.len());
    for ((claim, header, expected), (name, value)) in table.iter().zip(made) {
        assert_eq!((name.as_str(), std::str::from_utf8(value.as_bytes()).unwrap()), (*header, *expected), "{claim}");
    }
}

#[test]
fn claim_headers_are_bounded() {
    let members: Vec<String> = (0..1000).map(|at| format!("group-{at:04}")).collect();
    let claims = json!({"roles": members, "long": "x".repeat(MAX_CLAIM_HEADER_BYTES + 1)}).to_string();
    let identity = identity(&[("roles", "x-roles"), ("long", "x-long")], IssuerFormat::HostOnly);
    let values: Vec<_> = identity.claim_headers(&session("kim@corp.test", &claims)).map(|(_, value)| value).collect();
    assert!(values[0].len() <= MAX_CLAIM_HEADER_BYTES && values[0].len() > MAX_CLAIM_HEADER_BYTES - 12);
    assert!(values[0].as_bytes().rsplit(|byte| *byte == b',').next().unwrap().len() == "group-0000".len());
    assert_eq!(values[1], "");
}

fn assertion(identity: &IdentityHeaders, session: &Session) -> Value {
    let claims = AssertionClaims::new(identity, "wiki.test", session, NOW, "jti-1");
    assert!(claims.as_json().len() <= MAX_ASSERTION_BYTES);
    assert_eq!(claims.expires_at().since(NOW), Duration::from_secs(300));
    serde_json::from_str(claims.as_json()).unwrap()
}

#[test]
fn an_assertion_says_who_asks_where() {
    let claims = r#"{"roles":["a"],"iss":"https://evil.test","groups":["staff"],"aud":"evil"}"#;
    let identity = identity(&[("roles", "x-a"), ("iss", "x-b"), ("aud", "x-c"), ("none", "x-d")], IssuerFormat::Uri);
    let expected = json!({
        "iss": "https://wiki.test/", "aud": "wiki.test", "jti": "jti-1", "sid": "0505050505050505",
        "iat": NOW.unix_seconds(), "exp": NOW.saturating_add(Duration::from_secs(300)).unix_seconds(),
        "sub": "u-1", "user": "u-1", "email": "kim@corp.test", "name": "Kim", "groups": ["staff"], "roles": ["a"],
    });
    assert_eq!(assertion(&identity, &session("kim@corp.test", claims)), expected);
    // Claims that have no header stay out of it.
    let plain = self::identity(&[], IssuerFormat::HostOnly);
    let made = assertion(&plain, &session("kim@corp.test", r#"{"roles":["a"]}"#));
    assert_eq!((&made["iss"], &made["groups"], made.get("roles")), (&json!("wiki.test"), &json!([]), None));
}

#[test]
fn an_assertion_is_bounded() {
    let many: Vec<String> = (0..4000).map(|at| format!("role-{at}")).collect();
    let identity = identity(&[("roles", "x-a")], IssuerFormat::HostOnly);
    let made = assertion(&identity, &session("kim@corp.test", &json!({"roles": many}).to_string()));
    assert_eq!((&made["truncated"], made.get("roles"), &made["sub"]), (&json!(true), None, &json!("u-1")));
    let made = assertion(&identity, &session("kim@corp.test", &json!({"groups": many}).to_string()));
    assert_eq!((&made["truncated"], &made["groups"]), (&json!(true), &json!([])));
    let kim = session(&"k".repeat(20_000), "{}");
    assert_eq!((&assertion(&identity, &kim)["email"], &assertion(&identity, &kim)["sub"]), (&json!(""), &json!("u-1")));
    let long = "\u{1}".repeat(2000);
    let kim = session(&long, "{}");
    let subject = Subject { name: long.as_str().into(), user_id: long.as_str().into(), ..kim.subject.clone() };
    assert_eq!(assertion(&identity, &Session { subject, ..kim })["name"], "");
}
