//! Statuses, headers and documents, by who asks.

use std::time::Duration;

use http::StatusCode;
use portcullis_config::Namespace;
use portcullis_gate::{Audience, CertificateFault, Malformed, RefusalCause};
use portcullis_policy::Reason;
use portcullis_reply::{
    Caller, Fragment, RouteEntry, UpstreamFailure, challenge, document, fixed, internal, malformed, method_not_allowed,
    not_found, ping, redirect, redirect_route, refuse, routes, see_other, too_many_requests, upstream_failure,
};
use serde_json::Value;

use crate::fixtures::{Answer, SIGN_IN, alice, caller, header, person, refusal, text};

fn json(answer: &Answer) -> Value {
    serde_json::from_slice(answer.body()).unwrap()
}

#[test]
fn a_navigation_is_sent_to_sign_in_and_nobody_else_is() {
    let answer = challenge(&person(), SIGN_IN, Fragment::Dropped);
    assert_eq!((answer.status(), header(&answer, "location")), (StatusCode::FOUND, Some(SIGN_IN)));
    assert_eq!(header(&answer, "cache-control"), Some("no-store"));
    assert_eq!(header(&answer, "referrer-policy"), Some("no-referrer"));
    for audience in [Audience::Script, Audience::WebSocket, Audience::Preflight, Audience::Unsafe] {
        for fragment in [Fragment::Dropped, Fragment::Kept] {
            let answer = challenge(&caller(audience), SIGN_IN, fragment);
            assert_eq!(answer.status(), 401, "{audience:?}");
            assert_eq!(header(&answer, "location"), None);
            assert_eq!(header(&answer, "content-type"), Some("application/problem+json"));
            let named = format!("Portcullis sign_in=\"{SIGN_IN}\"");
            assert_eq!(header(&answer, "www-authenticate"), Some(named.as_str()));
            assert_eq!(header(&answer, "x-portcullis-intercepted-response"), Some("true"));
            let problem = json(&answer);
            assert_eq!(problem["type"], "urn:portcullis:problem:sign-in-required");
            assert_eq!(problem["sign_in_url"], SIGN_IN);
            assert_eq!(problem["request_id"], "0192f3c8a5b47e1d");
            assert_eq!(problem["status"], 401);
        }
    }
}

#[test]
fn grpc_gets_its_status_among_the_headers_and_no_body() {
    let grpc = caller(Audience::Grpc);
    let denied = refusal(RefusalCause::Forbidden, Some(alice()), &[Reason::GroupsUnauthorized]);
    let cases = [
        (challenge(&grpc, SIGN_IN, Fragment::Kept), "16"),
        (refuse(&grpc, &denied, None), "7"),
        (refuse(&grpc, &refusal(RefusalCause::NoRoute, None, &[]), None), "5"),
        (refuse(&grpc, &refusal(RefusalCause::Unavailable, None, &[]), None), "14"),
        (malformed(&grpc, &Malformed::Query), "3"),
        (upstream_failure(&grpc, UpstreamFailure::ConnectFailed), "14"),
        (upstream_failure(&grpc, UpstreamFailure::TimedOut), "4"),
        (too_many_requests(&grpc, Duration::from_secs(9)), "8"),
        (internal(&grpc), "13"),
    ];
    for (answer, status) in cases {
        assert_eq!((answer.status(), header(&answer, "grpc-status")), (StatusCode::OK, Some(status)));
        assert_eq!(header(&answer, "content-type"), Some("application/grpc"));
        assert!(answer.body().is_empty() && header(&answer, "content-length").is_none());
        let message = header(&answer, "grpc-message").unwrap();
        assert!(message.contains("0192f3c8a5b47e1d"), "{message}");
        assert!(message.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{message}");
    }
}

#[test]
fn refusals_have_their_statuses() {
    let cases = [
        (RefusalCause::NoRoute, 404, "no-route"),
        (RefusalCause::EncodedSlash, 400, "malformed-request"),
        (RefusalCause::Forbidden, 403, "forbidden"),
        (RefusalCause::NeedUnmet, 403, "sign-in-not-sufficient"),
        (RefusalCause::ClientCertificate(CertificateFault::Missing), 495, "client-certificate-missing"),
        (RefusalCause::ClientCertificate(CertificateFault::Revoked), 495, "client-certificate-revoked"),
        (RefusalCause::ClientCertificate(CertificateFault::Name), 495, "client-certificate-not-accepted"),
        (RefusalCause::Unavailable, 503, "session-unavailable"),
        (RefusalCause::RecordsUnknown, 503, "records-unavailable"),
    ];
    for (cause, status, kind) in cases {
        let refusal = refusal(cause, Some(alice()), &[]);
        assert_eq!(refuse(&person(), &refusal, None).status(), status);
        let answer = refuse(&caller(Audience::Script), &refusal, None);
        assert_eq!(answer.status(), status);
        assert_eq!(json(&answer)["type"], format!("urn:portcullis:problem:{kind}"));
        assert_eq!(header(&answer, "x-portcullis-intercepted-response"), Some("true"));
        assert_eq!(header(&answer, "retry-after"), (status == 503).then_some("5"));
        assert!(!text(&answer).contains("alice"), "a program is not told who it is");
    }
}

#[test]
fn what_cannot_be_read_is_named() {
    let cases = [
        (Malformed::HostMissing, 400),
        (Malformed::PathHiddenDots, 400),
        (Malformed::LengthAndEncoding, 400),
        (Malformed::Misdirected, 421),
        (Malformed::TooManyFields, 431),
        (Malformed::HeadTooLarge, 431),
        (Malformed::Expectation, 417),
        (Malformed::Connect, 405),
        (Malformed::Trace, 405),
        (Malformed::PathParameters, 400),
    ];
    for (cause, status) in cases {
        let answer = malformed(&caller(Audience::Script), &cause);
        assert_eq!(answer.status(), status, "{cause}");
        let detail = json(&answer)["detail"].as_str().unwrap().to_lowercase();
        assert_eq!(detail, format!("{}.", cause.to_string().to_lowercase()));
    }
}

#[test]
fn upstream_failures_have_their_statuses() {
    let cases = [
        (UpstreamFailure::ConnectFailed, 502),
        (UpstreamFailure::BadAnswer, 502),
        (UpstreamFailure::TimedOut, 504),
        (UpstreamFailure::Unavailable, 503),
        (UpstreamFailure::TokenUnavailable, 503),
    ];
    for (failure, status) in cases {
        let answer = upstream_failure(&person(), failure);
        assert_eq!(answer.status(), status);
        assert_eq!(header(&answer, "retry-after").is_some(), status == 503);
    }
    let answer = too_many_requests(&caller(Audience::Script), Duration::from_millis(300));
    assert_eq!((answer.status().as_u16(), header(&answer, "retry-after")), (429, Some("1")));
}

#[test]
fn the_namespace_names_paths_and_headers() {
    let reference = Caller { namespace: Namespace::Pomerium, ..person() };
    let denied = refusal(RefusalCause::Forbidden, Some(alice()), &[]);
    let answer = refuse(&reference, &denied, None);
    assert_eq!(header(&answer, "x-pomerium-intercepted-response"), Some("true"));
    assert_eq!(header(&answer, "x-portcullis-intercepted-response"), None);
    assert!(text(&answer).contains("action=\"/.pomerium/sign_out\""));
}

#[test]
fn kubectl_reads_the_refusal() {
    let agent = "kubectl/v1.31.0 (linux/amd64) kubernetes/9edcffc";
    let kubectl = Caller { user_agent: Some(agent), ..caller(Audience::Script) };
    let denied = refusal(RefusalCause::Forbidden, Some(alice()), &[]);
    let status = json(&refuse(&kubectl, &denied, None));
    assert_eq!(
        (&status["kind"], &status["reason"], &status["code"]),
        (&"Status".into(), &"Forbidden".into(), &403.into())
    );
    assert!(status["message"].as_str().unwrap().contains("request 0192f3c8a5b47e1d"));
    let answer = challenge(&kubectl, SIGN_IN, Fragment::Dropped);
    assert_eq!(answer.status(), 401);
    assert!(json(&answer)["message"].as_str().unwrap().contains(SIGN_IN));
}

#[test]
fn redirects_carry_what_a_header_can_and_nothing_else() {
    let answer = see_other(&person(), "/done");
    assert_eq!((answer.status().as_u16(), header(&answer, "location")), (303, Some("/done")));
    let answer = redirect_route(&person(), "https://new.corp.test/x", StatusCode::PERMANENT_REDIRECT);
    assert_eq!(answer.status(), 308);
    for hostile in ["/a\r\nSet-Cookie: a=b", "/a\0b"] {
        let answer = redirect(&person(), hostile);
        assert_eq!(answer.status(), 500);
        assert!(header(&answer, "location").is_none() && header(&answer, "set-cookie").is_none());
    }
}

#[test]
fn small_answers_are_what_they_say() {
    assert_eq!(text(&ping(&caller(Audience::Script))), "OK\n");
    let teapot = fixed(&person(), StatusCode::IM_A_TEAPOT, "short & stout");
    assert_eq!((teapot.status().as_u16(), text(&teapot)), (418, "short & stout"));
    assert_eq!(header(&teapot, "content-type"), Some("text/plain; charset=utf-8"));
    let keys = document(&caller(Audience::Script), "{\"keys\":[]}".into());
    assert_eq!(header(&keys, "content-type"), Some("application/json"));
    assert_eq!(not_found(&person()).status(), 404);
    let answer = method_not_allowed(&person(), "GET, HEAD");
    assert_eq!((answer.status().as_u16(), header(&answer, "allow")), (405, Some("GET, HEAD")));
    let list = routes(
        &caller(Audience::Script),
        &[RouteEntry { name: "wiki", url: "https://wiki.corp.test/", description: None }],
    );
    assert_eq!(json(&list)["routes"][0]["from"], "https://wiki.corp.test/");
}
