//! A million sessions on one broker: its start, its memory, and a replica that asks for all of them.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use portcullis_keys::ServiceRole;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::follower::Follower;
use crate::series::{Goal, Series, figure, say};
use crate::site::{Origin, Site};

/// Writers that fill the store: as many as one commit takes.
const WRITERS: u64 = 512;
/// Requests that miss at once while a replica is rebuilt.
const MISSES: u64 = 256;

/// Measures with each number of sessions.
///
/// # Errors
/// The binary does not start, or a session is not kept.
pub async fn measure(binary: &Path, counts: &[u64]) -> io::Result<Vec<Series>> {
    let mut series = [
        Series::new("sessions filled into a store, over sessions", "1/s", Goal::Open),
        Series::new("start with a full store: program to READY, over sessions", "s", Goal::AtMost(30.0)),
        Series::new("resident of the broker per session, over sessions", "KiB", Goal::AtMost(1.2)),
        Series::new("replica rebuilt by misses, over sessions", "s", Goal::Open),
        Series::new("sessions a second into an empty replica, over sessions", "1/s", Goal::Open),
    ];
    for count in counts {
        say(&format!("{count} sessions on one broker"));
        let figures = one(binary, *count).await?;
        series.iter_mut().zip(figures).for_each(|(series, found)| series.add(figure(*count), found));
    }
    Ok(series.to_vec())
}

async fn one(binary: &Path, count: u64) -> io::Result<[f64; 5]> {
    let origin = Origin::start().await?;
    let site = Site::new(binary, origin.address)?;
    site.write(1, "nobody")?;
    let process = site.start().await?;
    let empty = process.resident();
    let site = Arc::new(site);
    let broker = site.broker(ServiceRole::Authn);
    let filling = Instant::now();
    let signing = Arc::clone(&site);
    each(count, WRITERS, move |number| {
        let (site, broker) = (Arc::clone(&signing), broker.clone());
        async move { site.sign_in(&broker, number).await }
    })
    .await?;
    let filled = filling.elapsed();
    process.stop().await?;
    let process = site.start().await?;
    let start = process.ready_after;
    let bytes = figure(process.resident().saturating_sub(empty)) / figure(count);
    let rebuilt = rebuild(&site, count).await?;
    process.stop().await?;
    Ok([
        figure(count) / filled.as_secs_f64(),
        start.as_secs_f64(),
        bytes / 1024.0,
        rebuilt.as_secs_f64(),
        figure(count) / rebuilt.as_secs_f64(),
    ])
}

/// How long an empty replica takes until it has every session, each asked for as a request asks.
async fn rebuild(site: &Site, count: u64) -> io::Result<Duration> {
    let follower = Arc::new(Follower::start(site, usize::MAX).await?);
    let begun = Instant::now();
    each(count, MISSES, move |number| {
        let follower = Arc::clone(&follower);
        async move { follower.hold(number).await }
    })
    .await?;
    Ok(begun.elapsed())
}

/// Does `work` for every number below `count`, `at_once` of them at a time.
async fn each<F>(count: u64, at_once: u64, work: impl Fn(u64) -> F + Clone + Send + 'static) -> io::Result<()>
where
    F: Future<Output = io::Result<()>> + Send,
{
    let next = Arc::new(AtomicU64::new(0));
    let tasks = (0..at_once).map(|_| {
        let (next, work) = (Arc::clone(&next), work.clone());
        AbortOnDropHandle::new(tokio::spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return Ok::<(), io::Error>(());
                }
                work(number).await?;
            }
        }))
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await??;
    }
    Ok(())
}
