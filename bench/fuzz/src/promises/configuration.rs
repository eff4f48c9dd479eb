//! Whole configurations.

use std::path::Path;

use portcullis_config::{Environment, from_text};
use portcullis_gate::Snapshot;

use crate::Shape;

pub(super) const WORDS: &[&str] = &[
    "routes:\n",
    "  - from: ",
    "    to: ",
    "    policy: ",
    "    prefix: ",
    "    path: ",
    "    regex: ",
    "sign_in:",
    "providers:",
    "policies:",
    "limits:",
    "session:",
    "cookie:",
    "listen:",
    "tls:",
    "replica:",
    "storage:",
    "assertion:",
    "upstreams:",
    "telemetry:",
    "decisions:",
    "namespace: pomerium",
    "https://",
    "http://",
    "wiki.corp.test",
    "*.",
    ":443",
    "{file: x}",
    "{env: X}",
    "14h",
    "5s",
    "-1",
    "[",
    "]",
    "{",
    "}",
    "\n",
    "  ",
    ": ",
    "null",
    "true",
    "\"",
    "allowed_users",
    "redirect",
    "allow_public_unauthenticated_access: true",
    "allow_any_authenticated_user: true",
    "set_request_headers",
    "rewrite",
    "tls_skip_verify",
    "timeout",
    "websockets",
    "(",
    ")*",
    "\\d+",
    "${pomerium.id_token}",
];

/// No variable is set, and no credential is given.
#[derive(Debug)]
pub(super) struct Nothing;

impl Environment for Nothing {
    fn var(&self, _name: &str) -> Option<String> {
        None
    }
}

/// Any text is a configuration that can be served, or refused with every cause in its place.
pub(super) fn text(input: &[u8]) -> Shape {
    let Ok(text) = std::str::from_utf8(input) else { return Shape::NEW };
    match from_text(text, "fuzz.yaml", Path::new("/nowhere"), &Nothing) {
        Ok(loaded) => {
            let again = from_text(text, "fuzz.yaml", Path::new("/nowhere"), &Nothing).expect("loads again");
            assert_eq!(again.config.generation, loaded.config.generation, "one text, two generations");
            let snapshot = Snapshot::build(&loaded.config, None);
            assert!(snapshot.is_ok(), "`check` says it is good, the gate does not: {snapshot:?}");
            let shape = Shape::NEW.with_count(loaded.config.routes.len());
            loaded.config.warnings.iter().fold(shape, |shape, warning| shape.with_message(&warning.to_string()))
        }
        Err(refused) => {
            let problems = refused.problems();
            assert!(!problems.is_empty(), "refused without a cause");
            problems.iter().take(3).fold(Shape::NEW, |shape, problem| shape.with_message(&problem.to_string()))
        }
    }
}
