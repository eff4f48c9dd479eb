//! What is legal and surely not meant.

use portcullis_policy::{SharedPolicies, compile_policy, compile_route, yaml};

fn check(policy: &str, expected: &[(&str, usize)]) {
    let compiled = compile_policy(&yaml::parse(policy).unwrap()).unwrap();
    let found: Vec<_> = compiled.warnings.iter().map(|warning| (warning.message.as_str(), warning.column)).collect();
    assert_eq!(found, expected, "{policy}");
    assert!(compiled.warnings.iter().all(|warning| warning.help.is_some() && warning.line == 1));
}

#[test]
fn each_has_its_place_and_its_permitted_twin_none() {
    let never = ("this rule can never match", 1);
    check("allow: {or: [{domain: corp.test}, {source_ip: 10.0.0.0/8}]}\n", &[]);
    check("[]", &[("a policy without rules permits nobody", 1)]);
    check("[{}]", &[("a rule without `allow` or `deny` says nothing", 2)]);
    check("allow: {}", &[never]);
    check("allow: {and: [], or: [{accept: 1}]}", &[("an empty `and` is as if it were not there", 14)]);
    check("allow: {or: [{accept: 1}], action: x}", &[("`action` inside a rule is ignored", 28)]);
    check("allow: {or: [{email/x: a@b.test}]}", &[("`/x` behind `email` is ignored", 15)]);
    check("allow: {or: [{claim: x}]}", &[("`claim` without a name reads the claim named \"\"", 15)]);
    check("allow: {and: [{reject: 1}, {user: x}]}", &[never]);
    check("allow: {or: [{reject: 1}, {user: x}]}", &[]);
    check("allow: {not: [{accept: 1}]}", &[never]);
    check("allow: {or: [{user: ''}]}", &[never]);
    check("allow: {or: [{user: {is: a, starts_with: b}}]}", &[never]);
    check("deny: {and: [{reject: 1}]}", &[("this deny can never fire", 1)]);
    check("deny: {or: [{accept: 1}]}", &[("this rule denies everybody", 1)]);
    check("allow: {or: [{email: 5}, {user: x}]}", &[("a number never equals a string", 22)]);
    check("allow: {or: [{email: [a], }, {user: x}]}", &[("a list never equals a string", 22)]);
    check("allow: {or: [{claim/a: [x]}]}", &[("a list is compared as one element, so it never equals a string", 24)]);
    check("allow: {or: [{user: {in: []}}]}", &[("`in` of an empty list", 26), never]);
    check("allow: {or: [{source_ip: []}]}", &[("`source_ip` of an empty list never matches", 26), never]);
    check("allow: {or: [{source_ip: 10.0.0.1/8}]}", &[("the host bits of `10.0.0.1/8` are ignored", 26)]);
    check("allow: {or: [{domain: '@corp.test'}]}", &[("no domain holds an `@`, as `@corp.test` does", 23), never]);
    check(
        "allow: {or: [{domain: {in: [Corp.test]}}]}",
        &[("domains compare with case, and `Corp.test` has upper case", 29)],
    );
    check(
        "allow: {or: [{email: Kim@Corp.test}]}",
        &[("addresses compare with case, and the domain of `Kim@Corp.test` has upper case", 22)],
    );
    check("allow: {or: [{email: Kim@corp.test}]}", &[]);
    check("allow: {or: [{device: {type: all}}]}", &[("device types are `any` and `enclave_only`", 30)]);
}

#[test]
fn what_no_request_looks_like_is_pointed_out() {
    let deny = |criterion: &str| format!("deny: {{or: [{{{criterion}}}]}}");
    let case = |text: &str| format!("methods compare with case, and no client sends `{text}`");
    let slash = |text: &str| format!("every path begins with a slash, and `{text}` does not");
    let encoded = |text: &str| format!("paths are compared decoded, and `{text}` is encoded");
    for (criterion, message, column, twin) in [
        ("http_method: post", case("post"), 27, "http_method: POST"),
        ("http_method: {in: [GET, Delete]}", case("Delete"), 38, "http_method: {in: [GET, DELETE]}"),
        ("http_method: {not: get}", case("get"), 33, "http_method: {not: propfind}"),
        ("http_path: admin", slash("admin"), 25, "http_path: /admin"),
        ("http_path: {starts_with: admin}", slash("admin"), 39, "http_path: {starts_with: /admin}"),
        ("http_path: {in: [/a, b]}", slash("b"), 35, "http_path: {in: [/a, /b]}"),
        ("http_path: '/a%20b'", encoded("/a%20b"), 25, "http_path: '/a b'"),
        ("http_path: {contains: '%2f'}", encoded("%2f"), 36, "http_path: {contains: '%2F'}"),
        ("http_path: '/100%41'", encoded("/100%41"), 25, "http_path: '/100%'"),
        ("http_path: {is: '/%%41'}", encoded("/%%41"), 30, "http_path: {ends_with: .php}"),
    ] {
        check(&deny(criterion), &[(&message, column)]);
        check(&deny(twin), &[]);
    }
    for name in ["accept", "reject", "authenticated_user", "cors_preflight", "invalid_client_certificate"] {
        let message = format!("`{name}: false` means `{name}: true`: the value is ignored");
        let text = |value: &str| format!("allow: {{or: [{{user: x}}, {{{name}: {value}}}]}}");
        check(&text("false"), &[(&message, 28 + name.len())]);
        check(&text("true"), &[]);
    }
}

#[test]
fn policies_are_shared_by_name() {
    let policies =
        yaml::parse("staff: {allow: {or: [{domain: corp.test}]}}\nclosed: [{deny: {or: [{http_path: /x}]}}]").unwrap();
    let (shared, warnings) = SharedPolicies::new(&policies).unwrap();
    assert!(warnings.is_empty());
    let compile = |text: &str| compile_route(&yaml::parse(text).unwrap(), &shared);
    let named = compile("from: x\npolicy: [staff, closed]").unwrap().program;
    let written =
        compile("policy:\n- allow: {or: [{domain: corp.test}]}\n- deny:\n    or: [{http_path: /x}]").unwrap().program;
    assert_eq!(named.digest(), written.digest());
    assert_ne!(named.digest(), compile("policy: staff").unwrap().program.digest());
    let unknown = compile("policy: staf").unwrap_err();
    assert_eq!(unknown.to_string(), "1:9: unknown policy `staf`, did you mean `staff`?");
    let nested = yaml::parse("a: {allow: {or: [{accept: 1}]}}\nb: a").unwrap();
    assert!(SharedPolicies::new(&nested).is_err());
}
