//! The calls about records: messages checked, the writer asked.

use std::sync::Arc;
use std::time::Duration;

use portcullis_broker_api::wire::{self, generated as proto};
use portcullis_broker_api::{Listing, MAX_RECORDS_BYTES, NewRecord, Pushed, RecordKey, record_type};
use tonic::{Status, Streaming};

use super::edit::RecordEdit;
use crate::queue::Refusal;
use crate::service::BrokerService;
use crate::writer::Command;

/// Pushes at a time: each holds all of its records in memory until its end is there.
pub(crate) const PUSHES: usize = 1;
/// How long a push may wait for the one before it.
const TURN: Duration = Duration::from_secs(60);
/// A push that says nothing for this long is given up.
const SILENCE: Duration = Duration::from_secs(10);
/// The most ids of one deletion.
const DELETE_BATCH: usize = 4096;
/// When a page of a listing is full, in bytes of records.
const PAGE_BYTES: usize = 512 * 1024;

/// Takes a whole push in, and writes it in one step.
pub(crate) async fn push(
    service: &BrokerService,
    mut steps: Streaming<proto::PushRecordsRequest>,
) -> Result<proto::PushRecordsAnswer, Status> {
    let turn = tokio::time::timeout(TURN, service.pushes.acquire()).await;
    let _turn = turn.map_err(|_| service.refused(Refusal::Busy))?.map_err(|_| service.refused(Refusal::Closed))?;
    let mut records = Vec::new();
    let end = collect(service, &mut steps, &mut records).await?;
    let proto::PushEnd { count, replaces } = end;
    if u64::try_from(records.len()).ok() != Some(count) {
        return Err(service.malformed(&wire::WireError::OutOfRange { field: "count" }));
    }
    let edit = match replaces {
        None => RecordEdit::Put(records),
        Some(kind) => {
            let kind = record_type(kind).map_err(|error| service.malformed(&error.into()))?;
            RecordEdit::Replace(kind, records)
        }
    };
    let Pushed { version, written, deleted } = edited(service, edit).await?;
    Ok(proto::PushRecordsAnswer { version, written, deleted })
}

async fn collect(
    service: &BrokerService,
    steps: &mut Streaming<proto::PushRecordsRequest>,
    records: &mut Vec<NewRecord>,
) -> Result<proto::PushEnd, Status> {
    use proto::push_records_request::Step;
    let mut bytes = 0_usize;
    loop {
        let step = tokio::time::timeout(SILENCE, steps.message()).await;
        let step = step.map_err(|_| Status::deadline_exceeded("push too slow"))??;
        // A stream that ends without its end was cut off: what came of it is no push.
        let missing = || service.malformed(&wire::WireError::Missing { field: "end" });
        match step.and_then(|step| step.step).ok_or_else(missing)? {
            Step::End(end) => return Ok(end),
            Step::Batch(proto::RecordBatch { record }) => {
                for message in record {
                    let record = wire::record(message).map_err(|error| service.malformed(&error))?;
                    bytes = bytes.saturating_add(record.bytes());
                    if bytes > MAX_RECORDS_BYTES {
                        return Err(service.refused(Refusal::TooManyRecordBytes));
                    }
                    records.push(record);
                }
            }
        }
    }
}

/// Deletes records of a type.
pub(crate) async fn delete(
    service: &BrokerService,
    request: proto::DeleteRecordsRequest,
) -> Result<proto::DeleteRecordsAnswer, Status> {
    let proto::DeleteRecordsRequest { r#type: kind, id, all } = request;
    let kind = record_type(kind).map_err(|error| service.malformed(&error.into()))?;
    // Both or neither would leave open what is meant.
    if id.len() > DELETE_BATCH || id.is_empty() != all {
        return Err(service.malformed(&wire::WireError::OutOfRange { field: "id" }));
    }
    let edit = if all {
        RecordEdit::Clear(kind)
    } else {
        let keys = id.into_iter().map(|id| RecordKey::new(Arc::clone(&kind), id)).collect::<Result<_, _>>();
        RecordEdit::Delete(keys.map_err(|error| service.malformed(&error.into()))?)
    };
    let Pushed { version, written: _, deleted } = edited(service, edit).await?;
    Ok(proto::DeleteRecordsAnswer { version, deleted })
}

/// A page of records.
pub(crate) fn list(
    service: &BrokerService,
    request: proto::ListRecordsRequest,
) -> Result<proto::ListRecordsAnswer, Status> {
    let proto::ListRecordsRequest { r#type: kind, id, after } = request;
    let after = after.map(wire::record_key).transpose().map_err(|error| service.malformed(&error))?;
    let (records, more) = service.shared.known().records.page(&Listing { kind, id, after }, PAGE_BYTES);
    Ok(proto::ListRecordsAnswer { record: records.iter().map(wire::record_message).collect(), more })
}

async fn edited(service: &BrokerService, edit: RecordEdit) -> Result<Pushed, Status> {
    let done = service.writes.ask(|reply| Command::EditRecords { edit, reply }).await;
    done.map_err(|refusal| service.refused(refusal))
}
