//! What checks have found out about a target's addresses. Kept by target, TLS settings and check, so that a reload
//! forgets nothing and equal routes share one check. An address that nobody has checked yet counts as healthy:
//! no request waits for a check.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use portcullis_config::HealthCheck;

use super::{PeerTemplate, Target};

/// One check of one target.
#[derive(Debug)]
pub(crate) struct Health {
    /// What is asked, and how often.
    pub(crate) check: HealthCheck,
    /// How the target is spoken to: as the route does.
    pub(crate) template: Arc<PeerTemplate>,
    /// Whose addresses are checked.
    pub(crate) target: Arc<Target>,
    fallen: ArcSwap<Vec<Fallen>>,
}

/// An address that gets no requests for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fallen {
    /// Where.
    pub(crate) address: SocketAddr,
    /// Why.
    pub(crate) cause: Ailment,
}

/// Why a check failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ailment {
    /// No connection, or not to whom it should be.
    Connect,
    /// Too slow.
    TimedOut,
    /// The connection broke, or what came is not the protocol.
    BrokeOff,
    /// An answer, but not the expected one.
    Answer,
}

impl Ailment {
    /// Every one of them.
    pub(crate) const ALL: [Self; 4] = [Self::Connect, Self::TimedOut, Self::BrokeOff, Self::Answer];

    /// One word for metrics, events and `status`.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::TimedOut => "timed_out",
            Self::BrokeOff => "broke_off",
            Self::Answer => "answer",
        }
    }

    /// Whether one failure is enough: an upstream that answers that it is ill is not asked to repeat it.
    const fn is_final(self) -> bool {
        matches!(self, Self::Answer)
    }
}

impl Health {
    /// A check whose addresses are all healthy so far.
    pub(crate) fn new(check: HealthCheck, template: Arc<PeerTemplate>, target: Arc<Target>) -> Self {
        Self { check, template, target, fallen: ArcSwap::default() }
    }

    /// Whether the address may get requests.
    pub(crate) fn approves(&self, address: SocketAddr) -> bool {
        self.fallen.load().iter().all(|fallen| fallen.address != address)
    }

    /// The addresses that get none.
    pub(crate) fn fallen(&self) -> Arc<Vec<Fallen>> {
        self.fallen.load_full()
    }

    /// Publishes what a round of checks has found; says what changed in it.
    pub(super) fn found(&self, fallen: Vec<Fallen>) {
        let before = self.fallen.load_full();
        let of = |list: &[Fallen], one: &Fallen| list.iter().any(|other| other.address == one.address);
        let upstream = &self.template.upstream;
        for one in fallen.iter().filter(|one| !of(&before, one)) {
            tracing::warn!(upstream.host = %upstream.host, upstream.address = %one.address,
                cause = one.cause.label(), "upstream is unhealthy");
        }
        for one in before.iter().filter(|one| !of(&fallen, one)) {
            tracing::info!(upstream.host = %upstream.host, upstream.address = %one.address, "upstream is healthy again");
        }
        if *before != fallen {
            self.fallen.store(Arc::new(fallen));
        }
    }
}

/// What successive checks of one target's addresses add up to. The one who checks owns it.
#[derive(Debug, Default)]
pub(super) struct Tallies(HashMap<SocketAddr, Tally>);

#[derive(Debug, Default)]
struct Tally {
    failures: u32,
    successes: u32,
    fallen: Option<Ailment>,
}

impl Tallies {
    /// Counts one round; addresses that are not in it any more are forgotten.
    pub(super) fn count(&mut self, check: &HealthCheck, round: &[(SocketAddr, Result<(), Ailment>)]) -> Vec<Fallen> {
        self.0.retain(|address, _| round.iter().any(|(checked, _)| checked == address));
        let mut all = Vec::new();
        for (address, outcome) in round {
            let tally = self.0.entry(*address).or_default();
            tally.observe(check, *outcome);
            all.extend(tally.fallen.map(|cause| Fallen { address: *address, cause }));
        }
        all
    }
}

impl Tally {
    fn observe(&mut self, check: &HealthCheck, outcome: Result<(), Ailment>) {
        match outcome {
            Ok(()) => {
                self.failures = 0;
                self.successes = self.successes.saturating_add(1);
                if self.successes >= check.healthy_threshold {
                    self.fallen = None;
                }
            }
            Err(cause) => {
                self.successes = 0;
                self.failures = self.failures.saturating_add(1);
                if self.fallen.is_some() || cause.is_final() || self.failures >= check.unhealthy_threshold {
                    self.fallen = Some(cause);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use portcullis_config::Probe;

    use super::*;

    #[test]
    fn silence_counts_to_its_threshold_and_an_answer_at_once() {
        let check = HealthCheck {
            probe: Probe::Tcp,
            interval: Duration::from_secs(10),
            timeout: Duration::from_secs(1),
            unhealthy_threshold: 3,
            healthy_threshold: 2,
        };
        let one: SocketAddr = "192.0.2.1:80".parse().unwrap();
        let (well, silent, ill) = (Ok(()), Err(Ailment::TimedOut), Err(Ailment::Answer));
        let mut tallies = Tallies::default();
        let mut healthy = |outcome| tallies.count(&check, &[(one, outcome)]).is_empty();
        let steps = [
            (silent, true),
            (silent, true),
            // A success between them starts the count anew.
            (well, true),
            (silent, true),
            (silent, true),
            (silent, false),
            (well, false),
            (silent, false),
            (well, false),
            (well, true),
            (ill, false),
            (well, false),
            (well, true),
        ];
        for (step, (outcome, expected)) in steps.into_iter().enumerate() {
            assert_eq!(healthy(outcome), expected, "step {step}");
        }
        // An address that went away and came back has no past.
        assert!(!tallies.count(&check, &[(one, ill)]).is_empty());
        assert!(tallies.count(&check, &[]).is_empty());
        assert!(tallies.count(&check, &[(one, silent)]).is_empty());
    }
}
