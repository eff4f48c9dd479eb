//! The command line: what can be asked for, nothing of how it is done.

mod policy;
mod process;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use policy::{Policy, PolicyDiff, PolicyTest, Supposed};
pub(crate) use process::{
    Admin, Decisions, DeleteRecords, EndSessions, Explain, ListRecords, ListSessions, PushRecords, Records, Sessions,
    Status,
};

/// An identity-aware edge proxy: signs people in at their identity provider and checks every request against a
/// policy before the service behind sees it.
#[derive(Debug, Parser)]
#[command(name = "portcullis", version, about, propagate_version = true)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What can be asked for.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the services that the configuration names, in the foreground.
    Run(Run),
    /// Try it: proxy, identity provider and two applications on loopback, without any configuration.
    Demo(Demo),
    /// Read a configuration as `run` would and say what is wrong or doubtful in it.
    Check(Check),
    /// Show what a running process does: generation, replica, providers, certificates.
    Status(Status),
    /// Say why a request was permitted or denied, by the request id of its answer; or what would become of one that
    /// nobody sent.
    Explain(Box<Explain>),
    /// List the last decisions of a running process: who asked for what, what came of it, and what a shadow policy
    /// would have made of it.
    Decisions(Decisions),
    /// Have a running process read its configuration again, now.
    Reload(Admin),
    /// List and end sessions.
    #[command(subcommand)]
    Sessions(Sessions),
    /// Push, list and delete external data, which policies look at by `record`.
    #[command(subcommand)]
    Records(Records),
    /// Make, look at and export the cluster secret.
    #[command(subcommand)]
    Keys(Keys),
    /// Decide requests against policies without a server.
    #[command(subcommand)]
    Policy(Policy),
    /// Make a configuration of ours from one of Pomerium or oauth2-proxy; what has no equivalent is named.
    Migrate(Migrate),
    /// Print the JSON Schema of the configuration.
    Schema,
}

/// Options of `run`.
#[derive(Args, Debug)]
pub(crate) struct Run {
    /// Where the configuration is.
    #[command(flatten)]
    pub(crate) file: ConfigFile,
    /// A Pomerium configuration to run as it is, instead of one of ours.
    #[arg(long, value_name = "FILE", conflicts_with = "config")]
    pub(crate) pomerium: Option<PathBuf>,
    /// Run it although something that protects has no equivalent.
    #[arg(long, requires = "pomerium")]
    pub(crate) accept_losses: bool,
}

/// Options of `migrate`.
#[derive(Args, Debug)]
pub(crate) struct Migrate {
    /// A Pomerium configuration (YAML), or one of oauth2-proxy: its file, its alpha configuration, or both.
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Write the secrets of the file into this folder, 0600, instead of only saying which files to write.
    #[arg(long, value_name = "DIR")]
    pub(crate) secrets_dir: Option<PathBuf>,
}

/// Where the configuration is.
#[derive(Args, Clone, Debug)]
pub(crate) struct ConfigFile {
    /// The configuration file.
    #[arg(long, short, value_name = "FILE", default_value = "/etc/portcullis/portcullis.yaml")]
    pub(crate) config: PathBuf,
}

/// Options of `demo`.
#[derive(Args, Debug)]
pub(crate) struct Demo {
    /// The port of the proxy on loopback.
    #[arg(long, default_value_t = 8443)]
    pub(crate) port: u16,
    /// Take the whole tour unattended and exit: 0 if every step did what it promises.
    #[arg(long)]
    pub(crate) check: bool,
}

/// Options of `check`.
#[derive(Args, Debug)]
pub(crate) struct Check {
    /// Where the configuration is.
    #[command(flatten)]
    pub(crate) file: ConfigFile,
    /// How findings are written.
    #[arg(long, value_enum, default_value_t = Findings::Text)]
    pub(crate) format: Findings,
}

/// How findings are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Findings {
    /// For people, with the lines in question.
    Text,
    /// One JSON object.
    Json,
    /// SARIF 2.1.0, for editors and CI.
    Sarif,
}

/// What can be done with keys.
#[derive(Debug, Subcommand)]
pub(crate) enum Keys {
    /// Print a new line for a key ring file.
    New,
    /// Print the key ids of a key ring, the sealing one first.
    Ids(ConfigFile),
    /// Rotate, step one: append a new key to a key ring file. It opens from the next start on, and does not seal yet.
    Append(RingFile),
    /// Rotate, step two: move a key to the front of a key ring file, where it seals.
    Promote(RingKey),
    /// Rotate, step three: remove a key from a key ring file, once nothing sealed with it is alive.
    Remove(RingKey),
    /// Print only the keys that some services need, so that an edge host never holds the secret itself.
    Export(Export),
}

/// A key ring file.
#[derive(Args, Debug)]
pub(crate) struct RingFile {
    /// The key ring file; it is replaced as a whole, with its owner and mode.
    pub(crate) file: PathBuf,
}

/// A key of a key ring file.
#[derive(Args, Debug)]
pub(crate) struct RingKey {
    /// The key's id, as `keys ids` prints it.
    pub(crate) id: String,
    /// The key ring file; it is replaced as a whole, with its owner and mode.
    pub(crate) file: PathBuf,
}

/// Options of `keys export`.
#[derive(Args, Debug)]
pub(crate) struct Export {
    /// Where the configuration is: it names the secret.
    #[command(flatten)]
    pub(crate) file: ConfigFile,
    /// The services the other host runs.
    #[arg(long, value_enum, value_delimiter = ',', required = true)]
    pub(crate) services: Vec<ServiceName>,
}

/// A service, as the command line writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ServiceName {
    /// User traffic.
    Proxy,
    /// Sign-in.
    Authn,
    /// Sessions and tokens.
    Broker,
}
