//! The examples of docs/policy.md compile without a warning and do what they say.

use portcullis_identity::{Claims, Group, Record, Records, Subject, Timestamp};
use portcullis_policy::{Effect, Facts, Request, SharedPolicies, compile_policy, compile_route, compile_shadow, yaml};

const TEXT: &str = include_str!("../../../../docs/policy.md");

fn examples(language: &str) -> Vec<&'static str> {
    let fence = format!("```{language}\n");
    TEXT.split(fence.as_str()).skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

fn kim() -> Subject {
    let group = |id: &str| Group { id: id.into(), name: "".into(), email: "".into() };
    Subject {
        user_id: "u-1".into(),
        email: "ann@corp.test".into(),
        claims: Claims::from_json(r#"{"department":"platform","realm_access":{"roles":["deploy"]},"level":5}"#)
            .unwrap(),
        groups: Some([group("ops"), group("partners")].into_iter().collect()),
        ..Subject::default()
    }
}

#[test]
fn every_example_compiles_without_a_warning() {
    let policies = examples("yaml policy");
    let routes = examples("yaml route").into_iter().chain(examples("yaml"));
    assert_eq!(policies.len(), 10);
    for text in policies {
        let compiled = compile_policy(&yaml::parse(text).unwrap()).unwrap();
        assert_eq!(compiled.warnings, [], "{text}");
    }
    for text in routes {
        let compiled = compile_route(&yaml::parse(text).unwrap(), &SharedPolicies::default()).unwrap();
        assert_eq!(compiled.warnings, [], "{text}");
    }
}

#[test]
fn the_policy_on_trial_differs_for_whom_the_text_says() {
    let shadows = examples("yaml shadow");
    let [text] = shadows.as_slice() else { panic!("{shadows:?}") };
    let tree = yaml::parse(text).unwrap();
    let live = compile_route(&tree, &SharedPolicies::default()).unwrap();
    let shadow = compile_shadow(&tree, &SharedPolicies::default()).unwrap().unwrap();
    assert_eq!((live.warnings, shadow.warnings), (Vec::new(), Vec::new()));
    let colleague = Subject { user_id: "u-2".into(), email: "bob@corp.test".into(), ..Subject::default() };
    for (subject, live_effect, shadow_effect) in
        [(kim(), Effect::Permit, Effect::Permit), (colleague, Effect::Permit, Effect::Deny)]
    {
        let (now, request) = (Timestamp::from_unix_seconds(0), Request::default());
        let facts = Facts { now, request, subject: Some(&subject), records: Some(Records::none()) };
        let effects = (live.program.decide(&facts).effect, shadow.program.decide(&facts).effect);
        assert_eq!(effects, (live_effect, shadow_effect), "{}", subject.email);
    }
}

#[test]
fn every_example_permits_whom_it_means_and_refuses_the_stranger() {
    let (kim, stranger) = (kim(), Subject { user_id: "x".into(), email: "x@other.test".into(), ..Subject::default() });
    let data = |json: &str| Claims::from_json(json).unwrap();
    let records: Records = [
        Record { kind: "corp.test/hr".into(), id: "".into(), data: data(r#"{"country":"DE"}"#) },
        Record { kind: "corp.test/posture".into(), id: "".into(), data: data(r#"{"score":70.0}"#) },
    ]
    .into_iter()
    .collect();
    // Thursday, 2026-01-15, 11:00 in Berlin.
    let now = Timestamp::from_unix_seconds(1_768_471_200);
    let permits = |text: &str, subject: &Subject, records: &Records| {
        let program = compile_policy(&yaml::parse(text).unwrap()).unwrap().program;
        let client_address = "203.0.113.9".parse().ok();
        let request = Request { method: "GET", path: "/", client_address, ..Request::default() };
        program.decide(&Facts { now, request, subject: Some(subject), records: Some(records) }).effect == Effect::Permit
    };
    for text in examples("yaml policy") {
        let anybody = text.contains("authenticated_user") && !text.contains("client_certificate");
        let certificate = text.contains("client_certificate");
        assert_eq!(permits(text, &kim, &records), !certificate, "{text}");
        let by_records = text.contains("record:");
        assert_eq!(permits(text, &stranger, Records::none()), anybody, "{text}");
        assert_eq!(permits(text, &stranger, &records), anybody || by_records, "{text}");
    }
}
