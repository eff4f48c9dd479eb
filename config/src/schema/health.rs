//! An entry of a route's `health_checks`, in the reference's shape.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{OneOrMany, Period};

/// A check of the upstreams' health: exactly one of the three `…_health_check`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct HealthCheckEntry {
    /// Between two checks of an address, a tenth more or less. Default: `10s`.
    #[serde(default)]
    pub(crate) interval: Option<Period>,
    /// The longest one check may take. Default: `5s`.
    #[serde(default)]
    pub(crate) timeout: Option<Period>,
    /// Failures in a row that take an address out; an answer that is not expected does so at once. Default: 3.
    #[serde(default)]
    pub(crate) unhealthy_threshold: Option<u32>,
    /// Successes in a row that bring it back. Default: 2.
    #[serde(default)]
    pub(crate) healthy_threshold: Option<u32>,
    /// Ask by a GET.
    #[serde(default)]
    pub(crate) http_health_check: Option<HttpCheckEntry>,
    /// Ask by a connection, `{}`.
    #[serde(default)]
    pub(crate) tcp_health_check: Option<TcpCheckEntry>,
    /// Ask by the gRPC health protocol.
    #[serde(default)]
    pub(crate) grpc_health_check: Option<GrpcCheckEntry>,
}

/// A check by a GET.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct HttpCheckEntry {
    /// `Host`. Default: the upstream's own name.
    #[serde(default)]
    pub(crate) host: Option<String>,
    /// The path, with a query perhaps.
    pub(crate) path: String,
    /// The statuses of a healthy upstream: numbers or `{start: 200, end: 300}`, the end not among them. Default: 200.
    #[serde(default)]
    pub(crate) expected_statuses: Vec<StatusesEntry>,
}

/// A check by a connection; nothing is sent on it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TcpCheckEntry {}

/// A check by the gRPC health protocol.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GrpcCheckEntry {
    /// The service that is asked about. Default: the server as a whole.
    #[serde(default)]
    pub(crate) service_name: String,
    /// `:authority`. Default: the upstream's own name.
    #[serde(default)]
    pub(crate) authority: Option<String>,
}

/// A status, or a range of them.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a status, or {start, end} with the end not among them")]
pub(crate) enum StatusesEntry {
    /// This one.
    One(u16),
    /// These.
    Range(StatusRange),
}

/// From `start` to `end`, which is not among them.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StatusRange {
    /// The first.
    pub(crate) start: u16,
    /// The one behind the last.
    pub(crate) end: u16,
}

/// `health_checks` of a route: one or several, and all must be content.
pub(crate) type HealthChecks = OneOrMany<HealthCheckEntry>;
