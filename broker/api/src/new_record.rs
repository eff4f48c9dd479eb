//! A record of external data on its way to the broker, and the bounds of what the broker keeps.

use std::fmt;
use std::sync::Arc;

use portcullis_identity::{Claims, ClaimsError, Record};

/// The longest type of a record, in bytes.
pub const MAX_RECORD_TYPE_BYTES: usize = 128;
/// The longest id of a record, in bytes.
pub const MAX_RECORD_ID_BYTES: usize = 512;
/// The most bytes of a record's fields, as JSON text.
pub const MAX_RECORD_DATA_BYTES: usize = 16 * 1024;
/// The most records of one type.
pub const MAX_RECORDS_OF_A_TYPE: usize = 100_000;
/// The most bytes of all records: types, ids and fields, and [`RECORD_OVERHEAD_BYTES`] for each.
pub const MAX_RECORDS_BYTES: usize = 64 * 1024 * 1024;
/// What a record counts for beside its texts, so that a bound on bytes bounds their number too.
pub const RECORD_OVERHEAD_BYTES: usize = 128;

/// What names a record: type and id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordKey {
    /// The type.
    pub kind: Arc<str>,
    /// The id.
    pub id: Arc<str>,
}

/// A record within the bounds of one record. Its fields are a JSON object that policies can read.
#[derive(Clone, PartialEq, Eq)]
pub struct NewRecord {
    key: RecordKey,
    data: Arc<str>,
}

/// Why something is no record.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// No type.
    #[error("the type is empty")]
    NoType,
    /// Beyond [`MAX_RECORD_TYPE_BYTES`].
    #[error("the type has {bytes} bytes, more than {MAX_RECORD_TYPE_BYTES}")]
    TypeTooLong {
        /// Its length.
        bytes: usize,
    },
    /// No id.
    #[error("the id is empty")]
    NoId,
    /// Beyond [`MAX_RECORD_ID_BYTES`].
    #[error("the id has {bytes} bytes, more than {MAX_RECORD_ID_BYTES}")]
    IdTooLong {
        /// Its length.
        bytes: usize,
    },
    /// Beyond [`MAX_RECORD_DATA_BYTES`].
    #[error("the data has {bytes} bytes, more than {MAX_RECORD_DATA_BYTES}")]
    DataTooLong {
        /// Its length.
        bytes: usize,
    },
    /// No JSON object, or nested too deep.
    #[error("the data is not a JSON object, or is nested too deep")]
    Data(#[source] ClaimsError),
}

impl RecordKey {
    /// A type and an id within their bounds.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn new(kind: impl Into<Arc<str>>, id: impl Into<Arc<str>>) -> Result<Self, RecordError> {
        let (kind, id) = (record_type(kind)?, id.into());
        match id.len() {
            0 => Err(RecordError::NoId),
            bytes if bytes > MAX_RECORD_ID_BYTES => Err(RecordError::IdTooLong { bytes }),
            _ => Ok(Self { kind, id }),
        }
    }
}

/// A type within its bounds.
///
/// # Errors
/// [`RecordError`].
pub fn record_type(kind: impl Into<Arc<str>>) -> Result<Arc<str>, RecordError> {
    let kind = kind.into();
    match kind.len() {
        0 => Err(RecordError::NoType),
        bytes if bytes > MAX_RECORD_TYPE_BYTES => Err(RecordError::TypeTooLong { bytes }),
        _ => Ok(kind),
    }
}

impl NewRecord {
    /// A record of `data`, which is one JSON object.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn new(key: RecordKey, data: impl Into<Arc<str>>) -> Result<Self, RecordError> {
        let data = data.into();
        fields(&data)?;
        Ok(Self { key, data })
    }

    /// What names it.
    #[must_use]
    pub const fn key(&self) -> &RecordKey {
        &self.key
    }

    /// Its fields as JSON.
    #[must_use]
    pub const fn data(&self) -> &Arc<str> {
        &self.data
    }

    /// What it counts for in [`MAX_RECORDS_BYTES`].
    #[must_use]
    pub fn bytes(&self) -> usize {
        let Self { key: RecordKey { kind, id }, data } = self;
        [kind, id, data].into_iter().map(|text| text.len()).sum::<usize>() + RECORD_OVERHEAD_BYTES
    }
}

/// The same record as policies look at it.
///
/// # Errors
/// [`RecordError`].
pub(crate) fn read(RecordKey { kind, id }: RecordKey, data: &str) -> Result<Record, RecordError> {
    Ok(Record { kind, id, data: fields(data)? })
}

fn fields(data: &str) -> Result<Claims, RecordError> {
    match data.len() {
        bytes if bytes > MAX_RECORD_DATA_BYTES => Err(RecordError::DataTooLong { bytes }),
        _ => Claims::from_json(data).map_err(RecordError::Data),
    }
}

/// Shows which record it is and none of its fields.
impl fmt::Debug for NewRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewRecord").field("key", &self.key).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bound_of_a_record_is_named_and_what_is_within_it_is_taken() {
        let text = |length: usize| "x".repeat(length);
        let object = |length: usize| format!(r#"{{"a":"{}"}}"#, text(length - r#"{"a":""}"#.len()));
        let said = |kind: &str, id: &str, data: &str| {
            let made = RecordKey::new(kind, id).and_then(|key| NewRecord::new(key, data));
            made.map_or_else(|error| error.to_string(), |_| "taken".to_owned())
        };
        for (kind, id, data, expected) in [
            (text(MAX_RECORD_TYPE_BYTES), text(MAX_RECORD_ID_BYTES), object(MAX_RECORD_DATA_BYTES), "taken"),
            (String::new(), text(1), object(9), "the type is empty"),
            (text(129), text(1), object(9), "the type has 129 bytes, more than 128"),
            (text(1), String::new(), object(9), "the id is empty"),
            (text(1), text(513), object(9), "the id has 513 bytes, more than 512"),
            (text(1), text(1), object(16_385), "the data has 16385 bytes, more than 16384"),
            (text(1), text(1), "[]".to_owned(), "the data is not a JSON object, or is nested too deep"),
            (text(1), text(1), "{".to_owned(), "the data is not a JSON object, or is nested too deep"),
        ] {
            assert_eq!(said(&kind, &id, &data), expected);
        }
        let record = NewRecord::new(RecordKey::new("hr", "u-1").unwrap(), r#"{"salary":"canary"}"#).unwrap();
        assert!(!format!("{record:?}").contains("canary"));
    }
}
