//! Reading the configuration for a command: what is refused keeps its places until `main` shows it.

use std::path::{Path, PathBuf};

use miette::{Diagnostic, Result};
use portcullis_config::{LoadError, Loaded, ProcessEnvironment};

use crate::cli;
use crate::migrate::{Losses, RunError, load_pomerium};

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

/// Whose configuration a process runs; read again at every reload.
#[derive(Clone, Debug)]
pub(crate) enum Origin {
    /// One of ours.
    Ours(PathBuf),
    /// One of Pomerium, converted each time it is read.
    Pomerium {
        /// Where it is.
        path: PathBuf,
        /// What to do if something that protects has no equivalent.
        losses: Losses,
    },
}

impl Origin {
    /// Reads it with everything it references; what has no equivalent in ours comes beside it.
    ///
    /// # Errors
    /// See [`RunError`].
    pub(crate) fn load(&self) -> std::result::Result<(Loaded, Vec<String>), RunError> {
        match self {
            Self::Ours(path) => Ok((portcullis_config::load(path, &ProcessEnvironment)?, Vec::new())),
            Self::Pomerium { path, losses } => load_pomerium(path, *losses, &ProcessEnvironment),
        }
    }
}

impl From<PathBuf> for Origin {
    fn from(path: PathBuf) -> Self {
        Self::Ours(path)
    }
}

impl From<cli::Run> for Origin {
    fn from(options: cli::Run) -> Self {
        let cli::Run { file, pomerium, accept_losses } = options;
        let losses = if accept_losses { Losses::Accept } else { Losses::Refuse };
        match pomerium {
            Some(path) => Self::Pomerium { path, losses },
            None => Self::Ours(file.config),
        }
    }
}
