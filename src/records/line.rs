//! A record as one line of JSON: `{"type": …, "id": …, "data": {…}}`.

use portcullis_broker_api::{NewRecord, RecordKey};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::house::chain;

/// The longest line, in bytes, without its end: room for the longest record, however its text is escaped.
pub(super) const MAX_LINE_BYTES: usize = 128 * 1024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    #[serde(rename = "type")]
    kind: String,
    id: String,
    #[serde(borrow)]
    data: &'a RawValue,
}

/// Reads a line. The data stays the text it is, so that every number keeps its digits.
///
/// # Errors
/// What is wrong with it.
pub(super) fn read(line: &[u8]) -> Result<NewRecord, String> {
    if line.len() > MAX_LINE_BYTES {
        return Err(format!("the line is longer than {MAX_LINE_BYTES} bytes"));
    }
    let Line { kind, id, data } = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    let key = RecordKey::new(kind, id).map_err(|error| error.to_string())?;
    NewRecord::new(key, data.get()).map_err(|error| chain(&error))
}

/// The line of a record.
pub(super) fn write(record: &NewRecord) -> String {
    let RecordKey { kind, id } = record.key();
    text(kind, id, record.data())
}

/// The line of a record's parts; `data` is JSON.
pub(super) fn text(kind: &str, id: &str, data: &str) -> String {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    format!(r#"{{"type":{},"id":{},"data":{data}}}"#, quoted(kind), quoted(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_as_it_is_written_and_everything_else_is_named() {
        let record = read(br#" {"type": "hr", "id": "a\"b", "data": {"n": 12345678901234567890.10}} "#).unwrap();
        let written = write(&record);
        assert_eq!(written, r#"{"type":"hr","id":"a\"b","data":{"n": 12345678901234567890.10}}"#);
        assert_eq!(read(written.as_bytes()).unwrap(), record);
        for (line, fault) in [
            (r#"{"type":"hr","id":"1"}"#, "missing field `data`"),
            (r#"{"type":"hr","data":{}}"#, "missing field `id`"),
            (r#"{"type":"hr","id":"1","data":{},"x":1}"#, "unknown field `x`"),
            (r#"{"type":"hr","id":7,"data":{}}"#, "invalid type"),
            (r#"{"type":"hr","id":"","data":{}}"#, "the id is empty"),
            (r#"{"type":"hr","id":"1","data":[]}"#, "the data is not a JSON object"),
            ("hr", "expected value"),
        ] {
            let said = read(line.as_bytes()).unwrap_err();
            assert!(said.contains(fault), "{line}: {said}");
        }
        assert!(read(&vec![b' '; MAX_LINE_BYTES + 1]).unwrap_err().contains("longer than 131072 bytes"));
    }
}
