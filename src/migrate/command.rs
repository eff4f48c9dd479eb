//! The commands: `migrate`, and the start of `run --pomerium`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use portcullis_config::{Environment, LoadError, Loaded, ReferencedFile, from_text};

use super::findings::Weight;
use super::secrets::{self, Existing, SecretFile, SecretNotWritten, USUAL_FOLDER};
use super::{MigrateError, Migrated, Source, convert};
use crate::cli::Migrate;
use crate::terminal::{note, say};

/// The exit status of a conversion that lost protection.
const LOST_PROTECTION: u8 = 3;

/// The largest file that is converted.
const MAX_BYTES: u64 = 32 << 20;

/// Why nothing was converted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    /// The file cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// It is nothing to convert.
    #[error(transparent)]
    Migrate(#[from] MigrateError),
    /// A secret could not be set aside.
    #[error(transparent)]
    Secret(#[from] SecretNotWritten),
    /// The folder of secrets is no path.
    #[error("{}: {source}", path.display())]
    Folder {
        /// Which folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

/// Converts: the configuration on standard output, everything else on standard error.
///
/// # Errors
/// See [`CommandError`].
pub(crate) fn run(options: &Migrate) -> Result<ExitCode, CommandError> {
    let Migrate { files, secrets_dir } = options;
    let folder = match secrets_dir {
        Some(path) => {
            std::path::absolute(path).map_err(|source| CommandError::Folder { path: path.clone(), source })?
        }
        None => PathBuf::from(USUAL_FOLDER),
    };
    let sources: Result<Vec<Source>, CommandError> = files.iter().map(|path| read(path)).collect();
    let migrated = convert(&sources?, &folder)?;
    if secrets_dir.is_some() {
        secrets::write(&migrated.secrets, Existing::Keep)?;
    }
    say(migrated.text.trim_end_matches('\n'));
    tell(&migrated);
    for SecretFile { path, holds, content: _ } in &migrated.secrets {
        let order = if secrets_dir.is_some() { "written" } else { "write it" };
        note(&format!("secret: {}: {holds}; {order}, mode 0600", path.display()));
    }
    Ok(if migrated.loses_protection() { ExitCode::from(LOST_PROTECTION) } else { ExitCode::SUCCESS })
}

/// Every finding, one a line, what protected last, where it is seen.
fn tell(migrated: &Migrated) {
    let mut findings: Vec<_> = migrated.findings.iter().collect();
    findings.sort_by_key(|finding| finding.weight == Weight::Protects);
    for finding in findings {
        note(&finding.to_string());
    }
}

fn read(path: &Path) -> Result<Source, CommandError> {
    let failed = |source| CommandError::Read { path: path.to_owned(), source };
    let length = fs::metadata(path).map_err(failed)?.len();
    if length > MAX_BYTES {
        return Err(failed(io::Error::other(format!("has more than {MAX_BYTES} bytes"))));
    }
    let text = fs::read_to_string(path).map_err(failed)?;
    Ok(Source { name: path.display().to_string().into(), text })
}

/// Why a Pomerium configuration does not run as it is.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    /// It cannot be converted.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// What protected would be gone.
    #[error("{}: something that protects would be lost; `--accept-losses` runs it all the same", path.display())]
    Losses {
        /// Which file.
        path: PathBuf,
        /// Every finding, one a line.
        findings: Vec<String>,
    },
    /// What it became is refused.
    #[error(transparent)]
    Load(#[from] LoadError),
}

/// Says why a Pomerium configuration does not run: with its own exit status where protection would be lost.
///
/// # Errors
/// Whatever else it was.
pub(crate) fn refuse(error: RunError) -> Result<ExitCode, RunError> {
    match &error {
        RunError::Losses { path: _, findings } => {
            findings.iter().for_each(|finding| note(finding));
            note(&error.to_string());
            Ok(ExitCode::from(LOST_PROTECTION))
        }
        RunError::Command(_) | RunError::Load(_) => Err(error),
    }
}

/// What to do when protection would be lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Losses {
    /// Refuse.
    Refuse,
    /// Go on, as the operator said.
    Accept,
}

/// Reads a Pomerium configuration as ours, with its findings. Secrets that stand in it become files below the state
/// directory, 0600; relative paths are relative to its folder, as everywhere.
///
/// # Errors
/// See [`RunError`].
pub(crate) fn load_pomerium(
    path: &Path,
    losses: Losses,
    env: &dyn Environment,
) -> Result<(Loaded, Vec<String>), RunError> {
    let absolute = std::path::absolute(path).unwrap_or_else(|_error| path.to_owned());
    let source = read(path)?;
    let digest = Some(portcullis_keys::sha256(source.text.as_bytes()));
    // What stands in no Pomerium file is where ours keeps its state: the environment or the usual place says so.
    let state = from_text("routes: []\n", "defaults", Path::new("/"), env)?.config.directories.state.clone();
    let migrated = convert(&[source], &state.join("pomerium")).map_err(CommandError::from)?;
    let findings: Vec<String> = migrated.findings.iter().map(ToString::to_string).collect();
    if migrated.loses_protection() && losses == Losses::Refuse {
        return Err(RunError::Losses { path: path.to_owned(), findings });
    }
    secrets::write(&migrated.secrets, Existing::Replace).map_err(CommandError::from)?;
    let base = absolute.parent().unwrap_or_else(|| Path::new("/"));
    let name: Arc<str> = format!("{} (converted)", path.display()).into();
    let Loaded { config, mut files } = from_text(&migrated.text, &name, base, env)?;
    files.insert(0, ReferencedFile { path: absolute, digest });
    Ok((Loaded { config, files }, findings))
}
