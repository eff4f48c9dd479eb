//! Keeps the names of metrics true: what the documentation and the alerts speak of is registered somewhere.

#![expect(clippy::expect_used, reason = "a test says what it found by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Crates that register metrics.
const ROOMS: [&str; 6] = ["src", "proxy/src", "authn/src", "authn/oidc/src", "broker/src", "broker/api/src"];

fn files(folder: &Path, kind: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of ours") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files(&path, kind, found);
        } else if path.extension().is_some_and(|extension| extension == kind) {
            found.push(path);
        }
    }
}

/// Words that look like metrics of ours.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    // With one part behind the prefix it is a crate.
    words.filter(|word| word.starts_with("portcullis_") && word.matches('_').count() > 1)
}

#[test]
fn every_metric_that_is_spoken_of_is_registered() {
    let mut sources = Vec::new();
    ROOMS.iter().for_each(|room| files(&Path::new(ROOT).join(room), "rs", &mut sources));
    let mut registered = BTreeSet::new();
    for source in sources {
        let text = fs::read_to_string(source).expect("a source file");
        // Names are written out where they are registered: that is what makes them findable.
        let literals = text.split("\"portcullis_").skip(1).filter_map(|rest| rest.split_once('"'));
        registered.extend(literals.map(|(name, _)| format!("portcullis_{name}")));
    }
    let mut spoken = vec![Path::new(ROOT).join("deploy/alerts.yaml"), Path::new(ROOT).join("README.md")];
    files(&Path::new(ROOT).join("docs"), "md", &mut spoken);
    let mut unknown = Vec::new();
    let mut checked = 0;
    for page in spoken {
        let text = fs::read_to_string(&page).expect("a page");
        for word in words(&text) {
            let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| word.strip_suffix(end));
            let known = registered.contains(word) || base.is_some_and(|base| registered.contains(base));
            checked += 1;
            if !known {
                unknown.push(format!("{}: {word}", page.display()));
            }
        }
    }
    assert_eq!(unknown, Vec::<String>::new());
    assert!(checked > 20, "only {checked} names were looked at");
}
