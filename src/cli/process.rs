//! What a running process can be asked for, over its admin socket.

use std::path::PathBuf;

use clap::builder::RangedU64ValueParser;
use clap::{Args, Subcommand};
use portcullis_proxy::DecisionRecord;

use super::{ConfigFile, Supposed};
use crate::decisions::{MAX_LISTED, Wanted};

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
    /// Only what came to this.
    #[arg(long, value_name = "WORD", value_parser = DecisionRecord::OUTCOMES)]
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
    #[arg(long, value_name = "N", default_value_t = Wanted::default().limit, value_parser = limit())]
    pub(crate) limit: usize,
    /// Which process; it must run the proxy.
    #[command(flatten)]
    pub(crate) admin: Admin,
    /// The whole records, one JSON object a line.
    #[arg(long)]
    pub(crate) json: bool,
}

fn limit() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..=MAX_LISTED)
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
