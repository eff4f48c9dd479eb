//! How long to wait after an event before files are compared. Time is a parameter: nothing here reads a clock.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Files are compared once this long nothing has happened to them.
pub(super) const QUIET: Duration = Duration::from_millis(100);

/// Files are compared this long after the first event at the latest, whatever still happens to them and whoever still
/// writes them: a change is never put off for ever.
pub(super) const MOST: Duration = Duration::from_secs(5);

/// The time between the first event about our files and the moment they are compared.
#[derive(Debug)]
pub(super) struct Settling {
    /// Nothing has happened any more if nothing happens until then.
    quiet: Instant,
    /// Then files are compared all the same.
    end: Instant,
    /// The files that are open for writing.
    writers: BTreeSet<PathBuf>,
}

impl Settling {
    /// Begins with an event, or with somebody who asks.
    pub(super) fn begin(now: Instant) -> Self {
        Self { quiet: now + QUIET, end: now + MOST, writers: BTreeSet::new() }
    }

    /// Something happened to one of our files.
    pub(super) fn stir(&mut self, now: Instant) {
        self.quiet = now + QUIET;
    }

    /// Somebody writes a file.
    pub(super) fn opened(&mut self, path: &Path) {
        self.writers.insert(path.to_owned());
    }

    /// Nobody writes a file any more, or it is no longer there under its name.
    pub(super) fn closed(&mut self, path: &Path) {
        self.writers.remove(path);
    }

    /// When files are to be compared if nothing more happens.
    pub(super) fn due(&self) -> Instant {
        if self.writers.is_empty() { self.quiet.min(self.end) } else { self.end }
    }
}
