//! People, routes and callers.

use std::sync::Arc;

use http::Response;
use portcullis_config::{
    Action, EncodedSlashes, ExchangeRules, Generation, HeaderEdits, HostPattern, Namespace, PathPattern, Route,
};
use portcullis_gate::{Audience, Refusal, RefusalCause};
use portcullis_identity::{
    Claims, DerivedSession, Group, Needs, Principal, ProviderName, Session, SessionKey, Subject, Timestamp,
};
use portcullis_policy::{Decision, Effect, Program, Reason, Reasons, Ternary};
use portcullis_reply::Caller;

pub(crate) type Answer = Response<bytes::Bytes>;

pub(crate) const NOW: Timestamp = Timestamp::from_unix_seconds(1_795_384_070);
pub(crate) const SIGN_IN: &str = "https://auth.corp.test/.portcullis/sign_in?r=AbC-_1";

/// What an attacker would like to see in a page as it stands.
pub(crate) const HOSTILE: &str = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>{{7*7}}";

pub(crate) fn caller(audience: Audience) -> Caller<'static> {
    Caller {
        audience,
        accept: None,
        user_agent: None,
        host: "wiki.corp.test",
        request_id: "0192f3c8a5b47e1d",
        namespace: Namespace::Portcullis,
    }
}

pub(crate) fn person() -> Caller<'static> {
    Caller { accept: Some("text/html,application/xhtml+xml"), ..caller(Audience::Navigation) }
}

pub(crate) fn alice() -> Session {
    let claims = r#"{
        "sub": "alice", "email": "alice@corp.test", "email_verified": true, "name": "Alice Álvarez",
        "groups": ["engineering", "wiki-editors"], "locale": "en", "department": "Platform",
        "iss": "https://idp.corp.test", "aud": "portcullis", "nonce": "n-0S6_WzA2Mj",
        "address": {"country": "PT", "city": "Porto"}
    }"#;
    session("Alice Álvarez", "alice@corp.test", claims, &["engineering", "wiki-editors", "on-call"])
}

/// Two programs of hers; the host of the second was not kept.
pub(crate) fn programs() -> [DerivedSession; 2] {
    let ago = |seconds| Timestamp::from_unix_seconds(NOW.unix_seconds() - seconds);
    [
        DerivedSession {
            key: SessionKey::from_bytes([1; 32]),
            host: Some("git.corp.test".into()),
            made_at: ago(3600),
            last_used: ago(120),
        },
        DerivedSession { key: SessionKey::from_bytes([2; 32]), host: None, made_at: NOW, last_used: NOW },
    ]
}

pub(crate) fn hostile() -> Session {
    let claims = format!(r#"{{"email": {HOSTILE:?}, {HOSTILE:?}: {HOSTILE:?}, "list": [{HOSTILE:?}, 5, null]}}"#);
    session(HOSTILE, HOSTILE, &claims, &[HOSTILE])
}

fn session(name: &str, email: &str, claims: &str, groups: &[&str]) -> Session {
    let group = |id: &&str| Group { id: (*id).into(), name: "".into(), email: "".into() };
    let groups: Vec<Group> = groups.iter().map(group).collect();
    Session {
        key: SessionKey::from_bytes([0xa7; 32]),
        version: 1,
        principal: Principal { issuer: "https://idp.corp.test".into(), subject: "alice".into() },
        provider: ProviderName::new("corp"),
        provider_session: None,
        subject: Subject {
            user_id: "alice".into(),
            email: email.into(),
            name: name.into(),
            claims: Claims::from_json(claims).unwrap(),
            groups: Some(groups.into()),
            devices: Arc::default(),
        },
        authenticated_at: Timestamp::from_unix_seconds(NOW.unix_seconds() - 2400),
        acr: None,
        last_used: NOW,
        expires_at: Timestamp::from_unix_seconds(NOW.unix_seconds() + 48_000),
        idle: None,
    }
}

pub(crate) fn route(show_error_details: bool) -> Arc<Route> {
    Arc::new(Route {
        name: "wiki".into(),
        description: None,
        digest: [0; 32],
        line: 1,
        host: HostPattern::Exact("wiki.corp.test".into()),
        port: None,
        path: PathPattern::Any,
        action: Action::Respond { status: http::StatusCode::OK, body: "".into() },
        policy: Arc::new(Program::nobody()),
        shadow: None,
        client_trust: None,
        needs: Needs::default(),
        idle: None,
        headers: HeaderEdits {
            set_request: Vec::new(),
            remove_request: Vec::new(),
            set_response: Vec::new(),
            pass_identity: false,
        },
        exchange: ExchangeRules {
            timeout: None,
            idle_timeout: None,
            websockets: false,
            cors_preflight: false,
            encoded_slashes: EncodedSlashes::Refuse,
            keep_fragment: false,
            show_error_details,
        },
    })
}

pub(crate) fn refusal(cause: RefusalCause, session: Option<Session>, reasons: &[Reason]) -> Refusal {
    let reasons = reasons.iter().fold(Reasons::NONE, |set, reason| set.union(Reasons::of(*reason)));
    Refusal {
        cause,
        route: Some(route(false)),
        session: session.map(Arc::new),
        decision: Some(Decision {
            effect: Effect::Deny,
            challenge: false,
            allow: Ternary::False,
            deny: Ternary::False,
            reasons,
            rule: None,
            device: false,
        }),
        clear_cookie: false,
        generation: Generation([0; 32]),
    }
}

pub(crate) fn text(answer: &Answer) -> &str {
    std::str::from_utf8(answer.body()).unwrap()
}

pub(crate) fn header<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    answer.headers().get(name).map(|value| value.to_str().unwrap())
}
