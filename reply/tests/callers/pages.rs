//! Pages: self-contained, escaped, under a strict policy.

use std::time::Duration;

use base64::Engine as _;
use portcullis_gate::{CertificateFault, Malformed, RefusalCause};
use portcullis_identity::DerivedSession;
use portcullis_policy::Reason;
use portcullis_reply::{
    Fragment, LoopFacts, ProgramForm, ProviderChoice, RouteEntry, SignInFailure, SignOutForm, UpstreamFailure,
    challenge, internal, loop_diagnostic, malformed, not_found, program_confirm, provider_unavailable, refuse, routes,
    sign_in_choice, sign_in_failed, sign_in_refused, sign_out_confirm, signed_out, too_many_requests, unavailable,
    upstream_failure, user,
};

use crate::fixtures::{Answer, HOSTILE, NOW, SIGN_IN, alice, header, hostile, person, programs, refusal, route, text};
use portcullis_gate::Audience;
use portcullis_reply::{Caller, Sites};

const MINUTE: Duration = Duration::from_secs(60);

fn pages() -> Vec<(&'static str, Answer)> {
    let person = person();
    let groups = [Reason::GroupsUnauthorized, Reason::EmailUnauthorized, Reason::UserOk];
    let denied = refusal(RefusalCause::Forbidden, Some(alice()), &groups);
    let mut explained = denied.clone();
    explained.route = Some(route(true));
    let anonymous = refusal(RefusalCause::Forbidden, None, &[Reason::SourceIpUnauthorized]);
    let missing = RefusalCause::ClientCertificate(CertificateFault::Missing);
    let expired = RefusalCause::ClientCertificate(CertificateFault::Expired);
    let unmet = refusal(RefusalCause::NeedUnmet, Some(alice()), &[]);
    let form = Caller { audience: Audience::Unsafe, ..person };
    let sign_out = SignOutForm { action: "/.portcullis/sign_out", fields: &[("o", "sealed")], stay: "/" };
    let providers = [
        ProviderChoice { label: "Corp Workforce", url: SIGN_IN },
        ProviderChoice { label: "Partners", url: SIGN_IN },
        ProviderChoice { label: "GitHub Enterprise", url: SIGN_IN },
    ];
    let sites = [
        RouteEntry { name: "wiki", url: "https://wiki.corp.test/", description: Some("How we work, and why") },
        RouteEntry { name: "Build dashboards", url: "https://build.corp.test/dashboards", description: None },
        RouteEntry { name: "on-call", url: "https://pager.corp.test/", description: None },
    ];
    let (session, retry) = (alice(), SIGN_IN);
    let program = ProgramForm {
        action: "/.portcullis/sign_in?r=x",
        host: "wiki.corp.test",
        program: "http://localhost:8000",
        refuse: "/.portcullis/user",
    };
    let circles = |session| LoopFacts { session, retry_url: retry, switch_account_url: Some(retry) };
    vec![
        ("denied", refuse(&person, &denied, Some(SIGN_IN))),
        ("denied-explained", refuse(&person, &explained, Some(SIGN_IN))),
        ("denied-anonymous", refuse(&person, &anonymous, None)),
        ("need-unmet", refuse(&person, &unmet, Some(SIGN_IN))),
        ("no-route", refuse(&person, &refusal(RefusalCause::NoRoute, None, &[]), None)),
        ("client-certificate-missing", refuse(&person, &refusal(missing, None, &[]), None)),
        ("client-certificate-expired", refuse(&person, &refusal(expired, None, &[]), None)),
        ("session-unavailable", refuse(&person, &refusal(RefusalCause::Unavailable, None, &[]), None)),
        ("records-unavailable", refuse(&person, &refusal(RefusalCause::RecordsUnknown, None, &[]), None)),
        ("encoded-slash", refuse(&person, &refusal(RefusalCause::EncodedSlash, None, &[]), None)),
        ("malformed", malformed(&person, &Malformed::PathEncoding)),
        ("misdirected", malformed(&person, &Malformed::Misdirected)),
        ("head-too-large", malformed(&person, &Malformed::HeadTooLarge)),
        ("too-many-requests", too_many_requests(&person, MINUTE)),
        ("bad-gateway", upstream_failure(&person, UpstreamFailure::ConnectFailed)),
        ("unhealthy", upstream_failure(&person, UpstreamFailure::Unavailable)),
        ("gateway-timeout", upstream_failure(&person, UpstreamFailure::TimedOut)),
        ("internal", internal(&person)),
        ("unavailable", unavailable(&person, MINUTE)),
        ("not-found", not_found(&person)),
        ("sign-in-again", challenge(&form, SIGN_IN, Fragment::Dropped)),
        ("keep-fragment", challenge(&person, SIGN_IN, Fragment::Kept)),
        ("choice", sign_in_choice(&person, "wiki.corp.test", &providers)),
        ("sign-in-expired", sign_in_failed(&person, SignInFailure::Expired, Some(SIGN_IN))),
        ("sign-in-groups", sign_in_failed(&person, SignInFailure::GroupsLeftOut, Some(SIGN_IN))),
        ("sign-in-refused", sign_in_refused(&person, "Corp Workforce", "The user is not assigned.", Some(SIGN_IN))),
        ("sign-in-other-browser", sign_in_failed(&person, SignInFailure::OtherBrowser, None)),
        ("provider-unavailable", provider_unavailable(&person, "Corp Workforce", Some(SIGN_IN), MINUTE)),
        ("loop-no-cookie", loop_diagnostic(&person, &circles(None))),
        ("loop", loop_diagnostic(&person, &circles(Some(&session)))),
        ("sign-out", sign_out_confirm(&person, Some(&session), &sign_out)),
        ("program", program_confirm(&person, &session, &program)),
        ("signed-out", signed_out(&person, Some("https://wiki.corp.test/"))),
        ("user", user(&person, &session, Some(&[]), NOW, Sites::Listed)),
        ("user-programs", user(&person, &session, Some(&programs()), NOW, Sites::Listed)),
        ("user-programs-unknown", user(&person, &session, None, NOW, Sites::Listed)),
        ("routes", routes(&person, &sites)),
        ("routes-empty", routes(&person, &[])),
    ]
}

#[test]
fn every_page_is_self_contained() {
    let directory = std::env::var_os("PORTCULLIS_PAGES_DIR").map(std::path::PathBuf::from);
    for (name, answer) in pages() {
        if let Some(directory) = &directory {
            std::fs::write(directory.join(format!("{name}.html")), answer.body()).unwrap();
        }
        let page = text(&answer);
        assert!(page.starts_with("<!doctype html>"), "{name}");
        assert!(page.contains("<html lang=\"en\">") && page.contains("name=\"viewport\""), "{name}");
        assert_eq!(page.matches("<h1>").count(), 1, "{name}");
        assert_eq!(page.matches("<main>").count(), 1, "{name}");
        assert!(page.contains("0192f3c8a5b47e1d"), "{name} shows its request id");
        for foreign in ["<link rel=\"stylesheet", "src=\"http", "@import", "<iframe", "<object", "style=\"", " onload"]
        {
            assert!(!page.contains(foreign), "{name} has {foreign}");
        }
        assert_eq!(page.contains("<script"), name == "keep-fragment", "{name}");
        for number in ["{{", "}}", "{%"] {
            assert!(!page.contains(number), "{name} shows a piece of its template");
        }
    }
}

#[test]
fn every_page_has_a_policy_that_names_its_style() {
    let digest = |text: &str| {
        let digest = portcullis_keys::sha256(text.as_bytes());
        format!("'sha256-{}'", base64::engine::general_purpose::STANDARD.encode(digest))
    };
    for (name, answer) in pages() {
        let policy = header(&answer, "content-security-policy").unwrap();
        for part in ["default-src 'none'", "img-src data:", "base-uri 'none'", "frame-ancestors 'none'"] {
            assert!(policy.contains(part), "{name}: {policy}");
        }
        assert!(!policy.contains("unsafe") && !policy.contains("nonce"), "{name}: {policy}");
        let page = text(&answer);
        let style = page.split_once("<style>").unwrap().1.split_once("</style>").unwrap().0;
        assert!(policy.contains(&format!("style-src {};", digest(style))), "{name}");
        match page.split_once("<script>") {
            None => assert!(!policy.contains("script-src"), "{name}"),
            Some((_, rest)) => {
                let script = rest.split_once("</script>").unwrap().0;
                assert!(policy.contains(&format!("script-src {}", digest(script))), "{name}");
            }
        }
    }
}

#[test]
fn every_page_is_for_its_reader_alone() {
    for (name, answer) in pages() {
        let (policy, page) = (header(&answer, "content-security-policy").unwrap(), text(&answer));
        let (actions, referrer) = match page.contains("<form") {
            true => ("form-action 'self' https:", "same-origin"),
            false => ("form-action 'none'", "no-referrer"),
        };
        assert!(policy.contains(actions), "{name}: {policy}");
        assert_eq!(header(&answer, "referrer-policy"), Some(referrer), "{name}");
        assert_eq!(header(&answer, "x-frame-options"), Some("DENY"), "{name}");
        assert_eq!(header(&answer, "cache-control"), Some("no-store"), "{name}");
        assert_eq!(header(&answer, "x-content-type-options"), Some("nosniff"), "{name}");
        assert_eq!(header(&answer, "content-type"), Some("text/html; charset=utf-8"), "{name}");
        assert_eq!(header(&answer, "content-length"), Some(page.len().to_string().as_str()), "{name}");
    }
}

#[test]
fn nothing_hostile_gets_into_a_page() {
    let caller = Caller { host: HOSTILE, ..person() };
    let session = hostile();
    let programs = programs().map(|program| DerivedSession { host: Some(HOSTILE.into()), ..program });
    let denied = refusal(RefusalCause::Forbidden, Some(hostile()), &[]);
    let provider = [ProviderChoice { label: HOSTILE, url: HOSTILE }];
    let site = [RouteEntry { name: HOSTILE, url: HOSTILE, description: Some(HOSTILE) }];
    let fields = [(HOSTILE, HOSTILE)];
    let form = SignOutForm { action: HOSTILE, fields: &fields, stay: HOSTILE };
    let program = ProgramForm { action: HOSTILE, host: HOSTILE, program: HOSTILE, refuse: HOSTILE };
    let circles = LoopFacts { session: Some(&session), retry_url: HOSTILE, switch_account_url: Some(HOSTILE) };
    let answers = [
        refuse(&caller, &denied, Some(HOSTILE)),
        sign_in_choice(&caller, HOSTILE, &provider),
        provider_unavailable(&caller, HOSTILE, Some(HOSTILE), MINUTE),
        loop_diagnostic(&caller, &circles),
        sign_in_failed(&caller, SignInFailure::Expired, Some(HOSTILE)),
        sign_in_refused(&caller, HOSTILE, HOSTILE, Some(HOSTILE)),
        sign_out_confirm(&caller, Some(&session), &form),
        program_confirm(&caller, &session, &program),
        signed_out(&caller, Some(HOSTILE)),
        user(&caller, &session, Some(&programs), NOW, Sites::Listed),
        routes(&caller, &site),
        challenge(&caller, HOSTILE, Fragment::Kept),
        challenge(&Caller { audience: Audience::Unsafe, ..caller }, HOSTILE, Fragment::Dropped),
    ];
    for answer in answers {
        let page = text(&answer);
        assert!(page.contains("alert(1)"), "the value is shown, escaped");
        assert!(!page.contains("<script>alert") && !page.contains("<img src=x"), "{page}");
        for (place, _) in page.match_indices("alert(1)") {
            let before = page.get(place.saturating_sub(20)..place).unwrap();
            assert!(before.ends_with("script&#62;") || before.ends_with("onerror="), "{before}");
        }
        // Quotes inside attributes cannot end them.
        assert!(!page.contains("</script>\"'"), "{page}");
    }
}

#[test]
fn the_denied_page_says_who_why_and_what_to_do() {
    let denied = refusal(RefusalCause::Forbidden, Some(alice()), &[Reason::GroupsUnauthorized, Reason::UserOk]);
    let answer = refuse(&person(), &denied, Some(SIGN_IN));
    let page = text(&answer);
    assert_eq!(answer.status(), 403);
    for expected in [
        "Alice Álvarez",
        "alice@corp.test",
        "via corp",
        "You are not in a group that has access.",
        "Use another account",
        "href=\"https://auth.corp.test/.portcullis/sign_in?r=AbC-_1\"",
        "<form method=\"post\" action=\"/.portcullis/sign_out\">",
        "0192f3c8a5b47e1d",
    ] {
        assert!(page.contains(expected), "{expected}\n{page}");
    }
    assert!(!page.contains("groups-unauthorized"), "the policy's words are for operators");
    let mut explained = denied;
    explained.route = Some(route(true));
    assert!(text(&refuse(&person(), &explained, None)).contains("<code>groups-unauthorized</code>"));
}

#[test]
fn the_user_page_leaves_out_what_is_of_tokens() {
    let session = alice();
    let page = user(&person(), &session, Some(&[]), NOW, Sites::Listed);
    let page = text(&page);
    for expected in ["department", "Platform", "address.country", "in 13 h 20 min", "40 min ago", "wiki-editors"] {
        assert!(page.contains(expected), "{expected}");
    }
    assert!(!page.contains("n-0S6_WzA2Mj"));
    assert!(page.contains("/.portcullis/routes"), "a route's host lists the sites");
    let on_sign_in_host = user(&person(), &session, Some(&[]), NOW, Sites::Unlisted);
    assert!(!text(&on_sign_in_host).contains("/.portcullis/routes"), "the sign-in host has no list");
    let script = user(&crate::fixtures::caller(Audience::Script), &session, Some(&[]), NOW, Sites::Listed);
    let document: serde_json::Value = serde_json::from_slice(script.body()).unwrap();
    assert_eq!(document["email"], "alice@corp.test");
    assert_eq!(document["expires_at"], "2026-11-23T11:07:50Z");
    assert_eq!(document["claims"]["department"], "Platform");
    assert!(document["claims"].get("nonce").is_none() && document["claims"].get("iss").is_none());
}

#[test]
fn the_user_page_lists_programs_and_ends_each_by_a_form_of_its_own() {
    let (session, programs) = (alice(), programs());
    let page = user(&person(), &session, Some(&programs), NOW, Sites::Listed);
    let page = text(&page);
    for expected in [
        "<strong>git.corp.test</strong>",
        "Let in <time datetime=\"2026-11-22T20:47:50Z\"",
        "2 min ago",
        "a site that is not known",
        "<form method=\"post\" action=\"/.portcullis/user?end=0101010101010101\">",
        "<form method=\"post\" action=\"/.portcullis/user?end=0202020202020202\">",
        "aria-label=\"End session 0101010101010101 for git.corp.test\"",
    ] {
        assert!(page.contains(expected), "{expected}\n{page}");
    }
    let listed = |programs| {
        let script = user(&crate::fixtures::caller(Audience::Script), &session, programs, NOW, Sites::Listed);
        let document: serde_json::Value = serde_json::from_slice(script.body()).unwrap();
        document["programs"].clone()
    };
    let expected = serde_json::json!([
        { "session": "0101010101010101", "host": "git.corp.test",
          "made_at": "2026-11-22T20:47:50Z", "last_used": "2026-11-22T21:45:50Z" },
        { "session": "0202020202020202", "host": null,
          "made_at": "2026-11-22T21:47:50Z", "last_used": "2026-11-22T21:47:50Z" },
    ]);
    assert_eq!(listed(Some(&programs)), expected);
    // None is a list, and not to know is none; either way the rest of the page stays.
    assert_eq!((listed(Some(&[])), listed(None)), (serde_json::json!([]), serde_json::Value::Null));
    let unknown = user(&person(), &session, None, NOW, Sites::Listed);
    let none = user(&person(), &session, Some(&[]), NOW, Sites::Listed);
    assert!(text(&unknown).contains("Nobody can say just now") && !text(&none).contains("Nobody can say"));
    assert!(text(&unknown).contains("alice@corp.test") && text(&unknown).contains("Sign out everywhere"));
    assert!(!text(&unknown).contains("?end=") && !text(&none).contains("?end="));
}
