//! The members of an access event's JSON object, written straight into a buffer: it happens once per request.

use std::fmt::{self, Write as _};

/// A member's name as it is written: `,"name":`. Names are identifiers and dots, so there is nothing to escape.
macro_rules! member {
    ($name:literal) => {
        concat!(",\"", $name, "\":")
    };
}
pub(super) use member;

/// Appends members, each with a comma before it. A String takes every text, so writing to it cannot go wrong.
pub(super) struct Members<'a>(&'a mut String);

impl<'a> Members<'a> {
    /// Members into `line`, which is emptied.
    pub(super) fn new(line: &'a mut String) -> Self {
        line.clear();
        Self(line)
    }

    /// A string.
    pub(super) fn text(&mut self, member: &'static str, value: &str) {
        self.0.push_str(member);
        self.0.push('"');
        escape(self.0, value);
        self.0.push('"');
    }

    /// A string of what `value` displays.
    pub(super) fn display(&mut self, member: &'static str, value: Option<impl fmt::Display>) {
        self.0.push_str(member);
        self.0.push('"');
        if let Some(value) = value {
            _ = write!(Escaping(self.0), "{value}");
        }
        self.0.push('"');
    }

    /// A string of words with commas between.
    pub(super) fn words(&mut self, member: &'static str, words: impl Iterator<Item = &'static str>) {
        self.0.push_str(member);
        self.0.push('"');
        for (place, word) in words.enumerate() {
            if place > 0 {
                self.0.push(',');
            }
            escape(self.0, word);
        }
        self.0.push('"');
    }

    /// A number.
    pub(super) fn number(&mut self, member: &'static str, value: u64) {
        self.0.push_str(member);
        self.0.push_str(itoa::Buffer::new().format(value));
    }
}

/// Escapes what is written through it.
struct Escaping<'a>(&'a mut String);

impl fmt::Write for Escaping<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        escape(self.0, text);
        Ok(())
    }
}

/// The content of a JSON string (RFC 8259 section 7).
fn escape(line: &mut String, text: &str) {
    // Without a way out early the compiler takes many bytes at a time.
    let special = |found, byte: u8| found | (byte < 0x20) | (byte == b'"') | (byte == b'\\');
    if !text.bytes().fold(false, special) {
        line.push_str(text);
        return;
    }
    for character in text.chars() {
        match character {
            '"' => line.push_str("\\\""),
            '\\' => line.push_str("\\\\"),
            control if u32::from(control) < 0x20 => _ = write!(line, "\\u{:04x}", u32::from(control)),
            other => line.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn members_are_json_whatever_they_hold() {
        let hostile = "a\"b\\c\n\u{1}\u{2028}ü";
        let mut line = "what was there".to_owned();
        let mut members = Members::new(&mut line);
        members.text(member!("url.path"), hostile);
        members.display(member!("client"), Some(hostile));
        members.display(member!("nobody"), Option::<u8>::None);
        members.words(member!("reasons"), ["one", "two"].into_iter());
        members.number(member!("status"), 200);
        members.number(member!("few"), 7);
        members.number(member!("many"), u64::MAX);
        let read: Value = serde_json::from_str(&format!("{{\"first\":0{line}}}")).unwrap();
        let expected = json!({ "first": 0, "url.path": hostile, "client": hostile, "nobody": "", "reasons": "one,two",
            "status": 200, "few": 7, "many": u64::MAX });
        assert_eq!(read, expected);
    }
}
