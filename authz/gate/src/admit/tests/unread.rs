//! What is not known of a request: neither a sign-in nor luck makes up for it.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method, Version};
use portcullis_config::PathPattern;
use portcullis_identity::{Claims, Record, Records};

use super::{Gate, gate, signed_in, told};
use crate::sample::{NOW, policy, route, session};
use crate::{Presented, RecordSource, RequestHead, TlsFacts};

/// External data that is held.
#[derive(Debug)]
struct Held(Arc<Records>);

impl RecordSource for Held {
    fn records(&self) -> Option<Arc<Records>> {
        Some(Arc::clone(&self.0))
    }
}

fn records(ids: &[(&str, &str)]) -> Records {
    let data = || Claims::from_json(r#"{"country":"DE"}"#).unwrap();
    ids.iter().map(|(kind, id)| Record { kind: (*kind).into(), id: (*id).into(), data: data() }).collect()
}

/// What says that a body follows the head.
#[derive(Clone, Copy, Debug)]
enum Body {
    None,
    Length(&'static str),
    Chunked,
    /// An HTTP/2 stream that goes on after its head, which has no field about it.
    Stream,
}

fn asked(text: &str, method: &Method, presented: &Presented) -> String {
    asked_with(Body::None, text, method, presented)
}

fn asked_with(body: Body, text: &str, method: &Method, presented: &Presented) -> String {
    asked_of(&gate(vec![route("a.test", PathPattern::Any, &policy(text))]), body, method, presented)
}

fn asked_of(gate: &Gate, body: Body, method: &Method, presented: &Presented) -> String {
    let mut headers = HeaderMap::new();
    headers.insert("host", HeaderValue::from_static("a.test"));
    match body {
        Body::None | Body::Stream => {}
        Body::Length(bytes) => drop(headers.insert("content-length", HeaderValue::from_static(bytes))),
        Body::Chunked => drop(headers.insert("transfer-encoding", HeaderValue::from_static("chunked"))),
    }
    let open = matches!(body, Body::Stream);
    let head = RequestHead {
        version: if open { Version::HTTP_2 } else { Version::HTTP_11 },
        method,
        target: "/mcp",
        headers: &headers,
        open,
        authority: None,
        tls: TlsFacts::default(),
        peer: None,
        listener_port: 443,
    };
    told(&gate.admit(&gate.read(&head).unwrap(), presented, NOW))
}

#[test]
fn external_data_that_nobody_holds_is_denied_and_nobody_is_sent_to_sign_in_for_it() {
    let kim = signed_in(session("kim@corp.test", "{}"));
    let open = "- allow: {or: [{accept: 1}]}\n- deny: {or: [{record: {type: lockdown, exists: true}}]}";
    let missing = "- allow: {or: [{accept: 1}]}\n- deny: {or: [{record: {type: hr, exists: false}}]}";
    let known = "allow: {and: [{domain: corp.test}, {record: {type: hr, field: country, in: [DE]}}]}";
    let beside = "allow: {or: [{domain: corp.test}, {record: {type: hr, field: country, in: [DE]}}]}";
    for (text, presented, expected) in [
        (open, &Presented::Anonymous, "refuse RecordsUnknown"),
        (open, &kim, "refuse RecordsUnknown as kim"),
        (missing, &kim, "refuse RecordsUnknown as kim"),
        (known, &Presented::Anonymous, "challenge Subject"),
        (known, &kim, "refuse RecordsUnknown as kim"),
        (beside, &kim, "forward as kim"),
        // Where the records could not change it, they are not what is missing.
        (known, &signed_in(session("kim@other.test", "{}")), "refuse Forbidden as kim"),
    ] {
        assert_eq!(asked(text, &Method::GET, presented), expected, "{text}");
    }
}

#[test]
fn external_data_that_is_held_decides_and_its_absence_is_final() {
    let kim = signed_in(session("kim@corp.test", "{}"));
    let open = "- allow: {or: [{accept: 1}]}\n- deny: {or: [{record: {type: lockdown, exists: true}}]}";
    let missing = "- allow: {or: [{accept: 1}]}\n- deny: {or: [{record: {type: hr, exists: false}}]}";
    let known = "allow: {and: [{domain: corp.test}, {record: {type: hr, id: kim, field: country, in: [DE]}}]}";
    for (text, held, presented, expected) in [
        (open, &[][..], &Presented::Anonymous, "forward"),
        (open, &[("lockdown", "1")], &Presented::Anonymous, "refuse Forbidden"),
        (missing, &[("lockdown", "1")], &kim, "refuse Forbidden as kim"),
        (missing, &[("hr", "1")], &kim, "forward as kim"),
        (known, &[("hr", "kim")], &kim, "forward as kim"),
        (known, &[("hr", "sam")], &kim, "refuse Forbidden as kim"),
        (known, &[("hr", "kim")], &Presented::Anonymous, "challenge Subject"),
        (known, &[("hr", "sam")], &Presented::Anonymous, "refuse Forbidden"),
    ] {
        let gate = gate(vec![route("a.test", PathPattern::Any, &policy(text))]);
        let gate = gate.with_records(Arc::new(Held(Arc::new(records(held)))));
        assert_eq!(asked_of(&gate, Body::None, &Method::GET, presented), expected, "{text} {held:?}");
    }
}

#[test]
fn a_tool_that_is_not_read_is_denied_and_nobody_is_sent_to_sign_in_for_it() {
    let kim = signed_in(session("kim@corp.test", "{}"));
    let open = "- allow: {or: [{accept: 1}]}\n- deny: {or: [{mcp_tool: {is: drop_all}}]}";
    let known = "- allow: {or: [{domain: corp.test}]}\n- deny: {or: [{mcp_tool: {is: drop_all}}]}";
    let only = "allow: {and: [{mcp_tool: {is: search}}]}";
    for (text, method, presented, expected) in [
        (open, Method::POST, &Presented::Anonymous, "refuse Forbidden"),
        (open, Method::PUT, &kim, "refuse Forbidden as kim"),
        (open, Method::GET, &Presented::Anonymous, "forward"),
        (known, Method::POST, &Presented::Anonymous, "challenge Subject"),
        (known, Method::POST, &kim, "refuse Forbidden as kim"),
        (known, Method::GET, &kim, "forward as kim"),
        (only, Method::POST, &kim, "refuse Forbidden as kim"),
        (only, Method::GET, &kim, "refuse Forbidden as kim"),
    ] {
        assert_eq!(asked(text, &method, presented), expected, "{method} {text}");
    }
}

#[test]
fn a_body_makes_a_tool_unknown_whatever_the_method() {
    let kim = signed_in(session("kim@corp.test", "{}"));
    let but = "- allow: {or: [{domain: corp.test}]}\n- deny: {or: [{mcp_tool: {is: drop_all}}]}";
    let without = "allow: {or: [{domain: corp.test}]}";
    for method in [Method::GET, Method::HEAD, Method::OPTIONS, Method::DELETE] {
        for body in [Body::None, Body::Length("0")] {
            assert_eq!(asked_with(body, but, &method, &kim), "forward as kim", "{method} {body:?}");
        }
        for body in [Body::Length("7"), Body::Chunked, Body::Stream] {
            assert_eq!(asked_with(body, but, &method, &kim), "refuse Forbidden as kim", "{method} {body:?}");
            assert_eq!(asked_with(body, without, &method, &kim), "forward as kim", "{method} {body:?}");
        }
    }
}
