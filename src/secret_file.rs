//! The cluster secret of an all-in-one process: made at first start, 0600, then only read.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use portcullis_config::{ReferencedFile, SecretSource};
use portcullis_keys::{KeyRing, Random, RingError, sha256};

/// Why the keys could not be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SecretError {
    /// The file could not be read or made.
    #[error("{}: {source}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Others than its owner may read it.
    #[error("{}: mode {mode:o} lets others read the cluster secret; chmod 600 it", path.display())]
    TooOpen {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Others than its owner may enter a folder of ours.
    #[error("{}: mode {mode:o} lets others into this folder; chmod 700 it", path.display())]
    OpenFolder {
        /// Which folder.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Not a key ring.
    #[error("the cluster secret cannot be used")]
    KeyRing(#[from] RingError),
}

/// The key ring that the configuration names.
///
/// # Errors
/// See [`SecretError`].
pub(crate) fn key_ring(source: &SecretSource, random: &dyn Random) -> Result<KeyRing, SecretError> {
    match source {
        SecretSource::Text(text) => Ok(KeyRing::parse(text.expose())?),
        SecretSource::StateFile(path) => read_or_make(path, random),
    }
}

/// The key ring that the configuration names, for a process that has one: a file that is gone is not made anew.
///
/// # Errors
/// See [`SecretError`].
pub(crate) fn held_key_ring(source: &SecretSource) -> Result<KeyRing, SecretError> {
    match source {
        SecretSource::Text(text) => Ok(KeyRing::parse(text.expose())?),
        SecretSource::StateFile(path) => read(path),
    }
}

/// The file of the cluster secret, where the configuration does not name it and so does not watch it.
pub(crate) fn unnamed_file(source: &SecretSource) -> Option<ReferencedFile> {
    let SecretSource::StateFile(path) = source else { return None };
    let digest = fs::read(path).ok().map(|bytes| sha256(&bytes));
    Some(ReferencedFile { path: path.clone(), digest })
}

fn read(path: &Path) -> Result<KeyRing, SecretError> {
    let failed = |source| SecretError::File { path: path.to_owned(), source };
    let text = fs::read_to_string(path).map_err(failed)?;
    let mode = fs::metadata(path).map_err(failed)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(SecretError::TooOpen { path: path.to_owned(), mode });
    }
    Ok(KeyRing::parse(&text)?)
}

fn read_or_make(path: &Path, random: &dyn Random) -> Result<KeyRing, SecretError> {
    let failed = |source| SecretError::File { path: path.to_owned(), source };
    match fs::symlink_metadata(path) {
        Ok(_) => read(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let (ring, text) = KeyRing::generate(random);
            write_new(path, text.as_bytes()).map_err(failed)?;
            tracing::info!(path = %path.display(), "made the cluster secret");
            Ok(ring)
        }
        Err(error) => Err(failed(error)),
    }
}

/// Writes a file that did not exist, readable by its owner only, complete and on disk when this returns: it is
/// written beside its place and linked there, so that a crash never leaves half a secret.
pub(crate) fn write_new(path: &Path, content: &[u8]) -> io::Result<()> {
    let (beside, file) = write_beside(path, content)?;
    file.sync_all()?;
    let linked = fs::hard_link(&beside, path);
    fs::remove_file(&beside)?;
    linked?;
    sync_name(path)
}

/// Replaces a file's content in one step, keeping its mode and owner; a crash leaves the old content or the new one.
pub(crate) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let before = fs::metadata(path)?;
    let (beside, file) = write_beside(path, content)?;
    std::os::unix::fs::fchown(&file, Some(before.uid()), Some(before.gid()))?;
    file.set_permissions(before.permissions())?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    sync_name(path)
}

/// Writes `content` into a new file of its owner's beside `path`; whoever calls brings it to disk and into place. What
/// a crash left there goes: its mode, or where it leads, is not ours to inherit.
fn write_beside(path: &Path, content: &[u8]) -> io::Result<(PathBuf, File)> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    let create = || OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside);
    let mut file = match create() {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::remove_file(&beside)?;
            create()?
        }
        made => made?,
    };
    file.write_all(content)?;
    Ok((beside, file))
}

/// A name is durable only once its folder is.
fn sync_name(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// Makes a folder, and those above it, for its owner only.
pub(crate) fn private_folder(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Makes a folder for sockets or state. One that is there already has to be its owner's alone: it is not ours to shut
/// others out of a folder that they may be using.
///
/// # Errors
/// It cannot be made, or others may enter it.
pub(crate) fn own_folder(path: &Path) -> Result<(), SecretError> {
    let failed = |source| SecretError::File { path: path.to_owned(), source };
    private_folder(path).map_err(failed)?;
    let mode = fs::metadata(path).map_err(failed)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(SecretError::OpenFolder { path: path.to_owned(), mode });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
