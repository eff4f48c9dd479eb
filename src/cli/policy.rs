//! What policies can be asked without a running process.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// A request that nobody sent, for `explain`.
#[derive(Args, Debug)]
#[command(next_help_heading = "A request that nobody sent")]
pub(crate) struct Supposed {
    /// The route that is asked, by its name, at its own host and path.
    #[arg(long, conflicts_with = "url")]
    pub(crate) route: Option<String>,
    /// The address that is asked; the routing is the proxy's.
    #[arg(long)]
    pub(crate) url: Option<String>,
    /// Another path than the route's own.
    #[arg(long, conflicts_with = "url")]
    pub(crate) path: Option<String>,
    /// The method.
    #[arg(long, default_value = "GET")]
    pub(crate) method: String,
    /// A request header, `name: value`.
    #[arg(long, value_name = "HEADER")]
    pub(crate) header: Vec<String>,
    /// Where the request comes from.
    #[arg(long, value_name = "IP")]
    pub(crate) client_address: Option<String>,
    /// When, as RFC 3339 writes it; default: now.
    #[arg(long, value_name = "TIME")]
    pub(crate) at: Option<String>,
    /// Who asks: a file (JSON or YAML) with a subject as `policy eval` takes it. Without this and the next four,
    /// nobody is signed in.
    #[arg(long = "as", value_name = "FILE", conflicts_with_all = ["user", "email", "claim", "group"])]
    pub(crate) subject: Option<PathBuf>,
    /// Who asks, by id; default: the e-mail address.
    #[arg(long, value_name = "ID")]
    pub(crate) user: Option<String>,
    /// Who asks, by e-mail address.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) email: Option<String>,
    /// A claim of theirs: `name=text`, or `name:=JSON`.
    #[arg(long, value_name = "CLAIM")]
    pub(crate) claim: Vec<String>,
    /// A group of theirs.
    #[arg(long, value_name = "GROUP")]
    pub(crate) group: Vec<String>,
}

/// What can be done with policies.
#[derive(Debug, Subcommand)]
pub(crate) enum Policy {
    /// Decide JSON lines from standard input; one JSON line of answer for each.
    Eval,
    /// Run table tests: who asks for what, and what must come of it. Exit status 1 if a case failed, 2 if a file is
    /// broken.
    Test(PolicyTest),
    /// Say for which requests another configuration has another answer. Exit status 1 if there are any.
    Diff(PolicyDiff),
}

/// Options of `policy test`.
#[derive(Args, Debug)]
pub(crate) struct PolicyTest {
    /// The test files. Default: every `*.test.yaml` beside the configuration, or in this folder.
    #[arg(value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// The configuration to test, instead of the one that a test file names.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Write the results there too, as JUnit XML.
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
}

/// Options of `policy diff`.
#[derive(Args, Debug)]
pub(crate) struct PolicyDiff {
    /// The configuration as it is.
    pub(crate) old: PathBuf,
    /// The configuration as it would be.
    pub(crate) new: PathBuf,
    /// The requests, JSON lines; default: standard input.
    #[arg(long, value_name = "FILE")]
    pub(crate) records: Option<PathBuf>,
    /// The changes as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}
