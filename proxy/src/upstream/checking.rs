//! Checks the upstreams' health beside the requests: one task for each check, ended when no generation has it.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Targets;
use super::health::{Health, Tallies};
use super::probe::Prober;
use crate::metrics::Metrics;
use crate::split_mix::{STEP, mixed};

/// Checks at a time, of all upstreams.
const AT_ONCE: usize = 64;

/// The longest pause before the first check of an upstream: a start or reload with many of them is spread.
const FIRST_WITHIN: Duration = Duration::from_secs(1);

/// What all checks share.
struct Ward {
    targets: Arc<Targets>,
    prober: Prober,
    places: Semaphore,
    metrics: Arc<Metrics>,
}

/// Checks until `stop`.
pub(crate) async fn keep_checking(targets: Arc<Targets>, metrics: Arc<Metrics>, stop: CancellationToken) {
    let ward = Arc::new(Ward {
        targets: Arc::clone(&targets),
        prober: Prober::new(),
        places: Semaphore::new(AT_ONCE),
        metrics,
    });
    // Aborts what it holds when dropped.
    let mut tasks = JoinSet::new();
    loop {
        for health in targets.take_unchecked() {
            tasks.spawn(Arc::clone(&ward).follow(health));
        }
        // All arms are cancel-safe: a notification that is not taken stays, `join_next` loses nothing.
        tokio::select! {
            () = stop.cancelled() => return,
            () = targets.unchecked.notified() => {}
            Some(_ended) = tasks.join_next() => ward.tell(),
        }
    }
}

impl Ward {
    /// Checks a target again and again, as long as somebody has it.
    async fn follow(self: Arc<Self>, health: Weak<Health>) {
        let Some(first) = health.upgrade() else { return };
        let mut jitter = Jitter::of(&first);
        let interval = first.check.interval;
        first.target.first_resolution().await;
        drop(first);
        tokio::time::sleep(jitter.part_of(interval.min(FIRST_WITHIN))).await;
        let mut tallies = Tallies::default();
        while let Some(health) = health.upgrade() {
            self.round(&health, &mut tallies).await;
            drop(health);
            tokio::time::sleep(jitter.around(interval)).await;
        }
    }

    async fn round(&self, health: &Health, tallies: &mut Tallies) {
        let endpoints = health.target.endpoints().to_vec();
        let round: Vec<_> = stream::iter(endpoints)
            .map(async |endpoint| {
                // Never closed; without a place the check would only be less polite.
                let _place = self.places.acquire().await;
                let outcome = self.prober.probe(health, endpoint.address).await;
                self.metrics.health_checked(outcome);
                if outcome.is_ok() {
                    endpoint.connected();
                }
                (endpoint.address, outcome)
            })
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        health.found(tallies.count(&health.check, &round));
        self.tell();
    }

    /// The gauge follows what is known.
    fn tell(&self) {
        let fallen = self.targets.unhealthy().len();
        self.metrics.upstreams_unhealthy.set(i64::try_from(fallen).unwrap_or(i64::MAX));
    }
}

/// Spreads checks in time.
struct Jitter(u64);

impl Jitter {
    fn of(health: &Health) -> Self {
        let mut hasher = DefaultHasher::new();
        health.template.upstream.hash(&mut hasher);
        health.check.hash(&mut hasher);
        Self(hasher.finish())
    }

    /// A tenth more or less.
    fn around(&mut self, interval: Duration) -> Duration {
        (interval * 9 / 10).saturating_add(self.part_of(interval / 5))
    }

    /// Some of it.
    fn part_of(&mut self, span: Duration) -> Duration {
        self.0 = self.0.wrapping_add(STEP);
        let thousandths = u32::try_from(mixed(self.0) % 1000).unwrap_or_default();
        span * thousandths / 1000
    }
}
