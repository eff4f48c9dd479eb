//! The rounds: in each, every system of a row has one window, in an order that turns with the round, so that two
//! windows of one round are a pair and what the machine did in between hits everybody alike.

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use super::cpu::Trees;
use super::entrant::{Entrant, Name};
use super::generator::{self, Load, LoadError, Sample};
use super::roster::{Absent, Roster};
use super::rows::{Row, Wire, Work};
use super::statistics::Estimate;
use crate::drive::order::{Kind, Order};

/// Connections of a kept-alive row.
const CONNECTIONS: u32 = 32;
/// Workers that open connections.
const KNOCKERS: usize = 16;
/// HTTP/2 connections with gRPC calls, several on each.
const CALLERS: usize = 8;

/// How often and how long.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Rounds of a row.
    pub pairs: usize,
    /// The window.
    pub span: Duration,
    /// Before each window.
    pub warm_up: Duration,
    /// Our own generator.
    pub drive: PathBuf,
    /// What is uploaded.
    pub upload: PathBuf,
    /// PEM of the root.
    pub roots: PathBuf,
    /// The core of the load.
    pub load_cpu: usize,
}

/// What one system did in one row.
#[derive(Clone, Debug)]
pub struct Figures {
    /// Which.
    pub name: Name,
    /// One sample a round.
    pub samples: Vec<Sample>,
}

impl Figures {
    /// A figure of the samples.
    #[must_use]
    pub fn estimate(&self, figure: impl Fn(&Sample) -> f64) -> Option<Estimate> {
        Estimate::of(self.samples.iter().map(figure).collect())
    }

    /// Answers that were not as they should be, in all rounds.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.samples.iter().map(|sample| sample.bad).sum()
    }
}

/// What a row brought.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Which.
    pub row: Row,
    /// Everybody who took part.
    pub figures: Vec<Figures>,
    /// Who of the row's field did not, and why.
    pub absent: Vec<Absent>,
}

impl Outcome {
    /// The ratios of one system to another, round by round.
    #[must_use]
    pub fn ratios(&self, system: Name, baseline: Name) -> Option<Vec<f64>> {
        let of = |name| self.figures.iter().find(|figures| figures.name == name);
        let pairs = of(system)?.samples.iter().zip(&of(baseline)?.samples);
        Some(pairs.map(|(one, two)| one.per_cpu_second() / two.per_cpu_second()).collect())
    }
}

/// One system in the rounds of one row.
struct Runner {
    name: Name,
    trees: Trees,
    samples: Vec<Sample>,
    /// Why it is out, if it is.
    out: Option<String>,
}

/// Runs the rounds of one row. Who fails in one of them is out of the row with the reason, and the others go on.
///
/// # Errors
/// The generator is not there.
pub async fn run(roster: &mut Roster, plan: &Plan, row: Row) -> Result<Outcome, Box<dyn Error>> {
    roster.renew().await;
    let field = roster.entrants.iter().filter(|entrant| row.field.has(entrant.name));
    let mut runners: Vec<Runner> = field
        .map(|entrant| Runner {
            name: entrant.name,
            trees: Trees::of(&entrant.roots),
            samples: Vec::new(),
            out: gap(entrant, row).map(str::to_owned),
        })
        .collect();
    for round in 0..plan.pairs {
        roster.renew().await;
        for place in order(runners.len(), round) {
            let Some(runner) = runners.get_mut(place).filter(|runner| runner.out.is_none()) else { continue };
            let entrant = roster.entrants.iter().find(|entrant| entrant.name == runner.name);
            match entrant.map(|entrant| sample(entrant, row, plan, &runner.trees)) {
                Some(Ok(sample)) => runner.samples.push(sample),
                Some(Err(error @ LoadError::NoGenerator(..))) => return Err(error.into()),
                Some(Err(LoadError::Unreadable(text))) => {
                    let line = text.lines().next_back().unwrap_or_default();
                    runner.out = Some(format!("no answer in round {}: {line}", round + 1));
                }
                None => runner.out = Some("its sign-in could not be renewed".to_owned()),
            }
        }
    }
    Ok(outcome(row, runners))
}

fn outcome(row: Row, runners: Vec<Runner>) -> Outcome {
    let mut outcome = Outcome { row, figures: Vec::new(), absent: Vec::new() };
    for Runner { name, trees: _, samples, out } in runners {
        let silent = samples.iter().all(|sample| sample.good == 0).then(|| "no good answer in this row".to_owned());
        match out.or(silent) {
            Some(reason) => outcome.absent.push(Absent { name, reason }),
            None => outcome.figures.push(Figures { name, samples }),
        }
    }
    outcome
}

/// Why a system is not in a row.
fn gap(entrant: &Entrant, row: Row) -> Option<&'static str> {
    if row.wire == Wire::Plain && entrant.plain.is_none() {
        return Some("its public listener serves TLS alone here");
    }
    entrant.lacks.iter().find(|(work, _)| *work == row.work).map(|(_, reason)| *reason)
}

/// The order of `count` systems in a round: it begins one further each round, and every other round runs backwards.
fn order(count: usize, round: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).map(|place| (place + round / 2) % count.max(1)).collect();
    if round % 2 == 1 {
        order.reverse();
    }
    order
}

fn sample(entrant: &Entrant, row: Row, plan: &Plan, trees: &Trees) -> Result<Sample, LoadError> {
    let driven = |kind, connections| {
        let order = order_for(entrant, plan, kind, connections);
        generator::drive(&plan.drive, &order, plan.load_cpu, trees)
    };
    match row.work {
        Work::Page => generator::run(&load(entrant, row, plan, "/page"), plan.load_cpu, trees),
        Work::Upload => generator::run(&load(entrant, row, plan, "/upload"), plan.load_cpu, trees),
        Work::Large => generator::run(&load(entrant, row, plan, "/large"), plan.load_cpu, trees),
        Work::Connections => driven(Kind::Connections, KNOCKERS),
        Work::Resumptions => driven(Kind::Resumptions, KNOCKERS),
        Work::Messages => driven(Kind::Messages, CONNECTIONS as usize),
        Work::Unary => driven(Kind::Unary, CALLERS),
    }
}

/// What our own generator is told for one window.
#[must_use]
pub fn order_for(entrant: &Entrant, plan: &Plan, kind: Kind, connections: usize) -> Order {
    Order {
        kind,
        address: entrant.tls,
        host: entrant.host.to_owned(),
        roots: plan.roots.clone(),
        headers: entrant.headers.clone(),
        connections,
        warm_up: plan.warm_up,
        span: plan.span,
        rate: 0,
    }
}

fn load(entrant: &Entrant, row: Row, plan: &Plan, path: &str) -> Load {
    let (scheme, address) = match (row.wire, entrant.plain) {
        (Wire::Plain, Some(plain)) => ("http", plain),
        (Wire::Plain | Wire::H1 | Wire::H2, _) => ("https", entrant.tls),
    };
    Load {
        url: format!("{scheme}://{}:{}{path}", entrant.host, address.port()),
        connect_to: address.to_string(),
        headers: entrant.headers.clone(),
        http2: row.wire == Wire::H2,
        connections: CONNECTIONS,
        warm_up: plan.warm_up,
        span: plan.span,
        upload: (row.work == Work::Upload).then(|| plan.upload.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::order;

    #[test]
    fn everybody_has_every_place_and_one_window_a_round() {
        for round in 0..8 {
            let mut places = order(4, round);
            places.sort_unstable();
            assert_eq!(places, [0, 1, 2, 3]);
        }
        let firsts: std::collections::BTreeSet<_> =
            (0..8).filter_map(|round| order(4, round).first().copied()).collect();
        assert_eq!(firsts.len(), 4);
        assert!(order(0, 3).is_empty());
    }
}
