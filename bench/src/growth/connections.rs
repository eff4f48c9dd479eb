//! Idle TLS connections: opened, one request each, then left alone.

use std::io;
use std::path::Path;
use std::time::Duration;

use portcullis_keys::ServiceRole;
use tokio::time::sleep;

use crate::series::{Goal, Series, figure, say};
use crate::site::{Origin, Site};

/// How long connections are left alone before memory is read; below the edge's idle limit.
const SETTLE: Duration = Duration::from_secs(3);

/// Measures `count` idle connections.
///
/// # Errors
/// The binary does not start, or refuses a connection.
pub async fn measure(binary: &Path, count: u32) -> io::Result<Vec<Series>> {
    say(&format!("{count} idle TLS connections"));
    let origin = Origin::start().await?;
    let site = Site::new(binary, origin.address)?;
    site.write(10, "nobody")?;
    let process = site.start().await?;
    site.sign_in(&site.broker(ServiceRole::Authn), 0).await?;
    let (way, asked) = (site.way()?, site.asked(0, 0, "/page")?);
    // What the first requests make for all later ones is not a connection's.
    for _ in 0..50 {
        way.connect().await?.ask(&asked).await?;
    }
    sleep(SETTLE).await;
    let before = process.resident();
    let mut idle = Vec::new();
    for _ in 0..count {
        let mut visitor = way.connect().await?;
        let status = visitor.ask(&asked).await?;
        if status != 200 {
            return Err(io::Error::other(format!("a request was answered with {status}")));
        }
        idle.push(visitor);
    }
    sleep(SETTLE).await;
    let after = process.resident();
    let each = figure(after.saturating_sub(before)) / f64::from(count) / 1024.0;
    for visitor in &mut idle {
        visitor.ask(&asked).await?;
    }
    process.stop().await?;
    Ok(vec![Series::new("idle TLS connection, resident", "KiB", Goal::AtMost(64.0)).with(count, each)])
}
