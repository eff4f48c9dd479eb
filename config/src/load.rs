//! The way of one load: text → YAML → schema → model → checks. What is wrong at one step is collected, and
//! the next steps look at the rest, so that one run finds as much as it can.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use portcullis_policy::Program;
use portcullis_policy::yaml::{self, Node};
use serde_yaml::Value;

use crate::build::{self, Access, Build, Draft, Parts};
use crate::check;
use crate::decode::{Decoded, NO_VALUE, decode};
use crate::digest::{Digester, sha256};
use crate::environment::Environment;
use crate::field::Field;
use crate::files::{FileError, Files, MAX_CONFIG_BYTES, read_settled};
use crate::model::{Config, Generation};
use crate::problem::{LoadError, Problem};
use crate::report::{Fault, Part, Report};
use crate::schema::{Document, DownstreamMtlsSection, RouteEntry};
use crate::values;

/// One generation, and the files it was made of.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Arc<Config>,
    /// The configuration file (if there is one) and every file it references: what a
    /// [`Watcher`](crate::Watcher) watches.
    pub files: Vec<ReferencedFile>,
}

/// A file that a load read or looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReferencedFile {
    /// Where it is; absolute if the configuration's own path was.
    pub path: PathBuf,
    /// SHA-256 of its content; `None` if it could not be read.
    pub digest: Option<[u8; 32]>,
}

/// Reads a configuration file and everything it references. Relative paths are relative to its folder.
///
/// # Errors
/// Everything that is wrong with it. An empty file, one without routes and one whose last line is cut off
/// are wrong: what is being written is never taken for what was meant.
pub fn load(path: &Path, env: &dyn Environment) -> Result<Loaded, LoadError> {
    let name = path.display().to_string();
    // A watcher needs the folder, which a bare file name lacks.
    let path = std::path::absolute(path).unwrap_or_else(|_error| path.to_owned());
    let base = path.parent().map_or_else(|| PathBuf::from("/"), Path::to_owned);
    let bytes = match read_settled(&path, MAX_CONFIG_BYTES) {
        Ok(bytes) => bytes,
        Err(error) => return Err(unreadable(&name, path, None, &error)),
    };
    let file = ReferencedFile { path: path.clone(), digest: Some(sha256(&bytes)) };
    let Ok(text) = String::from_utf8(bytes) else {
        return Err(unreadable(&name, path, file.digest, &FileError::NotText));
    };
    let cut_off = !text.ends_with('\n') && !text.trim().is_empty();
    let result = read(Input { name: &name, text: &text, base: &base, env, cut_off });
    match result {
        Ok(Loaded { config, mut files }) => {
            files.insert(0, file);
            Ok(Loaded { config, files })
        }
        Err(error) => Err(error.beside(file)),
    }
}

/// Reads a configuration from a text; for tests and the demo. `name` stands in messages, `base` is what
/// relative paths are relative to.
///
/// # Errors
/// Everything that is wrong with it.
pub fn from_text(text: &str, name: &str, base: &Path, env: &dyn Environment) -> Result<Loaded, LoadError> {
    read(Input { name, text, base, env, cut_off: false })
}

/// What one load reads.
#[derive(Clone, Copy)]
struct Input<'a> {
    name: &'a str,
    text: &'a str,
    base: &'a Path,
    env: &'a dyn Environment,
    /// The last line has no end, as when somebody is still writing it.
    cut_off: bool,
}

fn read(input: Input<'_>) -> Result<Loaded, LoadError> {
    let Input { name, text, base, env, cut_off } = input;
    let mut report = Report::new(name, text);
    if cut_off {
        let lines = text.lines().count();
        let fault = Fault::new("the last line does not end: the file may be half-written");
        report.fault_in_line(lines, 1, String::new(), fault.help("end it with a line break").confidential());
    }
    if text.trim().is_empty() {
        report.fault(&Field::Root, Fault::new("the configuration is empty"));
        return Err(LoadError::new(report.finish().0, Vec::new()));
    }
    let tree = match yaml::parse(text) {
        Ok(tree) => tree,
        Err(found) => {
            // Whether a line that is no YAML holds a secret, nobody knows.
            let fault = Fault::new(found.message).confidential();
            let fault = match found.help {
                Some(help) => fault.help(help),
                None => fault,
            };
            report.fault_in_line(found.line, found.column, String::new(), fault);
            return Err(LoadError::new(report.finish().0, Vec::new()));
        }
    };
    report.locate_in(&tree);
    let build = Build { report, files: Files::default(), environment: env, base, variables: BTreeMap::new() };
    assemble(build, text, &tree)
}

fn assemble(mut build: Build<'_>, text: &str, tree: &Node) -> Result<Loaded, LoadError> {
    let parts = parts(&mut build.report, tree);
    let config = parts.and_then(|parts| build::config(&mut build, parts));
    if let Some(config) = config.as_ref().filter(|_| build.report.is_clean()) {
        check::config(&mut build.report, config);
    }
    let Build { report, files, variables, .. } = build;
    let files = files.referenced();
    let (problems, warnings) = report.finish();
    match config {
        Some(mut config) if problems.is_empty() => {
            config.generation = generation(text, &files, &variables);
            config.warnings = warnings;
            Ok(Loaded { config: Arc::new(config), files })
        }
        _ => Err(LoadError::new(problems, files)),
    }
}

/// What serde and the policy language make of the text; `None` if that is nothing to go on with.
fn parts(report: &mut Report<'_>, tree: &Node) -> Option<Parts> {
    let Some(sections) = tree.as_mapping() else {
        let message = format!("the configuration is {}, not a mapping of sections", tree.kind());
        report.fault(&Field::Root, Fault::new(message).confidential());
        return None;
    };
    let entries = route_entries(report, tree)?;
    // The routes, by far the most of a large file, are read one by one; an empty list stands in for them here.
    let root = values::mapping(sections, |section| {
        if &*section.key == "routes" { Value::Sequence(Vec::new()) } else { values::value(&section.value) }
    });
    let document = match decode::<Document>(report, &Field::Root, root) {
        Decoded::Whole(document) | Decoded::Partial(document) => Some(document),
        Decoded::Nothing => None,
    };
    let providers = tree.get("providers").and_then(Node::as_mapping).unwrap_or_default();
    let providers = providers.iter().map(|entry| entry.key.as_ref().to_owned()).collect();
    let usual = DownstreamMtlsSection::default();
    let clients = document.as_ref().map_or(&usual, |document| &document.downstream_mtls);
    let mut access = Access::new(report, tree, clients);
    let list = Field::Root.key("routes");
    let mut drafts = Vec::with_capacity(entries.len());
    let mut text = Vec::new();
    for (index, node) in entries.iter().enumerate() {
        let at = list.index(index);
        let program = node.as_mapping().and_then(|_| access.program(report, index, node));
        let shadow = access.shadow(report, index, (node, program.as_deref()));
        text.clear();
        values::canonical(node, &mut text);
        if let Decoded::Whole(entry) = decode::<RouteEntry>(report, &at, values::of_route(node)) {
            // Where the policy is wrong the report says so, and the rest of the route is still looked at.
            let policy = program.unwrap_or_else(|| Arc::new(Program::nobody()));
            drafts.push(Draft { index, entry, policy, shadow, digest: sha256(&text) });
        }
    }
    Some(Parts { document: document?, providers, drafts })
}

/// The routes of the file.
fn route_entries<'a>(report: &mut Report<'_>, tree: &'a Node) -> Option<&'a [Node]> {
    let at = Field::Root.key("routes");
    match tree.get("routes") {
        Some(routes) if routes.is_null() => {
            let fault = Fault::new(NO_VALUE).help("write `routes: []` if there is to be none");
            report.fault_at(&at.steps(), Part::Key, fault);
            None
        }
        Some(routes) => {
            let entries = routes.as_list();
            if entries.is_none() {
                report.fault(&at, Fault::new("is not a list of routes"));
            }
            entries
        }
        None => {
            let fault = Fault::new("there is no `routes` key: nothing would be served");
            report.fault(&Field::Root, fault.help("write `routes: []` if that is what is meant"));
            None
        }
    }
}

fn generation(text: &str, files: &[ReferencedFile], variables: &BTreeMap<String, [u8; 32]>) -> Generation {
    let mut digest = Digester::new();
    digest.part(text.as_bytes());
    for file in files {
        digest.part(&file.digest.unwrap_or_default());
    }
    for (name, value) in variables {
        digest.part(name.as_bytes()).part(value);
    }
    Generation(digest.finish())
}

fn unreadable(name: &str, path: PathBuf, digest: Option<[u8; 32]>, error: &FileError) -> LoadError {
    let problem = Problem {
        file: name.to_owned(),
        line: 0,
        column: 0,
        field: String::new(),
        message: error.to_string(),
        help: None,
        snippet: None,
    };
    LoadError::new(vec![problem], vec![ReferencedFile { path, digest }])
}
