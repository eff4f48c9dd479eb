//! A record tells which route, rule and criterion decided, by which facts, and what would have to change.

use std::path::Path;
use std::sync::Arc;

use portcullis_config::{ProcessEnvironment, from_text};
use portcullis_gate::{Answer, Missing, PresentedCertificate};
use portcullis_identity::{Claims, Principal, ProviderName, Session, SessionKey, Subject, Timestamp};
use portcullis_policy::{Facts, Request};

use super::*;
use crate::explain;

const CONFIG: &str = "\
sign_in: {host: auth.corp.test}
providers:
  corp: {issuer: https://idp.corp.test, client_id: p}
routes:
  - name: wiki
    from: https://wiki.corp.test
    to: http://10.0.0.7
    policy:
      - allow:
          and:
            - claim/department: people
            - http_method: GET
    shadow_policy:
      - allow: {and: [{authenticated_user: true}]}
";

const NOW: Timestamp = Timestamp::from_unix_seconds(1_772_442_000);

fn snapshot() -> Snapshot {
    let config = from_text(CONFIG, "p.yaml", Path::new("/"), &ProcessEnvironment).unwrap().config;
    Snapshot::build(&config, None).unwrap()
}

fn kim(department: &str) -> Arc<Session> {
    let subject = Subject {
        user_id: "u-1".into(),
        email: "kim@corp.test".into(),
        claims: Claims::from_json(&json!({ "department": department, "salary": 5000 }).to_string()).unwrap(),
        ..Subject::default()
    };
    Arc::new(Session {
        key: SessionKey::from_bytes([1; 32]),
        version: 1,
        principal: Principal { issuer: "https://idp.corp.test".into(), subject: "u-1".into() },
        provider: ProviderName::new("corp"),
        provider_session: None,
        subject,
        authenticated_at: NOW,
        acr: None,
        last_used: NOW,
        expires_at: Timestamp::MAX,
        idle: None,
    })
}

/// The record of a GET of /page at the wiki, as the proxy keeps it.
fn record(snapshot: &Snapshot, session: Option<Arc<Session>>, outcome: &'static str) -> DecisionRecord {
    let route = Arc::clone(&snapshot.routes()[0]);
    let request = Request { method: "GET", host: "wiki.corp.test", path: "/page", ..Request::default() };
    let subject = session.as_ref().map(|session| &session.subject);
    let facts = Facts { now: NOW, request, subject, records: Some(Records::none()) };
    let (decision, tried) = (route.policy.decide(&facts), route.shadow.as_ref().unwrap().decide(&facts));
    let shadow = Shadowed { live: Answer::Deny, shadow: Answer::Permit, decision: tried };
    DecisionRecord {
        request_id: "r-1".to_owned(),
        at: NOW,
        method: Some(http::Method::GET),
        host: "wiki.corp.test".to_owned(),
        path: "/page".to_owned(),
        client_address: Some([192, 0, 2, 7].into()),
        preflight: false,
        mcp_tool: McpTool::None,
        certificate: PresentedCertificate::Absent,
        route: Some(route),
        missing: (outcome == "challenge").then_some(Missing::Subject),
        session,
        outcome,
        cause: if outcome == "refuse" { "forbidden" } else { "" },
        decision: Some(decision),
        shadow: (outcome == "refuse").then(|| Box::new(shadow)),
        generation: Some(snapshot.generation()),
        records: None,
    }
}

#[test]
fn a_line_of_the_sink_says_whether_anybody_knew_the_tool() {
    let snapshot = snapshot();
    let known = record(&snapshot, None, "refuse");
    let unread = DecisionRecord { mcp_tool: McpTool::Unread, ..record(&snapshot, None, "refuse") };
    assert_eq!((&json(&known)["mcp_tool"], &json(&unread)["mcp_tool"]), (&json!("none"), &json!("unread")));
}

#[test]
fn a_refusal_names_rule_fact_and_way_out() {
    let snapshot = snapshot();
    let told = explained(&record(&snapshot, Some(kim("sales")), "refuse"), &snapshot, None);
    assert_eq!((&told["route"], &told["route_line"], &told["exact"]), (&json!("wiki"), &json!(5), &json!(true)));
    assert_eq!(told["rules"][0]["operators"][0]["criteria"][0]["fact"], json!(r#"["sales"]"#));
    assert_eq!(told["rules"][0]["operators"][0]["criteria"][1]["fact"], json!("GET"));
    assert_eq!(
        told["to_pass"],
        json!([r#"rule 0 (allow, line 9) needs `claim/department` (line 11, now: ["sales"])"#])
    );
    assert_eq!((&told["shadow"]["decision"], &told["shadow"]["rule_line"]), (&json!("permit"), &json!(14)));
    assert!(!told.to_string().contains("5000"), "a claim that nothing read stays where it is");
    let text = explain::text(&told);
    for expected in [
        "request     r-1  GET wiki.corp.test/page",
        "asked       2026-03-02T09:00:00Z  from 192.0.2.7",
        "subject     kim@corp.test  (u-1)",
        "route       wiki  (line 5)",
        "decision    refuse  (forbidden)",
        r#"false    claim-unauthorized  <- ["sales"]"#,
        "shadow      permit, rule 0 (line 14): user-ok",
        "to pass\n  - rule 0 (allow, line 9) needs",
    ] {
        assert!(text.contains(expected), "{expected} in\n{text}");
    }
}

#[test]
fn a_permit_needs_nothing_and_a_challenge_a_sign_in() {
    let snapshot = snapshot();
    let told = explained(&record(&snapshot, Some(kim("people")), "permit"), &snapshot, None);
    assert_eq!((&told["rule"], &told["rule_line"], &told["to_pass"]), (&json!(0), &json!(9), &json!([])));
    let told = explained(&record(&snapshot, None, "challenge"), &snapshot, None);
    assert_eq!(told["subject"], Value::Null);
    assert_eq!(told["to_pass"][0], json!("sign in"));
    assert_eq!(told["rules"][0]["operators"][0]["criteria"][0]["fact"], json!("nobody is signed in"));
}

#[test]
fn what_was_never_judged_is_told_without_rules() {
    let snapshot = snapshot();
    let bare = DecisionRecord {
        route: None,
        decision: None,
        shadow: None,
        cause: "no_route",
        host: "wicki.corp.test".to_owned(),
        ..record(&snapshot, None, "refuse")
    };
    let told = explained(&bare, &snapshot, None);
    assert_eq!((&told["rules"], &told["exact"]), (&json!([]), &Value::Null));
    assert_eq!(told["to_pass"], json!(["add a route for wicki.corp.test; did you mean wiki.corp.test?"]));
    let aborted = DecisionRecord { method: None, outcome: "aborted", cause: "", ..bare };
    assert_eq!(explained(&aborted, &snapshot, None)["to_pass"], json!([]));
}

#[test]
fn a_listing_holds_what_is_asked_for_and_the_newest_of_it() {
    let snapshot = snapshot();
    let kept: Vec<_> =
        [(Some("sales"), "refuse"), (Some("people"), "permit"), (None, "challenge"), (Some("hr"), "refuse")]
            .into_iter()
            .enumerate()
            .map(|(number, (department, outcome))| {
                let request_id = format!("r-{number}");
                Arc::new(DecisionRecord { request_id, ..record(&snapshot, department.map(kim), outcome) })
            })
            .collect();
    let ids =
        |wanted: Wanted| -> Vec<String> { wanted.of(&kept).iter().map(|record| record.request_id.clone()).collect() };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(ids(Wanted::default()), ["r-0", "r-1", "r-2", "r-3"]);
    assert_eq!(ids(Wanted { limit: 2, ..Wanted::default() }), ["r-2", "r-3"]);
    assert_eq!(ids(Wanted { shadow: true, ..Wanted::default() }), ["r-0", "r-3"]);
    assert_eq!(ids(Wanted { decision: some("refuse"), limit: 1, ..Wanted::default() }), ["r-3"]);
    assert_eq!(ids(Wanted { user: some("u-1"), ..Wanted::default() }), ["r-0", "r-1", "r-3"]);
    assert_eq!(ids(Wanted { user: some("kim@corp.test"), decision: some("permit"), ..Wanted::default() }), ["r-1"]);
    assert!(ids(Wanted { user: some("sam@corp.test"), ..Wanted::default() }).is_empty());
    assert!(ids(Wanted { route: some("other"), ..Wanted::default() }).is_empty());
    assert_eq!(ids(Wanted { route: some("wiki"), ..Wanted::default() }).len(), 4);
}

#[test]
fn a_listing_shows_a_line_a_decision_and_nothing_that_a_terminal_acts_upon() {
    let snapshot = snapshot();
    let hostile = Subject { user_id: "u-1".into(), email: "kim\u{1b}[2J@corp.test".into(), ..Subject::default() };
    let session = Arc::new(Session { subject: hostile, ..Session::clone(&kim("sales")) });
    let nameless = Subject { user_id: "u-2".into(), ..Subject::default() };
    let nameless = Arc::new(Session { subject: nameless, ..Session::clone(&kim("sales")) });
    let kept = [Some(session), Some(nameless)].map(|session| Arc::new(record(&snapshot, session, "refuse")));
    let told = Wanted::default().told(&kept);
    assert!(told[0].get("rules").is_none(), "{told}");
    assert!(Wanted { facts: true, ..Wanted::default() }.told(&kept)[0]["rules"][0]["operators"].is_array());
    let text = text(&told);
    assert_eq!(text.lines().count(), 3, "{text}");
    for expected in [
        "r-1  ",
        "  2026-03-02T09:00:00Z  ",
        "  refuse (forbidden), shadow: permit  ",
        "  wiki  ",
        "  kim\\u{1b}[2J@corp.test  ",
        "  GET wiki.corp.test/page\n",
        "  u-2  ",
    ] {
        assert!(text.contains(expected), "{expected} in\n{text}");
    }
}
