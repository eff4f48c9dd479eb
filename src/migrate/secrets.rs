//! Secrets that stood in the file: each gets a file of its own, and the configuration a reference.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use portcullis_identity::SecretText;

use super::tree::Tree;
use crate::secret_file;

/// Where secrets are looked for unless the command line names a folder.
pub(crate) const USUAL_FOLDER: &str = "/etc/portcullis";

/// A file that must be there before the configuration loads.
#[derive(Clone, Debug)]
pub(crate) struct SecretFile {
    /// As the configuration refers to it.
    pub(crate) path: PathBuf,
    /// What it holds, for people: `the client secret (idp_client_secret)`.
    pub(crate) holds: String,
    /// Its content.
    pub(crate) content: SecretText,
}

/// The secrets of one conversion.
#[derive(Debug)]
pub(crate) struct Secrets {
    folder: PathBuf,
    files: Vec<SecretFile>,
}

/// Why a secret could not be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SecretNotWritten {
    /// The system said no.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A file of that name holds something else; overwriting could destroy a secret.
    #[error("{}: there already, with another content; move it away", path.display())]
    Taken {
        /// Which file.
        path: PathBuf,
    },
}

/// What to do where a file is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Existing {
    /// Refuse, unless it is the same.
    Keep,
    /// Replace.
    Replace,
}

impl Secrets {
    pub(crate) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), files: Vec::new() }
    }

    /// A reference to a file with this content; the same content has one file.
    pub(crate) fn file(&mut self, name: &str, holds: &str, content: &str) -> Tree {
        let content = if content.contains('\n') { content.to_owned() } else { format!("{content}\n") };
        if let Some(known) = self.files.iter().find(|file| file.content.expose() == content) {
            return Tree::file(known.path.display().to_string());
        }
        let taken = |path: &Path| self.files.iter().any(|file| file.path == path);
        let mut path = self.folder.join(name);
        let mut number = 2_usize;
        while taken(&path) {
            path = self.folder.join(format!("{number}-{name}"));
            number = number.saturating_add(1);
        }
        let reference = Tree::file(path.display().to_string());
        self.files.push(SecretFile { path, holds: holds.to_owned(), content: SecretText::new(content) });
        reference
    }

    pub(crate) fn into_files(self) -> Vec<SecretFile> {
        self.files
    }
}

/// Writes them, each 0600 in a folder that only its owner may enter.
///
/// # Errors
/// See [`SecretNotWritten`]; what was written before stays.
pub(crate) fn write(files: &[SecretFile], existing: Existing) -> Result<(), SecretNotWritten> {
    for SecretFile { path, holds: _, content } in files {
        let failed = |source| SecretNotWritten::Io { path: path.clone(), source };
        if let Some(folder) = path.parent() {
            secret_file::private_folder(folder).map_err(failed)?;
        }
        let content = content.expose().as_bytes();
        match fs::read(path) {
            Ok(there) if there == content => {}
            Ok(_) if existing == Existing::Keep => return Err(SecretNotWritten::Taken { path: path.clone() }),
            Ok(_) => secret_file::replace(path, content).map_err(failed)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                secret_file::write_new(path, content).map_err(failed)?;
            }
            Err(error) => return Err(failed(error)),
        }
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(failed)?;
    }
    Ok(())
}
