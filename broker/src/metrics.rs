//! The broker's metrics: `portcullis_broker_*`, every label from a closed set.

use portcullis_broker_api::EndReason;
use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry};

use crate::records::RecordIndex;
use crate::state::count;

/// The metrics.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    pub(crate) sessions: IntGauge,
    pub(crate) watchers: IntGauge,
    pub(crate) log_version: IntGauge,
    records: IntGauge,
    record_bytes: IntGauge,
    pub(crate) creates: IntCounter,
    ends: IntCounterVec,
    redeems: IntCounterVec,
    fetches: IntCounterVec,
    refusals: IntCounterVec,
    refreshes: IntCounterVec,
    pub(crate) refreshes_under_way: IntGauge,
    pub(crate) commit_seconds: Histogram,
    pub(crate) commit_changes: Histogram,
}

/// How a hand-over went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RedeemResult {
    Redeemed,
    AlreadyRedeemed,
    NoSession,
}

/// Why a call got no answer of use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RefusalCause {
    /// A queue was full.
    Busy,
    /// The engine did not write or read.
    Store,
    /// The caller may not.
    Denied,
    /// The request was wrong.
    Malformed,
}

impl Metrics {
    /// The metrics, not registered yet.
    pub(crate) fn new() -> Result<Self, prometheus::Error> {
        Ok(Self {
            sessions: IntGauge::new("portcullis_broker_sessions", "Live sessions.")?,
            watchers: IntGauge::new("portcullis_broker_watchers", "Replicas that follow the log now.")?,
            log_version: IntGauge::new("portcullis_broker_log_version", "Version of the newest change.")?,
            records: IntGauge::new("portcullis_broker_records", "Records of external data.")?,
            record_bytes: IntGauge::new(
                "portcullis_broker_record_bytes",
                "Bytes of external data, as its bound counts them.",
            )?,
            creates: IntCounter::new("portcullis_broker_creates_total", "Sessions created.")?,
            ends: counters("portcullis_broker_ends_total", "Sessions ended.", "reason")?,
            redeems: counters("portcullis_broker_redeems_total", "Hand-overs presented.", "result")?,
            fetches: counters("portcullis_broker_fetches_total", "Sessions asked for by replicas.", "result")?,
            refusals: counters("portcullis_broker_refusals_total", "Calls without an answer of use.", "cause")?,
            refreshes: counters("portcullis_broker_refreshes_total", "Refreshes at providers, by outcome.", "outcome")?,
            refreshes_under_way: IntGauge::new(
                "portcullis_broker_refreshes_under_way",
                "Refreshes that wait for their provider now.",
            )?,
            commit_seconds: Histogram::with_opts(
                HistogramOpts::new("portcullis_broker_commit_seconds", "Time of one durable commit.")
                    .buckets(vec![0.000_5, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0]),
            )?,
            commit_changes: Histogram::with_opts(
                HistogramOpts::new("portcullis_broker_commit_changes", "Changes in one commit.")
                    .buckets(vec![1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0]),
            )?,
        })
    }

    pub(crate) fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        let Self {
            sessions,
            watchers,
            log_version,
            records,
            record_bytes,
            creates,
            ends,
            redeems,
            fetches,
            refusals,
            refreshes,
            refreshes_under_way,
            commit_seconds,
            commit_changes,
        } = self.clone();
        for gauge in [sessions, watchers, log_version, refreshes_under_way, records, record_bytes] {
            registry.register(Box::new(gauge))?;
        }
        registry.register(Box::new(creates))?;
        for counters in [ends, redeems, fetches, refusals, refreshes] {
            registry.register(Box::new(counters))?;
        }
        for histogram in [commit_seconds, commit_changes] {
            registry.register(Box::new(histogram))?;
        }
        Ok(())
    }

    pub(crate) fn hold_records(&self, index: &RecordIndex) {
        self.records.set(count(index.len()));
        self.record_bytes.set(count(index.bytes()));
    }

    pub(crate) fn ended(&self, reason: EndReason) {
        self.ends.with_label_values(&[reason.as_str()]).inc();
    }

    pub(crate) fn redeemed(&self, result: RedeemResult) {
        let label = match result {
            RedeemResult::Redeemed => "redeemed",
            RedeemResult::AlreadyRedeemed => "already_redeemed",
            RedeemResult::NoSession => "no_session",
        };
        self.redeems.with_label_values(&[label]).inc();
    }

    pub(crate) fn fetched(&self, found: u64, absent: u64) {
        self.fetches.with_label_values(&["found"]).inc_by(found);
        self.fetches.with_label_values(&["absent"]).inc_by(absent);
    }

    /// A refresh is over: what came of it, or that this was not written.
    pub(crate) fn refreshed(&self, outcome: &'static str) {
        self.refreshes.with_label_values(&[outcome]).inc();
    }

    pub(crate) fn refused(&self, cause: RefusalCause) {
        let label = match cause {
            RefusalCause::Busy => "busy",
            RefusalCause::Store => "store",
            RefusalCause::Denied => "denied",
            RefusalCause::Malformed => "malformed",
        };
        self.refusals.with_label_values(&[label]).inc();
    }
}

fn counters(name: &str, help: &str, label: &str) -> Result<IntCounterVec, prometheus::Error> {
    IntCounterVec::new(Opts::new(name, help), &[label])
}
