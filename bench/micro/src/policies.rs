//! Policies and the facts they are asked about.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use portcullis_identity::{Claims, Device, DeviceState, Group, Records, Subject, Timestamp};
use portcullis_policy::{Facts, Program, Request, SharedPolicies, compile_policy, compile_route, yaml};

/// Ten criteria of every kind that reads much; the last rule's are tried in vain, like those of most denials.
pub const TEN: &str = "
- allow:
    and:
      - domain: corp.test
      - groups: group-149
      - groups: {exclude: contractors}
      - claim/department: platform
      - claim/roles: {has: role-17}
      - claim/a/b: {exclude: x}
      - email: {in: [a@corp.test, b@corp.test, kim@corp.test]}
      - http_method: {in: [GET, HEAD]}
- deny:
    or:
      - source_ip: [203.0.113.0/24, 198.51.100.0/24, 2001:db8::/32]
      - http_path: {starts_with: /internal/}
";

/// Somebody with 20 claims, one of them with 40 values, and 150 groups.
#[must_use]
pub fn subject() -> Subject {
    let mut claims: Vec<String> = (0..17).map(|number| format!("\"claim-{number}\":\"value-{number}\"")).collect();
    let roles: Vec<String> = (0..40).map(|number| format!("\"role-{number}\"")).collect();
    claims.push(format!("\"roles\":[{}],\"department\":\"platform\",\"level\":5", roles.join(",")));
    let group = |number: u32| Group { id: format!("group-{number}").into(), name: "".into(), email: "".into() };
    Subject {
        user_id: "u-1".into(),
        email: "kim@corp.test".into(),
        claims: Claims::from_json(&format!("{{{}}}", claims.join(","))).expect("claims"),
        groups: Some((0..150).map(group).collect()),
        devices: [Device { kind: "any".into(), id: Some("d-1".into()), state: DeviceState::Enrolled }].into(),
        ..Subject::default()
    }
}

/// A request of `subject` for a page.
#[must_use]
pub fn facts(subject: Option<&Subject>) -> Facts<'_> {
    let client_address = Some([192, 0, 2, 7].into());
    let request = Request { method: "GET", path: "/wiki/page", client_address, ..Request::default() };
    Facts { now: Timestamp::from_unix_seconds(1_800_000_000), request, subject, records: Some(Records::none()) }
}

/// A policy's program.
#[must_use]
pub fn compiled(policy: &str) -> Arc<Program> {
    compile_policy(&yaml::parse(policy).expect("YAML")).expect("a policy").program
}

/// The policy of every route of every example configuration, by `file/route`.
#[must_use]
pub fn of_the_examples() -> Vec<(String, Arc<Program>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/examples");
    let files = std::fs::read_dir(folder).expect("the examples").map(|file| file.expect("a file").path());
    let mut files: Vec<_> = files.filter(|file| file.extension().is_some_and(|kind| kind == "yaml")).collect();
    files.sort();
    let mut programs = Vec::new();
    for file in files {
        let tree = yaml::parse(&std::fs::read_to_string(&file).expect("an example")).expect("YAML");
        let shared = tree.get("policies").map(|policies| SharedPolicies::new(policies).expect("policies").0);
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        for route in tree.get("routes").and_then(yaml::Node::as_list).unwrap_or_default() {
            let program = compile_route(route, &shared.clone().unwrap_or_default()).expect("a route's policy").program;
            let label = ["name", "from"].iter().find_map(|key| route.get(key)?.as_text()).unwrap_or_default();
            programs.push((format!("{name}/{label}"), program));
        }
    }
    programs
}

/// The texts of as many policies, no two alike: what a configuration has whose every route has rules of its own.
#[must_use]
pub fn different(count: usize) -> Vec<String> {
    let text = |number: usize| {
        let mut text = String::new();
        // Writing to a text cannot fail.
        write!(
            text,
            "- allow:\n    and:\n      - domain: team-{number}.corp.test\n      - groups: {{has: group-{number}}}\n      \
             - http_method: {{in: [GET, HEAD, POST]}}\n- deny:\n    or:\n      - source_ip: 10.{}.{}.0/24\n      \
             - claim/status: suspended-{number}\n",
            number / 256 % 256,
            number % 256
        )
        .expect("a text");
        text
    };
    (0..count).map(text).collect()
}
