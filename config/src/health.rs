//! Checks of an upstream's health, as the rest of Portcullis sees them.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

/// One entry of `health_checks`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HealthCheck {
    /// What is asked.
    pub probe: Probe,
    /// Between the end of one round and the next, a tenth more or less; at least 100 ms.
    pub interval: Duration,
    /// The longest one check may take, connection included.
    pub timeout: Duration,
    /// Failures in a row, without an answer, that take an address out; at least 1.
    pub unhealthy_threshold: u32,
    /// Successes in a row that bring it back; at least 1.
    pub healthy_threshold: u32,
}

/// What a check asks of an upstream.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Probe {
    /// A GET.
    Http {
        /// `Host`; `None`: the upstream's own name.
        host: Option<Arc<str>>,
        /// Path and query.
        path: Arc<str>,
        /// The statuses that count as healthy; never empty.
        expected: Vec<RangeInclusive<u16>>,
    },
    /// A connection, and its TLS handshake if the upstream speaks TLS.
    Tcp,
    /// `grpc.health.v1.Health/Check`.
    Grpc {
        /// The service that is asked about; empty: the server as a whole.
        service: Arc<str>,
        /// `:authority`; `None`: the upstream's own name.
        authority: Option<Arc<str>>,
    },
}
