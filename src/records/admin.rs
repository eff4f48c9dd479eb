//! The admin socket's part of external data: takes records in and asks the broker of this process.

use std::sync::Arc;

use http::StatusCode;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use portcullis_broker_api::{
    BrokerClient, Deletion, Listing, MAX_RECORD_LINE_BYTES, MAX_RECORDS_BYTES, NewRecord, Pushed, RecordKey,
    RecordPage, RecordsError, record_type,
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::house::chain;

/// Why an order about records was not followed.
pub(crate) type Refused = (StatusCode, String);

/// The first line of a push.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    replaces: Option<String>,
}

/// What comes in, line by line.
#[derive(Default)]
struct Push {
    head: Option<Head>,
    records: Vec<NewRecord>,
    bytes: usize,
    /// The beginning of a line whose end is not here yet.
    rest: Vec<u8>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Delete {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    ids: Vec<String>,
    #[serde(default)]
    all: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    #[serde(rename = "type")]
    kind: Option<String>,
    id: Option<String>,
    after: Option<Named>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    #[serde(rename = "type")]
    kind: String,
    id: String,
}

/// Takes a whole push in and has it written in one step.
///
/// # Errors
/// [`Refused`]; nothing was changed then, or nobody knows.
pub(crate) async fn push(operator: &BrokerClient, mut body: Incoming) -> Result<Value, Refused> {
    let mut push = Push::default();
    while let Some(frame) = body.frame().await {
        // A body that breaks off is no push: whoever sent it found a fault in it, or is gone.
        let frame = frame.map_err(|error| bad(&error.to_string()))?;
        if let Ok(data) = frame.into_data() {
            push.take(&data).map_err(|fault| bad(&fault))?;
        }
    }
    let (replaces, records) = push.end().map_err(|fault| bad(&fault))?;
    let Pushed { version, written, deleted } = operator.push_records(records, replaces).await.map_err(refused)?;
    Ok(json!({ "version": version, "written": written, "deleted": deleted }))
}

/// Deletes records of a type.
///
/// # Errors
/// [`Refused`].
pub(crate) async fn delete(operator: &BrokerClient, order: Value) -> Result<Value, Refused> {
    let Delete { kind, ids, all } = serde_json::from_value(order).map_err(|error| bad(&error.to_string()))?;
    let which = match (ids.is_empty(), all) {
        (true, true) => Deletion::All,
        (false, false) => Deletion::Ids(ids),
        (true, false) | (false, true) => return Err(bad("wanted: ids, or all of the type")),
    };
    let Pushed { version, written: _, deleted } = operator.delete_records(&kind, which).await.map_err(refused)?;
    Ok(json!({ "version": version, "deleted": deleted }))
}

/// A page of records; their data as the text it is.
///
/// # Errors
/// [`Refused`].
pub(crate) async fn list(operator: &BrokerClient, order: Value) -> Result<Value, Refused> {
    let List { kind, id, after } = serde_json::from_value(order).map_err(|error| bad(&error.to_string()))?;
    let after = after.map(|Named { kind, id }| RecordKey::new(kind, id)).transpose();
    let after = after.map_err(|error| bad(&error.to_string()))?;
    let RecordPage { records, more } = operator.list_records(Listing { kind, id, after }).await.map_err(refused)?;
    let records: Vec<Value> = records
        .iter()
        .map(|record| json!({ "type": &*record.key().kind, "id": &*record.key().id, "data": &**record.data() }))
        .collect();
    Ok(json!({ "records": records, "more": more }))
}

impl Push {
    fn take(&mut self, data: &[u8]) -> Result<(), String> {
        let mut parts = data.split(|byte| *byte == b'\n').peekable();
        while let Some(part) = parts.next() {
            self.rest.extend_from_slice(part);
            if parts.peek().is_some() {
                self.line()?;
            } else if self.rest.len() > MAX_RECORD_LINE_BYTES {
                return Err(format!("a line is longer than {MAX_RECORD_LINE_BYTES} bytes"));
            }
        }
        Ok(())
    }

    fn line(&mut self) -> Result<(), String> {
        let text = std::mem::take(&mut self.rest);
        if self.head.is_none() {
            self.head = Some(serde_json::from_slice(&text).map_err(|error| error.to_string())?);
            return Ok(());
        }
        let record = NewRecord::from_line(&text).map_err(|error| chain(&error))?;
        self.bytes = self.bytes.saturating_add(record.bytes());
        if self.bytes > MAX_RECORDS_BYTES {
            return Err(format!("the records take more than {MAX_RECORDS_BYTES} bytes"));
        }
        self.records.push(record);
        Ok(())
    }

    fn end(self) -> Result<(Option<Arc<str>>, Vec<NewRecord>), String> {
        let Self { head, records, bytes: _, rest } = self;
        let Some(Head { replaces }) = head.filter(|_| rest.is_empty()) else {
            return Err("the last line has no end".to_owned());
        };
        if replaces.is_some() && records.is_empty() {
            return Err("a replacement without records: to empty a type, delete all of it".to_owned());
        }
        Ok((replaces.map(record_type).transpose().map_err(|error| error.to_string())?, records))
    }
}

fn bad(fault: &str) -> Refused {
    (StatusCode::BAD_REQUEST, fault.to_owned())
}

fn refused(error: RecordsError) -> Refused {
    match error {
        RecordsError::Refused { reason } => (StatusCode::UNPROCESSABLE_ENTITY, reason),
        RecordsError::Broker(error) => (StatusCode::SERVICE_UNAVAILABLE, chain(&error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(frames: &[&str]) -> Result<(Option<String>, usize), String> {
        let mut push = Push::default();
        frames.iter().try_for_each(|frame| push.take(frame.as_bytes()))?;
        push.end().map(|(replaces, records)| (replaces.map(|kind| kind.to_string()), records.len()))
    }

    #[test]
    fn lines_are_found_wherever_a_body_is_cut_and_none_may_be_missing_its_end() {
        let record = r#"{"type":"hr","id":"1","data":{}}"#;
        let whole = format!("{{\"replaces\":\"hr\"}}\n{record}\n{record}\n");
        let expected = Ok((Some("hr".to_owned()), 2));
        assert_eq!(taken(&[&whole]), expected);
        for at in 1..whole.len() {
            let (head, tail) = whole.split_at(at);
            assert_eq!(taken(&[head, tail]), expected, "cut at {at}");
        }
        assert_eq!(taken(&["{\"replaces\":null}\n"]), Ok((None, 0)));
        for broken in ["", "{\"replaces\":null}", "{}\n{\"type\"", "{\"x\":1}\n", "{}\n{}\n"] {
            assert!(taken(&[broken]).is_err(), "{broken}");
        }
        assert!(taken(&["{\"replaces\":\"hr\"}\n"]).unwrap_err().contains("delete all"));
        assert!(taken(&["{}\n", &"x".repeat(MAX_RECORD_LINE_BYTES + 1)]).unwrap_err().contains("longer"));
    }
}
