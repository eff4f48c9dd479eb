//! Latency at fixed rates, below what a system can do at most: p50 and p99 from the moment a request was due.

use std::error::Error;
use std::time::Duration;

use super::contest::{Plan, order_for};
use super::cpu::Trees;
use super::entrant::Name;
use super::generator::{self, LoadError};
use super::roster::Roster;
use super::statistics::Estimate;
use crate::drive::order::{Kind, Order};

/// Connections over which the requests are spread.
const CONNECTIONS: usize = 16;
/// A rate above this share of a system's throughput is not asked of it.
const SATURATION: f64 = 0.7;

/// Which rates, how often, and of whom.
#[derive(Clone, Debug)]
pub struct Pace {
    /// Requests in a second.
    pub rates: Vec<u64>,
    /// Windows of each system at each rate.
    pub rounds: usize,
    /// The window.
    pub span: Duration,
    /// Who takes part, with the throughput measured over HTTP/1.1.
    pub names: Vec<(Name, f64)>,
}

/// What one system did at one rate.
#[derive(Clone, Debug)]
pub struct Latency {
    /// Which.
    pub name: Name,
    /// Requests in a second.
    pub rate: u64,
    /// p50 and p99 in microseconds, each the median of the windows; `None` if the rate is too near its throughput.
    pub micros: Option<(f64, f64)>,
    /// Connections that failed.
    pub failed: u64,
}

/// The windows of one system at one rate.
#[derive(Debug)]
struct Windows {
    name: Name,
    rate: u64,
    below_saturation: bool,
    p50: Vec<f64>,
    p99: Vec<f64>,
    failed: u64,
}

impl Windows {
    fn new(name: Name, rate: u64, most: f64) -> Self {
        let below_saturation = rate as f64 <= most * SATURATION;
        Self { name, rate, below_saturation, p50: Vec::new(), p99: Vec::new(), failed: 0 }
    }
}

/// Measures every system at every rate, in turns.
///
/// # Errors
/// The generator is not there.
pub async fn run(roster: &mut Roster, plan: &Plan, pace: &Pace) -> Result<Vec<Latency>, Box<dyn Error>> {
    let mut all = Vec::new();
    for rate in &pace.rates {
        let mut seen: Vec<Windows> = pace.names.iter().map(|(name, most)| Windows::new(*name, *rate, *most)).collect();
        for _ in 0..pace.rounds {
            roster.renew().await;
            for windows in &mut seen {
                measure(roster, plan, pace, windows)?;
            }
            seen.reverse();
        }
        all.extend(seen.into_iter().map(|windows| {
            let Windows { name, rate, below_saturation: _, p50, p99, failed } = windows;
            let micros = Estimate::of(p50).zip(Estimate::of(p99)).map(|(p50, p99)| (p50.median, p99.median));
            Latency { name, rate, micros, failed }
        }));
    }
    Ok(all)
}

fn measure(roster: &Roster, plan: &Plan, pace: &Pace, windows: &mut Windows) -> Result<(), LoadError> {
    let entrant = roster.entrants.iter().find(|entrant| entrant.name == windows.name);
    let Some(entrant) = entrant.filter(|_| windows.below_saturation) else { return Ok(()) };
    let order = order_for(entrant, plan, Kind::Paced, CONNECTIONS);
    let order = Order { rate: windows.rate, span: pace.span, ..order };
    let sample = match generator::drive(&plan.drive, &order, plan.load_cpu, &Trees::of(&entrant.roots)) {
        Ok(sample) => sample,
        Err(error @ LoadError::NoGenerator(..)) => return Err(error),
        Err(LoadError::Unreadable(_)) => {
            windows.failed = windows.failed.saturating_add(1);
            return Ok(());
        }
    };
    windows.failed = windows.failed.saturating_add(sample.bad);
    if let Some((p50, p99)) = sample.latency {
        windows.p50.push(p50.as_secs_f64() * 1e6);
        windows.p99.push(p99.as_secs_f64() * 1e6);
    }
    Ok(())
}
