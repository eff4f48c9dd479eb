//! The process environment, read here and nowhere else in Portcullis.

use std::fmt;
use std::path::PathBuf;

/// What a load reads beside files. A trait, so that tests bring their own and never change the process's.
pub trait Environment: fmt::Debug {
    /// The value of an environment variable; `None` if it is unset or not Unicode.
    fn var(&self, name: &str) -> Option<String>;

    /// Where systemd put this unit's credentials; `None` outside such a unit.
    fn credentials_directory(&self) -> Option<PathBuf> {
        self.var("CREDENTIALS_DIRECTORY").map(PathBuf::from)
    }
}

/// The environment of this process.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessEnvironment;

impl Environment for ProcessEnvironment {
    fn var(&self, name: &str) -> Option<String> {
        #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
        std::env::var(name).ok()
    }
}
