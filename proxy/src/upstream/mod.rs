//! Upstreams: who they are, where they are now, which one is next. Targets are known by identity and outlive
//! generations, so that a reload forgets neither health nor addresses.

mod checking;
mod endpoint;
mod health;
mod idle;
mod peer;
mod probe;
mod resolve;
mod route;
mod streams;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use portcullis_config::{Forward, HealthCheck, Scheme, Upstream, UpstreamTls};
use tokio::sync::Notify;

pub(crate) use checking::keep_checking;
pub(crate) use endpoint::{Endpoint, Target};
pub(crate) use health::{Ailment, Health};
pub(crate) use idle::{ALL_IDLE, keep_tidy};
pub use peer::UnusableUpstream;
pub(crate) use peer::{PeerTemplate, WRITE, h2_settings};
pub(crate) use resolve::keep_resolving;
pub(crate) use route::{Chosen, Member, RouteUpstreams};

/// What makes two upstreams the same: their health and addresses are shared.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Identity {
    scheme: Scheme,
    host: Arc<str>,
    port: u16,
}

/// Every target that some generation still uses.
#[derive(Debug, Default)]
pub(crate) struct Targets {
    // A lock, not a generation: only a reload and the resolver's rounds take it, never a request.
    known: Mutex<HashMap<Identity, Weak<Target>>>,
    /// Counts the idle connections of all of them.
    all_idle: Arc<AtomicUsize>,
    /// Told when there is a new target to resolve.
    pub(crate) added: Notify,
    // As above: a reload and whoever asks for the state of the checks.
    checks: Mutex<Checks>,
    /// Told when there is a new check to make.
    unchecked: Notify,
}

/// What makes two checks the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct CheckIdentity {
    upstream: Identity,
    tls: [u8; 32],
    check: HealthCheck,
}

/// Every check that some generation still wants.
#[derive(Debug, Default)]
struct Checks {
    known: HashMap<CheckIdentity, Weak<Health>>,
    /// Those that nobody makes yet.
    new: Vec<Weak<Health>>,
}

/// An address that gets no requests because a check of its health fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnhealthyUpstream {
    /// The upstream, as the configuration names it.
    pub upstream: String,
    /// The address.
    pub address: SocketAddr,
    /// Why: one word.
    pub cause: &'static str,
}

impl Targets {
    /// The upstreams of a route, with targets shared by identity.
    ///
    /// # Errors
    /// A CA or client certificate that cannot be used.
    pub(crate) fn of_route(&self, forward: &Forward) -> Result<RouteUpstreams, UnusableUpstream> {
        let members = forward
            .upstreams
            .iter()
            .map(|upstream| {
                let template = Arc::new(PeerTemplate::new(upstream, &forward.tls)?);
                let target = self.target(upstream);
                let health = forward.health.iter();
                let health = health.map(|check| self.health(check, (&target, &template), &forward.tls)).collect();
                Ok(Member { target, template, health, weight: upstream.weight })
            })
            .collect::<Result<Vec<_>, UnusableUpstream>>()?;
        Ok(RouteUpstreams::new(members))
    }

    /// A single upstream that is no route's.
    ///
    /// # Errors
    /// A CA or client certificate that cannot be used.
    pub(crate) fn of_upstream(
        &self,
        upstream: &Upstream,
        tls: &UpstreamTls,
    ) -> Result<RouteUpstreams, UnusableUpstream> {
        let template = Arc::new(PeerTemplate::new(upstream, tls)?);
        let member = Member { target: self.target(upstream), template, health: Vec::new(), weight: upstream.weight };
        Ok(RouteUpstreams::new(vec![member]))
    }

    /// The target with the identity of `upstream`.
    fn target(&self, upstream: &Upstream) -> Arc<Target> {
        let identity = Identity::of(upstream);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(target) = known.get(&identity).and_then(Weak::upgrade) {
            return target;
        }
        let target = Arc::new(Target::new(Arc::clone(&upstream.host), upstream.port, Arc::clone(&self.all_idle)));
        known.insert(identity, Arc::downgrade(&target));
        drop(known);
        self.added.notify_one();
        target
    }

    /// The check of a target that a route wants, the same for every route that wants the same.
    fn health(
        &self,
        check: &HealthCheck,
        (target, template): (&Arc<Target>, &Arc<PeerTemplate>),
        tls: &UpstreamTls,
    ) -> Arc<Health> {
        let upstream = Identity::of(&template.upstream);
        let identity = CheckIdentity { upstream, tls: tls.digest, check: check.clone() };
        let mut checks = self.checks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(health) = checks.known.get(&identity).and_then(Weak::upgrade) {
            return health;
        }
        let health = Arc::new(Health::new(check.clone(), Arc::clone(template), Arc::clone(target)));
        checks.known.insert(identity, Arc::downgrade(&health));
        checks.new.push(Arc::downgrade(&health));
        drop(checks);
        self.unchecked.notify_one();
        health
    }

    /// The checks that nobody makes yet; forgets those that nobody wants any more.
    fn take_unchecked(&self) -> Vec<Weak<Health>> {
        let mut checks = self.checks.lock().unwrap_or_else(PoisonError::into_inner);
        checks.known.retain(|_, health| health.strong_count() > 0);
        std::mem::take(&mut checks.new)
    }

    /// Every address that a check holds to be unhealthy, once.
    pub(crate) fn unhealthy(&self) -> Vec<UnhealthyUpstream> {
        let checks = self.checks.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> =
            checks.known.values().filter_map(Weak::upgrade).flat_map(|health| told(&health)).collect();
        drop(checks);
        all.sort_by(|one, other| (&one.upstream, one.address).cmp(&(&other.upstream, other.address)));
        all.dedup_by(|one, other| one.upstream == other.upstream && one.address == other.address);
        all
    }

    /// The targets in use; forgets the others.
    fn in_use(&self) -> Vec<Arc<Target>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, target| target.strong_count() > 0);
        known.values().filter_map(Weak::upgrade).collect()
    }
}

impl Identity {
    fn of(upstream: &Upstream) -> Self {
        let Upstream { scheme, host, port, weight: _ } = upstream;
        Self { scheme: *scheme, host: Arc::clone(host), port: *port }
    }
}

fn told(health: &Health) -> Vec<UnhealthyUpstream> {
    let Upstream { scheme, host, port, weight: _ } = &health.template.upstream;
    let scheme = match scheme {
        Scheme::Http => "http",
        Scheme::Https => "https",
        Scheme::H2c => "h2c",
    };
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_string() };
    let upstream = format!("{scheme}://{host}:{port}");
    let of = |fallen: &health::Fallen| UnhealthyUpstream {
        upstream: upstream.clone(),
        address: fallen.address,
        cause: fallen.cause.label(),
    };
    health.fallen().iter().map(of).collect()
}

#[cfg(test)]
mod tests;
