//! Records of external data, as exports write them.

use portcullis_broker_api::NewRecord;
use portcullis_identity::Claims;

use crate::Shape;

pub(super) const WORDS: &[&str] = &[
    "{\"type\":",
    "\"id\":",
    "\"data\":",
    "\"data\":{\"a\":",
    "\"corp.test/hr\"",
    "\"\"",
    "\\u0000",
    "\\ud800",
    "\\n",
    "[[",
    "]]",
    "{}",
    "{",
    "}",
    ",",
    ":",
    "null",
    "1e999",
    "-0",
    "12345678901234567890.10",
    "true",
    "\n",
];

/// A line is a record, which is read again as it is written and by policies too, or it is refused.
pub(super) fn line(input: &[u8]) -> Shape {
    match NewRecord::from_line(input) {
        Ok(record) => {
            let written = record.to_line();
            let again = NewRecord::from_line(written.as_bytes()).expect("what is written is read");
            assert!(again == record && again.to_line() == written, "one record, two lines");
            let claims = Claims::from_json(record.data()).expect("what the broker takes, policies read");
            claims.iter().map(|(_, found)| found.len()).fold(Shape::NEW.with_count(record.bytes()), Shape::with_count)
        }
        Err(refused) => {
            let cause = std::error::Error::source(&refused).map(ToString::to_string).unwrap_or_default();
            Shape::NEW.with_message(&refused.to_string()).with_message(&cause)
        }
    }
}
