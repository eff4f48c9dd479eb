//! `policy test`.

use std::fs;
use std::path::Path;

use super::{Folder, clock};
use crate::cli::PolicyTest;
use crate::policy::coverage::Share;
use crate::policy::junit;
use crate::policy::trial::{Report, run, trial};

/// A test file with these cases, against the configuration.
fn table(cases: &str) -> String {
    format!(
        "config: portcullis.yaml\n\
         subjects:\n\
         \x20 kim: {{session: {{user_id: u-kim}}, user: {{email: kim@corp.test}}}}\n\
         \x20 root: {{session: {{user_id: r}}, user: {{email: r@corp.test}}, directory: {{groups: [{{id: admins}}]}}}}\n\
         \x20 bob: {{session: {{user_id: b}}, user: {{email: b@corp.test}}, directory: {{groups: [{{id: suspended}}]}}}}\n\
         \x20 gone: {{session: {{user_id: g, expires_at: 2026-03-02T08:00:00Z}}, user: {{email: g@corp.test}}}}\n\
         cases:\n{cases}"
    )
}

fn tried(folder: &Folder, cases: &str) -> Report {
    trial(&folder.file("one.test.yaml", &table(cases)), None, &clock()).unwrap()
}

#[test]
fn a_case_passes_where_everything_it_expects_is_so() {
    let folder = Folder::new();
    for case in [
        "{route: wiki, expect: challenge, reasons: [user-unauthenticated]}",
        "{route: wiki, as: null, expect: challenge}",
        "{route: wiki, as: kim, expect: permit, rule: 0, line: 6, reasons: [domain-ok]}",
        "{route: wiki, as: bob, expect: deny, rule: 1, line: 7, reasons: [groups-ok]}",
        "{route: wiki, as: gone, expect: challenge}",
        "{route: wiki, as: gone, now: 2026-03-02T07:59:59Z, expect: permit}",
        "{request: {host: wiki.corp.test, path: /page?x=1}, as: kim, expect: permit}",
        "{route: wiki, request: {path: /admin}, as: kim, expect: permit}",
        "{request: {host: WIKI.corp.test, path: /x/../admin/keys}, as: kim, expect: deny}",
        "{route: admin, as: root, expect: permit}",
        "{route: admin, as: root, request: {method: DELETE}, expect: deny}",
        "{route: admin, as: root, sign_in: {authenticated_at: 2026-03-02T08:30:00Z}, expect: challenge}",
        "{route: admin, as: root, sign_in: {provider: corp}, expect: permit}",
        "{route: open, expect: permit}",
        "{request: {host: nowhere.corp.test}, expect: deny}",
        "{request: {host: wiki.corp.test, path: '/%2e%2e/%2e%2e/x'}, as: kim, expect: deny}",
        "{request: {host: wiki.corp.test, path: /a%2Fb}, as: kim, expect: deny}",
    ] {
        let report = tried(&folder, &format!("  - {}\n", case.replacen('{', "{name: case, ", 1)));
        assert_eq!(report.results[0].failure, None, "{case}");
    }
}

#[test]
fn a_case_fails_with_what_was_expected_and_what_came() {
    let folder = Folder::new();
    for (case, expected, got) in [
        (
            "{route: wiki, as: kim, expect: deny}",
            "expected deny",
            "permit: route wiki (line 20), rule 0 (allow, line 6): domain-ok",
        ),
        ("{route: wiki, as: kim, expect: permit, rule: 1}", "expected rule 1", "rule 0 (allow, line 6)"),
        ("{route: wiki, as: kim, expect: permit, line: 7}", "expected the rule on line 7", "rule 0 (allow, line 6)"),
        (
            "{route: wiki, as: bob, expect: permit, reasons: [domain-ok]}",
            "expected permit; reasons domain-ok",
            "deny: route wiki",
        ),
        ("{route: wiki, request: {path: /admin/}, as: kim, expect: deny}", "expected route wiki", "deny: route admin"),
        ("{route: admin, as: kim, expect: permit}", "expected permit", "no allow rule holds: groups-unauthorized"),
        (
            "{route: admin, as: root, sign_in: {authenticated_at: 2026-03-02T08:30:00Z}, expect: permit}",
            "expected permit",
            "challenge: route admin (line 9), rule 0 (allow, line 16): needs-fresh-sign-in",
        ),
        (
            "{request: {host: nowhere.corp.test}, expect: permit}",
            "expected permit",
            "no route serves this host and path",
        ),
        (
            "{request: {host: wiki.corp.test, path: /ping}, expect: permit}",
            "expected permit",
            "own: Portcullis answers",
        ),
        ("{request: {host: 'a b'}, expect: permit}", "expected permit", "deny: the request is malformed"),
    ] {
        let report = tried(&folder, &format!("  - {}\n", case.replacen('{', "{name: case, ", 1)));
        let failure = report.results[0].failure.as_deref().unwrap_or_else(|| panic!("{case}"));
        let (first, second) = failure.split_once('\n').unwrap();
        assert!(first.contains(expected) && second.contains(got), "{case}\n{failure}");
    }
}

#[test]
fn a_policy_in_the_test_file_is_tested_where_it_stands() {
    let folder = Folder::new();
    let text = "policy:\n  - allow: {and: [{domain: corp.test}, {http_path: {starts_with: /a}}]}\n\
                subjects: {kim: {session: {}, user: {email: kim@corp.test}}}\ncases:\n\
                \x20 - {name: a, request: {path: /a%62c}, as: kim, expect: permit, line: 2}\n\
                \x20 - {name: b, request: {path: /b}, as: kim, expect: deny}\n\
                \x20 - {name: c, request: {path: /a}, expect: challenge}\n";
    let report = trial(&folder.file("p.test.yaml", text), None, &clock()).unwrap();
    assert!(report.results.iter().all(|tested| tested.failure.is_none()), "{report:?}");
    let text = "route:\n  allowed_users: [kim@corp.test]\n\
                subjects: {kim: {session: {}, user: {email: kim@corp.test}}}\ncases:\n\
                \x20 - {name: a, as: kim, expect: permit, line: 2}\n";
    let report = trial(&folder.file("r.test.yaml", text), None, &clock()).unwrap();
    assert!(report.results.iter().all(|tested| tested.failure.is_none()), "{report:?}");
    let text = "policy: {allow: {or: [{record: {type: badge, id: b-1}}]}}\ncases:\n\
                \x20 - {name: a, records: [{type: badge, id: b-1}], expect: permit}\n\
                \x20 - {name: b, records: [{type: badge, id: b-2}], expect: deny}\n";
    let report = trial(&folder.file("d.test.yaml", text), None, &clock()).unwrap();
    assert!(report.results.iter().all(|tested| tested.failure.is_none()), "{report:?}");
}

#[test]
fn what_no_case_made_true_is_named() {
    let folder = Folder::new();
    let report = tried(
        &folder,
        "  - {name: a, route: wiki, as: kim, expect: permit}\n  - {name: b, route: admin, expect: challenge}\n",
    );
    let (rules, criteria) = report.coverage.shares();
    assert_eq!((rules, criteria), (Share { held: 1, all: 4 }, Share { held: 2, all: 5 }));
    assert_eq!(
        report.coverage.untried(),
        [
            "admin: allow (line 16) never held",
            "admin: allow (line 16): `groups` (line 18) never held",
            "wiki: deny (line 7) never held",
            "wiki: deny (line 7): `groups` (line 7) never held",
            "open: no case",
        ]
    );
}

#[test]
fn a_broken_file_is_told_with_its_place() {
    let folder = Folder::new();
    for (text, expected) in [
        ("config: portcullis.yaml\ncasess: []\n", "2:1: unknown key `casess`, did you mean `cases`?"),
        ("config: portcullis.yaml\n", "1:1: there are no `cases`"),
        ("cases: []\n", "1:1: one of `config`, `policy` and `route` is needed"),
        ("config: a\npolicy: {}\ncases: []\n", "2:1: `config`, `policy` and `route` exclude each other"),
        ("config: [\n", ":2:1: "),
        ("config: portcullis.yaml\ncases:\n  - {route: wiki, expect: deny}\n", "3:5: the case has no `name`"),
        ("config: portcullis.yaml\ncases:\n  - {name: a, route: wiki}\n", "3:5: the case has no `expect`"),
        ("config: portcullis.yaml\ncases:\n  - {name: a, expect: deny}\n", "3:5: the case names neither"),
        (
            "config: portcullis.yaml\ncases:\n  - {name: a, route: wikki, expect: deny}\n",
            "3:1: there is no route `wikki`, did you mean `wiki`?",
        ),
        (
            "config: portcullis.yaml\ncases:\n  - {name: a, route: wiki, expect: allow}\n",
            "3:36: `expect` is `permit`, `deny` or `challenge`, not `allow`",
        ),
        (
            "config: portcullis.yaml\ncases:\n  - {name: a, route: wiki, as: kim, expect: deny}\n",
            "3:32: there is no subject `kim`",
        ),
        (
            "config: portcullis.yaml\nsubjects: {kim: {sesion: {}}}\ncases: []\n",
            "2:18: unknown key `sesion`, did you mean `session`?",
        ),
        (
            "config: portcullis.yaml\nsubjects: {kim: {user: {}}}\ncases: []\n",
            "2:17: subject: one of `session` and `service_account` is needed",
        ),
        (
            "config: portcullis.yaml\ncases:\n  - {name: a, route: wiki, request: {metod: GET}, expect: deny}\n",
            "3:38: unknown key `metod`, did you mean `method`?",
        ),
        (
            "config: portcullis.yaml\ncases:\n  - {name: a, route: wiki, request: {client_address: x}, expect: deny}\n",
            "3:37: request.client_address: `x` is no IP address",
        ),
        (
            "config: portcullis.yaml\ncases:\n  - {name: a, route: wiki, reasons: [email-okay], expect: deny}\n",
            "3:38: unknown reason `email-okay`, did you mean `email-ok`?",
        ),
        ("policy: {allow: {or: [{emial: a}]}}\ncases: []\n", "1:24: unknown criterion `emial`, did you mean `email`?"),
        ("config: missing.yaml\ncases: []\n", "missing.yaml: "),
    ] {
        let broken = trial(&folder.file("broken.test.yaml", text), None, &clock()).unwrap_err().to_string();
        assert!(broken.contains(expected), "{text}\n{broken}");
    }
}

#[test]
fn a_configuration_that_is_wrong_where_decisions_look_is_refused() {
    let folder = Folder::new();
    let test = folder.file("one.test.yaml", &table("  - {name: a, route: wiki, as: kim, expect: permit}\n"));
    let note = trial(&test, None, &clock()).unwrap().note.unwrap();
    assert!(note.contains("by its routes and policies alone") && note.contains("missing/idp"), "{note}");
    for (right, wrong) in [
        ("domain: corp.test", "domian: corp.test"),
        ("https://wiki", "http://wiki"),
        ("policy: staff", "policy: stuff"),
    ] {
        folder.file("portcullis.yaml", &super::CONFIG.replace(right, wrong));
        let broken = trial(&test, None, &clock()).unwrap_err().to_string();
        assert!(broken.contains("portcullis.yaml:"), "{broken}");
    }
    // What only a whole reading finds is told beside what is missing here.
    folder.file("portcullis.yaml", &super::CONFIG.replace("auth.corp.test", "open.corp.test"));
    let broken = trial(&test, None, &clock()).unwrap_err().to_string();
    assert!(broken.contains("missing/idp") && broken.lines().count() == 3, "{broken}");
}

#[test]
fn the_status_tells_passed_failed_and_broken_apart() {
    let folder = Folder::new();
    let good = "  - {name: good, route: wiki, as: kim, expect: permit}\n";
    let bad = "  - {name: 'bad <1> & \"2\"', route: wiki, expect: permit}\n";
    let (good, bad) = (folder.file("good.test.yaml", &table(good)), folder.file("bad.test.yaml", &table(bad)));
    let broken = folder.file("broken.yaml", "cases: 1\n");
    let junit = folder.path("out.xml");
    let status = |files: &[&std::path::PathBuf]| {
        let files = files.iter().map(|path| (*path).clone()).collect();
        run(&PolicyTest { files, config: None, junit: Some(junit.clone()) }, &clock()).unwrap()
    };
    assert_eq!(status(&[&good]), 0);
    assert_eq!(status(&[&good, &bad]), 1);
    let xml = fs::read_to_string(&junit).unwrap();
    assert!(
        xml.contains("tests=\"1\" failures=\"1\"") && xml.contains("name=\"bad &lt;1&gt; &amp; &quot;2&quot;\""),
        "{xml}"
    );
    assert!(xml.contains("<failure message=\"expected permit\">"), "{xml}");
    assert_eq!(status(&[&broken, &good]), 2);
    // Without files: those beside the configuration.
    let options = PolicyTest { files: Vec::new(), config: Some(folder.path("portcullis.yaml")), junit: None };
    assert_eq!(run(&options, &clock()).unwrap(), 1);
    assert_eq!(junit::document(&[]).lines().count(), 3);
}

#[test]
fn the_example_passes_and_leaves_nothing_untried() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/examples/teams.test.yaml");
    let report = trial(&file, None, &clock()).unwrap();
    for tested in &report.results {
        assert_eq!(tested.failure, None, "{}", tested.name);
    }
    assert!(report.results.len() >= 12);
    let untried = report.coverage.untried();
    assert!(untried.is_empty(), "{untried:?}");
}

/// The test files on the page about them.
#[test]
fn the_documentation_holds() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/policy-tests.md")).unwrap();
    let mut count = 0;
    for block in page.split("```yaml\n").skip(1) {
        let text = block.split("```").next().unwrap();
        if !text.contains("cases:") {
            continue;
        }
        let folder = Folder::new();
        fs::copy(
            Path::new(env!("CARGO_MANIFEST_DIR")).join("config/examples/teams.yaml"),
            folder.path("portcullis.yaml"),
        )
        .unwrap();
        let report = trial(&folder.file("page.test.yaml", text), None, &clock())
            .unwrap_or_else(|broken| panic!("{broken}\n{text}"));
        for tested in &report.results {
            assert_eq!(tested.failure, None, "{}", tested.name);
        }
        count += 1;
    }
    assert!(count >= 2, "{count}");
}
