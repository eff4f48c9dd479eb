//! What a program tells about itself.

use portcullis_identity::{Records, Subject, Timestamp};
use portcullis_policy::{Compiled, Effect, Facts, McpTool, Program, Request, Ternary, compile_policy, yaml};

fn compile(policy: &str) -> Compiled {
    compile_policy(&yaml::parse(policy).unwrap()).unwrap()
}

fn facts(subject: Option<&Subject>) -> Facts<'_> {
    Facts {
        now: Timestamp::EPOCH,
        request: Request { method: "GET", path: "/", ..Request::default() },
        subject,
        records: Some(Records::none()),
    }
}

#[test]
fn only_what_permits_everybody_is_public() {
    for (policy, expected) in [
        ("allow: {or: [{accept: 1}]}", true),
        ("allow: {and: [{accept: 1}]}", true),
        ("allow: {or: [{user: x}, {accept: 1}]}", true),
        ("allow: {not: [{reject: 1}]}", true),
        ("- allow: {or: [{accept: 1}]}\n- deny: {or: [{reject: 1}]}", true),
        ("- allow: {or: [{accept: 1}]}\n- deny: {or: [{user: x}]}", false),
        ("- allow: {or: [{accept: 1}]}\n- deny: {or: [{accept: 1}]}", false),
        ("allow: {and: [{accept: 1}, {user: {}}]}", false),
        ("allow: {or: [{email: {}}]}", false),
        ("[]", false),
    ] {
        assert_eq!(compile(policy).program.is_public(), expected, "{policy}");
    }
    assert!(!Program::nobody().is_public());
    assert_eq!(Program::nobody().decide(&facts(None)).effect, Effect::Deny);
}

#[test]
fn a_tool_that_is_not_read_permits_nothing_and_denies_nothing_for_sure() {
    let allow = "allow: {and: [{mcp_tool: {is: search}}]}";
    let deny = "- allow: {or: [{accept: 1}]}\n- deny: {or: [{mcp_tool: {is: drop_all}}]}";
    let beside = "allow: {or: [{mcp_tool: {is: search}}, {http_method: GET}]}";
    for (policy, tool, expected) in [
        (allow, McpTool::Named("search"), (Effect::Permit, Ternary::True, Ternary::False)),
        (allow, McpTool::Named("other"), (Effect::Deny, Ternary::False, Ternary::False)),
        (allow, McpTool::None, (Effect::Deny, Ternary::False, Ternary::False)),
        (allow, McpTool::Unread, (Effect::Deny, Ternary::Unknown, Ternary::False)),
        (deny, McpTool::Named("drop_all"), (Effect::Deny, Ternary::True, Ternary::True)),
        (deny, McpTool::None, (Effect::Permit, Ternary::True, Ternary::False)),
        (deny, McpTool::Unread, (Effect::Deny, Ternary::True, Ternary::Unknown)),
        (beside, McpTool::Unread, (Effect::Permit, Ternary::True, Ternary::False)),
    ] {
        let facts = facts(None);
        let facts = Facts { request: Request { mcp_tool: tool, ..facts.request }, ..facts };
        let decision = compile(policy).program.decide(&facts);
        assert_eq!((decision.effect, decision.allow, decision.deny), expected, "{policy} {tool:?}");
    }
}

#[test]
fn digests_tell_policies_apart_and_places_not() {
    let digest = |policy: &str| compile(policy).program.digest();
    assert_eq!(digest("allow: {or: [{user: a}]}"), digest("# same\nallow:\n  or:\n  - user: a\n"));
    let all = [
        "allow: {or: [{user: a}]}",
        "allow: {and: [{user: a}]}",
        "deny: {or: [{user: a}]}",
        "allow: {or: [{user: b}]}",
        "allow: {or: [{user: a}, {user: a}]}",
        "allow: {or: [{email: a}]}",
        "allow: {or: [{claim/a: '5'}]}",
        "allow: {or: [{claim/a: 5}]}",
        "[]",
        "allow: {}",
        "- allow: {or: [{user: a}]}\n- allow: {}",
    ];
    for (i, a) in all.iter().enumerate() {
        for b in &all[..i] {
            assert_ne!(digest(a), digest(b), "{a} / {b}");
        }
    }
}

#[test]
fn the_first_rule_that_decided_is_named() {
    let known = Subject { user_id: "u".into(), ..Subject::default() };
    for (policy, subject, rule, device) in [
        ("[]", Some(&known), None, false),
        ("[{allow: {or: [{reject: 1}]}}]", Some(&known), None, false),
        ("[{allow: {or: [{user: x}]}}, {allow: {or: [{user: u}]}}]", Some(&known), Some(1), false),
        (
            "[{allow: {or: [{accept: 1}]}}, {deny: {or: [{user: x}]}}, {deny: {or: [{user: u}]}}]",
            Some(&known),
            Some(2),
            false,
        ),
        ("[{allow: {or: [{accept: 1}]}}, {deny: {or: [{user: x}]}}]", None, Some(1), false),
        ("[{allow: {or: [{reject: 1}]}}, {deny: {or: [{user: x}]}}]", None, None, false),
        ("[{allow: {or: [{reject: 1}]}}, {allow: {or: [{device: {}}]}}]", Some(&known), Some(1), true),
        ("[{allow: {or: [{device: {}}]}}]", None, Some(0), false),
    ] {
        let decision = compile(policy).program.decide(&facts(subject));
        assert_eq!((decision.rule, decision.device), (rule, device), "{policy}");
    }
}

#[test]
fn bounds_are_named() {
    let many = "- allow: {}\n".repeat(10_001);
    let refused = compile_policy(&yaml::parse(&many).unwrap()).unwrap_err();
    assert!(refused.message.contains("MAX_RULES") && refused.line == 10_001, "{refused}");
    let list = format!("allow: {{or: [{{user: {{in: [{}]}}}}]}}", "a, ".repeat(100_001));
    assert!(compile_policy(&yaml::parse(&list).unwrap()).unwrap_err().message.contains("MAX_LIST"));
    let criteria = format!("allow: {{or: [{}]}}", "{accept: 1}, ".repeat(100_001));
    assert!(compile_policy(&yaml::parse(&criteria).unwrap()).unwrap_err().message.contains("MAX_CRITERIA"));
}

#[test]
fn every_rule_is_told() {
    let evaluation =
        compile("[{allow: {or: [{accept: 1}]}}, {deny: {or: [{user: x}]}}]").program.evaluate(&facts(None));
    let values: Vec<_> = evaluation.rules.iter().map(|rule| (rule.index, rule.value)).collect();
    assert_eq!(values, [(0, Ternary::True), (1, Ternary::Unknown)]);
}

#[test]
fn an_explanation_names_rule_criterion_and_fact() {
    let route = yaml::parse(
        "allowed_domains: [corp.test]\npolicy:\n  deny:\n    not:\n      - http_method: GET\n      - claim/a: x\n",
    )
    .unwrap();
    let program =
        portcullis_policy::compile_route(&route, &portcullis_policy::SharedPolicies::default()).unwrap().program;
    let known = Subject { email: "kim@corp.test".into(), ..Subject::default() };
    let told = program.explain(&facts(Some(&known))).to_string();
    let expected = "allow (rule 0, line 1): true
  or: true
    allowed_domains (line 1): true (domain-ok) <- kim@corp.test
deny (rule 1, line 3): false
  not: false
    http_method (line 5): true (http-method-ok) <- GET
    claim/a (line 6): false (claim-unauthorized) <- no such claim among 0
";
    assert_eq!(told, expected);
    let nobody = program.explain(&facts(None)).to_string();
    assert!(nobody.contains("unknown (user-unauthenticated) <- nobody is signed in"), "{nobody}");
}
