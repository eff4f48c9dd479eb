//! The proxy's metrics. Labels come from closed sets; the route's name stands on counters alone.

use std::sync::Arc;

use pingora_http::StatusCode;
use portcullis_broker_api::Change;
use portcullis_gate::Shadowed;
use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry};

use crate::exchange::Cut;
use crate::upstream::Ailment;

/// Every metric of the proxy. Cheap to use: children of hot labels are resolved once per generation.
#[derive(Debug)]
pub(crate) struct Metrics {
    pub(crate) connections_open: IntGauge,
    pub(crate) connections_accepted: IntCounter,
    pub(crate) connections_refused_total: IntCounter,
    pub(crate) connections_refused_prefix: IntCounter,
    pub(crate) connections_reset: IntCounter,
    pub(crate) handshakes_failed: IntCounter,
    pub(crate) handshakes_late: IntCounter,
    pub(crate) request_seconds: Histogram,
    requests: IntCounterVec,
    /// Requests that belong to no route.
    pub(crate) unrouted: RouteCounters,
    decisions: IntCounterVec,
    /// Requests that the gate permitted.
    pub(crate) permitted: IntCounter,
    shadow_differences: IntCounterVec,
    malformed: IntCounterVec,
    upstream_failures: IntCounterVec,
    pub(crate) upstream_retries: IntCounter,
    pub(crate) upstreams_unhealthy: IntGauge,
    health_checks: IntCounterVec,
    cuts: IntCounterVec,
    session_changes: IntCounterVec,
    sign_in_steps: IntCounterVec,
    pub(crate) assertions_signed: IntCounter,
}

/// A route's request counters by status class.
#[derive(Debug)]
pub(crate) struct RouteCounters([IntCounter; 5]);

impl Metrics {
    /// Registers everything.
    ///
    /// # Errors
    /// A name that is taken: two proxies in one registry.
    pub(crate) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let connections = counters(
            registry,
            "portcullis_proxy_connections_total",
            "Connections by what became of them.",
            &["outcome"],
        )?;
        let handshakes =
            counters(registry, "portcullis_proxy_handshakes_failed_total", "TLS handshakes that failed.", &["cause"])?;
        let request_seconds = durations(registry)?;
        let requests = requests(registry)?;
        let decisions = counters(registry, "portcullis_proxy_decisions_total", "Verdicts of the gate.", &["verdict"])?;
        Ok(Self {
            connections_open: connections_open(registry)?,
            connections_accepted: connections.with_label_values(&["accepted"]),
            connections_refused_total: connections.with_label_values(&["refused_total"]),
            connections_refused_prefix: connections.with_label_values(&["refused_prefix"]),
            connections_reset: connections.with_label_values(&["reset"]),
            handshakes_failed: handshakes.with_label_values(&["tls"]),
            handshakes_late: handshakes.with_label_values(&["deadline"]),
            request_seconds,
            unrouted: RouteCounters::new(&requests, ""),
            requests,
            permitted: decisions.with_label_values(&["permit"]),
            decisions,
            shadow_differences: shadow_differences(registry)?,
            malformed: counters(
                registry,
                "portcullis_proxy_malformed_total",
                "Requests refused before routing.",
                &["cause"],
            )?,
            upstream_failures: counters(
                registry,
                "portcullis_proxy_upstream_failures_total",
                "Requests an upstream did not answer.",
                &["cause"],
            )?,
            upstream_retries: counter(
                registry,
                "portcullis_proxy_upstream_retries_total",
                "Requests sent to an upstream again.",
            )?,
            upstreams_unhealthy: upstreams_unhealthy(registry)?,
            health_checks: health_checks(registry)?,
            cuts: counters(
                registry,
                "portcullis_proxy_exchanges_cut_total",
                "Exchanges ended by us before their time.",
                &["cause"],
            )?,
            session_changes: counters(
                registry,
                "portcullis_proxy_session_changes_total",
                "Changes of sessions heard from the broker.",
                &["change"],
            )?,
            sign_in_steps: counters(
                registry,
                "portcullis_proxy_sign_in_steps_total",
                "Legs of sign-ins on route hosts.",
                &["step"],
            )?,
            assertions_signed: counter(
                registry,
                "portcullis_proxy_assertions_signed_total",
                "Identity assertions signed.",
            )?,
        })
    }

    /// The counters of a route.
    pub(crate) fn route(&self, name: &str) -> Arc<RouteCounters> {
        Arc::new(RouteCounters::new(&self.requests, name))
    }

    /// A verdict was reached.
    pub(crate) fn decided(&self, verdict: &'static str) {
        self.decisions.with_label_values(&[verdict]).inc();
    }

    /// A shadow policy had another answer.
    pub(crate) fn shadow_differed(&self, route: &str, shadowed: &Shadowed) {
        let Shadowed { live, shadow, decision: _ } = shadowed;
        self.shadow_differences.with_label_values(&[route, live.label(), shadow.label()]).inc();
    }

    /// A request was refused before routing.
    pub(crate) fn malformed(&self, cause: &'static str) {
        self.malformed.with_label_values(&[cause]).inc();
    }

    /// An upstream did not answer.
    pub(crate) fn upstream_failed(&self, cause: &'static str) {
        self.upstream_failures.with_label_values(&[cause]).inc();
    }

    /// The health of an upstream's address was checked.
    pub(crate) fn health_checked(&self, outcome: Result<(), Ailment>) {
        let label = outcome.map_or_else(Ailment::label, |()| PASSED);
        self.health_checks.with_label_values(&[label]).inc();
    }

    /// An exchange was cut.
    pub(crate) fn cut(&self, cause: Cut) {
        self.cuts.with_label_values(&[cause.label()]).inc();
    }

    /// A change of sessions was heard.
    pub(crate) fn session_changed(&self, change: &Change) {
        let label = match change {
            Change::Ended(_) => "ended",
            Change::Changed(_) => "changed",
            Change::Dormant(_) => "dormant",
            Change::Reset => "reset",
            Change::Stale => "stale",
            Change::Records => "records",
        };
        self.session_changes.with_label_values(&[label]).inc();
    }

    /// A leg of a sign-in was taken.
    pub(crate) fn sign_in_step(&self, step: &'static str) {
        self.sign_in_steps.with_label_values(&[step]).inc();
    }
}

impl RouteCounters {
    fn new(requests: &IntCounterVec, name: &str) -> Self {
        Self(["1xx", "2xx", "3xx", "4xx", "5xx"].map(|class| requests.with_label_values(&[name, class])))
    }

    /// A request ended with `status`.
    pub(crate) fn ended(&self, status: StatusCode) {
        let class = usize::from(status.as_u16() / 100).saturating_sub(1);
        if let Some(counter) = self.0.get(class) {
            counter.inc();
        }
    }
}

fn requests(registry: &Registry) -> Result<IntCounterVec, prometheus::Error> {
    let labels = ["route", "status"];
    counters(registry, "portcullis_proxy_requests_total", "Requests by route and status class.", &labels)
}

fn upstreams_unhealthy(registry: &Registry) -> Result<IntGauge, prometheus::Error> {
    let unhealthy = IntGauge::new(
        "portcullis_proxy_upstreams_unhealthy",
        "Addresses of upstreams that get no requests because a check of their health fails.",
    )?;
    registry.register(Box::new(unhealthy.clone()))?;
    Ok(unhealthy)
}

/// The outcome of a health check that found nothing.
const PASSED: &str = "passed";

/// Health checks by outcome; every label from the start, so that a rate needs no first failure.
fn health_checks(registry: &Registry) -> Result<IntCounterVec, prometheus::Error> {
    let checks = counters(
        registry,
        "portcullis_proxy_health_checks_total",
        "Checks of the health of upstreams' addresses, by outcome.",
        &["outcome"],
    )?;
    for outcome in Ailment::ALL.map(Ailment::label).into_iter().chain([PASSED]) {
        checks.with_label_values(&[outcome]).reset();
    }
    Ok(checks)
}

fn counters(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, prometheus::Error> {
    let vector = IntCounterVec::new(Opts::new(name, help), labels)?;
    registry.register(Box::new(vector.clone()))?;
    Ok(vector)
}

fn counter(registry: &Registry, name: &str, help: &str) -> Result<IntCounter, prometheus::Error> {
    let counter = IntCounter::new(name, help)?;
    registry.register(Box::new(counter.clone()))?;
    Ok(counter)
}

fn connections_open(registry: &Registry) -> Result<IntGauge, prometheus::Error> {
    let gauge = IntGauge::new("portcullis_proxy_connections_open", "Open client connections.")?;
    registry.register(Box::new(gauge.clone()))?;
    Ok(gauge)
}

fn shadow_differences(registry: &Registry) -> Result<IntCounterVec, prometheus::Error> {
    counters(
        registry,
        "portcullis_proxy_shadow_differences_total",
        "Requests to which a route's shadow policy has another answer than its policy.",
        &["route", "live", "shadow"],
    )
}

/// The duration of requests; without a route, whose number times the buckets would be too many series.
fn durations(registry: &Registry) -> Result<Histogram, prometheus::Error> {
    let request_seconds = Histogram::with_opts(
        HistogramOpts::new("portcullis_proxy_request_duration_seconds", "From a request's head to its last byte.")
            .buckets(vec![0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0]),
    )?;
    registry.register(Box::new(request_seconds.clone()))?;
    Ok(request_seconds)
}
