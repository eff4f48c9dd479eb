//! Reading the configuration for a command: what is refused keeps its places until `main` shows it.

use std::path::Path;

use miette::{Diagnostic, Result};
use portcullis_config::{LoadError, Loaded, ProcessEnvironment};

/// A configuration that is refused.
#[derive(Debug, Diagnostic, thiserror::Error)]
#[error(transparent)]
pub(crate) struct Refused(pub LoadError);

/// Reads the configuration at `path` with everything it references.
///
/// # Errors
/// [`Refused`].
pub(crate) fn load(path: &Path) -> Result<Loaded> {
    Ok(portcullis_config::load(path, &ProcessEnvironment).map_err(Refused)?)
}
