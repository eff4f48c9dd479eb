//! The members of an access event's JSON object, written straight into a buffer: it happens once per request.

use std::fmt::{self, Write as _};

/// Appends `"name":value`, with commas between. A String takes every text, so writing to it cannot go wrong.
pub(super) struct Members<'a>(&'a mut String);

impl<'a> Members<'a> {
    /// Members into `line`, which is emptied.
    pub(super) fn new(line: &'a mut String) -> Self {
        line.clear();
        Self(line)
    }

    /// A string.
    pub(super) fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        self.0.push('"');
        escape(self.0, value);
        self.0.push('"');
    }

    /// A string of what `value` displays.
    pub(super) fn display(&mut self, name: &str, value: Option<impl fmt::Display>) {
        self.name(name);
        self.0.push('"');
        if let Some(value) = value {
            _ = write!(Escaping(self.0), "{value}");
        }
        self.0.push('"');
    }

    /// A string of words with commas between.
    pub(super) fn words(&mut self, name: &str, words: impl Iterator<Item = &'static str>) {
        self.name(name);
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
    pub(super) fn number(&mut self, name: &str, value: u64) {
        self.name(name);
        if value < 10 {
            self.0.extend(char::from_digit(u32::try_from(value).unwrap_or(0), 10));
        } else {
            _ = write!(self.0, "{value}");
        }
    }

    fn name(&mut self, name: &str) {
        if !self.0.is_empty() {
            self.0.push(',');
        }
        self.0.push('"');
        // Names are identifiers and dots: nothing to escape.
        self.0.push_str(name);
        self.0.push_str("\":");
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
    if !text.bytes().any(|byte| byte < 0x20 || byte == b'"' || byte == b'\\') {
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
        members.text("url.path", hostile);
        members.display("client", Some(hostile));
        members.display("nobody", Option::<u8>::None);
        members.words("reasons", ["one", "two"].into_iter());
        members.number("status", 200);
        members.number("few", 7);
        members.number("many", u64::MAX);
        let read: Value = serde_json::from_str(&format!("{{{line}}}")).unwrap();
        let expected = json!({ "url.path": hostile, "client": hostile, "nobody": "", "reasons": "one,two",
            "status": 200, "few": 7, "many": u64::MAX });
        assert_eq!(read, expected);
    }
}
