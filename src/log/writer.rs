//! The thread that writes: events are appended to one buffer, and written many at a time.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use prometheus::IntCounter;
use tracing_subscriber::fmt::MakeWriter;

/// Bytes of events that wait for the writer; events beyond are dropped and counted.
const MAX_WAITING_BYTES: usize = 8 << 20;
/// From one write to the next while events keep coming: thousands of events are one system call then.
const PAUSE: Duration = Duration::from_millis(5);

/// The writing thread; dropping it writes what waits and stops it.
#[derive(Debug)]
pub(crate) struct Writer {
    desk: Arc<Desk>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread that writes to standard output.
    ///
    /// # Errors
    /// The system has no thread left.
    pub(crate) fn start() -> io::Result<Self> {
        let desk = Arc::new(Desk::default());
        let writing = Arc::clone(&desk);
        let work = move || write_lines(&writing, &mut io::stdout());
        let thread = std::thread::Builder::new().name("log-writer".into()).spawn(work)?;
        Ok(Self { desk, thread: Some(thread) })
    }

    /// Where a subscriber puts its events; `dropped` counts those that found no room.
    pub(crate) fn lines(&self, dropped: IntCounter) -> Lines {
        Lines { desk: Arc::clone(&self.desk), dropped }
    }
}

#[cfg(test)]
impl Writer {
    /// A writer that writes nothing: what is put stays to be looked at.
    pub(crate) fn unwritten() -> Self {
        Self { desk: Arc::new(Desk::default()), thread: None }
    }

    /// What waits.
    pub(crate) fn waiting(&self) -> Vec<u8> {
        self.desk.lock().bytes.clone()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.desk.lock().stop = true;
        self.desk.wake.notify_one();
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A writer that panicked has nothing more to write.
            let _ended = thread.join();
        }
    }
}

/// Where events wait. A lock, held for one copy: whoever logs appends, and wakes nobody while the writer is at work.
#[derive(Debug, Default)]
struct Desk {
    waiting: Mutex<Waiting>,
    wake: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    bytes: Vec<u8>,
    /// Whether the writer sleeps until it is woken.
    asleep: bool,
    stop: bool,
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends one event; `false` if there is no room for it.
    fn put(&self, line: &[u8]) -> bool {
        let mut waiting = self.lock();
        if waiting.bytes.len().saturating_add(line.len()) > MAX_WAITING_BYTES {
            return false;
        }
        waiting.bytes.extend_from_slice(line);
        if std::mem::take(&mut waiting.asleep) {
            drop(waiting);
            self.wake.notify_one();
        }
        true
    }

    /// Swaps what waits for `empty`, once there is something; `false` once all is written and nothing more comes.
    fn take(&self, empty: &mut Vec<u8>) -> bool {
        let mut waiting = self.lock();
        while waiting.bytes.is_empty() && !waiting.stop {
            waiting.asleep = true;
            waiting = self.wake.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        std::mem::swap(&mut waiting.bytes, empty);
        !empty.is_empty()
    }
}

/// Writes until told to stop. A closed standard output is no reason to stop serving.
fn write_lines(desk: &Desk, out: &mut impl Write) {
    let mut bytes = Vec::new();
    while desk.take(&mut bytes) {
        drop(out.write_all(&bytes).and_then(|()| out.flush()));
        bytes.clear();
        std::thread::park_timeout(PAUSE);
    }
}

/// Makes one [`Line`] for each event.
#[derive(Clone, Debug)]
pub(crate) struct Lines {
    desk: Arc<Desk>,
    dropped: IntCounter,
}

impl Lines {
    /// Appends one whole event, or counts it as dropped.
    pub(crate) fn put(&self, line: &[u8]) {
        if !self.desk.put(line) {
            self.dropped.inc();
        }
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line(self)
    }
}

/// One event; the formatter hands it over in one piece.
#[derive(Debug)]
pub(crate) struct Line<'a>(&'a Lines);

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.put(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_waits_is_written_in_order_before_the_end() {
        let desk = Desk::default();
        for line in ["one\n", "two\n", "three\n"] {
            assert!(desk.put(line.as_bytes()));
        }
        desk.lock().stop = true;
        let mut out = Vec::new();
        write_lines(&desk, &mut out);
        assert_eq!(out, b"one\ntwo\nthree\n");
    }

    #[test]
    fn what_does_not_fit_is_refused_and_room_comes_back() {
        let desk = Desk::default();
        assert!(desk.put(&vec![b'x'; MAX_WAITING_BYTES]));
        assert!(!desk.put(b"y"));
        assert!(desk.take(&mut Vec::new()));
        assert!(desk.put(b"y"));
    }
}
