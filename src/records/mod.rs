//! `portcullis records`: external data for policies, pushed to the broker of a running process over its admin socket.

pub(crate) mod admin;
mod source;

use std::process::ExitCode;

use http::Method;
use miette::{Result, miette};
use portcullis_broker_api::{record_line, record_type};
use serde_json::{Value, json};

use crate::admin_client;
use crate::cli::{Admin, DeleteRecords, ListRecords, PushRecords, Records};
use crate::commands::{accepted, ask};
use crate::terminal::{printable, say};
use source::Source;

/// The ids of one request to delete.
const DELETE_BATCH: usize = 256;

/// Does what is asked for.
///
/// # Errors
/// A line that is no record, a bound, or nobody who answers.
pub(crate) async fn run(records: Records) -> Result<ExitCode> {
    match records {
        Records::Push(options) => push(options).await?,
        Records::List(options) => list(options).await?,
        Records::Delete(options) => delete(options).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn push(options: PushRecords) -> Result<()> {
    let PushRecords { files, replace, admin } = options;
    let replaces = replace.map(record_type).transpose().map_err(|error| miette!("--replace: {error}"))?;
    let socket = admin_client::socket(&admin)?;
    let source = Source::new(files, replaces);
    let fault = source.fault();
    let sent = admin_client::send(&socket, "/records", source.into_body()).await;
    if let Some(fault) = fault.get() {
        return Err(miette!("{fault}; nothing was changed"));
    }
    let answer = accepted(sent?)?;
    let count = |name: &str| answer.get(name).and_then(Value::as_u64).unwrap_or_default();
    say(&format!("records written: {}, deleted: {}", count("written"), count("deleted")));
    Ok(())
}

async fn list(options: ListRecords) -> Result<()> {
    let ListRecords { kind, id, json: whole, admin } = options;
    if !whole {
        say(&format!("{:<24}{:<24}data", "type", "id"));
    }
    let mut after = Value::Null;
    loop {
        let request = json!({ "type": kind, "id": id, "after": after });
        let page = ask(&admin, Method::POST, "/records/list", Some(&request)).await?;
        let records = page.get("records").and_then(Value::as_array).cloned().unwrap_or_default();
        for record in &records {
            let field = |name: &str| record.get(name).and_then(Value::as_str).unwrap_or_default();
            let (kind, id, data) = (field("type"), field("id"), field("data"));
            // A name from an export may hold what a terminal would act upon.
            let shown = || format!("{:<24}{:<24}{}", printable(kind), printable(id), printable(data));
            say(&if whole { record_line(kind, id, data) } else { shown() });
        }
        let more = page.get("more").and_then(Value::as_bool).unwrap_or_default();
        let Some(last) = records.last().filter(|_| more) else { return Ok(()) };
        after = json!({ "type": last.get("type"), "id": last.get("id") });
    }
}

async fn delete(options: DeleteRecords) -> Result<()> {
    let DeleteRecords { kind, ids, all, admin } = options;
    let mut deleted = 0_u64;
    let requests: Vec<Value> = if all {
        vec![json!({ "type": kind, "all": true })]
    } else {
        ids.chunks(DELETE_BATCH).map(|ids| json!({ "type": kind, "ids": ids })).collect()
    };
    for request in requests {
        deleted = deleted.saturating_add(delete_some(&admin, &request).await?);
    }
    say(&format!("records deleted: {deleted}"));
    Ok(())
}

async fn delete_some(admin: &Admin, request: &Value) -> Result<u64> {
    let answer = ask(admin, Method::POST, "/records/delete", Some(request)).await?;
    Ok(answer.get("deleted").and_then(Value::as_u64).unwrap_or_default())
}
