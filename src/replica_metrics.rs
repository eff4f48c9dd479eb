//! How the replica is doing, asked when the metrics are: a number that grows by itself needs nobody to write it.

use std::fmt;
use std::sync::Arc;

use portcullis_broker_api::Replica;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Gauge, IntGauge, Registry};

/// The metrics of one replica.
#[derive(Clone)]
pub(crate) struct ReplicaMetrics {
    replica: Arc<Replica>,
    staleness: Gauge,
    sessions: IntGauge,
    bytes: IntGauge,
    records: IntGauge,
    records_staleness: Gauge,
}

impl ReplicaMetrics {
    /// Registers the metrics of `replica`.
    ///
    /// # Errors
    /// They are registered already.
    pub(crate) fn register(replica: &Arc<Replica>, registry: &Registry) -> Result<(), prometheus::Error> {
        let staleness = Gauge::new(
            "portcullis_replica_staleness_seconds",
            "Since the replica last heard of the broker; beyond replica.max_staleness it answers nothing.",
        )?;
        let sessions = IntGauge::new("portcullis_replica_sessions", "Sessions that the replica holds.")?;
        let bytes = IntGauge::new("portcullis_replica_bytes", "Estimated memory of these sessions.")?;
        let records = IntGauge::new("portcullis_replica_records", "Records of external data that the replica holds.")?;
        let records_staleness = Gauge::new(
            "portcullis_replica_records_staleness_seconds",
            "Since the replica last heard of external data; beyond replica.max_staleness it is unknown.",
        )?;
        let replica = Arc::clone(replica);
        registry.register(Box::new(Self { replica, staleness, sessions, bytes, records, records_staleness }))
    }
}

impl Collector for ReplicaMetrics {
    fn desc(&self) -> Vec<&Desc> {
        let Self { replica: _, staleness, sessions, bytes, records, records_staleness } = self;
        [staleness.desc(), sessions.desc(), bytes.desc(), records.desc(), records_staleness.desc()].concat()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let Self { replica, staleness, sessions, bytes, records, records_staleness } = self;
        let status = replica.status();
        staleness.set(status.silent_for.as_secs_f64());
        sessions.set(i64::try_from(status.sessions).unwrap_or(i64::MAX));
        bytes.set(i64::try_from(status.bytes).unwrap_or(i64::MAX));
        let external = replica.records_status();
        records.set(i64::try_from(external.records).unwrap_or(i64::MAX));
        records_staleness.set(external.silent_for.as_secs_f64());
        [staleness.collect(), sessions.collect(), bytes.collect(), records.collect(), records_staleness.collect()]
            .concat()
    }
}

impl fmt::Debug for ReplicaMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReplicaMetrics")
    }
}
