//! The change stream to many replicas: how many ends a second reach all of them, and how long after an order the last
//! of them refuses. The same for a stream that is open at the edge.

use std::io;
use std::path::Path;

use portcullis_broker_api::{BrokerClient, EndReason, EndSelector};
use portcullis_keys::ServiceRole;
use tokio::time::{Instant, timeout};

use super::follower::{Follower, PATIENCE};
use crate::series::{Goal, Series, figure, quantile, say};
use crate::site::{Origin, STREAM, Site};

/// What a replica may hold.
const MAX_BYTES: usize = 1 << 30;
/// Sessions that are ended together, below what a listener may lag behind.
const TOGETHER: u64 = 2_000;

/// Measures with `replicas` followers, `rounds` times.
///
/// # Errors
/// The binary does not start, or a follower is not told.
pub async fn measure(binary: &Path, replicas: u32, rounds: u32) -> io::Result<Vec<Series>> {
    let origin = Origin::start().await?;
    let site = Site::new(binary, origin.address)?;
    site.write(1, "nobody")?;
    let process = site.start().await?;
    let broker = site.broker(ServiceRole::Authn);
    let mut followers = Vec::new();
    for _ in 0..replicas {
        followers.push(Follower::start(&site, MAX_BYTES).await?);
    }
    say(&format!("revoke to refused over {replicas} replicas"));
    let (mut refused, mut cut) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        refused.push(revoke(&site, &broker, &mut followers, u64::from(round)).await?);
        cut.push(close(&site, &broker, u64::from(rounds) + u64::from(round)).await?);
    }
    say(&format!("{TOGETHER} ends to {replicas} replicas"));
    let delivered = fan_out(&site, &broker, &mut followers, u64::from(rounds) * 2).await?;
    process.stop().await?;
    Ok(vec![
        Series::new("revoke to refused by every replica, p99, over replicas", "ms", Goal::AtMost(250.0))
            .with(replicas, quantile(&refused, 0.99)),
        Series::new("revoke to refused by every replica, p50, over replicas", "ms", Goal::Open)
            .with(replicas, quantile(&refused, 0.5)),
        Series::new("revoke to an open stream's last byte at the edge, p99", "ms", Goal::AtMost(250.0))
            .with(1_u32, quantile(&cut, 0.99)),
        Series::new("ends told to all replicas, over replicas", "1/s", Goal::Open).with(replicas, delivered),
    ])
}

/// Milliseconds from the order to the last replica's refusal.
async fn revoke(site: &Site, broker: &BrokerClient, followers: &mut [Follower], number: u64) -> io::Result<f64> {
    site.sign_in(broker, number).await?;
    for follower in followers.iter() {
        follower.hold(number).await?;
    }
    let begun = Instant::now();
    end(broker, EndSelector::Key(Site::key(number))).await?;
    for follower in followers {
        follower.let_go(number).await?;
    }
    Ok(begun.elapsed().as_secs_f64() * 1000.0)
}

/// Milliseconds from the order to the end of a stream that person `number` has open at the edge.
async fn close(site: &Site, broker: &BrokerClient, number: u64) -> io::Result<f64> {
    site.sign_in(broker, number).await?;
    let mut visitor = site.way()?.connect().await?;
    let status = visitor.open(&site.asked(number, 0, STREAM)?).await?;
    if status != 200 {
        return Err(io::Error::other(format!("a stream was answered with {status}")));
    }
    let begun = Instant::now();
    end(broker, EndSelector::Key(Site::key(number))).await?;
    timeout(PATIENCE, async { while visitor.more().await.is_ok() {} }).await?;
    Ok(begun.elapsed().as_secs_f64() * 1000.0)
}

/// Ends a second that every replica has been told, when many end at once.
async fn fan_out(site: &Site, broker: &BrokerClient, followers: &mut [Follower], first: u64) -> io::Result<f64> {
    for number in first..first + TOGETHER {
        site.sign_in(broker, number).await?;
    }
    let last = first + TOGETHER - 1;
    for follower in followers.iter() {
        follower.hold(last).await?;
    }
    let begun = Instant::now();
    let orders = (first..=last).map(|number| end(broker, EndSelector::Key(Site::key(number))));
    for ordered in futures_util::future::join_all(orders).await {
        ordered?;
    }
    for follower in followers {
        follower.let_go(last).await?;
    }
    Ok(figure(TOGETHER) / begun.elapsed().as_secs_f64())
}

async fn end(broker: &BrokerClient, selector: EndSelector) -> io::Result<()> {
    broker.end(selector, EndReason::Revoked).await.map(drop).map_err(io::Error::other)
}
