//! The records of a push as they are read: from files or standard input, line by line, sent while they are read.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use futures_util::stream;
use http_body_util::StreamBody;
use hyper::body::{Body, Frame};
use portcullis_broker_api::{MAX_RECORD_LINE_BYTES, NewRecord};
use serde_json::json;

use crate::house::chain;

/// Bytes that are sent at a time.
const FRAME_BYTES: usize = 64 * 1024;

/// The lines of a push. At the first one that is no record it breaks off, so that nothing of the push counts.
pub(super) struct Source {
    files: std::vec::IntoIter<PathBuf>,
    open: Option<Input>,
    replaces: Option<Arc<str>>,
    begun: bool,
    count: u64,
    fault: Arc<OnceLock<String>>,
}

struct Input {
    name: String,
    reader: Box<dyn BufRead + Send>,
    line: u64,
}

impl Source {
    /// The records of `files`, `-` being standard input, as no file is too.
    pub(super) fn new(files: Vec<PathBuf>, replaces: Option<Arc<str>>) -> Self {
        let files = if files.is_empty() { vec![PathBuf::from("-")] } else { files };
        Self { files: files.into_iter(), open: None, replaces, begun: false, count: 0, fault: Arc::default() }
    }

    /// Where it says why it broke off.
    pub(super) fn fault(&self) -> Arc<OnceLock<String>> {
        Arc::clone(&self.fault)
    }

    /// The body of the request.
    pub(super) fn into_body(self) -> impl Body<Data = Bytes, Error = io::Error> {
        StreamBody::new(stream::iter(self))
    }

    /// The next part of the body; empty at the end.
    fn part(&mut self) -> Result<Vec<u8>, String> {
        let mut part = Vec::new();
        if !self.begun {
            self.begun = true;
            part.extend_from_slice(format!("{}\n", json!({ "replaces": self.replaces.as_deref() })).as_bytes());
        }
        while part.len() < FRAME_BYTES {
            let Some(line) = self.line()? else { break };
            part.extend_from_slice(line.as_bytes());
            part.push(b'\n');
        }
        Ok(part)
    }

    /// The next record, as a line.
    fn line(&mut self) -> Result<Option<String>, String> {
        let mut text = Vec::new();
        loop {
            let Some(input) = &mut self.open else {
                let Some(file) = self.files.next() else { return self.end() };
                self.open = Some(Input::open(&file)?);
                continue;
            };
            text.clear();
            if !input.next(&mut text)? {
                self.open = None;
                continue;
            }
            if text.trim_ascii().is_empty() {
                continue;
            }
            let named = |fault: String| format!("{}:{}: {fault}", input.name, input.line);
            let record = NewRecord::from_line(text.trim_ascii()).map_err(|error| named(chain(&error)))?;
            if let Some(kind) = self.replaces.as_ref().filter(|kind| **kind != record.key().kind) {
                return Err(named(format!("the type is not `{kind}`, which is replaced")));
            }
            self.count = self.count.saturating_add(1);
            return Ok(Some(record.to_line()));
        }
    }

    /// An export that went wrong often is an empty one, and a type without records may open doors.
    fn end(&self) -> Result<Option<String>, String> {
        match &self.replaces {
            Some(kind) if self.count == 0 => Err(format!(
                "no record of type `{kind}` was given: `portcullis records delete --type {kind} --all` empties it"
            )),
            Some(_) | None => Ok(None),
        }
    }
}

impl Iterator for Source {
    type Item = io::Result<Frame<Bytes>>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.part() {
            Ok(part) if part.is_empty() => None,
            Ok(part) => Some(Ok(Frame::data(part.into()))),
            Err(fault) => {
                let error = io::Error::new(io::ErrorKind::InvalidData, fault.clone());
                // The first fault is the only one: nothing is read after it.
                self.fault.get_or_init(|| fault);
                Some(Err(error))
            }
        }
    }
}

impl Input {
    fn open(file: &Path) -> Result<Self, String> {
        if file.as_os_str() == "-" {
            return Ok(Self {
                name: "standard input".to_owned(),
                reader: Box::new(BufReader::new(io::stdin())),
                line: 0,
            });
        }
        let name = file.display().to_string();
        let opened = File::open(file).map_err(|error| format!("{name}: {error}"))?;
        Ok(Self { name, reader: Box::new(BufReader::new(opened)), line: 0 })
    }

    /// Reads a line, never more of it than is looked at; `false`: there is none.
    fn next(&mut self, text: &mut Vec<u8>) -> Result<bool, String> {
        let most = u64::try_from(MAX_RECORD_LINE_BYTES).unwrap_or(u64::MAX).saturating_add(2);
        self.line = self.line.saturating_add(1);
        let read = self.reader.by_ref().take(most).read_until(b'\n', text);
        Ok(read.map_err(|error| format!("{}:{}: {error}", self.name, self.line))? > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(texts: &[&str], replaces: Option<&str>) -> Result<String, String> {
        let folder = tempfile::tempdir().unwrap();
        let write = |(number, text): (usize, &&str)| {
            let path = folder.path().join(format!("{number}.jsonl"));
            std::fs::write(&path, text).unwrap();
            path
        };
        let source = Source::new(texts.iter().enumerate().map(write).collect(), replaces.map(Into::into));
        let fault = source.fault();
        let mut sent = String::new();
        for frame in source {
            match frame {
                Ok(frame) => sent.push_str(std::str::from_utf8(&frame.into_data().unwrap()).unwrap()),
                Err(_) => break,
            }
        }
        let shown = |text: &String| text.replace(&format!("{}/", folder.path().display()), "");
        fault.get().map_or(Ok(sent), |fault| Err(shown(fault)))
    }

    #[test]
    fn files_are_one_push_and_a_fault_is_named_by_file_and_line() {
        let (one, two) = (r#"{"type":"hr","id":"1","data":{}}"#, r#"{"type":"hr","id":"2","data":{"a":1}}"#);
        let both = sent(&[&format!("{one}\n\n"), two], None).unwrap();
        assert_eq!(both, format!("{{\"replaces\":null}}\n{one}\n{two}\n"));
        assert_eq!(sent(&[one], Some("hr")).unwrap(), format!("{{\"replaces\":\"hr\"}}\n{one}\n"));
        let broken = sent(&[one, &format!("{one}\n\n{{}}\n{two}")], None).unwrap_err();
        assert!(broken.starts_with("1.jsonl:3: missing field"), "{broken}");
        let other = sent(&[&format!("{one}\n{}", two.replace("hr", "other"))], Some("hr")).unwrap_err();
        assert_eq!(other, "0.jsonl:2: the type is not `hr`, which is replaced");
        assert!(sent(&["\n"], Some("hr")).unwrap_err().starts_with("no record of type `hr` was given"));
        assert_eq!(sent(&["\n"], None).unwrap(), "{\"replaces\":null}\n");
        let long = format!("{one}\n{}", " ".repeat(MAX_RECORD_LINE_BYTES * 2));
        assert!(sent(&[&format!("{long}x")], None).unwrap_err().starts_with("0.jsonl:"), "a long line ends the push");
    }
}
