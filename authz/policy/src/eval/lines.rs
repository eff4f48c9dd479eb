//! Lines of bounded length, and the moment before the next read blocks.

use std::io::{self, Read};

use super::MAX_LINE_BYTES;

const CHUNK: usize = 64 * 1024;

/// A reader's lines. Everything buffered can be taken before more is read, so that a caller can write out
/// its answers before it waits.
pub(super) struct Lines<R> {
    reader: R,
    buffer: Vec<u8>,
    /// Where the first byte not taken yet is.
    start: usize,
    /// How far was searched for a line's end.
    searched: usize,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Reading,
    /// The line was too long and told; its rest is dropped.
    Skipping,
    Ended,
}

/// One line, without its end.
pub(super) enum Line<'a> {
    Complete(&'a [u8]),
    TooLong,
}

impl<R: Read> Lines<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, buffer: Vec::new(), start: 0, searched: 0, state: State::Reading }
    }

    /// The next line, if the buffer holds one.
    pub(super) fn buffered(&mut self) -> Option<Line<'_>> {
        let unsearched = self.buffer.get(self.searched..).unwrap_or_default();
        let end = unsearched.iter().position(|byte| *byte == b'\n').map(|at| self.searched.saturating_add(at));
        let (end, next) = match end {
            Some(end) => (end, end.saturating_add(1)),
            None => {
                let end = self.buffer.len();
                self.searched = end;
                let length = end.saturating_sub(self.start);
                if self.state == State::Reading && length > MAX_LINE_BYTES {
                    self.state = State::Skipping;
                    self.start = end;
                    return Some(Line::TooLong);
                }
                if self.state == State::Skipping {
                    self.start = end;
                }
                if self.state != State::Ended || length == 0 {
                    return None;
                }
                // The last line needs no end.
                (end, end)
            }
        };
        let line = self.start..end;
        (self.start, self.searched) = (next, next);
        match self.state {
            State::Skipping => {
                self.state = State::Reading;
                self.buffered()
            }
            State::Reading | State::Ended if line.len() > MAX_LINE_BYTES => Some(Line::TooLong),
            State::Reading | State::Ended => self.buffer.get(line).map(Line::Complete),
        }
    }

    /// Reads more; false once everything was read and taken.
    pub(super) fn read(&mut self) -> io::Result<bool> {
        if self.state == State::Ended {
            return Ok(false);
        }
        self.buffer.drain(..self.start.min(self.buffer.len()));
        self.searched = self.searched.saturating_sub(self.start);
        self.start = 0;
        let filled = self.buffer.len();
        self.buffer.resize(filled.saturating_add(CHUNK), 0);
        let read = loop {
            match self.reader.read(self.buffer.get_mut(filled..).unwrap_or_default()) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        self.buffer.truncate(filled.saturating_add(read));
        if read == 0 {
            let skipping = self.state == State::Skipping;
            self.state = State::Ended;
            if skipping {
                self.buffer.clear();
            }
        }
        Ok(true)
    }
}
