//! Reads the manifests and keeps the directions of ARCHITECTURE.md true: who may use whom, and what must not
//! come in even through a dependency.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a test says what it found by panicking")]

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::process::Command;

use serde_json::Value;

/// Every room with its floor. A room may use rooms of lower floors, and of its own floor only those listed.
const FLOORS: &[(&str, u8, &[&str])] = &[
    ("portcullis-identity", 0, &[]),
    ("portcullis-keys", 1, &[]),
    ("portcullis-policy", 1, &[]),
    ("portcullis-config", 2, &[]),
    ("portcullis-gate", 2, &["portcullis-config"]),
    ("portcullis-handover", 2, &[]),
    ("portcullis-reply", 2, &["portcullis-config", "portcullis-gate"]),
    ("portcullis-oidc", 3, &[]),
    ("portcullis-broker-api", 3, &[]),
    ("portcullis-proxy", 4, &[]),
    ("portcullis-authn", 4, &[]),
    ("portcullis-broker", 4, &[]),
    ("portcullis-demo", 5, &[]),
    ("portcullis", 5, &["portcullis-demo"]),
    ("portcullis-bench", 5, &["portcullis-demo"]),
    ("portcullis-fuzz", 5, &[]),
    ("portcullis-micro", 5, &[]),
];

/// What the floors below 3 never reach, not even through a dependency.
const NOT_BELOW_FLOOR_THREE: &[&str] = &["tokio", "tonic", "pingora-core", "pingora-proxy", "hyper", "reqwest"];

/// What nobody reaches at all: a second TLS stack, an unsound YAML reader.
const NEVER: &[&str] = &["openssl-sys", "serde_yml", "libyml", "native-tls"];

struct Graph {
    names: BTreeMap<String, String>,
    uses: BTreeMap<String, BTreeSet<String>>,
}

impl Graph {
    fn read() -> Self {
        let output = Command::new(env!("CARGO"))
            .args(["metadata", "--format-version", "1", "--locked", "--manifest-path"])
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
            .output()
            .expect("cargo metadata runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON");
        let mut names = BTreeMap::new();
        for package in metadata["packages"].as_array().expect("packages") {
            names.insert(text(&package["id"]), text(&package["name"]));
        }
        let mut uses = BTreeMap::new();
        for node in metadata["resolve"]["nodes"].as_array().expect("nodes") {
            let normal =
                node["deps"].as_array().expect("deps").iter().filter(|dep| {
                    dep["dep_kinds"].as_array().expect("kinds").iter().any(|kind| kind["kind"].is_null())
                });
            uses.insert(text(&node["id"]), normal.map(|dep| text(&dep["pkg"])).collect());
        }
        Self { names, uses }
    }

    fn id(&self, name: &str) -> &str {
        self.names.iter().find(|(_, known)| *known == name).map(|(id, _)| id.as_str()).expect("a package of that name")
    }

    fn direct(&self, name: &str) -> BTreeSet<&str> {
        self.uses[self.id(name)].iter().map(|id| self.names[id].as_str()).collect()
    }

    fn reached(&self, name: &str) -> BTreeSet<&str> {
        let mut seen = BTreeSet::new();
        let mut queue = VecDeque::from([self.id(name)]);
        while let Some(id) = queue.pop_front() {
            if seen.insert(id) {
                queue.extend(self.uses[id].iter().map(String::as_str));
            }
        }
        seen.into_iter().map(|id| self.names[id].as_str()).collect()
    }
}

fn text(value: &Value) -> String {
    value.as_str().expect("a string").to_owned()
}

fn floor(name: &str) -> Option<u8> {
    FLOORS.iter().find(|(known, ..)| *known == name).map(|(_, floor, _)| *floor)
}

#[test]
fn rooms_use_only_lower_floors() {
    let graph = Graph::read();
    for (name, own, neighbours) in FLOORS {
        for used in graph.direct(name).into_iter().filter(|used| used.starts_with("portcullis")) {
            let below = floor(used).unwrap_or_else(|| panic!("{used} has no floor")) < *own;
            assert!(below || neighbours.contains(&used), "{name} (floor {own}) must not use {used}");
        }
    }
}

#[test]
fn every_room_of_the_workspace_has_a_floor() {
    let graph = Graph::read();
    let rooms = graph.names.values().filter(|name| name.starts_with("portcullis"));
    let missing: Vec<_> = rooms.filter(|name| floor(name).is_none()).collect();
    assert!(missing.is_empty(), "rooms without a floor: {missing:?}");
}

#[test]
fn lower_floors_know_no_runtime_and_no_server() {
    let graph = Graph::read();
    for (name, ..) in FLOORS.iter().filter(|(_, floor, _)| *floor < 3) {
        let reached = graph.reached(name);
        let wrong: Vec<_> = NOT_BELOW_FLOOR_THREE.iter().filter(|bad| reached.contains(*bad)).collect();
        assert!(wrong.is_empty(), "{name} reaches {wrong:?}");
    }
}

#[test]
fn clients_of_floor_three_know_no_pingora() {
    let graph = Graph::read();
    for name in ["portcullis-oidc", "portcullis-broker-api", "portcullis-authn", "portcullis-broker"] {
        assert!(!graph.reached(name).contains("pingora-core"), "{name} reaches Pingora");
    }
}

#[test]
fn banned_crates_are_absent() {
    let graph = Graph::read();
    let reached = graph.reached("portcullis");
    let found: Vec<_> = NEVER.iter().filter(|bad| reached.contains(*bad)).collect();
    assert!(found.is_empty(), "banned crates: {found:?}");
}
