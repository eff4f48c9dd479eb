//! Which command does what, and with which runtime.

use std::io;
use std::process::ExitCode;

use http::Method;
use miette::{IntoDiagnostic, Result, WrapErr};
use portcullis_identity::SystemClock;
use portcullis_policy::eval;
use serde_json::{Value, json};

use crate::cli::{Admin, Cli, Command, Decisions, EndSessions, Explain, ListSessions, Policy, Sessions, Status};
use crate::decisions::Wanted;
use crate::terminal::{note, say};
use crate::{admin_client, check, decisions, demo, explain, keys_command, migrate, policy, records, run, status};

/// Does what the command line asks for.
///
/// # Errors
/// Whatever kept it from being done.
pub(crate) fn dispatch(cli: Cli) -> Result<ExitCode> {
    match cli.command {
        Command::Run(options) => return runtime()?.block_on(run::run(options.into())),
        Command::Demo(options) => runtime()?.block_on(demo::run(options))?,
        Command::Check(options) => {
            return Ok(if check::run(&options)? { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        Command::Status(options) => return client()?.block_on(show_status(options)),
        Command::Explain(options) => return explain_request(*options),
        Command::Decisions(options) => return client()?.block_on(list_decisions(options)),
        Command::Reload(options) => return client()?.block_on(reload(options)),
        Command::Sessions(Sessions::End(options)) => return client()?.block_on(end_sessions(options)),
        Command::Sessions(Sessions::List(options)) => return client()?.block_on(list_sessions(options)),
        Command::Records(records) => return client()?.block_on(records::run(records)),
        Command::Keys(keys) => keys_command::run(keys)?,
        Command::Policy(Policy::Eval) => return evaluate(),
        Command::Policy(Policy::Test(options)) => return Ok(told_apart(policy::test(&options, &SystemClock))),
        Command::Policy(Policy::Diff(options)) => return Ok(told_apart(policy::diff(&options, &SystemClock))),
        Command::Migrate(options) => return migrate::run(&options).into_diagnostic(),
        Command::Schema => say(&format!("{:#}", portcullis_config::schema())),
    }
    Ok(ExitCode::SUCCESS)
}

/// The runtime of services: a worker for each core the process may use.
fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .thread_name("portcullis")
        .enable_all()
        .build()
        .into_diagnostic()
        .wrap_err("the runtime")
}

/// The runtime of a command that asks a running process.
fn client() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().into_diagnostic().wrap_err("the runtime")
}

fn evaluate() -> Result<ExitCode> {
    let input = io::BufReader::with_capacity(1 << 16, io::stdin().lock());
    let output = io::BufWriter::with_capacity(1 << 16, io::stdout().lock());
    match eval::run(input, output, &SystemClock).into_diagnostic()? {
        eval::Outcome::Complete => Ok(ExitCode::SUCCESS),
        eval::Outcome::BadInput => Ok(ExitCode::from(2)),
    }
}

/// The exit status of a command that has two to tell: 1 is an answer, so what kept it from answering is 2.
fn told_apart(done: Result<u8>) -> ExitCode {
    done.map_or_else(
        |report| {
            note(&crate::explain_failure(&report));
            ExitCode::from(2)
        },
        ExitCode::from,
    )
}

async fn show_status(options: Status) -> Result<ExitCode> {
    let answer = ask(&options.admin, Method::GET, "/status", None).await?;
    say(&if options.json { format!("{answer:#}") } else { status::text(&answer) });
    Ok(if status::is_well(&answer) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn explain_request(options: Explain) -> Result<ExitCode> {
    let Explain { request_id: Some(id), supposed: _, admin, json } = options else {
        policy::suppose(&options, &SystemClock)?;
        return Ok(ExitCode::SUCCESS);
    };
    client()?.block_on(show_decision(&id, admin, json))
}

async fn show_decision(request_id: &str, admin: Admin, json: bool) -> Result<ExitCode> {
    let answer = ask(&admin, Method::GET, &format!("/decisions/{request_id}"), None).await?;
    say(&if json { format!("{answer:#}") } else { explain::text(&answer) });
    Ok(ExitCode::SUCCESS)
}

async fn list_decisions(options: Decisions) -> Result<ExitCode> {
    let Decisions { decision, route, user, shadow, limit, admin, json } = options;
    let wanted = json!(Wanted { decision, route, user, shadow, limit, facts: json });
    let list = ask(&admin, Method::POST, "/decisions/list", Some(&wanted)).await?;
    if json {
        list.as_array().into_iter().flatten().for_each(|record| say(&record.to_string()));
    } else {
        say(&decisions::text(&list));
    }
    Ok(ExitCode::SUCCESS)
}

async fn reload(options: Admin) -> Result<ExitCode> {
    let answer = ask(&options, Method::POST, "/reload", None).await?;
    say(&format!("generation {}", answer.get("generation").and_then(|text| text.as_str()).unwrap_or("unknown")));
    Ok(ExitCode::SUCCESS)
}

async fn end_sessions(options: EndSessions) -> Result<ExitCode> {
    let EndSessions { user, session, issuer, admin } = options;
    let selector = json!({ "user": user, "session": session, "issuer": issuer });
    let answer = ask(&admin, Method::POST, "/sessions/end", Some(&selector)).await?;
    say(&format!("sessions ended: {}", answer.get("ended").and_then(Value::as_u64).unwrap_or(0)));
    Ok(ExitCode::SUCCESS)
}

async fn list_sessions(options: ListSessions) -> Result<ExitCode> {
    let answer = ask(&options.admin, Method::GET, "/sessions", None).await?;
    say(&if options.json { format!("{answer:#}") } else { status::sessions(&answer) });
    Ok(ExitCode::SUCCESS)
}

/// What the process answers; its refusal is an error.
pub(crate) async fn ask(admin: &Admin, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
    let socket = admin_client::socket(admin)?;
    accepted(admin_client::ask(&socket, method, path, body).await?)
}

/// What the process answered, unless that is a refusal.
pub(crate) fn accepted(reply: admin_client::Reply) -> Result<Value> {
    let admin_client::Reply { status, body } = reply;
    if status.is_success() {
        return Ok(body);
    }
    let message = body.get("error").and_then(|text| text.as_str()).unwrap_or("refused");
    Err(miette::miette!("{message}"))
}
