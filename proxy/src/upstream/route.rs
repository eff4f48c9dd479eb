//! The upstreams of one route: the choice among them and the budget for second tries.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use portcullis_config::Scheme;

use super::{Endpoint, Health, PeerTemplate, Target};
use crate::split_mix::{STEP, mixed};

/// What a retry takes from the budget, where a request gives 1: retries are at most a fifth of the requests.
const RETRY_COST: i64 = 5;

/// The most retries that can be saved up.
const RETRY_SAVINGS: i64 = 50 * RETRY_COST;

/// The upstreams of a route.
#[derive(Debug)]
pub(crate) struct RouteUpstreams {
    members: Vec<Member>,
    is_plain: bool,
    seed: AtomicU64,
    budget: AtomicI64,
}

/// One upstream of a route.
#[derive(Debug)]
pub(crate) struct Member {
    /// Where it is.
    pub(crate) target: Arc<Target>,
    /// How it is spoken to.
    pub(crate) template: Arc<PeerTemplate>,
    /// What the route's checks say of it; all must be content.
    pub(crate) health: Vec<Arc<Health>>,
    /// Its share, at least 1.
    pub(crate) weight: u32,
}

impl Member {
    fn is_healthy(&self, endpoint: &Endpoint) -> bool {
        endpoint.is_healthy() && self.health.iter().all(|health| health.approves(endpoint.address))
    }
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
    pub(crate) fn new(members: Vec<Member>) -> Self {
        let members: Vec<Member> =
            members.into_iter().map(|member| Member { weight: member.weight.max(1), ..member }).collect();
        let is_plain =
            members.iter().all(|member| matches!(member.template.upstream.scheme, Scheme::Http | Scheme::H2c));
        // Any odd number will do: the sequence is for spreading load, not for secrets.
        Self { members, is_plain, seed: AtomicU64::new(STEP), budget: AtomicI64::new(RETRY_SAVINGS) }
    }

    /// Whether each of them is spoken to in the clear.
    pub(crate) fn is_plain(&self) -> bool {
        self.is_plain
    }

    /// The best of two candidates drawn by weight: the one with fewer requests under way per weight. Healthy
    /// addresses that were not tried come first, then others that were not, then any: a refusal to try would be
    /// worse, and checks that all fail say more about the checks.
    pub(crate) fn choose(&self, tried: &[SocketAddr]) -> Option<Chosen> {
        if let [member] = self.members.as_slice()
            && let [endpoint] = member.target.endpoints().as_slice()
        {
            return Some(Chosen::begin(Arc::clone(endpoint), member));
        }
        self.draw(|member, endpoint| !tried.contains(&endpoint.address) && member.is_healthy(endpoint))
            .or_else(|| self.draw(|_, endpoint| !tried.contains(&endpoint.address)))
            .or_else(|| self.draw(|_, _| true))
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

    fn draw(&self, eligible: impl Fn(&Member, &Endpoint) -> bool) -> Option<Chosen> {
        let mut total = 0_u64;
        for member in &self.members {
            let count = member.target.endpoints().iter().filter(|endpoint| eligible(member, endpoint)).count();
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
        Some(Chosen::begin(endpoint, member))
    }

    /// The endpoint at a point of the line on which every eligible one has its member's weight.
    fn at(&self, point: u64, eligible: &impl Fn(&Member, &Endpoint) -> bool) -> Option<(Arc<Endpoint>, &Member)> {
        let mut left = point;
        let mut last = None;
        for member in &self.members {
            for endpoint in member.target.endpoints().iter().filter(|endpoint| eligible(member, endpoint)) {
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

    /// Every call another point.
    fn random(&self) -> u64 {
        mixed(self.seed.fetch_add(STEP, Ordering::Relaxed))
    }
}

impl Chosen {
    fn begin(endpoint: Arc<Endpoint>, member: &Member) -> Self {
        endpoint.begin();
        Self { endpoint, template: Arc::clone(&member.template) }
    }
}

impl Drop for Chosen {
    fn drop(&mut self) {
        self.endpoint.end();
    }
}
