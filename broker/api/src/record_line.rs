//! A record as one line of JSON: `{"type": …, "id": …, "data": {…}}`.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{NewRecord, RecordError, RecordKey};

/// The longest line of a record, in bytes, without its end: room for the longest record, however its text is escaped.
pub const MAX_RECORD_LINE_BYTES: usize = 128 * 1024;

/// Why a line is no record.
#[derive(Debug, thiserror::Error)]
pub enum RecordLineError {
    /// Beyond [`MAX_RECORD_LINE_BYTES`].
    #[error("the line is longer than {MAX_RECORD_LINE_BYTES} bytes")]
    TooLong,
    /// Not one JSON object with these three members and no other.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// A member out of its bounds.
    #[error(transparent)]
    Record(#[from] RecordError),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    #[serde(rename = "type")]
    kind: String,
    id: String,
    #[serde(borrow)]
    data: &'a RawValue,
}

impl NewRecord {
    /// Reads a line. The data stays the text it is, so that every number keeps its digits.
    ///
    /// # Errors
    /// [`RecordLineError`].
    pub fn from_line(line: &[u8]) -> Result<Self, RecordLineError> {
        if line.len() > MAX_RECORD_LINE_BYTES {
            return Err(RecordLineError::TooLong);
        }
        let Line { kind, id, data } = serde_json::from_slice(line)?;
        Ok(Self::new(RecordKey::new(kind, id)?, data.get())?)
    }

    /// The line of a record, without its end.
    #[must_use]
    pub fn to_line(&self) -> String {
        let RecordKey { kind, id } = self.key();
        record_line(kind, id, self.data())
    }
}

/// The line of a record's parts; `data` is JSON.
#[must_use]
pub fn record_line(kind: &str, id: &str, data: &str) -> String {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    format!(r#"{{"type":{},"id":{},"data":{data}}}"#, quoted(kind), quoted(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_as_it_is_written_and_everything_else_is_named() {
        let line = br#" {"type": "hr", "id": "a\"b", "data": {"n": 12345678901234567890.10}} "#;
        let record = NewRecord::from_line(line).unwrap();
        let written = record.to_line();
        assert_eq!(written, r#"{"type":"hr","id":"a\"b","data":{"n": 12345678901234567890.10}}"#);
        assert_eq!(NewRecord::from_line(written.as_bytes()).unwrap(), record);
        for (line, fault) in [
            (r#"{"type":"hr","id":"1"}"#, "missing field `data`"),
            (r#"{"type":"hr","data":{}}"#, "missing field `id`"),
            (r#"{"type":"hr","id":"1","data":{},"x":1}"#, "unknown field `x`"),
            (r#"{"type":"hr","id":7,"data":{}}"#, "invalid type"),
            (r#"{"type":"hr","id":"","data":{}}"#, "the id is empty"),
            (r#"{"type":"hr","id":"1","data":[]}"#, "the data is not a JSON object"),
            ("hr", "expected value"),
        ] {
            let said = NewRecord::from_line(line.as_bytes()).unwrap_err().to_string();
            assert!(said.contains(fault), "{line}: {said}");
        }
        let said = NewRecord::from_line(&vec![b' '; MAX_RECORD_LINE_BYTES + 1]).unwrap_err().to_string();
        assert!(said.contains("longer than 131072 bytes"), "{said}");
    }
}
