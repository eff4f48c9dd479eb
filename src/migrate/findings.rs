//! What a conversion has to say: each with its place, why, and what comes nearest.

use std::fmt;

use super::tree::Place;

/// How much a finding weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Weight {
    /// Nothing is lost; something is different and worth knowing.
    Note,
    /// Without an equivalent, but whoever was kept out stays out: tuning, looks, a protocol, a way in.
    Lost,
    /// What restricted access or protected is gone or must be said anew.
    Protects,
}

/// One key, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) weight: Weight,
    /// Where the key stands; `None` for what no key says.
    pub(crate) place: Option<Place>,
    /// The key, as `routes[2].mcp`; empty for the whole file.
    pub(crate) key: String,
    /// Why, in one clause; never a secret.
    pub(crate) reason: String,
    /// The nearest thing of ours.
    pub(crate) nearest: Option<String>,
}

/// `file:line:column: key: reason (nearest thing)`, protection marked as such.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { weight, place, key, reason, nearest } = self;
        if let Some(Place { file, line, column }) = place {
            write!(f, "{file}:{line}:{column}: ")?;
        }
        f.write_str(match weight {
            Weight::Note => "note: ",
            Weight::Lost => "",
            Weight::Protects => "PROTECTS: ",
        })?;
        if !key.is_empty() {
            write!(f, "`{key}`: ")?;
        }
        f.write_str(reason)?;
        match nearest {
            Some(nearest) => write!(f, "; nearest: {nearest}"),
            None => Ok(()),
        }
    }
}
