//! Words for whoever runs a command: results on standard output, everything else on standard error.

use std::io::{self, Write};

/// One line of a command's result. A reader that went away (`| head`) is no error of ours.
pub(crate) fn say(line: &str) {
    drop(writeln!(io::stdout().lock(), "{line}"));
}

/// One line beside the result: a warning, a hint.
pub(crate) fn note(line: &str) {
    drop(writeln!(io::stderr().lock(), "{line}"));
}
