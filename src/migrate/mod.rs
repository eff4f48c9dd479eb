//! `portcullis migrate`: a configuration of Pomerium or oauth2-proxy becomes ours, and what has no equivalent is named.
//!
//! Nothing here reads the environment or starts anything. Secrets never enter the text: they are set aside as files.

mod command;
mod emit;
mod findings;
mod oauth2_proxy;
mod pomerium;
mod reader;
mod redact;
mod scope;
mod secrets;
mod tree;
mod values;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use portcullis_policy::Diagnostic;

pub(crate) use self::command::{Losses, RunError, load_pomerium, refuse, run};
use self::findings::{Finding, Weight};
use self::reader::Document;
use self::scope::{Journal, Key, find};
use self::secrets::{SecretFile, Secrets};
use self::tree::Tree;

/// A configuration of ours, made from one of theirs.
#[derive(Debug)]
pub(crate) struct Migrated {
    /// The configuration, whole.
    pub(crate) text: String,
    /// What has no equivalent or is different, in the order of the files.
    pub(crate) findings: Vec<Finding>,
    /// The files that must be there before it loads.
    pub(crate) secrets: Vec<SecretFile>,
}

impl Migrated {
    /// Whether something that protected is gone.
    pub(crate) fn loses_protection(&self) -> bool {
        self.findings.iter().any(|finding| finding.weight == Weight::Protects)
    }
}

/// A file as it was read.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// As the command line names it.
    pub(crate) name: Arc<str>,
    pub(crate) text: String,
}

/// Why there is nothing to convert.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MigrateError {
    /// Neither YAML nor lines of `key = value`.
    #[error("{name}:{diagnostic}")]
    Unreadable {
        /// Which file.
        name: Arc<str>,
        /// What is wrong, and where.
        diagnostic: Diagnostic,
    },
    /// A file of the reference in a form that is not read.
    #[error("{name}: a Pomerium configuration in TOML is not read; write it as YAML")]
    PomeriumToml {
        /// Which file.
        name: Arc<str>,
    },
    /// Not one key of either.
    #[error("{name}: holds no key of Pomerium or oauth2-proxy")]
    Foreign {
        /// Which file.
        name: Arc<str>,
    },
    /// Files that do not belong together.
    #[error("one Pomerium file, or one of oauth2-proxy with its alpha configuration")]
    Mixed,
}

/// Whose configuration a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dialect {
    Pomerium,
    OauthClassic,
    OauthAlpha,
}

/// Converts one Pomerium file, or the files of one oauth2-proxy; secrets are to be found in `folder`.
///
/// # Errors
/// See [`MigrateError`].
pub(crate) fn convert(files: &[Source], folder: &Path) -> Result<Migrated, MigrateError> {
    let mut read = Vec::new();
    for source in files {
        let (document, dialect) = self::read(source)?;
        read.push((document, dialect));
    }
    let mut journal = Journal { findings: Vec::new(), secrets: Secrets::new(folder) };
    let of = |wanted: Dialect| read.iter().find(|(_, dialect)| *dialect == wanted).map(|(document, _)| document);
    let mut root = match (of(Dialect::Pomerium), of(Dialect::OauthClassic), of(Dialect::OauthAlpha), read.len()) {
        (Some(document), None, None, 1) => pomerium::convert(document, &mut journal),
        (None, classic, alpha, count) if count == usize::from(classic.is_some()) + usize::from(alpha.is_some()) => {
            oauth2_proxy::convert(classic, alpha, &mut journal)
        }
        _ => return Err(MigrateError::Mixed),
    };
    let names: Vec<&str> = files.iter().map(|source| source.name.rsplit('/').next().unwrap_or(&source.name)).collect();
    let mut header = vec![format!("# Made from {} by `portcullis migrate`.", names.join(" and "))];
    for (document, _) in &read {
        header.extend(document.header.iter().cloned());
    }
    let roots: Vec<&Tree> = read.iter().map(|(document, _)| &document.root).collect();
    redact::comments(&roots, &mut root, &mut header);
    let text = emit::document(&header, &root);
    let mut findings = journal.findings;
    let order: Vec<&Arc<str>> = files.iter().map(|source| &source.name).collect();
    findings.sort_by_key(|finding| {
        let place = finding.place.as_ref();
        let file = place.and_then(|place| order.iter().position(|name| **name == place.file));
        (file, place.map(|place| (place.line, place.column)))
    });
    Ok(Migrated { text, findings, secrets: journal.secrets.into_files() })
}

/// Reads a file as whatever it is.
fn read(source: &Source) -> Result<(Document, Dialect), MigrateError> {
    let Source { name, text } = source;
    let unreadable = |diagnostic| MigrateError::Unreadable { name: Arc::clone(name), diagnostic };
    let toml = name.ends_with(".cfg") || name.ends_with(".toml") || oauth2_proxy::looks_like_cfg(text);
    let document = if toml { oauth2_proxy::cfg(text, name) } else { reader::yaml(text, name) }.map_err(unreadable)?;
    let root = &document.root;
    let scores = [
        (known(root, pomerium::keys::GLOBAL), Dialect::Pomerium),
        (known(root, oauth2_proxy::CLASSIC), Dialect::OauthClassic),
        (known(root, oauth2_proxy::ALPHA), Dialect::OauthAlpha),
    ];
    // Of equals the last one is taken: `providers` alone is alpha.
    match scores.into_iter().max_by_key(|(score, _)| *score) {
        Some((1.., Dialect::Pomerium)) if toml => Err(MigrateError::PomeriumToml { name: Arc::clone(name) }),
        Some((1.., dialect)) => Ok((document, dialect)),
        _ => Err(MigrateError::Foreign { name: Arc::clone(name) }),
    }
}

/// How many keys of a table a file has.
fn known<A>(root: &Tree, table: &[Key<A>]) -> usize {
    root.members().iter().filter(|member| find(table, &member.key.to_ascii_lowercase()).is_some()).count()
}
