//! Reading the files of one load: each once, whole, settled, bounded, and remembered with its digest.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::digest::sha256;
use crate::load::ReferencedFile;

/// The most bytes a configuration file may have.
pub(crate) const MAX_CONFIG_BYTES: u64 = 32 * 1024 * 1024;

/// The most bytes a referenced file may have.
pub(crate) const MAX_REFERENCED_BYTES: u64 = 4 * 1024 * 1024;

/// How often a file is read again until two readings agree.
const SETTLE_ATTEMPTS: usize = 5;

/// Why a file could not be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    /// The system said no.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    /// A directory, a pipe, a device: those cannot be read twice or watched.
    #[error("is not a regular file")]
    NotAFile,
    /// Above the bound of its kind.
    #[error("has more than {0} bytes")]
    TooLarge(u64),
    /// Somebody writes it in place right now.
    #[error("changes while it is read: write a new file and rename it over the old one")]
    Unsettled,
    /// Nothing in it, or only white space.
    #[error("is empty")]
    Empty,
    /// Not text.
    #[error("is not UTF-8 text")]
    NotText,
}

/// The files of one load.
#[derive(Debug, Default)]
pub(crate) struct Files {
    seen: BTreeMap<PathBuf, Seen>,
}

#[derive(Debug)]
struct Seen {
    digest: Option<[u8; 32]>,
    text: Option<Zeroizing<String>>,
    public: bool,
}

impl Files {
    /// The text of a referenced file: never empty, read once however often it is referenced.
    pub(crate) fn text(&mut self, path: &Path) -> Result<Zeroizing<String>, FileError> {
        if let Some(Seen { text: Some(text), .. }) = self.seen.get(path) {
            return Ok(text.clone());
        }
        let bytes = read_settled(path, MAX_REFERENCED_BYTES).inspect_err(|_error| {
            self.seen.insert(path.to_owned(), Seen { digest: None, text: None, public: false });
        })?;
        let digest = Some(sha256(&bytes));
        let text = String::from_utf8(bytes)
            .map_err(|_not_utf8| FileError::NotText)
            .and_then(|text| if text.trim().is_empty() { Err(FileError::Empty) } else { Ok(Zeroizing::new(text)) });
        let seen = Seen { digest, text: text.as_ref().ok().cloned(), public: readable_by_everybody(path) };
        self.seen.insert(path.to_owned(), seen);
        text
    }

    /// Whether any user of the machine may read a file that was read.
    pub(crate) fn is_public(&self, path: &Path) -> bool {
        self.seen.get(path).is_some_and(|seen| seen.public)
    }

    /// Every file that was read or looked for, in the order of their names.
    pub(crate) fn referenced(&self) -> Vec<ReferencedFile> {
        self.seen.iter().map(|(path, seen)| ReferencedFile { path: path.clone(), digest: seen.digest }).collect()
    }
}

/// A file's bytes, once two readings in a row agree: in-place writers are caught in the act.
pub(crate) fn read_settled(path: &Path, most: u64) -> Result<Vec<u8>, FileError> {
    let mut before = read_bounded(path, most)?;
    for _attempt in 0..SETTLE_ATTEMPTS {
        let again = read_bounded(path, most)?;
        if again == before {
            return Ok(before.bytes);
        }
        before = again;
    }
    Err(FileError::Unsettled)
}

#[derive(PartialEq, Eq)]
struct Reading {
    bytes: Vec<u8>,
    modified: Option<std::time::SystemTime>,
}

fn read_bounded(path: &Path, most: u64) -> Result<Reading, FileError> {
    // The kind is asked before opening: opening a pipe would wait for a writer.
    if !std::fs::metadata(path)?.is_file() {
        return Err(FileError::NotAFile);
    }
    let file = std::fs::File::open(path)?;
    let modified = file.metadata()?.modified().ok();
    let mut bytes = Vec::new();
    file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > most {
        return Err(FileError::TooLarge(most));
    }
    Ok(Reading { bytes, modified })
}

#[cfg(unix)]
fn readable_by_everybody(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).is_ok_and(|about| about.permissions().mode() & 0o004 != 0)
}

#[cfg(not(unix))]
fn readable_by_everybody(_path: &Path) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_missing_and_odd_files_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("good"), "text\n").unwrap();
        std::fs::write(path("empty"), "").unwrap();
        std::fs::write(path("blank"), " \n\n").unwrap();
        std::fs::write(path("binary"), [0xff, 0xfe]).unwrap();
        let mut files = Files::default();
        assert_eq!(files.text(&path("good")).unwrap().as_str(), "text\n");
        assert!(matches!(files.text(&path("empty")), Err(FileError::Empty)));
        assert!(matches!(files.text(&path("blank")), Err(FileError::Empty)));
        assert!(matches!(files.text(&path("binary")), Err(FileError::NotText)));
        assert!(matches!(files.text(&path("missing")), Err(FileError::Io(_))));
        assert!(matches!(files.text(folder.path()), Err(FileError::NotAFile)));
        let digests: Vec<bool> = files.referenced().iter().map(|file| file.digest.is_some()).collect();
        assert_eq!(digests.iter().filter(|known| **known).count(), 4);
    }

    #[test]
    fn a_file_above_the_bound_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        std::fs::write(&path, "12345").unwrap();
        assert!(matches!(read_settled(&path, 4), Err(FileError::TooLarge(4))));
        assert_eq!(read_settled(&path, 5).unwrap(), b"12345");
    }
}
