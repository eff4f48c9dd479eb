//! The decision sink: decision records as JSON lines in a file, written by a thread of its own. The lines hold
//! personal data (who asked for what, and the claims that were read), so the file is the process's user's alone.
//!
//! A request never waits for it: a record that finds the queue full is dropped and counted. The file may be moved or
//! removed at any time; the next records go into a new one.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use arc_swap::ArcSwapOption;
use portcullis_proxy::{DecisionRecord, DecisionSink};
use prometheus::{IntCounter, IntCounterVec, Opts, Registry};

use crate::decisions;

/// Records that wait to be written; those beyond are dropped and counted.
const MAX_WAITING: usize = 4096;
/// Records between two looks at whether the file is still the one of that name.
const BATCH: usize = 256;

/// Where decision records go; the file can change with every generation.
#[derive(Debug)]
pub(crate) struct Sink {
    queue: ArcSwapOption<SyncSender<Arc<DecisionRecord>>>,
    // A lock: the control plane's alone, a request never takes it.
    open: Mutex<Option<Open>>,
    counters: Counters,
}

/// An open file and the thread that writes to it.
#[derive(Debug)]
pub(crate) struct Open {
    path: PathBuf,
    writer: JoinHandle<()>,
}

/// Where records go once the next generation serves; the thread of a file that is dropped instead ends by itself.
#[derive(Debug)]
pub(crate) enum NextSink {
    /// Where they go now.
    Same,
    /// To no file.
    Nowhere,
    /// To this one.
    File(Arc<SyncSender<Arc<DecisionRecord>>>, Open),
}

/// What became of records.
#[derive(Clone, Debug)]
struct Counters {
    written: IntCounter,
    dropped: IntCounter,
    failed: IntCounter,
}

impl Sink {
    /// A sink without a file.
    ///
    /// # Errors
    /// A metric of that name is registered already.
    pub(crate) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let records = IntCounterVec::new(
            Opts::new("portcullis_decision_sink_records_total", "Decision records by what the sink did with them."),
            &["outcome"],
        )?;
        registry.register(Box::new(records.clone()))?;
        let counter = |outcome| records.with_label_values(&[outcome]);
        let counters = Counters { written: counter("written"), dropped: counter("dropped"), failed: counter("failed") };
        Ok(Self { queue: ArcSwapOption::empty(), open: Mutex::new(None), counters })
    }

    /// Opens the file at `path`, in which nothing is written yet; `None`: there will be no file.
    ///
    /// # Errors
    /// The file cannot be opened, or the system has no thread left.
    pub(crate) fn prepare(&self, path: Option<&Path>) -> io::Result<NextSink> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.as_ref().map(|open| &*open.path) == path {
            return Ok(NextSink::Same);
        }
        let Some(path) = path else { return Ok(NextSink::Nowhere) };
        let mut writing = Writing::new(path, self.counters.clone())?;
        let (sender, receiver) = sync_channel(MAX_WAITING);
        let work = move || writing.run(&receiver);
        let writer = std::thread::Builder::new().name("decision-sink".into()).spawn(work)?;
        Ok(NextSink::File(Arc::new(sender), Open { path: path.to_owned(), writer }))
    }

    /// Writes there from now on. What waits for the file before is still written there.
    pub(crate) fn take_over(&self, next: NextSink) {
        let (sender, next) = match next {
            NextSink::Same => return,
            NextSink::Nowhere => (None, None),
            NextSink::File(sender, open) => (Some(sender), Some(open)),
        };
        // The thread before ends by itself, once it has written what waits.
        self.queue.store(sender);
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = next;
    }

    /// Writes what waits and closes the file.
    pub(crate) fn close(&self) {
        self.queue.store(None);
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Open { path, writer }) = open
            && writer.join().is_err()
        {
            tracing::error!(path = %path.display(), "the decision sink's thread ended early");
        }
    }
}

impl DecisionSink for Sink {
    fn keep(&self, record: &Arc<DecisionRecord>) {
        let queue = self.queue.load();
        let Some(queue) = &*queue else { return };
        match queue.try_send(Arc::clone(record)) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => self.counters.dropped.inc(),
            Err(TrySendError::Disconnected(_)) => self.counters.failed.inc(),
        }
    }
}

/// The thread's side.
struct Writing {
    path: PathBuf,
    file: BufWriter<File>,
    /// Which file that is, to see whether the name leads to another one.
    identity: (u64, u64),
    /// Whether the last attempt failed: said once, not once a record.
    failing: bool,
    counters: Counters,
}

impl Writing {
    fn new(path: &Path, counters: Counters) -> io::Result<Self> {
        let (file, identity) = open(path)?;
        Ok(Self { path: path.to_owned(), file: BufWriter::new(file), identity, failing: false, counters })
    }

    /// Writes until nobody can send any more, a batch at a time.
    fn run(&mut self, records: &Receiver<Arc<DecisionRecord>>) {
        while let Ok(first) = records.recv() {
            let mut count = 0_u64;
            let batch = || -> io::Result<()> {
                self.reopen_if_moved()?;
                for record in std::iter::once(first).chain(records.try_iter().take(BATCH)) {
                    count = count.saturating_add(1);
                    serde_json::to_writer(&mut self.file, &decisions::json(&record))?;
                    self.file.write_all(b"\n")?;
                }
                self.file.flush()
            };
            let written = batch();
            self.count(written, count.max(1));
        }
    }

    fn count(&mut self, written: io::Result<()>, count: u64) {
        match written {
            Ok(()) => {
                self.counters.written.inc_by(count);
                if std::mem::take(&mut self.failing) {
                    tracing::info!(path = %self.path.display(), "the decision sink is written again");
                }
            }
            Err(error) => {
                self.counters.failed.inc_by(count);
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::error!(path = %self.path.display(), error = %error, "the decision sink cannot be written");
                }
            }
        }
    }

    /// Opens the file anew where its name leads elsewhere, or nowhere: somebody rotated it.
    fn reopen_if_moved(&mut self) -> io::Result<()> {
        let now = std::fs::metadata(&self.path).ok().map(|metadata| (metadata.dev(), metadata.ino()));
        if now == Some(self.identity) && !self.failing {
            return Ok(());
        }
        let (file, identity) = open(&self.path)?;
        // What a failed write left in the buffer goes with it: a line cut in two helps nobody.
        let (_file, _unwritten) = std::mem::replace(&mut self.file, BufWriter::new(file)).into_parts();
        self.identity = identity;
        Ok(())
    }
}

/// Opens for appending; made for the process's user alone.
fn open(path: &Path) -> io::Result<(File, (u64, u64))> {
    let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "is not a regular file"));
    }
    Ok((file, (metadata.dev(), metadata.ino())))
}

#[cfg(test)]
mod tests;
