//! What came back in the window, and how the generator says so.

use std::io::{self, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Answers as they should be, and others.
#[derive(Debug, Default)]
pub struct Tally {
    good: AtomicU64,
    bad: AtomicU64,
}

impl Tally {
    /// One more.
    pub fn count(&self, good: bool) {
        let counter = if good { &self.good } else { &self.bad };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Good and bad so far.
    #[must_use]
    pub fn so_far(&self) -> (u64, u64) {
        (self.good.load(Ordering::Relaxed), self.bad.load(Ordering::Relaxed))
    }

    /// Lets the workers run for the warm-up and the window, and says what the window brought: the lines that the
    /// yardstick waits for.
    ///
    /// # Errors
    /// Nobody listens.
    pub async fn window(&self, warm_up: Duration, span: Duration) -> io::Result<()> {
        tokio::time::sleep(warm_up).await;
        let (before, _) = self.so_far();
        say(BEGIN)?;
        tokio::time::sleep(span).await;
        say(END)?;
        let (good, bad) = self.so_far();
        // What failed before the window counts as well: a system that drops connections is not measured by the rest.
        say(&counts(good.saturating_sub(before), bad))
    }
}

/// The window begins now.
pub const BEGIN: &str = "window begins";
/// The window ended now.
pub const END: &str = "window ended";

/// The line with the counts.
#[must_use]
pub fn counts(good: u64, bad: u64) -> String {
    format!("good {good} bad {bad}")
}

/// Writes a line at once: the other side acts on its arrival.
///
/// # Errors
/// Nobody listens.
pub fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}
