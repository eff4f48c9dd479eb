//! What the shell keeps of one generation: the configuration and, per route, upstreams and counters. The
//! gate's snapshot is beside it; a request takes its route from the gate and its upstreams from here.

use std::collections::HashMap;
use std::sync::Arc;

use portcullis_config::{Action, Config, Route};

use crate::authn::AuthnPeer;
use crate::digest_hasher::BuildDigestHasher;
use crate::metrics::{Metrics, RouteCounters};
use crate::shared::Keys;
use crate::upstream::{RouteUpstreams, Targets, UnusableUpstream};

/// One generation of the shell.
#[derive(Debug)]
pub(crate) struct Published {
    /// The configuration.
    pub(crate) config: Arc<Config>,
    /// The keys, and what was made with them.
    pub(crate) keys: Keys,
    /// The way to the sign-in service.
    pub(crate) authn: Arc<AuthnPeer>,
    own: States,
    /// Routes of the generation before: a request that was judged by it still finds its upstreams.
    previous: States,
}

/// What comes of the key ring.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) keys: Keys,
    /// The way to the sign-in service, for which a proxy may have a certificate of the ring's.
    pub(crate) authn: Arc<AuthnPeer>,
}

/// Routes by digest.
type States = HashMap<[u8; 32], Arc<RouteState>, BuildDigestHasher>;

/// A route's state beside its text.
#[derive(Debug)]
pub(crate) struct RouteState {
    /// The upstreams of a forwarding route.
    pub(crate) upstreams: Option<RouteUpstreams>,
    /// Its requests by status class.
    pub(crate) counters: Arc<RouteCounters>,
}

impl Published {
    /// The next generation; equal routes of `previous` keep their state.
    ///
    /// # Errors
    /// The first route whose upstream settings cannot be used.
    pub(crate) fn new(
        config: Arc<Config>,
        held: Held,
        previous: Option<&Self>,
        (targets, metrics): (&Targets, &Metrics),
    ) -> Result<Self, UnusableUpstream> {
        let mut own = States::with_capacity_and_hasher(config.routes.len(), BuildDigestHasher::default());
        for route in &config.routes {
            let kept = previous.and_then(|previous| previous.own.get(&route.digest)).cloned();
            let state = match kept {
                Some(state) => state,
                None => Arc::new(RouteState::new(route, targets, metrics)?),
            };
            own.insert(route.digest, state);
        }
        let previous = previous.map(|previous| previous.own.clone()).unwrap_or_default();
        let Held { keys, authn } = held;
        Ok(Self { config, keys, authn, own, previous })
    }

    /// The state of a route of this generation or the one before.
    pub(crate) fn route(&self, route: &Route) -> Option<&Arc<RouteState>> {
        self.own.get(&route.digest).or_else(|| self.previous.get(&route.digest))
    }
}

impl RouteState {
    fn new(route: &Route, targets: &Targets, metrics: &Metrics) -> Result<Self, UnusableUpstream> {
        let upstreams = match &route.action {
            Action::Forward(forward) => Some(targets.of_route(forward)?),
            Action::Redirect(_) | Action::Respond { .. } => None,
        };
        Ok(Self { upstreams, counters: metrics.route(&route.name) })
    }
}

/// The origin of a host of ours, as browsers write it.
pub(crate) fn origin(host: &str, port: u16) -> String {
    if port == 443 { format!("https://{host}") } else { format!("https://{host}:{port}") }
}
