//! Checks of the upstreams' health.

use std::ops::RangeInclusive;
use std::time::Duration;

use http::uri::PathAndQuery;

use super::Build;
use super::upstream::authority;
use crate::field::Field;
use crate::health::{HealthCheck, Probe};
use crate::report::Fault;
use crate::route::{Scheme, Upstream};
use crate::schema::{
    GrpcCheckEntry, HealthCheckEntry, HealthChecks, HttpCheckEntry, Period, StatusRange, StatusesEntry,
};

/// The most checks of one route.
const MAX_CHECKS: usize = 8;

/// The shortest pause between two checks of an address.
const LEAST_INTERVAL: Duration = Duration::from_millis(100);

const INTERVAL: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(5);
const UNHEALTHY: u32 = 3;
const HEALTHY: u32 = 2;

/// The statuses of HTTP that end an exchange.
const STATUSES: RangeInclusive<u16> = 200..=599;

/// The checks of a route with these upstreams.
pub(crate) fn checks(
    build: &mut Build<'_>,
    at: &Field<'_>,
    entries: HealthChecks,
    upstreams: &[Upstream],
) -> Vec<HealthCheck> {
    if entries.0.len() > MAX_CHECKS {
        build.report.fault(at, Fault::new(format!("more than {MAX_CHECKS} checks")));
    }
    let plain = upstreams.iter().any(|upstream| upstream.scheme == Scheme::Http);
    let mut checks = Vec::with_capacity(entries.0.len());
    for (index, entry) in entries.0.into_iter().enumerate() {
        let at = at.index(index);
        let Some(check) = check(build, &at, entry) else { continue };
        if plain && matches!(check.probe, Probe::Grpc { .. }) {
            let fault = Fault::new("an `http` upstream speaks no gRPC").help("h2c:// and https:// do");
            build.report.fault(&at.key("grpc_health_check"), fault);
        }
        if checks.contains(&check) {
            build.report.fault(&at, Fault::new("is given twice"));
        }
        checks.push(check);
    }
    checks
}

fn check(build: &mut Build<'_>, at: &Field<'_>, entry: HealthCheckEntry) -> Option<HealthCheck> {
    let HealthCheckEntry {
        interval,
        timeout,
        unhealthy_threshold,
        healthy_threshold,
        http_health_check,
        tcp_health_check,
        grpc_health_check,
    } = entry;
    let probe = match (http_health_check, tcp_health_check, grpc_health_check) {
        (Some(entry), None, None) => http(build, &at.key("http_health_check"), entry),
        (None, Some(_connection), None) => Some(Probe::Tcp),
        (None, None, Some(entry)) => grpc(build, &at.key("grpc_health_check"), entry),
        (None, None, None) => {
            let fault = Fault::new("asks nothing");
            build.report.fault(at, fault.help("give `http_health_check`, `tcp_health_check` or `grpc_health_check`"));
            None
        }
        (_, tcp, _) => {
            let key = if tcp.is_some() { "tcp_health_check" } else { "grpc_health_check" };
            build.report.fault(&at.key(key), Fault::new("one entry asks one thing").help("write another entry"));
            None
        }
    };
    let interval = period(build, &at.key("interval"), interval, INTERVAL, LEAST_INTERVAL);
    let timeout = period(build, &at.key("timeout"), timeout, TIMEOUT, Duration::from_millis(1));
    let unhealthy_threshold = threshold(build, &at.key("unhealthy_threshold"), unhealthy_threshold, UNHEALTHY);
    let healthy_threshold = threshold(build, &at.key("healthy_threshold"), healthy_threshold, HEALTHY);
    Some(HealthCheck { probe: probe?, interval, timeout, unhealthy_threshold, healthy_threshold })
}

fn http(build: &mut Build<'_>, at: &Field<'_>, entry: HttpCheckEntry) -> Option<Probe> {
    let HttpCheckEntry { host, path, expected_statuses } = entry;
    let host = name(build, &at.key("host"), host);
    let good = path.starts_with('/') && !path.contains('#') && path.parse::<PathAndQuery>().is_ok();
    let path = good.then_some(path).ok_or_else(|| Fault::new("is not a path").help("write it as /healthz"));
    let path = build.report.take(&at.key("path"), path);
    let list = at.key("expected_statuses");
    let mut expected = Vec::new();
    for (index, entry) in expected_statuses.into_iter().enumerate() {
        let (first, last) = match entry {
            StatusesEntry::One(status) => (status, status),
            StatusesEntry::Range(StatusRange { start, end }) => (start, end.saturating_sub(1)),
        };
        if first > last || !STATUSES.contains(&first) || !STATUSES.contains(&last) {
            let fault = Fault::new("is no status an upstream answers with").help("200 to 599; `end` is not among them");
            build.report.fault(&list.index(index), fault);
        }
        expected.push(first..=last);
    }
    if expected.is_empty() {
        expected.push(200..=200);
    }
    Some(Probe::Http { host: host?, path: path?.into(), expected })
}

fn grpc(build: &mut Build<'_>, at: &Field<'_>, entry: GrpcCheckEntry) -> Option<Probe> {
    let GrpcCheckEntry { service_name, authority } = entry;
    let authority = name(build, &at.key("authority"), authority);
    let service = (service_name.len() <= 255).then_some(service_name);
    let service = service.ok_or_else(|| Fault::new("a name has at most 255 bytes"));
    let service = build.report.take(&at.key("service_name"), service);
    Some(Probe::Grpc { service: service?.into(), authority: authority? })
}

/// A host that may be left out; the outer `None`: what is there is none.
#[expect(clippy::option_option, reason = "absent and wrong are two answers, and the report has the wrong one")]
fn name(build: &mut Build<'_>, at: &Field<'_>, given: Option<String>) -> Option<Option<std::sync::Arc<str>>> {
    match given {
        None => Some(None),
        Some(text) => build.report.take(at, authority(&text)).map(Some),
    }
}

fn period(build: &mut Build<'_>, at: &Field<'_>, given: Option<Period>, usual: Duration, least: Duration) -> Duration {
    let period = given.map_or(usual, |period| period.0);
    if period < least {
        build.report.fault(at, Fault::new(format!("must be at least {}ms", least.as_millis())));
    }
    period
}

fn threshold(build: &mut Build<'_>, at: &Field<'_>, given: Option<u32>, usual: u32) -> u32 {
    let threshold = given.unwrap_or(usual);
    if threshold == 0 {
        build.report.fault(at, Fault::new("must be at least 1"));
    }
    threshold
}
