//! What a decision and a compilation cost.

use std::sync::LazyLock;

use portcullis_identity::{Claims, Device, DeviceState, Group, Record, Records, Subject, Timestamp};
use portcullis_policy::{Effect, Facts, Program, Request, compile_policy, yaml};

/// Ten criteria of every kind that reads much.
const TEN: &str = "
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

/// External data of two types, which no rule of these meets at the first record.
static RECORDS: LazyLock<Records> = LazyLock::new(|| {
    let data = Claims::from_json(r#"{"score":1.5,"country":"DE","teams":["a","b"]}"#).unwrap();
    let record = |kind: &str, id: usize| Record { kind: kind.into(), id: format!("u-{id}").into(), data: data.clone() };
    (0..100).flat_map(|id| [record("hr", id), record("lockdown", id)]).collect()
});

/// Everything else, so that nothing in the language allocates.
const REST: &str = "
- allow:
    or:
      - authenticated_user: 1
      - user: {not_in: [a, b], contains: x}
      - device: {is: d-1, approved: false}
      - time_of_day: {timezone: Europe/Berlin, after: '22:00', before: '6:00'}
      - day_of_week: {is: mon-fri, timezone: America/New_York}
      - date: {after: 2020-01-01}
      - record: {type: hr, field: score, '>=': 4.5, '<': 100}
      - record: {type: hr, id: u-77, field: country, is: FR}
      - record: {type: lockdown, exists: false}
      - client_certificate: {san_dns: x}
      - invalid_client_certificate: 1
      - cors_preflight: 1
      - mcp_tool: {starts_with: q}
  deny: {nor: [{accept: 1}, {claim/level: 5}], not: [{user: {}}]}
";

fn subject() -> Subject {
    let mut claims: Vec<String> = (0..17).map(|number| format!("\"claim-{number}\":\"value-{number}\"")).collect();
    let roles: Vec<String> = (0..40).map(|number| format!("\"role-{number}\"")).collect();
    claims.push(format!("\"roles\":[{}],\"department\":\"platform\",\"level\":5", roles.join(",")));
    let group = |number: u32| Group { id: format!("group-{number}").into(), name: "".into(), email: "".into() };
    Subject {
        user_id: "u-1".into(),
        email: "kim@corp.test".into(),
        claims: Claims::from_json(&format!("{{{}}}", claims.join(","))).unwrap(),
        groups: Some((0..150).map(group).collect()),
        devices: [Device { kind: "any".into(), id: Some("d-1".into()), state: DeviceState::Enrolled }].into(),
        ..Subject::default()
    }
}

fn facts(subject: Option<&Subject>) -> Facts<'_> {
    let client_address = "192.0.2.7".parse().ok();
    let request = Request { method: "GET", path: "/wiki/page", client_address, ..Request::default() };
    Facts { now: Timestamp::from_unix_seconds(1_800_000_000), request, subject, records: Some(&*RECORDS) }
}

fn compile(policy: &str) -> std::sync::Arc<Program> {
    compile_policy(&yaml::parse(policy).unwrap()).unwrap().program
}

#[test]
fn a_decision_allocates_nothing() {
    let subject = subject();
    for policy in [TEN, REST, "[]"] {
        let program = compile(policy);
        for subject in [None, Some(&subject)] {
            let facts = facts(subject);
            let used = allocation_counter::measure(|| {
                std::hint::black_box(program.decide(&facts));
            });
            assert_eq!((used.count_total, used.bytes_total), (0, 0), "{policy}");
        }
    }
    assert_eq!(compile(TEN).decide(&facts(Some(&subject))).effect, Effect::Permit);
}
