//! The table of design §3, every cell, and every need.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, Version};
use portcullis_config::{Config, EncodedSlashes, Generation, PathPattern, Route};
use portcullis_identity::{Device, DeviceState, Needs, ProviderName, Session, Subject};
use portcullis_policy::Ternary;

mod shadow;
mod unread;

use super::{Gate, Lack};
use crate::sample::{NOW, policy, prefix, route, session};
use crate::{Missing, Presented, Refusal, RefusalCause, RequestHead, RequestView, Snapshot, TlsFacts, Verdict, sample};

fn gate(routes: Vec<Route>) -> Gate {
    Gate::new(Snapshot::build(&Arc::new(sample::config(routes)), None).unwrap())
}

fn with_view<T>(gate: &Gate, target: &str, look: impl FnOnce(&RequestView<'_>) -> T) -> T {
    let mut headers = HeaderMap::new();
    headers.insert("host", HeaderValue::from_static("a.test"));
    let head = RequestHead {
        version: Version::HTTP_11,
        method: &Method::GET,
        target,
        headers: &headers,
        open: false,
        authority: None,
        tls: TlsFacts::default(),
        peer: Some([192, 0, 2, 7].into()),
        listener_port: 443,
    };
    look(&gate.read(&head).unwrap())
}

fn admit(gate: &Gate, target: &str, presented: &Presented) -> Verdict {
    with_view(gate, target, |view| gate.admit(view, presented, NOW))
}

fn signed_in(session: Session) -> Presented {
    Presented::Session(Arc::new(session))
}

/// A verdict in one line: what, as whom, and whether the cookie goes.
fn told(verdict: &Verdict) -> String {
    let whom = if verdict.session().is_some() { " as kim" } else { "" };
    let clear = if verdict.clears_cookie() { ", clear" } else { "" };
    match verdict {
        Verdict::Forward(_) => format!("forward{whom}{clear}"),
        Verdict::Challenge(challenge) => format!("challenge {:?}{whom}{clear}", challenge.missing),
        Verdict::Refuse(refusal) => format!("refuse {:?}{whom}{clear}", refusal.cause),
    }
}

fn one(route: Route, presented: &Presented) -> String {
    told(&admit(&gate(vec![route]), "/", presented))
}

/// A policy, and what comes of it for whoever stands in [`callers`].
type Column = (&'static str, [&'static str; 6]);

/// Anonymous, Rejected, a live session, an ended one, an idle one, Unavailable.
fn callers() -> [Presented; 6] {
    let minute = Duration::from_secs(60);
    let kim = session("kim@corp.test", "{}");
    let ended = Session { expires_at: NOW, ..kim.clone() };
    let idle = Session { idle: Some(minute), last_used: NOW.saturating_sub(minute), ..kim.clone() };
    let [kim, ended, idle] = [kim, ended, idle].map(signed_in);
    [Presented::Anonymous, Presented::Rejected, kim, ended, idle, Presented::Unavailable]
}

const PERMITTED: [&str; 6] =
    ["forward", "forward, clear", "forward as kim", "forward, clear", "forward, clear", "forward"];

const NEEDS_A_SUBJECT_LIKE_THIS: [&str; 6] = [
    "challenge Subject",
    "challenge Subject, clear",
    "forward as kim",
    "challenge Subject, clear",
    "challenge Subject, clear",
    "refuse Unavailable",
];

const NEEDS_ANOTHER_SUBJECT: [&str; 6] = [
    "challenge Subject",
    "challenge Subject, clear",
    "refuse Forbidden as kim",
    "challenge Subject, clear",
    "challenge Subject, clear",
    "refuse Unavailable",
];

const FORBIDDEN: [&str; 6] = [
    "refuse Forbidden",
    "refuse Forbidden, clear",
    "refuse Forbidden as kim",
    "refuse Forbidden, clear",
    "refuse Forbidden, clear",
    "refuse Forbidden",
];

const TABLE: [Column; 8] = [
    ("allow: {and: [accept: true]}", PERMITTED),
    ("allow: {and: [domain: corp.test]}", NEEDS_A_SUBJECT_LIKE_THIS),
    ("allow: {and: [domain: other.test]}", NEEDS_ANOTHER_SUBJECT),
    // A deny about the subject blocks an allow for everybody until the subject is known.
    ("[{allow: {and: [accept: true]}}, {deny: {or: [domain: other.test]}}]", NEEDS_A_SUBJECT_LIKE_THIS),
    ("[{allow: {and: [accept: true]}}, {deny: {or: [domain: corp.test]}}]", NEEDS_ANOTHER_SUBJECT),
    // Whoever asks: a deny rule holds; no allow rule can.
    ("[{allow: {and: [accept: true]}}, {deny: {or: [source_ip: 192.0.2.0/24]}}]", FORBIDDEN),
    ("allow: {and: [http_method: POST, domain: corp.test]}", FORBIDDEN),
    // Only a device is missing: a sign-in tells who asks, but gives no device.
    ("allow: {and: [device: {approved: true}]}", NEEDS_ANOTHER_SUBJECT),
];

#[test]
fn the_table_of_the_design() {
    for (text, expected) in TABLE {
        for (presented, expected) in callers().iter().zip(expected) {
            let route = route("a.test", PathPattern::Any, &policy(text));
            assert_eq!(one(route, presented), expected, "{text} {presented:?}");
        }
    }
}

#[test]
fn a_device_that_will_do_is_enough() {
    let device = Device { kind: "any".into(), id: Some("d-1".into()), state: DeviceState::Approved };
    let kim = session("kim@corp.test", "{}");
    let kim = Session { subject: Subject { devices: Arc::new([device]), ..kim.subject.clone() }, ..kim };
    let route = route("a.test", PathPattern::Any, &policy("allow: {and: [device: {approved: true}]}"));
    assert_eq!(one(route, &signed_in(kim)), "forward as kim");
}

const KIM: &str = "allow: {and: [domain: corp.test]}";
const LEE: &str = "allow: {and: [domain: other.test]}";
const ALL: &str = "allow: {and: [accept: true]}";

#[test]
fn every_need_is_asked_for_where_a_sign_in_can_meet_it() {
    let minute = Duration::from_secs(60);
    let kim = session("kim@corp.test", "{}");
    let used_before = Session { last_used: NOW.saturating_sub(minute), ..kim.clone() };
    let classed = Session { acr: Some("mfa".into()), ..kim.clone() };
    let providers = |name: &str| Needs { providers: Arc::new([ProviderName::new(name)]), ..Needs::default() };
    let fresh = |age| Needs { max_age: Some(age), ..Needs::default() };
    let acr = |class: &str| Needs { acr: Arc::new([class.into()]), ..Needs::default() };
    let cases = [
        // The provider: somebody else may come of it, so the present subject's rights say nothing.
        (KIM, providers("corp"), None, &kim, "forward as kim"),
        (KIM, providers("partner"), None, &kim, "challenge Provider as kim"),
        (LEE, providers("partner"), None, &kim, "challenge Provider as kim"),
        (ALL, providers("partner"), None, &kim, "forward"),
        // Freshness: the same person comes of it.
        (KIM, fresh(minute * 2), None, &kim, "forward as kim"),
        (KIM, fresh(minute), None, &kim, "challenge Fresh as kim"),
        (LEE, fresh(minute), None, &kim, "refuse Forbidden as kim"),
        (ALL, fresh(minute), None, &kim, "forward"),
        // The authentication context class, likewise.
        (KIM, acr("mfa"), None, &classed, "forward as kim"),
        (KIM, acr("mfa"), None, &kim, "challenge Acr as kim"),
        (KIM, acr("phr"), None, &classed, "challenge Acr as kim"),
        (LEE, acr("mfa"), None, &kim, "refuse Forbidden as kim"),
        (ALL, acr("mfa"), None, &kim, "forward"),
        // A pause that the route does not allow.
        (KIM, Needs::default(), Some(minute * 2), &used_before, "forward as kim"),
        (KIM, Needs::default(), Some(minute), &used_before, "challenge Fresh as kim"),
        (ALL, Needs::default(), Some(minute), &used_before, "forward"),
    ];
    for (text, needs, idle, session, expected) in cases {
        let route = Route { needs: needs.clone(), idle, ..route("a.test", PathPattern::Any, &policy(text)) };
        // The sign-in host asks the same of its own session.
        assert!(idle.is_some() || needs.met_by(session, NOW) == Lack::of(&route, session, NOW).is_none(), "{needs:?}");
        assert_eq!(one(route, &signed_in(session.clone())), expected, "{text} {needs:?} {idle:?}");
    }
}

#[test]
fn a_challenge_asks_for_what_the_route_needs() {
    let minute = Duration::from_secs(60);
    let needs = Needs { max_age: Some(minute * 5), ..Needs::default() };
    let route = Route { needs, idle: Some(minute), ..route("a.test", PathPattern::Any, &policy(KIM)) };
    let gate = gate(vec![route]);
    let paused = Session { last_used: NOW.saturating_sub(minute), ..session("kim@corp.test", "{}") };
    let asked = |presented: &Presented| {
        let Verdict::Challenge(challenge) = admit(&gate, "/", presented) else { panic!("{presented:?}") };
        (challenge.missing, challenge.needs.max_age)
    };
    assert_eq!(asked(&Presented::Anonymous), (Missing::Subject, Some(minute * 5)));
    // Behind a pause only a proof made since counts.
    assert_eq!(asked(&signed_in(paused)), (Missing::Fresh, Some(minute)));
}

#[test]
fn the_same_need_after_a_sign_in_is_a_refusal() {
    let needs = Needs { acr: Arc::new(["mfa".into()]), ..Needs::default() };
    let gate = gate(vec![Route { needs, ..route("a.test", PathPattern::Any, &policy(KIM)) }]);
    let again = admit(&gate, "/", &signed_in(session("kim@corp.test", "{}"))).after_sign_in();
    assert_eq!(told(&again), "refuse NeedUnmet as kim");
    // Without any session the sign-in has not been.
    assert_eq!(told(&admit(&gate, "/", &Presented::Anonymous).after_sign_in()), "challenge Subject");
}

#[test]
fn without_a_route_nothing_is_decided() {
    let gate = gate(vec![route("a.test", prefix("/app"), &policy(ALL))]);
    for (presented, expected) in [
        (Presented::Anonymous, "refuse NoRoute"),
        (Presented::Rejected, "refuse NoRoute, clear"),
        (signed_in(session("kim@corp.test", "{}")), "refuse NoRoute as kim"),
        (Presented::Unavailable, "refuse NoRoute"),
    ] {
        let verdict = admit(&gate, "/", &presented);
        assert_eq!(told(&verdict), expected);
        assert!(verdict.route().is_none() && verdict.decision().is_none());
        assert_eq!(verdict.generation(), Generation([7; 32]));
    }
    assert_eq!(told(&admit(&gate, "/app", &Presented::Anonymous)), "forward");
}

#[test]
fn an_encoded_slash_is_refused_unless_the_route_keeps_it() {
    let keep = |keep| {
        let mut route = route("a.test", PathPattern::Any, &policy(ALL));
        route.exchange.encoded_slashes = keep;
        gate(vec![route])
    };
    let (refusing, keeping) = (keep(EncodedSlashes::Refuse), keep(EncodedSlashes::Keep));
    assert_eq!(told(&admit(&refusing, "/a%2Fb", &Presented::Anonymous)), "refuse EncodedSlash");
    assert_eq!(told(&admit(&keeping, "/a%2Fb", &Presented::Anonymous)), "forward");
    assert_eq!(told(&admit(&refusing, "/a%252Fb", &Presented::Anonymous)), "forward");
}

#[test]
fn parameters_in_a_path_get_nobody_further_than_the_path_without_them() {
    let text = "[{allow: {or: [{accept: true}]}}, {deny: {or: [{http_path: {starts_with: /admin}}]}}, \
                {deny: {or: [{http_path: /open/secret}]}}]";
    let gate = gate(vec![
        route("a.test", config_path("/exact"), &policy(KIM)),
        route("a.test", prefix("/inner/"), &policy(KIM)),
        route("a.test", PathPattern::Any, &policy(text)),
    ]);
    for (target, expected) in [
        ("/open;v=1/page;jsessionid=5", "forward"),
        ("/open%3Bx/page", "forward"),
        ("/admin;x", "refuse Forbidden"),
        ("/open/secret;x", "refuse Forbidden"),
        ("/open;x/secret", "refuse Forbidden"),
        ("/open;x/secrets", "forward"),
        ("/open/secret%3Bx", "refuse Forbidden"),
        // Another route would have it.
        ("/exact;x", "refuse Forbidden"),
        ("/inner;x/page", "refuse Forbidden"),
        ("/inner/page;x", "challenge Subject"),
    ] {
        assert_eq!(told(&admit(&gate, target, &Presented::Anonymous)), expected, "{target}");
    }
}

fn config_path(path: &str) -> PathPattern {
    PathPattern::Exact(path.into())
}

#[test]
fn policies_see_the_canonical_request() {
    let text = "allow: {and: [{http_path: {starts_with: /public/}}, {source_ip: 192.0.2.7}, {http_method: GET}]}";
    let gate = gate(vec![route("a.test", PathPattern::Any, &policy(text))]);
    for (target, expected) in [
        ("/public/a%20b", "forward"),
        ("/%70ublic/x", "forward"),
        ("/x/..//public/x", "forward"),
        ("/public/../private", "refuse Forbidden"),
        ("/private?x=/public/", "refuse Forbidden"),
    ] {
        assert_eq!(told(&admit(&gate, target, &Presented::Anonymous)), expected, "{target}");
    }
}

#[test]
fn a_published_generation_answers_from_then_on() {
    let gate = gate(vec![route("a.test", PathPattern::Any, &policy(ALL))]);
    let Verdict::Forward(grant) = admit(&gate, "/", &Presented::Anonymous) else { panic!("not permitted") };
    assert_eq!(grant.decision.allow, Ternary::True);
    let config = sample::config(vec![route("a.test", PathPattern::Any, &policy(KIM))]);
    let config = Arc::new(Config { generation: Generation([8; 32]), ..config });
    gate.publish(Snapshot::build(&config, Some(&gate.snapshot())).unwrap());
    let verdict = admit(&gate, "/", &Presented::Anonymous);
    assert_eq!((told(&verdict).as_str(), verdict.generation()), ("challenge Subject", Generation([8; 32])));
    // What was granted before stays what it was.
    assert_eq!(grant.generation, Generation([7; 32]));
}

#[test]
fn the_portal_lists_what_the_real_decision_permits() {
    let wild = Route { ..route("*.test", PathPattern::Any, &policy(ALL)) };
    let ported = Route { port: Some(9443), ..route("ported.test", PathPattern::Any, &policy(ALL)) };
    let gate = gate(vec![
        route("all.test", prefix("/a b"), &policy(ALL)),
        route("all.test", prefix("/a b/covered"), &policy(ALL)),
        route("kim.test", PathPattern::Any, &policy(KIM)),
        route("lee.test", PathPattern::Any, &policy(LEE)),
        route(
            "denied.test",
            PathPattern::Any,
            &policy("[{allow: {and: [accept: true]}}, {deny: {or: [domain: corp.test]}}]"),
        ),
        wild,
        ported,
    ]);
    let listed = |presented: &Presented| -> Vec<String> {
        let entries = with_view(&gate, "/", |view| gate.portal(view, presented, NOW));
        entries.into_iter().map(|entry| entry.url).collect()
    };
    let kim = signed_in(session("kim@corp.test", "{}"));
    let everybodys = ["https://all.test/a%20b", "https://ported.test:9443/"];
    assert_eq!(listed(&Presented::Anonymous), everybodys);
    assert_eq!(listed(&Presented::Unavailable), everybodys);
    assert_eq!(listed(&kim), [everybodys[0], "https://kim.test/", everybodys[1]]);
}

#[test]
fn a_refusal_tells_why() {
    let gate = gate(vec![route("a.test", PathPattern::Any, &policy(LEE))]);
    let verdict = admit(&gate, "/", &signed_in(session("kim@corp.test", "{}")));
    let Verdict::Refuse(Refusal { cause: RefusalCause::Forbidden, decision: Some(decision), .. }) = verdict else {
        panic!("{verdict:?}")
    };
    assert_eq!(decision.reasons.iter().collect::<Vec<_>>(), ["domain-unauthorized"]);
}
