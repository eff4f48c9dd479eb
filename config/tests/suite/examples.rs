//! Every file in `config/examples` is a whole configuration, without a warning of carelessness.

use std::fs;
use std::path::{Path, PathBuf};

use portcullis_config::load;

use crate::scene::{CANARY, Scene};

/// Where examples keep what they refer to.
const ELSEWHERE: &str = "/etc/portcullis/";

/// Warnings that an example may have: what it shows on purpose.
const ON_PURPOSE: [&str; 3] = ["a self-signed one is made", "gives up the `__Host-` prefix", "whoever runs it"];

/// An example with its references pointing into the scene, each of which is there.
fn adapted(scene: &Scene, text: &str) -> PathBuf {
    for name in ["idp", "idp-partners", "ring", "proxy-keys"] {
        scene.secret(name, &format!("{CANARY}\n"));
    }
    let hosts = ["*.corp.test", "auth.corp.test", "wiki.example.com", "auth.example.com", "status.example.com"];
    let made = rcgen::generate_simple_self_signed(hosts.map(str::to_owned)).unwrap();
    scene.secret("clients.crl", &crate::client_certificates::revocation_list());
    for name in ["site.pem", "tls.pem", "ca.pem", "client.pem", "clients-ca.pem"] {
        scene.secret(name, &made.cert.pem());
    }
    for name in ["site.key", "tls.key", "client.key", "assertion.pem"] {
        scene.secret(name, &made.signing_key.serialize_pem());
    }
    let path = scene.path("example.yaml");
    fs::write(&path, text.replace(ELSEWHERE, &format!("{}/", scene.folder().display()))).unwrap();
    path
}

fn scene() -> Scene {
    let mut scene = Scene::new();
    scene.variables.0.insert("CREDENTIALS_DIRECTORY".into(), scene.folder().display().to_string());
    scene.variables.0.insert("IDP_CLIENT_SECRET".into(), CANARY.into());
    scene
}

/// The YAML blocks of a page that are whole configurations, without the indentation of the list they stand in.
fn blocks(page: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut lines = page.lines();
    while let Some(fence) = lines.find(|line| line.trim_start() == "```yaml") {
        let indent = fence.len() - fence.trim_start().len();
        let inside = lines.by_ref().take_while(|line| line.trim_start() != "```");
        let block: String = inside.map(|line| format!("{}\n", line.get(indent..).unwrap_or_default())).collect();
        if block.lines().any(|line| line == "routes:") {
            blocks.push(block);
        }
    }
    blocks
}

#[test]
fn configurations_in_the_documentation_load() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let pages = fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    for page in pages.chain([root.join("README.md")]).filter(|page| page.extension().is_some_and(|kind| kind == "md")) {
        for block in blocks(&fs::read_to_string(&page).unwrap()) {
            let scene = scene();
            let loaded = load(&adapted(&scene, &block), &scene.variables);
            assert!(loaded.is_ok(), "{}\n{}", page.display(), loaded.unwrap_err());
        }
    }
}

#[test]
fn every_example_loads() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut count = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let example = entry.unwrap().path();
        // Tests of an example's policies stand beside it; `portcullis policy test` reads those.
        if example.to_string_lossy().ends_with(".test.yaml") {
            continue;
        }
        let scene = scene();
        let path = adapted(&scene, &fs::read_to_string(&example).unwrap());
        let loaded = load(&path, &scene.variables).unwrap_or_else(|error| panic!("{}\n{error}", example.display()));
        for warning in &loaded.config.warnings {
            let text = warning.to_string();
            assert!(ON_PURPOSE.iter().any(|known| text.contains(known)), "{}: {text}", example.display());
        }
        assert!(!loaded.config.routes.is_empty());
        count += 1;
    }
    assert!(count >= 8, "{count}");
}
