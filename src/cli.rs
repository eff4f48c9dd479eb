//! The command line: what can be asked for, nothing of how it is done.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

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

/// Which running process is meant.
#[derive(Args, Clone, Debug)]
pub(crate) struct Admin {
    /// Where the configuration is: it names the folder of the admin socket.
    #[command(flatten)]
    pub(crate) file: ConfigFile,
    /// The admin socket itself, instead of a configuration.
    #[arg(long, value_name = "PATH")]
    pub(crate) socket: Option<PathBuf>,
}

/// Options of `status`.
#[derive(Args, Debug)]
pub(crate) struct Status {
    /// Which process.
    #[command(flatten)]
    pub(crate) admin: Admin,
    /// The whole answer as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `explain`.
#[derive(Args, Debug)]
pub(crate) struct Explain {
    /// The request id, as the page, the `X-Request-Id` header or the access event show it.
    #[arg(required_unless_present_any = ["route", "url"], conflicts_with_all = ["route", "url"])]
    pub(crate) request_id: Option<String>,
    /// Which request, if none was sent.
    #[command(flatten)]
    pub(crate) supposed: Supposed,
    /// Which process; or, for a request that nobody sent, which configuration.
    #[command(flatten)]
    pub(crate) admin: Admin,
    /// The whole record as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `decisions`.
#[derive(Args, Debug)]
pub(crate) struct Decisions {
    /// Only what came to this: permit, challenge, refuse, malformed, own, sign_in or aborted.
    #[arg(long, value_name = "WORD", value_parser = ["permit", "challenge", "refuse", "malformed", "own", "sign_in", "aborted"])]
    pub(crate) decision: Option<String>,
    /// Only those of the route with this name.
    #[arg(long, value_name = "NAME")]
    pub(crate) route: Option<String>,
    /// Only those of a user, by id or e-mail address.
    #[arg(long)]
    pub(crate) user: Option<String>,
    /// Only those of which the route's shadow policy would have made something else.
    #[arg(long)]
    pub(crate) shadow: bool,
    /// How many: the newest.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=crate::decisions::MAX_LISTED as u64))]
    pub(crate) limit: usize,
    /// Which process; it must run the proxy.
    #[command(flatten)]
    pub(crate) admin: Admin,
    /// The whole records, one JSON object a line.
    #[arg(long)]
    pub(crate) json: bool,
}

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

/// What can be done to sessions.
#[derive(Debug, Subcommand)]
pub(crate) enum Sessions {
    /// List live sessions, most recently used first.
    List(ListSessions),
    /// End every session of a user, or one session: on every host, with their open streams.
    End(EndSessions),
}

/// Options of `sessions list`.
#[derive(Args, Debug)]
pub(crate) struct ListSessions {
    /// Which process; it must run the broker.
    #[command(flatten)]
    pub(crate) admin: Admin,
    /// The list as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `sessions end`.
#[derive(Args, Debug)]
pub(crate) struct EndSessions {
    /// The user's id (`sub`), at whichever provider.
    #[arg(long, required_unless_present = "session")]
    pub(crate) user: Option<String>,
    /// One session, as `sessions list` shows it; the process must run the broker. Those made of it for programs end too.
    #[arg(long, conflicts_with_all = ["user", "issuer"])]
    pub(crate) session: Option<String>,
    /// Only sessions of this issuer, as the provider's configuration writes it.
    #[arg(long)]
    pub(crate) issuer: Option<String>,
    /// Which process.
    #[command(flatten)]
    pub(crate) admin: Admin,
}

/// What can be done to external data.
#[derive(Debug, Subcommand)]
pub(crate) enum Records {
    /// Push records, JSON lines `{"type": …, "id": …, "data": {…}}`: all of them or, if one is no record, none.
    Push(PushRecords),
    /// List records.
    List(ListRecords),
    /// Delete records of a type.
    Delete(DeleteRecords),
}

/// Options of `records push`.
#[derive(Args, Debug)]
pub(crate) struct PushRecords {
    /// The files; `-` or none: standard input. Of two records with the same type and id the later one counts.
    #[arg(value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Put the records in the place of all of this type, in one step: what is not among them is gone.
    #[arg(long, value_name = "TYPE")]
    pub(crate) replace: Option<String>,
    /// Which process; it must run the broker.
    #[command(flatten)]
    pub(crate) admin: Admin,
}

/// Options of `records list`.
#[derive(Args, Debug)]
pub(crate) struct ListRecords {
    /// Only records of this type.
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) kind: Option<String>,
    /// Only records with this id.
    #[arg(long, value_name = "ID")]
    pub(crate) id: Option<String>,
    /// JSON lines, as `records push` takes them.
    #[arg(long)]
    pub(crate) json: bool,
    /// Which process; it must run the broker.
    #[command(flatten)]
    pub(crate) admin: Admin,
}

/// Options of `records delete`.
#[derive(Args, Debug)]
pub(crate) struct DeleteRecords {
    /// Their type.
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) kind: String,
    /// Their ids.
    #[arg(value_name = "ID", required_unless_present = "all")]
    pub(crate) ids: Vec<String>,
    /// Every record of the type.
    #[arg(long, conflicts_with = "ids")]
    pub(crate) all: bool,
    /// Which process; it must run the broker.
    #[command(flatten)]
    pub(crate) admin: Admin,
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
