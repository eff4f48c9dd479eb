//! Sessions written: each acknowledged once it is on disk.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use portcullis_broker_api::BrokerClient;
use portcullis_keys::ServiceRole;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use crate::series::{Goal, Series, figure, quantile, say};
use crate::site::{Origin, Site};

/// Writes for `span` with each number of writers at once.
///
/// # Errors
/// The binary does not start, or a session is not kept.
pub async fn measure(binary: &Path, writers: &[u32], span: Duration) -> io::Result<Vec<Series>> {
    let origin = Origin::start().await?;
    let site = Site::new(binary, origin.address)?;
    site.write(1, "nobody")?;
    let process = site.start().await?;
    let site = Arc::new(site);
    let mut rates = Series::new("sessions written on disk, over writers at once", "1/s", Goal::Open);
    let mut waits = Series::new("a session on disk, p99, over writers at once", "ms", Goal::Open);
    let next = Arc::new(AtomicU64::new(0));
    for at_once in writers {
        say(&format!("sessions written by {at_once} at once"));
        let begun = Instant::now();
        let tasks: Vec<_> = (0..*at_once)
            .map(|_| {
                let (site, next) = (Arc::clone(&site), Arc::clone(&next));
                AbortOnDropHandle::new(tokio::spawn(async move {
                    let broker = site.broker(ServiceRole::Authn);
                    let mut waits = Vec::new();
                    while begun.elapsed() < span {
                        waits.push(write(&site, &broker, next.fetch_add(1, Ordering::Relaxed)).await?);
                    }
                    Ok::<_, io::Error>(waits)
                }))
            })
            .collect();
        let mut all = Vec::new();
        for task in tasks {
            all.extend(task.await??);
        }
        let count = u64::try_from(all.len()).unwrap_or(u64::MAX);
        rates.add(*at_once, figure(count) / begun.elapsed().as_secs_f64());
        waits.add(*at_once, quantile(&all, 0.99));
    }
    process.stop().await?;
    Ok(vec![rates, waits])
}

/// Writes one session and answers how many milliseconds that took.
async fn write(site: &Site, broker: &BrokerClient, number: u64) -> io::Result<f64> {
    let begun = Instant::now();
    site.sign_in(broker, number).await?;
    Ok(begun.elapsed().as_secs_f64() * 1000.0)
}
