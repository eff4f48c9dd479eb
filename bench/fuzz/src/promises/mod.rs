//! What is tried, and what must hold whatever comes in.

mod configuration;
mod policy;
mod record;
mod request;
mod secret;

use crate::Shape;

/// One thing that reads texts of others.
#[derive(Debug)]
pub struct Target {
    /// Its name; also of its corpus.
    pub name: &'static str,
    /// Panics if a promise is broken.
    pub run: fn(&[u8]) -> Shape,
    /// What it understands.
    pub words: &'static [&'static str],
}

/// Every target.
pub const TARGETS: &[Target] = &[
    Target { name: "yaml", run: policy::yaml_text, words: policy::YAML_WORDS },
    Target { name: "policy", run: policy::policy, words: policy::POLICY_WORDS },
    Target { name: "policy_eval", run: policy::evaluation, words: policy::LINE_WORDS },
    Target { name: "path", run: request::path, words: request::PATH_WORDS },
    Target { name: "request", run: request::head, words: request::HEAD_WORDS },
    Target { name: "credential", run: secret::credential, words: secret::COOKIE_WORDS },
    Target { name: "sealed", run: secret::sealed, words: secret::SEALED_WORDS },
    Target { name: "configuration", run: configuration::text, words: configuration::WORDS },
    Target { name: "record", run: record::line, words: record::WORDS },
];
