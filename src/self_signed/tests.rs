//! The self-signed certificate outlives a restart, and follows the names of the configuration.

use std::sync::Arc;

use portcullis_config::{Environment, from_text};

use super::*;

#[derive(Debug)]
struct NoEnvironment;

impl Environment for NoEnvironment {
    fn var(&self, _: &str) -> Option<String> {
        None
    }

    fn credentials_directory(&self) -> Option<PathBuf> {
        None
    }
}

fn config(hosts: &[&str]) -> Arc<Config> {
    let mut text = "routes:\n".to_owned();
    for host in hosts {
        text.push_str(&format!(
            "  - {{from: \"https://{host}\", to: \"http://127.0.0.1:1\", allow_public_unauthenticated_access: true}}\n"
        ));
    }
    from_text(&text, "test.yaml", Path::new("/"), &NoEnvironment).unwrap().config
}

const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

#[test]
fn the_certificate_outlives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&["a.test", "*.b.test"]);
    let first = for_names_of(&config, folder.path(), NOW).unwrap();
    let later = NOW.saturating_add(std::time::Duration::from_secs(86_400));
    assert_eq!(for_names_of(&config, folder.path(), later).unwrap().chain, first.chain);
}

#[test]
fn a_new_name_or_a_near_end_makes_a_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let first = for_names_of(&config(&["a.test"]), folder.path(), NOW).unwrap();
    let second = for_names_of(&config(&["a.test", "c.test"]), folder.path(), NOW).unwrap();
    assert_ne!(first.chain, second.chain);
    let near_end = NOW.saturating_add(LIFETIME.saturating_sub(RENEW_BEFORE));
    assert_ne!(for_names_of(&config(&["a.test", "c.test"]), folder.path(), near_end).unwrap().chain, second.chain);
}

#[test]
fn a_damaged_file_is_named_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&["a.test"]);
    for_names_of(&config, folder.path(), NOW).unwrap();
    let path = folder.path().join("self-signed.pem");
    let line = fs::read_to_string(&path).unwrap().lines().next().unwrap().to_owned();
    fs::write(&path, format!("{line}\nnot PEM\n")).unwrap();
    let error = for_names_of(&config, folder.path(), NOW).unwrap_err();
    assert!(matches!(error, SelfSignedError::Unreadable { .. }), "{error}");
}
