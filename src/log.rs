//! Logs: JSON lines on standard output, written by one thread so that a slow reader never holds a request.
//! Never decides what is logged: that is the filter's and the caller's business.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use prometheus::{IntCounter, Registry};
use tracing::{Level, Metadata};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Events that wait for the writer; further ones are dropped and counted.
const MAX_WAITING_EVENTS: usize = 8192;

/// How events are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// One JSON object a line: for machines, the default of `run`.
    Json,
    /// Short lines for people: the demo.
    Plain,
}

/// Keeps the writer alive; dropping it writes what waits and stops the thread.
#[derive(Debug)]
pub(crate) struct LogGuard {
    sender: Option<SyncSender<Message>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for LogGuard {
    fn drop(&mut self) {
        if let Some(sender) = self.sender.take() {
            // The subscriber keeps its own sender for the life of the process, so the end is a message. If the
            // thread is gone, there is nobody left to tell.
            let _unheard = sender.send(Message::Stop);
        }
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

enum Message {
    Line(Vec<u8>),
    Stop,
}

/// Installs the process's subscriber. `filter` is in `tracing`'s syntax.
///
/// # Errors
/// A filter that does not parse, or a second call in one process.
pub(crate) fn install(filter: &str, format: Format, registry: &Registry) -> Result<LogGuard, LogError> {
    let filter = EnvFilter::try_new(filter).map_err(|source| LogError::Filter { source })?;
    let (sender, receiver) = sync_channel(MAX_WAITING_EVENTS);
    let dropped = IntCounter::new(
        "portcullis_log_events_dropped_total",
        "Log events that were dropped because standard output could not keep up.",
    )?;
    registry.register(Box::new(dropped.clone()))?;
    let thread = std::thread::Builder::new()
        .name("log-writer".into())
        .spawn(move || write_lines(&receiver))
        .map_err(|source| LogError::Thread { source })?;
    let writer = Lines { sender: sender.clone(), dropped };
    let capped = tracing_subscriber::registry().with(filter).with(filter_fn(may_be_printed));
    let installed = match format {
        Format::Json => {
            let lines = fmt::layer().with_writer(writer).json().flatten_event(true);
            capped.with(lines.with_current_span(false).with_span_list(false)).try_init()
        }
        Format::Plain => {
            capped.with(fmt::layer().with_writer(writer).compact().with_target(false).with_ansi(false)).try_init()
        }
    };
    installed.map_err(|_source| LogError::Twice)?;
    Ok(LogGuard { sender: Some(sender), thread: Some(thread) })
}

/// Whether an event may be printed whatever the filter says: libraries print whole requests, with cookies, codes and
/// tokens, at `debug`. Ours never do (style, "Tracing"), so only ours may be asked for details.
fn may_be_printed(event: &Metadata<'_>) -> bool {
    let ours = event.target() == "access" || event.target().starts_with("portcullis");
    ours || *event.level() <= Level::INFO
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LogError {
    /// `telemetry.log` does not parse.
    #[error("telemetry.log is not a log filter")]
    Filter {
        /// What is wrong with it.
        source: tracing_subscriber::filter::ParseError,
    },
    /// No thread could be started.
    #[error("the log writer's thread did not start")]
    Thread {
        /// The system's reason.
        source: io::Error,
    },
    /// A subscriber is installed already.
    #[error("logging is set up already")]
    Twice,
    /// The metric is registered already.
    #[error("the metric of dropped events cannot be registered")]
    Metric(#[from] prometheus::Error),
}

fn write_lines(receiver: &Receiver<Message>) {
    let mut out = io::BufWriter::with_capacity(64 * 1024, io::stdout());
    while let Ok(first) = receiver.recv() {
        let mut next = Some(first);
        while let Some(message) = next {
            match message {
                // A closed standard output is no reason to stop serving.
                Message::Line(line) => drop(out.write_all(&line)),
                Message::Stop => return drop(out.flush()),
            }
            next = receiver.try_recv().ok();
        }
        drop(out.flush());
    }
}

/// Makes one [`Line`] for each event.
struct Lines {
    sender: SyncSender<Message>,
    dropped: IntCounter,
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line { lines: self, bytes: Vec::with_capacity(512) }
    }
}

/// The bytes of one event, sent on when it is complete.
struct Line<'a> {
    lines: &'a Lines,
    bytes: Vec<u8>,
}

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        let line = Message::Line(std::mem::take(&mut self.bytes));
        if let Err(TrySendError::Full(_)) = self.lines.sender.try_send(line) {
            self.lines.dropped.inc();
        }
    }
}
