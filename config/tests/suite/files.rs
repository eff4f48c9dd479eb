//! Loads from disk: what is half there is never taken.

use std::fs;

use portcullis_config::load;

use crate::scene::{HEAD, Scene, public};

const TEXT: &str =
    "routes:\n  - from: https://a.test\n    to: http://b:8080\n    allow_public_unauthenticated_access: true\n";

#[test]
fn a_file_and_what_it_references_are_listed_with_their_content() {
    let scene = Scene::new();
    let path = scene.path("p.yaml");
    fs::write(&path, format!("secret: {{file: ring}}\n{TEXT}")).unwrap();
    let loaded = load(&path, &scene.variables).unwrap();
    let names: Vec<&str> = loaded.files.iter().map(|file| file.path.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["p.yaml", "ring"]);
    assert!(loaded.files.iter().all(|file| file.digest.is_some()));
    let generation = loaded.config.generation;
    assert_eq!(load(&path, &scene.variables).unwrap().config.generation, generation);
    scene.secret("ring", "bmV3IG5ldyBuZXcgbmV3IG5ldyBuZXcgbmV3IG5ldy4=\n");
    assert_ne!(load(&path, &scene.variables).unwrap().config.generation, generation);
}

#[test]
fn missing_and_odd_files_are_named() {
    let scene = Scene::new();
    let path = scene.path("p.yaml");
    let said = load(&path, &scene.variables).unwrap_err().to_string();
    assert!(said.contains("p.yaml: cannot be read"), "{said}");
    fs::write(&path, "").unwrap();
    assert!(load(&path, &scene.variables).unwrap_err().to_string().contains("p.yaml: the configuration is empty"));
    fs::write(&path, [0xff, b'\n']).unwrap();
    assert!(load(&path, &scene.variables).unwrap_err().to_string().contains("not UTF-8"));
    assert!(load(scene.folder(), &scene.variables).unwrap_err().to_string().contains("not a regular file"));
    fs::write(&path, TEXT).unwrap();
    load(&path, &scene.variables).unwrap();
}

#[test]
fn an_error_lists_the_files_that_were_looked_for() {
    let scene = Scene::new();
    let path = scene.path("p.yaml");
    fs::write(&path, format!("secret: {{file: later}}\n{TEXT}")).unwrap();
    let error = load(&path, &scene.variables).unwrap_err();
    let listed: Vec<(bool, bool)> =
        error.files().iter().map(|file| (file.path.ends_with("later"), file.digest.is_some())).collect();
    assert_eq!(listed, [(false, true), (true, false)]);
}

#[test]
fn no_file_that_is_cut_inside_a_line_is_taken() {
    let scene = Scene::new();
    let path = scene.path("p.yaml");
    let text = format!(
        "{HEAD}routes:\n  - from: https://a.test\n    to: http://b:8080\n    policy:\n      - allow:\n          and:\n            \
         - domain: corp.test\n            - groups: {{has: admins}}\n  - from: https://c.test\n    to: http://d\n    allowed_domains:\n      - corp.test\n"
    );
    fs::write(&path, &text).unwrap();
    load(&path, &scene.variables).unwrap();
    let mut taken = 0;
    for end in 0..text.len() {
        fs::write(&path, text.get(..end).unwrap()).unwrap();
        if load(&path, &scene.variables).is_ok() {
            let cut = text.get(..end).unwrap();
            assert!(cut.ends_with('\n'), "taken: {cut:?}");
            taken += 1;
        }
    }
    // A cut between two lines can look whole; only a settled file tells, which is why writers rename.
    assert!(taken < 8, "{taken}");
}

#[test]
fn relative_paths_are_relative_to_the_file() {
    let scene = Scene::new();
    fs::create_dir(scene.path("etc")).unwrap();
    let path = scene.path("etc/p.yaml");
    fs::write(&path, format!("secret: {{file: ../ring}}\n{}", public("to: https://a\ntls_custom_ca_file: ../ca.pem")))
        .unwrap();
    load(&path, &scene.variables).unwrap();
}
