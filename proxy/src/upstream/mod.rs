//! Upstreams: who they are, where they are now, which one is next. Targets are known by identity and outlive
//! generations, so that a reload forgets neither health nor addresses.

mod endpoint;
mod peer;
mod resolve;
mod route;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use portcullis_config::{Forward, Scheme, Upstream, UpstreamTls};
use tokio::sync::Notify;

pub(crate) use endpoint::{Endpoint, Target};
pub(crate) use peer::PeerTemplate;
pub use peer::UnusableUpstream;
pub(crate) use resolve::keep_resolving;
pub(crate) use route::{Chosen, RouteUpstreams};

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
    /// Told when there is a new target to resolve.
    pub(crate) added: Notify,
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
            .map(|upstream| Ok((self.target(upstream), PeerTemplate::new(upstream, &forward.tls)?, upstream.weight)))
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
        Ok(RouteUpstreams::new(vec![(self.target(upstream), PeerTemplate::new(upstream, tls)?, upstream.weight)]))
    }

    /// The target with the identity of `upstream`.
    fn target(&self, upstream: &Upstream) -> Arc<Target> {
        let Upstream { scheme, host, port, weight: _ } = upstream;
        let identity = Identity { scheme: *scheme, host: Arc::clone(host), port: *port };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(target) = known.get(&identity).and_then(Weak::upgrade) {
            return target;
        }
        let target = Arc::new(Target::new(Arc::clone(host), *port));
        known.insert(identity, Arc::downgrade(&target));
        drop(known);
        self.added.notify_one();
        target
    }

    /// The targets in use; forgets the others.
    fn in_use(&self) -> Vec<Arc<Target>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, target| target.strong_count() > 0);
        known.values().filter_map(Weak::upgrade).collect()
    }
}

#[cfg(test)]
mod tests;
