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
/// Rounds of load that are measured.
const ROUNDS: u32 = 9;
/// Reloads under load that are measured; their median counts, and every failed request of all of them.
const RELOADS: usize = 5;
/// Streams that stay open across the reloads.
const STREAMS: usize = 10;
/// How long an idle process is left alone before its memory is read.
const SETTLE: Duration = Duration::from_secs(2);

/// One number of routes, served by a process of its own.
#[derive(Debug)]
struct Served {
    routes: usize,
    site: Site,
    process: Process,
    start: f64,
    idle: f64,
    /// Requests per CPU-second, round by round.
    rates: Vec<f64>,
    _origin: Origin,
}

/// What five reloads under load showed.
#[derive(Debug)]
struct Reloaded {
    loaded: f64,
    reload: f64,
    from_change: f64,
    failed: u64,
    closed: u64,
}

/// Measures each of `counts`, loading for `span`. The rounds of load go from one number of routes to the next and
/// begin again: what else the machine does meanwhile falls on all of them.
///
/// # Errors
/// The binary does not start, or does not answer as configured.
pub async fn measure(binary: &Path, counts: &[usize], span: Duration) -> io::Result<Vec<Series>> {
    let mut series = [
        Series::new("start: program to READY, over routes", "s", Goal::AtMost(1.0)),
        Series::new("idle all-in-one, resident, over routes", "MiB", Goal::Open),
        Series::new("requests per CPU-second, over routes", "1/s", Goal::Open),
        Series::new("CPU per request / at fewest, over routes", "ratio", Goal::AtMost(1.1)),
        Series::new("resident under load and reloads, over routes", "MiB", Goal::Open),
        Series::new("reload under load, over routes", "ms", Goal::AtMost(250.0)),
        Series::new("file changed to served, over routes", "ms", Goal::Open),
        Series::new("requests failed by reloads, over routes", "requests", Goal::AtMost(0.0)),
        Series::new("streams closed by reloads, over routes", "streams", Goal::AtMost(0.0)),
    ];
    let mut all = Vec::new();
    for count in counts {
        say(&format!("{count} routes"));
        all.push(begin(binary, *count).await?);
    }
    // The first round fills what is kept per route and session, and does not count.
    for round in 0..=ROUNDS {
        for served in &mut all {
            let rate = rate(served, span / ROUNDS).await?;
            served.rates.extend((round > 0).then_some(rate));
        }
    }
    let first = all.first().map(|served| served.rates.clone()).unwrap_or_default();
    for served in all {
        let at = u32::try_from(served.routes).unwrap_or(u32::MAX);
        let ratios: Vec<f64> = first.iter().zip(&served.rates).map(|(first, rate)| first / rate.max(1.0)).collect();
        let before = [served.start, served.idle, quantile(&served.rates, 0.5), quantile(&ratios, 0.5)];
        let found = reload(served).await?;
        let after = [found.loaded, found.reload, found.from_change, figure(found.failed), figure(found.closed)];
        series.iter_mut().zip(before.into_iter().chain(after)).for_each(|(series, figure)| series.add(at, figure));
    }
    let smallest = series.get(1).and_then(Series::first);
    let mut all = series.to_vec();
    all.extend(smallest.map(|(x, y)| Series::new("idle all-in-one", "MiB resident", Goal::AtMost(64.0)).with(x, y)));
    Ok(all)
}

/// Starts a process that serves `routes` routes, with a person signed in.
async fn begin(binary: &Path, routes: usize) -> io::Result<Served> {
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
    let start = quantile(&starts, 0.5);
    Ok(Served { routes, site, process, start, idle, rates: Vec::new(), _origin: origin })
}

/// Reloads under load, with streams open, and ends the process.
async fn reload(served: Served) -> io::Result<Reloaded> {
    let Served { routes, site, process, .. } = &served;
    let streams = Streams::open(site, STREAMS.min(*routes)).await?;
    let load = Load::start(site, *routes)?;
    let (mut reloads, mut changes) = (Vec::new(), Vec::new());
    for round in 0..RELOADS {
        sleep(Duration::from_millis(500)).await;
        let reload = process.reload(|| site.write(*routes, &format!("nobody-{round}-"))).await?;
        reloads.push(reload.itself.as_secs_f64() * 1000.0);
        changes.push(reload.from_change.as_secs_f64() * 1000.0);
    }
    sleep(Duration::from_millis(500)).await;
    let (_, failed) = load.finish().await;
    let found = Reloaded {
        loaded: mebibytes(process),
        reload: quantile(&reloads, 0.5),
        from_change: quantile(&changes, 0.5),
        failed,
        closed: streams.closed(),
    };
    drop(streams);
    served.process.stop().await?;
    Ok(found)
}

/// Requests per CPU-second of the process under a load of `span`.
async fn rate(served: &Served, span: Duration) -> io::Result<f64> {
    let load = Load::start(&served.site, served.routes)?;
    // Connections, upstream connections and allocator warm up outside the measure.
    sleep(span / 4).await;
    let ((before, _), used_before) = (load.so_far(), served.process.spent());
    sleep(span).await;
    let ((after, _), used_after) = (load.so_far(), served.process.spent());
    let (_, failed) = load.finish().await;
    if failed > 0 {
        return Err(io::Error::other(format!("{failed} requests failed without a reload")));
    }
    let used = used_after.saturating_sub(used_before).as_secs_f64();
    Ok(figure(after.saturating_sub(before)) / used.max(0.01))
}

fn mebibytes(process: &Process) -> f64 {
    figure(process.resident()) / (1024.0 * 1024.0)
}
