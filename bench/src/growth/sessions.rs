//! From ten live sessions to a million in a proxy's replica: memory of each, cost of finding one.
//!
//! Each count is measured in a process of its own, so that nothing which an earlier one left behind is counted.

use std::hint::black_box;
use std::io;
use std::process::Stdio;
use std::time::Duration;

use portcullis_broker_api::{BrokerClient, Endpoint, Replica, ReplicaBounds, Resolved, wire};
use portcullis_identity::{Clock as _, SystemClock};
use portcullis_keys::ServiceRole;
use tokio::process::Command;
use tokio::time::Instant;

use crate::load::cpu::resident_bytes;
use crate::series::{Goal, Series, figure, say};
use crate::site::{Site, people};

/// Look-ups that are timed.
const LOOKUPS: u64 = 1_000_000;
/// Below this many sessions, pages of the allocator weigh more than they do.
const FEWEST_WEIGHED: u64 = 1_000;
/// The argument that makes this program the process which is measured.
pub const PART: &str = "--part-sessions";

/// Measures each of `counts` in a process of this program.
///
/// # Errors
/// A process does not start or says something else than expected.
pub async fn measure(counts: &[u64]) -> io::Result<Vec<Series>> {
    let title = format!("resident per session of {} claims, over sessions", people::CLAIMS);
    let mut memory = Series::new(title, "KiB", Goal::AtMost(1.2));
    let mut lookups = Series::new("resolve of a held session, over sessions", "ns", Goal::Open);
    let mut fills = Series::new("sessions taken into a replica, over sessions", "1/s", Goal::Open);
    for count in counts {
        say(&format!("{count} sessions in a replica"));
        let own = std::env::current_exe()?;
        let output = Command::new(own).args([PART, &count.to_string()]).stderr(Stdio::inherit()).output().await?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let figures: Vec<f64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        let [bytes, nanoseconds, rate] = figures.as_slice() else {
            return Err(io::Error::other(format!("the part said: {text}")));
        };
        let at = figure(*count);
        if *count >= FEWEST_WEIGHED {
            memory.add(at, bytes / 1024.0);
        }
        lookups.add(at, *nanoseconds);
        fills.add(at, *rate);
    }
    Ok(vec![memory, lookups, fills])
}

/// Fills a replica with `count` sessions and says bytes of each, nanoseconds of a look-up and sessions a second.
///
/// # Errors
/// A session is not held.
pub fn part(count: u64) -> io::Result<String> {
    let client = BrokerClient::connect_lazy(Endpoint::Unix("/nowhere".into()), ServiceRole::Proxy);
    let bounds = ReplicaBounds { max_bytes: usize::MAX, max_staleness: Duration::from_secs(3600) };
    let replica = Replica::new(client, bounds);
    let (now, own) = (SystemClock.now(), std::process::id());
    let before = resident_bytes(own);
    let begun = Instant::now();
    for number in 0..count {
        // As they come from the wire.
        let message = wire::session_message(&people::session(number, Site::key(number), now), now);
        replica.put(wire::session(message).map_err(io::Error::other)?);
    }
    let filled = begun.elapsed();
    let bytes = figure(resident_bytes(own).saturating_sub(before)) / figure(count);
    let keys: Vec<_> = (0..count.min(65_536)).map(|step| Site::key(step.wrapping_mul(0x9e37_79b9) % count)).collect();
    let begun = Instant::now();
    for (_, key) in (0..LOOKUPS).zip(keys.iter().cycle()) {
        if !matches!(black_box(replica.resolve(black_box(key), now)), Resolved::Session(_)) {
            return Err(io::Error::other("a session is not held"));
        }
    }
    let nanoseconds = begun.elapsed().as_secs_f64() * 1e9 / figure(LOOKUPS);
    Ok(format!("{bytes} {nanoseconds} {}", figure(count) / filled.as_secs_f64()))
}
