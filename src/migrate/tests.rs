//! Realistic files of both, converted and loaded: what comes out is a configuration, and nothing is lost in silence.

mod oauth2_proxy;
mod pomerium;
mod scene;
mod table;

use std::path::Path;

use self::scene::Scene;
use super::secrets::{self, Existing};
use super::{MigrateError, emit, reader};

#[test]
fn comments_travel_and_secrets_in_them_do_not() {
    let text = "# all of it\n\n# who signs in\nidp_provider: oidc # ours\nidp_provider_url: https://idp.corp.test\nidp_client_id: a\n\
        # rotated in May; before: s3cret-s3cret\nidp_client_secret: s3cret-s3cret # s3cret-s3cret\n\
        authenticate_service_url: https://authenticate.corp.test # the login host\nroutes:\n  # the wiki\n  - from: https://wiki.corp.test # public name\n\
        \x20   to: http://wiki:80\n    # who\n    policy: # rules\n      - allow: # good\n          and:\n            # staff\n            - domain: corp.test # us\n\
        \x20   set_response_headers:\n      X-A: 'a # b'\n      X-B: |-\n        # no comment\n";
    let scene = Scene::new();
    let made = scene.convert(text);
    assert!(!made.text.contains("s3cret"), "{}", made.text);
    for wanted in [
        "# all of it\n",
        "# who signs in\n    issuer: https://idp.corp.test  # ours",
        "# rotated in May; before: …\n",
        "host: authenticate.corp.test  # the login host",
        "  # the wiki\n  - from: https://wiki.corp.test  # public name",
        "    # who\n    policy:  # rules",
        "- allow:  # good",
        "            # staff\n            - domain: corp.test  # us",
        "X-A: \"a # b\"",
        "X-B: \"# no comment\"",
    ] {
        assert!(made.text.contains(wanted), "{wanted}\n---\n{}", made.text);
    }
    scene.loads(&made);
}

#[test]
fn what_is_written_is_read_back_the_same() {
    let text = "a: [1, 'x: y', \"#\", true, 'true', '1', null, '', 'a, b', '[', '{', '0x1', '1e3', 30s, 127.0.0.1:80, yes, '~', '- a', 'a\\b', \"tab\\t\", 'it''s']\n\
        b: {c: {d: [{e: 1, f: 'g:'}]}}\nh: |\n  line\n\n    deeper\ni: ' padded '\nj: [[1, [2]], []]\nk: {}\n'l m': '*x'\n'12': '&y'\nn: |-\n  a\n  b\n";
    let file = "t.yaml".into();
    let document = reader::yaml(text, &file).unwrap();
    let written = emit::document(&[], &document.root);
    let strict = portcullis_policy::yaml::parse(&written).unwrap_or_else(|error| panic!("{error}\n{written}"));
    let again = emit::document(&[], &reader::yaml(&written, &file).unwrap().root);
    assert_eq!(written, again);
    let before = portcullis_policy::yaml::parse(text).unwrap();
    assert_eq!(plain(&before), plain(&strict), "{written}");
}

/// A tree without its places.
fn plain(node: &portcullis_policy::yaml::Node) -> String {
    use portcullis_policy::yaml::Kind;
    match node.kind() {
        Kind::Null => "null".to_owned(),
        Kind::Boolean(value) => value.to_string(),
        Kind::Number(number) => number.to_string(),
        Kind::Text(text) => format!("{text:?}"),
        Kind::List(items) => format!("{:?}", items.iter().map(plain).collect::<Vec<_>>()),
        Kind::Mapping(entries) => {
            format!(
                "{:?}",
                entries.iter().map(|entry| (entry.key.to_string(), plain(&entry.value))).collect::<Vec<_>>()
            )
        }
    }
}

#[test]
fn secrets_are_written_for_their_owner_only_and_never_over_others() {
    use std::os::unix::fs::PermissionsExt as _;
    let scene = Scene::new();
    let made = scene.convert("idp_provider: google\nidp_client_id: a\nidp_client_secret: first-secret\nroutes: []\n");
    let folder = scene.folder().join("secrets");
    assert_eq!(made.secrets.len(), 1);
    secrets::write(&made.secrets, Existing::Keep).unwrap();
    let path = &made.secrets[0].path;
    assert!(path.starts_with(&folder));
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(path), mode(&folder)), (0o600, 0o700));
    // The same again is nothing new; another is refused, unless it is meant.
    secrets::write(&made.secrets, Existing::Keep).unwrap();
    let other = scene.convert("idp_provider: google\nidp_client_id: a\nidp_client_secret: other-secret\nroutes: []\n");
    assert!(secrets::write(&other.secrets, Existing::Keep).is_err());
    assert_eq!(std::fs::read_to_string(path).unwrap(), "first-secret\n");
    secrets::write(&other.secrets, Existing::Replace).unwrap();
    assert_eq!(std::fs::read_to_string(path).unwrap(), "other-secret\n");
    assert_eq!(mode(path), 0o600);
}

#[test]
fn what_is_nobodys_configuration_is_refused() {
    let scene = Scene::new();
    let error = |name: &str, text: &str| scene.try_convert(&[(name, text)]).unwrap_err();
    assert!(matches!(error("a.yaml", "a: [\n"), MigrateError::Unreadable { .. }));
    assert!(matches!(error("a.yaml", "hello: world\n"), MigrateError::Foreign { .. }));
    assert!(matches!(error("a.toml", "idp_provider = \"google\"\n"), MigrateError::PomeriumToml { .. }));
    assert!(matches!(error("a.cfg", "upstreams = [\"http://a\"\nx"), MigrateError::Unreadable { .. }));
    let two = [("a.yaml", "idp_provider: google\n"), ("b.yaml", "idp_provider: google\n")];
    assert!(matches!(scene.try_convert(&two).unwrap_err(), MigrateError::Mixed));
}

#[test]
fn a_pomerium_file_runs_as_it_is_unless_protection_is_lost() {
    use super::{Losses, RunError, load_pomerium};
    let scene = Scene::new();
    let good = "authenticate_service_url: https://authenticate.corp.test\nidp_provider: google\nidp_client_id: a\nidp_client_secret: a-secret\n\
        frobnicate: 1\nroutes:\n  - {from: 'https://wiki.corp.test', to: 'http://wiki', allowed_domains: [corp.test]}\n";
    let path = scene.write("good.yaml", good);
    let (loaded, findings) = load_pomerium(&path, Losses::Refuse, &scene.variables).unwrap();
    assert_eq!(loaded.config.routes.len(), 1);
    assert!(findings.iter().any(|line| line.contains(":5:1: `frobnicate`")), "{findings:?}");
    assert_eq!(loaded.files[0].path, path);
    let secret = scene.folder().join("state/pomerium/idp-google");
    assert!(loaded.files.iter().any(|file| file.path == secret));
    let path = scene.write("bad.yaml", &format!("{good}allow_list: [a]\n"));
    let refused = load_pomerium(&path, Losses::Refuse, &scene.variables).unwrap_err();
    assert!(matches!(refused, RunError::Losses { .. }));
    assert!(load_pomerium(&path, Losses::Accept, &scene.variables).is_ok());
}
