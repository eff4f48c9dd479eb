//! The committed inputs.

use std::fs;
use std::path::{Path, PathBuf};

/// One committed input.
#[derive(Clone, Debug)]
pub struct Seed {
    /// Its file.
    pub path: PathBuf,
    /// What is in it.
    pub bytes: Vec<u8>,
}

/// The inputs of a target, in the order of their names.
#[must_use]
pub fn committed(target: &str) -> Vec<Seed> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let files = fs::read_dir(&folder).expect("a corpus for each target");
    let mut paths: Vec<PathBuf> = files.map(|file| file.expect("a file").path()).collect();
    paths.sort();
    paths.into_iter().map(|path| Seed { bytes: fs::read(&path).expect("an input"), path }).collect()
}
