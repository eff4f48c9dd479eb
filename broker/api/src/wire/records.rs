//! Between messages of external data and our own nouns.

use portcullis_identity::Record;

use super::WireError;
use super::generated as wire;
use crate::{NewRecord, RecordKey, new_record};

/// The record of a message.
///
/// # Errors
/// [`WireError::Record`]; the fields are parsed here, so that what is stored can be read.
pub fn record(message: wire::Record) -> Result<NewRecord, WireError> {
    let wire::Record { r#type: kind, id, data } = message;
    Ok(NewRecord::new(RecordKey::new(kind, id)?, data)?)
}

/// The record of a message as policies look at it.
///
/// # Errors
/// [`WireError::Record`].
pub(crate) fn read_record(message: wire::Record) -> Result<Record, WireError> {
    let wire::Record { r#type: kind, id, data } = message;
    Ok(new_record::read(RecordKey::new(kind, id)?, &data)?)
}

/// The message of a record.
#[must_use]
pub fn record_message(record: &NewRecord) -> wire::Record {
    let RecordKey { kind, id } = record.key();
    wire::Record { r#type: (**kind).to_owned(), id: (**id).to_owned(), data: (**record.data()).to_owned() }
}

/// What a message names.
///
/// # Errors
/// [`WireError::Record`].
pub fn record_key(message: wire::RecordKey) -> Result<RecordKey, WireError> {
    let wire::RecordKey { r#type: kind, id } = message;
    Ok(RecordKey::new(kind, id)?)
}

/// The message that names a record.
#[must_use]
pub fn record_key_message(key: &RecordKey) -> wire::RecordKey {
    let RecordKey { kind, id } = key;
    wire::RecordKey { r#type: (**kind).to_owned(), id: (**id).to_owned() }
}
