//! A file of table tests, read strictly: who there is, what they ask, what is expected.

use std::path::{Path, PathBuf};

use portcullis_identity::Timestamp;
use portcullis_policy::{eval, yaml};

use crate::policy::fault::{Fault, Reader, given};
use crate::policy::inline::Access;
use crate::policy::table_case::{Case, Cases};

/// The keys of a test file.
const KEYS: [&str; 6] = ["config", "policy", "route", "now", "subjects", "cases"];

/// A test file.
#[derive(Debug)]
pub(crate) struct Table {
    /// The file, as it was named.
    pub(crate) file: String,
    /// What is tested.
    pub(crate) against: Against,
    /// The cases, in the order of the file.
    pub(crate) cases: Vec<Case>,
}

/// What the cases of a file are decided by.
#[derive(Debug)]
pub(crate) enum Against {
    /// A configuration.
    Config(PathBuf),
    /// A policy in the test file.
    Inline(Access),
}

impl Table {
    /// Reads a test file. `config` takes the place of what the file names; `now` is the instant of cases without one.
    ///
    /// # Errors
    /// The first mistake.
    pub(crate) fn read(path: &Path, config: Option<&Path>, now: Timestamp) -> Result<Self, Fault> {
        let file = path.display().to_string();
        let reader = Reader { file: &file };
        let text = std::fs::read_to_string(path)
            .map_err(|error| reader.fault(yaml::Place { line: 1, column: 1 }, error.to_string()))?;
        let tree = yaml::parse(&text).map_err(|diagnostic| reader.found(diagnostic))?;
        reader.mapping("a test file", &tree, &KEYS)?;
        let base = path.parent().unwrap_or_else(|| Path::new(""));
        let against = against(reader, &tree, base, config)?;
        let now = match given(&tree, "now") {
            Some(node) => eval::instant("now", reader.text("`now`", node)?)
                .map_err(|message| reader.fault(node.place(), message))?,
            None => now,
        };
        let routed = matches!(against, Against::Config(_));
        let cases = Cases { reader, now, routed, subjects: given(&tree, "subjects") };
        let cases = match given(&tree, "cases") {
            Some(list) => cases.read(list)?,
            None => return Err(reader.fault(tree.place(), "there are no `cases`")),
        };
        Ok(Self { file, against, cases })
    }
}

fn against(reader: Reader<'_>, tree: &yaml::Node, base: &Path, config: Option<&Path>) -> Result<Against, Fault> {
    let named = ["config", "policy", "route"]
        .into_iter()
        .filter_map(|key| tree.entry(key).filter(|entry| !entry.value.is_null()));
    let named: Vec<&yaml::Entry> = named.collect();
    if let [_, second, ..] = *named {
        let message = "`config`, `policy` and `route` exclude each other";
        return Err(reader.fault(second.key_span.start, message));
    }
    match (named.first().map(|entry| (&*entry.key, &entry.value)), config) {
        (Some(("policy", node)), _) => Ok(Against::Inline(Access::Policy(node.clone()))),
        (Some(("route", node)), _) => {
            reader.mapping("`route`", node, &portcullis_policy::ACCESS_KEYS)?;
            Ok(Against::Inline(Access::Route(node.clone())))
        }
        (_, Some(config)) => Ok(Against::Config(config.to_owned())),
        (Some((_, node)), None) => Ok(Against::Config(base.join(reader.text("`config`", node)?))),
        (None, None) => Err(reader.fault(tree.place(), "one of `config`, `policy` and `route` is needed")),
    }
}
