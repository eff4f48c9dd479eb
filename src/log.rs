//! Logs: JSON lines on standard output, written by one thread so that a slow reader never holds a request.
//! Never decides what is logged: that is the filter's and the caller's business.

mod access;
mod writer;

use std::io;

use prometheus::{IntCounter, Registry};
use tracing::{Level, Metadata};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, fmt};

use crate::log::access::{AccessLines, TARGET};
use crate::log::writer::Writer;

/// How events are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// One JSON object a line: for machines, the default of `run`.
    Json,
    /// Short lines for people: the demo.
    Plain,
}

/// Installs the process's subscriber; events are written as long as the writer it returns lives. `filter` is in `tracing`'s syntax.
///
/// # Errors
/// A filter that does not parse, or a second call in one process.
pub(crate) fn install(filter: &str, format: Format, registry: &Registry) -> Result<Writer, LogError> {
    let filter = EnvFilter::try_new(filter).map_err(|source| LogError::Filter { source })?;
    let dropped = IntCounter::new(
        "portcullis_log_events_dropped_total",
        "Log events that were dropped because standard output could not keep up.",
    )?;
    registry.register(Box::new(dropped.clone()))?;
    let writer = Writer::start().map_err(|source| LogError::Thread { source })?;
    let lines = writer.lines(dropped);
    let capped = tracing_subscriber::registry().with(filter).with(filter_fn(may_be_printed));
    let installed = match format {
        Format::Json => {
            let usual = fmt::layer().with_writer(lines.clone()).json().flatten_event(true);
            let usual = usual.with_current_span(false).with_span_list(false);
            let usual = usual.with_filter(filter_fn(|event| event.target() != TARGET));
            capped.with(AccessLines(lines)).with(usual).try_init()
        }
        Format::Plain => {
            capped.with(fmt::layer().with_writer(lines).compact().with_target(false).with_ansi(false)).try_init()
        }
    };
    installed.map_err(|_source| LogError::Twice)?;
    Ok(writer)
}

/// Whether an event may be printed whatever the filter says: libraries print whole requests, with cookies, codes and
/// tokens, at `debug`. Ours never do (style, "Tracing"), so only ours may be asked for details.
fn may_be_printed(event: &Metadata<'_>) -> bool {
    let ours = event.target() == TARGET || event.target().starts_with("portcullis");
    ours || (*event.level() <= Level::INFO && !is_told_elsewhere(event.target()))
}

/// What Pingora says of single connections of clients and of their requests, as errors: a client that went away is
/// nothing a human must act on. The access event tells of each request and
/// `portcullis_proxy_connections_total{outcome="reset"}` counts the rest.
fn is_told_elsewhere(target: &str) -> bool {
    ["pingora_proxy", "pingora_core::apps", "pingora_core::protocols::http"]
        .iter()
        .any(|module| target.strip_prefix(module).is_some_and(|rest| rest.is_empty() || rest.starts_with("::")))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_pingora_says_of_clients_is_told_elsewhere_and_the_rest_is_printed() {
        for target in [
            "pingora_proxy",
            "pingora_proxy::proxy_h1",
            "pingora_core::apps",
            "pingora_core::protocols::http::v2::server",
        ] {
            assert!(is_told_elsewhere(target), "{target}");
        }
        for target in ["pingora_core::connectors", "pingora_proxying", "portcullis_proxy", "log", "h2"] {
            assert!(!is_told_elsewhere(target), "{target}");
        }
    }
}
