//! From ten routes to ten thousand, each with a policy of its own: start, CPU per request, memory, reload under load.

use std::io;
use std::path::Path;
use std::time::Duration;

use portcullis_keys::ServiceRole;
use tokio::time::sleep;

use super::load::{Load, Streams};
use crate::series::{Goal, Series, figure, quantile, say};
use crate::site::{Origin, Process, Site};

/// Starts that are measured; their median counts.
const STARTS: usize = 3;
/// Reloads under load that are measured; their median counts, and every failed request of all of them.
const RELOADS: usize = 5;
/// Streams that stay open across the reloads.
const STREAMS: usize = 10;
/// How long an idle process is left alone before its memory is read.
const SETTLE: Duration = Duration::from_secs(2);

/// What one number of routes showed.
#[derive(Debug)]
struct Found {
    start: f64,
    idle: f64,
    loaded: f64,
    per_cpu_second: f64,
    reload: f64,
    from_change: f64,
    failed: u64,
    closed: u64,
}

/// Measures each of `counts`, loading for `span`.
///
/// # Errors
/// The binary does not start, or does not answer as configured.
pub async fn measure(binary: &Path, counts: &[usize], span: Duration) -> io::Result<Vec<Series>> {
    let mut series = [
        Series::new("start: program to READY, over routes", "s", Goal::AtMost(1.0)),
        Series::new("idle all-in-one, resident, over routes", "MiB", Goal::Open),
        Series::new("resident under load and reloads, over routes", "MiB", Goal::Open),
        Series::new("requests per CPU-second, over routes", "1/s", Goal::Open),
        Series::new("CPU per request / at fewest, over routes", "ratio", Goal::AtMost(1.1)),
        Series::new("reload under load, over routes", "ms", Goal::AtMost(250.0)),
        Series::new("file changed to served, over routes", "ms", Goal::Open),
        Series::new("requests failed by reloads, over routes", "requests", Goal::AtMost(0.0)),
        Series::new("streams closed by reloads, over routes", "streams", Goal::AtMost(0.0)),
    ];
    let mut first = None;
    for count in counts {
        say(&format!("{count} routes"));
        let found = one(binary, *count, span).await?;
        let base = *first.get_or_insert(found.per_cpu_second);
        let figures = [
            found.start,
            found.idle,
            found.loaded,
            found.per_cpu_second,
            base / found.per_cpu_second.max(1.0),
            found.reload,
            found.from_change,
            figure(found.failed),
            figure(found.closed),
        ];
        let at = u32::try_from(*count).unwrap_or(u32::MAX);
        series.iter_mut().zip(figures).for_each(|(series, figure)| series.add(at, figure));
    }
    let smallest = series.get(1).and_then(Series::first);
    let mut all = series.to_vec();
    all.extend(smallest.map(|(x, y)| Series::new("idle all-in-one", "MiB resident", Goal::AtMost(64.0)).with(x, y)));
    Ok(all)
}

async fn one(binary: &Path, routes: usize, span: Duration) -> io::Result<Found> {
    let origin = Origin::start().await?;
    let site = Site::new(binary, origin.address)?;
    site.write(routes, "nobody")?;
    let mut starts = Vec::new();
    for _ in 1..STARTS {
        let process = site.start().await?;
        starts.push(process.ready_after.as_secs_f64());
        process.stop().await?;
    }
    let process = site.start().await?;
    starts.push(process.ready_after.as_secs_f64());
    sleep(SETTLE).await;
    let idle = mebibytes(&process);
    site.sign_in(&site.broker(ServiceRole::Authn), 0).await?;
    let status = site.way()?.connect().await?.ask(&site.asked(0, 0, "/page")?).await?;
    if status != 200 {
        return Err(io::Error::other(format!("a request was answered with {status}")));
    }
    let (per_cpu_second, failed_before) = rate(&site, &process, (routes, span)).await?;
    if failed_before > 0 {
        return Err(io::Error::other(format!("{failed_before} requests failed without a reload")));
    }
    let streams = Streams::open(&site, STREAMS.min(routes)).await?;
    let load = Load::start(&site, routes)?;
    let (mut reloads, mut changes) = (Vec::new(), Vec::new());
    for round in 0..RELOADS {
        sleep(Duration::from_millis(500)).await;
        let reload = process.reload(|| site.write(routes, &format!("nobody-{round}-"))).await?;
        reloads.push(reload.itself.as_secs_f64() * 1000.0);
        changes.push(reload.from_change.as_secs_f64() * 1000.0);
    }
    sleep(Duration::from_millis(500)).await;
    let (_, failed) = load.finish().await;
    let found = Found {
        start: quantile(&starts, 0.5),
        idle,
        loaded: mebibytes(&process),
        per_cpu_second,
        reload: quantile(&reloads, 0.5),
        from_change: quantile(&changes, 0.5),
        failed,
        closed: streams.closed(),
    };
    drop(streams);
    process.stop().await?;
    Ok(found)
}

/// Requests per CPU-second of the process, and how many failed.
async fn rate(site: &Site, process: &Process, (routes, span): (usize, Duration)) -> io::Result<(f64, u64)> {
    let load = Load::start(site, routes)?;
    // Connections, upstream connections and allocator warm up outside the measure.
    sleep(span / 4).await;
    let ((before, _), used_before) = (load.so_far(), process.spent());
    sleep(span).await;
    let ((after, _), used_after) = (load.so_far(), process.spent());
    let (_, failed) = load.finish().await;
    let used = used_after.saturating_sub(used_before).as_secs_f64();
    Ok((figure(after.saturating_sub(before)) / used.max(0.01), failed))
}

fn mebibytes(process: &Process) -> f64 {
    figure(process.resident()) / (1024.0 * 1024.0)
}
