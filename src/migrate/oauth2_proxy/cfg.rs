//! Lines of `key = value`, as oauth2-proxy's own file has them: TOML without tables.

use std::sync::Arc;

use portcullis_policy::Diagnostic;

use crate::migrate::reader::Document;
use crate::migrate::tree::{Member, Place, Remarks, Tree, Value};

/// Whether the first line that says something is `key = value`.
pub(crate) fn looks_like_cfg(text: &str) -> bool {
    let first = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
    first.and_then(|line| line.split_once('=')).is_some_and(|(key, _)| is_key(key.trim()))
}

fn is_key(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
}

/// Reads them, with the comments above and behind.
///
/// # Errors
/// A line that is neither, with its place.
pub(crate) fn cfg(text: &str, file: &Arc<str>) -> Result<Document, Diagnostic> {
    let mut reader = Reader { rest: text.chars().collect::<Vec<_>>().into_iter().peekable(), line: 1, column: 1, file };
    let (mut members, mut header, mut above) = (Vec::new(), Vec::new(), Vec::new());
    loop {
        let blank = reader.space();
        if blank && members.is_empty() && header.is_empty() {
            header.append(&mut above);
        }
        match reader.rest.peek().copied() {
            None => break,
            Some('#') => above.push(reader.comment()),
            Some('\r' | '\n') => {
                reader.next();
            }
            Some(_) => {
                let mut member = reader.member()?;
                member.value.remarks.above = std::mem::take(&mut above);
                members.push(member);
            }
        }
    }
    Ok(Document { root: Value::Map(members).into(), header })
}

struct Reader<'a> {
    rest: std::iter::Peekable<std::vec::IntoIter<char>>,
    line: usize,
    column: usize,
    file: &'a Arc<str>,
}

impl Reader<'_> {
    fn next(&mut self) -> Option<char> {
        let c = self.rest.next()?;
        if c == '\n' {
            self.line = self.line.saturating_add(1);
            self.column = 1;
        } else {
            self.column = self.column.saturating_add(1);
        }
        Some(c)
    }

    /// Skips white space; true if an empty line was among it.
    fn space(&mut self) -> bool {
        let line = self.line;
        while self.rest.peek().is_some_and(|c| c.is_whitespace()) {
            self.next();
        }
        self.line > line
    }

    fn blank(&mut self) {
        while self.rest.peek().is_some_and(|c| matches!(c, ' ' | '\t')) {
            self.next();
        }
    }

    fn comment(&mut self) -> String {
        let mut text = String::new();
        while let Some(c) = self.rest.peek().copied().filter(|c| *c != '\n') {
            text.push(c);
            self.next();
        }
        // The end of the line, so that an empty one below is seen as such.
        self.next();
        text.trim_end().to_owned()
    }

    fn place(&self) -> Place {
        Place { file: Arc::clone(self.file), line: self.line, column: self.column }
    }

    fn wrong(&self, message: &str) -> Diagnostic {
        Diagnostic { message: message.to_owned(), line: self.line, column: self.column, help: None }
    }

    fn word(&mut self) -> String {
        let mut text = String::new();
        while let Some(c) = self.rest.peek().copied().filter(|c| c.is_ascii_alphanumeric() || "_-.+:".contains(*c)) {
            text.push(c);
            self.next();
        }
        text
    }

    fn member(&mut self) -> Result<Member, Diagnostic> {
        let place = self.place();
        let key = match self.rest.peek() {
            Some('"' | '\'') => self.quoted()?,
            _ => self.word(),
        };
        self.blank();
        if !is_key(&key) || self.rest.peek() != Some(&'=') {
            return Err(self.wrong("expected `key = value`"));
        }
        self.next();
        self.blank();
        let mut value = self.value()?;
        self.blank();
        value.remarks.behind = match self.rest.peek() {
            Some('#') => Some(self.comment()),
            None | Some('\r' | '\n') => None,
            Some(_) => return Err(self.wrong("expected the end of the line")),
        };
        Ok(Member { key, place: Some(place), value })
    }

    fn value(&mut self) -> Result<Tree, Diagnostic> {
        let place = Some(self.place());
        let value = match self.rest.peek() {
            Some('"' | '\'') => Value::Text(self.quoted()?),
            Some('[') => self.list()?,
            _ => match self.word().as_str() {
                "" => return Err(self.wrong("expected a value: a text in quotes, a number, true, false or a list")),
                "true" => Value::Boolean(true),
                "false" => Value::Boolean(false),
                word if word.parse::<i64>().is_ok() => Value::Number(word.to_owned()),
                word => Value::Text(word.to_owned()),
            },
        };
        let flow = matches!(value, Value::List(_));
        Ok(Tree { value, remarks: Remarks::default(), place, flow })
    }

    fn list(&mut self) -> Result<Value, Diagnostic> {
        self.next();
        let (mut items, mut above) = (Vec::new(), Vec::new());
        loop {
            self.space();
            match self.rest.peek() {
                Some(']') => {
                    self.next();
                    return Ok(Value::List(items));
                }
                Some('#') => above.push(self.comment()),
                Some(',') => {
                    self.next();
                }
                Some('[') | None => return Err(self.wrong("expected `]`")),
                Some(_) => {
                    let mut item = self.value()?;
                    item.remarks.above = std::mem::take(&mut above);
                    items.push(item);
                }
            }
        }
    }

    /// A text in quotes: single ones take everything as it is, double ones know escapes.
    fn quoted(&mut self) -> Result<String, Diagnostic> {
        let quote = self.next().unwrap_or('"');
        let mut text = String::new();
        loop {
            match self.next() {
                None | Some('\n') => return Err(self.wrong("a text without its closing quote")),
                Some(c) if c == quote => return Ok(text),
                Some('\\') if quote == '"' => match self.next() {
                    Some('n') => text.push('\n'),
                    Some('t') => text.push('\t'),
                    Some(c @ ('"' | '\\')) => text.push(c),
                    _ => return Err(self.wrong("an escape that is not known")),
                },
                Some(c) => text.push(c),
            }
        }
    }
}
