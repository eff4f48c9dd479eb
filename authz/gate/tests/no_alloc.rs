//! The promise of the hot path, counted: reading a canonical head, finding the credential and admitting a
//! session that is at hand allocate nothing.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a test, with helpers beside its test functions")]

#[path = "../src/sample.rs"]
mod sample;

use std::hint::black_box;
use std::sync::Arc;

use allocation_counter::measure;
use arc_swap::ArcSwap;
use http::{HeaderMap, HeaderValue, Method, Version, header};
use portcullis_config::{PathPattern, Route};
use portcullis_gate::{
    About, Assertions, Found, Gate, Malformed, Presented, RecordSource, RequestHead, Snapshot, TlsFacts, Verdict, find,
};
use portcullis_identity::{Claims, Record, Records};
use portcullis_keys::{AssertionKeys, CredentialKeys, CredentialKind, Handle, KeyRing, SystemRandom};
use sample::{NOW, policy, prefix, route, session};

const POLICY: &str =
    "[{allow: {and: [{domain: corp.test}, {claim/roles: admin}]}}, {deny: {or: [source_ip: 198.51.100.0/24]}}]";

const OPEN: &str = "allow: {and: [accept: true]}";

/// Many routes of every kind, so that no look-up hides behind a table of one.
fn gate() -> Gate {
    let policy = policy(POLICY);
    let mut routes: Vec<Route> = Vec::new();
    for at in 0..100 {
        routes.push(route(&format!("host-{at}.corp.test"), PathPattern::Any, &policy));
        routes.push(route("wiki.corp.test", prefix(&format!("/app-{at}/")), &policy));
        routes.push(route("wiki.corp.test", PathPattern::Exact(format!("/page-{at}").into()), &policy));
        routes.push(route(&format!("*.sub-{at}.corp.test"), prefix("/a"), &policy));
    }
    routes.push(route("glob-*-x.corp.test", PathPattern::Any, &policy));
    let expression = regex::Regex::new("^(?:/re/[a-z]+)$").expect("an expression");
    routes.push(route("wiki.corp.test", PathPattern::Regex(Arc::new(expression)), &policy));
    Gate::new(Snapshot::build(&Arc::new(sample::config(routes)), None).expect("a snapshot"))
}

struct Caller {
    keys: CredentialKeys,
    handle: Handle,
    presented: Presented,
}

fn caller() -> Caller {
    let keys = KeyRing::generate(&SystemRandom).0.credential().expect("a whole ring");
    let kim = session("kim@corp.test", r#"{"roles": ["admin", "staff"], "plan": "paid"}"#);
    Caller { keys, handle: Handle::random(&SystemRandom), presented: Presented::Session(Arc::new(kim)) }
}

fn headers(caller: &Caller, host: &str) -> HeaderMap {
    let credential = caller.keys.mint(CredentialKind::Session, &caller.handle, host);
    let cookie = format!("theme=dark; __Host-portcullis={credential}; lang=de");
    let text = |text: &str| HeaderValue::from_str(text).expect("a value");
    let mut headers = HeaderMap::new();
    headers.insert(header::HOST, text(host));
    headers.insert(header::COOKIE, text(&cookie));
    headers.insert(header::ACCEPT, text("text/html,application/xhtml+xml,*/*;q=0.8"));
    headers.insert(header::USER_AGENT, text("Mozilla/5.0 (X11; Linux x86_64)"));
    headers
}

/// Reads, finds and admits once; whether the request was forwarded.
fn pass(gate: &Gate, caller: &Caller, headers: &HeaderMap, target: &str) -> Result<bool, Malformed> {
    let head = RequestHead {
        version: Version::HTTP_11,
        method: &Method::GET,
        target,
        headers,
        open: false,
        authority: None,
        tls: TlsFacts { server_name: Some("wiki.corp.test"), ..TlsFacts::default() },
        peer: Some([192, 0, 2, 7].into()),
        listener_port: 443,
    };
    let view = gate.read(&head)?;
    let cookie = &sample_cookie();
    let found = find(headers, view.host(), &caller.keys, cookie);
    let known = found == Found::Credential(caller.handle.key());
    let verdict = black_box(gate.admit(&view, &caller.presented, NOW));
    Ok(known && matches!(verdict, Verdict::Forward(_)))
}

/// Cookie names made once: the configuration holds them, not the request.
fn sample_cookie() -> portcullis_config::Cookie {
    thread_local! {
        static COOKIE: portcullis_config::Cookie = sample::sign_in(portcullis_config::Namespace::Portcullis).cookie;
    }
    COOKIE.with(Clone::clone)
}

#[test]
fn a_request_with_a_session_at_hand_allocates_nothing() {
    let gate = gate();
    let caller = caller();
    for (host, target) in [
        ("host-42.corp.test", "/any/path?with=query"),
        ("wiki.corp.test", "/app-42/index.html"),
        ("wiki.corp.test", "/page-42"),
        ("wiki.corp.test", "/re/abc"),
        ("a.b.sub-42.corp.test", "/a/b"),
        ("glob-42-x.corp.test", "/"),
    ] {
        let headers = headers(&caller, host);
        // The first pass fills what a thread keeps for itself: arc-swap's slots, the caches of an expression.
        assert_eq!(pass(&gate, &caller, &headers, target), Ok(true), "{host}{target}");
        let counted = measure(|| {
            black_box(pass(&gate, &caller, &headers, target)).ok();
        });
        assert_eq!(counted.count_total, 0, "{host}{target}");
    }
}

#[test]
fn refusals_and_challenges_allocate_nothing_either() {
    let gate = gate();
    let caller = caller();
    let headers = headers(&caller, "wiki.corp.test");
    for presented in [Presented::Anonymous, Presented::Rejected, Presented::Unavailable] {
        let caller = Caller { presented, ..self::caller() };
        assert_eq!(pass(&gate, &caller, &headers, "/app-1/"), Ok(false));
        let counted = measure(|| {
            black_box(pass(&gate, &caller, &headers, "/app-1/")).ok();
        });
        assert_eq!(counted.count_total, 0, "{:?}", caller.presented);
    }
}

#[test]
fn a_policy_on_trial_allocates_nothing_either() {
    let tried = Route { shadow: Some(policy(POLICY)), ..route("wiki.corp.test", PathPattern::Any, &policy(OPEN)) };
    let gate = Gate::new(Snapshot::build(&Arc::new(sample::config(vec![tried])), None).expect("a snapshot"));
    let caller = caller();
    let headers = headers(&caller, "wiki.corp.test");
    let shadow = |presented: &Presented| {
        let head = RequestHead {
            version: Version::HTTP_11,
            method: &Method::GET,
            target: "/",
            headers: &headers,
            open: false,
            authority: None,
            tls: TlsFacts::default(),
            peer: Some([192, 0, 2, 7].into()),
            listener_port: 443,
        };
        let view = gate.read(&head).expect("a good head");
        let verdict = gate.admit(&view, presented, NOW);
        gate.shadow(&verdict, &view, presented, NOW).map(|shadowed| shadowed.differs())
    };
    for (presented, differs) in [(&caller.presented, false), (&Presented::Anonymous, true)] {
        assert_eq!(shadow(presented), Some(differs));
        let counted = measure(|| {
            black_box(shadow(presented));
        });
        assert_eq!(counted.count_total, 0, "{presented:?}");
    }
}

/// External data, a thousand records of it.
#[derive(Debug)]
struct Held(ArcSwap<Records>);

impl RecordSource for Held {
    fn records(&self) -> Option<Arc<Records>> {
        Some(self.0.load_full())
    }
}

#[test]
fn a_policy_over_external_data_allocates_nothing_either() {
    let text = "- allow: {and: [{domain: corp.test}, {record: {type: hr, id: u-7, field: country, is: DE}}]}\n\
                - deny: {or: [{record: {type: lockdown}}, {record: {type: hr, field: country, is: FR}}]}";
    let routes = vec![route("wiki.corp.test", PathPattern::Any, &policy(text))];
    let data = Claims::from_json(r#"{"country": "DE", "score": 4.5}"#).expect("claims");
    let record = |id| Record { kind: "hr".into(), id: format!("u-{id}").into(), data: data.clone() };
    let held = Held(ArcSwap::from_pointee((0..1000).map(record).collect()));
    let gate = Gate::new(Snapshot::build(&Arc::new(sample::config(routes)), None).expect("a snapshot"));
    let gate = gate.with_records(Arc::new(held));
    let caller = caller();
    let headers = headers(&caller, "wiki.corp.test");
    assert_eq!(pass(&gate, &caller, &headers, "/"), Ok(true));
    let counted = measure(|| {
        black_box(pass(&gate, &caller, &headers, "/")).ok();
    });
    assert_eq!(counted.count_total, 0);
}

#[test]
fn an_assertion_that_is_kept_allocates_nothing() {
    let gate = gate();
    let snapshot = gate.snapshot();
    let signing = AssertionKeys::from_ring(&KeyRing::generate(&SystemRandom).0).expect("a whole ring");
    let session = session("kim@corp.test", "{}");
    let identity = snapshot.identity_headers();
    let about = About { identity, session: &session, host: "wiki.corp.test", generation: [7; 32], now: NOW };
    let kept = Assertions::default();
    let signed = |fresh: &mut u32| kept.signed(about, &signing, &SystemRandom, || *fresh += 1);
    let mut fresh = 0;
    let first = signed(&mut fresh);
    let counted = measure(|| {
        assert_eq!(black_box(signed(&mut fresh)), first);
    });
    assert_eq!((counted.count_total, fresh), (0, 1));
}

#[test]
fn a_session_that_visits_many_hosts_finds_each_assertion_again() {
    let gate = gate();
    let snapshot = gate.snapshot();
    let signing = AssertionKeys::from_ring(&KeyRing::generate(&SystemRandom).0).expect("a whole ring");
    let session = session("kim@corp.test", "{}");
    let (kept, mut fresh) = (Assertions::default(), 0);
    let hosts: Vec<String> = (0..300).map(|number| format!("a{number}.apps.test")).collect();
    for _ in 0..2 {
        for host in &hosts {
            let identity = snapshot.identity_headers();
            let about = About { identity, session: &session, host, generation: [7; 32], now: NOW };
            drop(kept.signed(about, &signing, &SystemRandom, || fresh += 1));
        }
    }
    assert_eq!(fresh, 300, "each is signed once");
}

#[test]
fn the_counter_counts() {
    assert!(measure(|| drop(black_box(vec![1_u8]))).count_total > 0);
}
