//! The upstreams of one route: the choice among them and the budget for second tries.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use super::{Endpoint, PeerTemplate, Target};

/// What a retry takes from the budget, where a request gives 1: retries are at most a fifth of the requests.
const RETRY_COST: i64 = 5;

/// The most retries that can be saved up.
const RETRY_SAVINGS: i64 = 50 * RETRY_COST;

/// The upstreams of a route.
#[derive(Debug)]
pub(crate) struct RouteUpstreams {
    members: Vec<Member>,
    seed: AtomicU64,
    budget: AtomicI64,
}

#[derive(Debug)]
struct Member {
    target: Arc<Target>,
    template: Arc<PeerTemplate>,
    weight: u32,
}

/// An endpoint taken for one try; counts as under way until dropped.
#[derive(Debug)]
pub(crate) struct Chosen {
    /// Where.
    pub(crate) endpoint: Arc<Endpoint>,
    /// How to speak to it.
    pub(crate) template: Arc<PeerTemplate>,
}

impl RouteUpstreams {
    /// The upstreams in the order of the file with their weights.
    pub(crate) fn new(members: Vec<(Arc<Target>, PeerTemplate, u32)>) -> Self {
        let members = members
            .into_iter()
            .map(|(target, template, weight)| Member { target, template: Arc::new(template), weight: weight.max(1) })
            .collect();
        // Any odd number will do: the sequence is for spreading load, not for secrets.
        Self { members, seed: AtomicU64::new(0x9E37_79B9_7F4A_7C15), budget: AtomicI64::new(RETRY_SAVINGS) }
    }

    /// The best of two candidates drawn by weight: the one with fewer requests under way per weight. Healthy
    /// addresses that were not tried come first, then healthy ones, then any: a refusal to try would be worse.
    pub(crate) fn choose(&self, tried: &[SocketAddr]) -> Option<Chosen> {
        self.draw(|endpoint| endpoint.is_healthy() && !tried.contains(&endpoint.address))
            .or_else(|| self.draw(|endpoint| !tried.contains(&endpoint.address)))
            .or_else(|| self.draw(|_| true))
    }

    /// Waits until every name was resolved once, a moment at most.
    pub(crate) async fn first_resolution(&self) {
        for member in &self.members {
            member.target.first_resolution().await;
        }
    }

    /// A request gives to the retry budget.
    pub(crate) fn requested(&self) {
        if self.budget.load(Ordering::Relaxed) < RETRY_SAVINGS {
            self.budget.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether the budget has a retry; takes it.
    pub(crate) fn may_retry(&self) -> bool {
        self.budget
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |saved| {
                (saved >= RETRY_COST).then_some(saved - RETRY_COST)
            })
            .is_ok()
    }

    fn draw(&self, eligible: impl Fn(&Endpoint) -> bool) -> Option<Chosen> {
        let mut total = 0_u64;
        for member in &self.members {
            let count = member.target.endpoints().iter().filter(|endpoint| eligible(endpoint)).count();
            total += u64::from(member.weight) * u64::try_from(count).unwrap_or(0);
        }
        if total == 0 {
            return None;
        }
        let first = self.at(self.random() % total, &eligible)?;
        let second = self.at(self.random() % total, &eligible)?;
        let load = |(endpoint, member): &(Arc<Endpoint>, &Member)| {
            // Scaled so that the division keeps a difference between small numbers.
            (u64::try_from(endpoint.in_flight()).unwrap_or(u64::MAX).saturating_add(1)).saturating_mul(1_000_000)
                / u64::from(member.weight)
        };
        let (endpoint, member) = if load(&second) < load(&first) { second } else { first };
        endpoint.begin();
        Some(Chosen { endpoint, template: Arc::clone(&member.template) })
    }

    /// The endpoint at a point of the line on which every eligible one has its member's weight.
    fn at(&self, point: u64, eligible: &impl Fn(&Endpoint) -> bool) -> Option<(Arc<Endpoint>, &Member)> {
        let mut left = point;
        let mut last = None;
        for member in &self.members {
            for endpoint in member.target.endpoints().iter().filter(|endpoint| eligible(endpoint)) {
                if left < u64::from(member.weight) {
                    return Some((Arc::clone(endpoint), member));
                }
                left -= u64::from(member.weight);
                last = Some((Arc::clone(endpoint), member));
            }
        }
        // Health may have changed between the count and the walk: the last one seen is as good.
        last
    }

    /// SplitMix64: every call another point.
    fn random(&self) -> u64 {
        let mut z = self.seed.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

impl Drop for Chosen {
    fn drop(&mut self) {
        self.endpoint.end();
    }
}
