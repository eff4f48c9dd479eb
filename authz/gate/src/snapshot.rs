//! One generation, ready to decide.

use std::collections::HashMap;
use std::sync::Arc;

use portcullis_config::{Config, Generation, Route};

use crate::table::RouteTable;
use crate::{CanonicalHost, ClientRules, IdentityHeaders};

/// Everything a decision reads of one generation. Immutable; published whole by [`Gate::publish`](crate::Gate::publish).
#[derive(Debug)]
pub struct Snapshot {
    config: Arc<Config>,
    table: RouteTable,
    identity: Arc<IdentityHeaders>,
    client_rules: Arc<ClientRules>,
}

/// Why a configuration cannot be served. The generation before it stays.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// More routes than can be counted in 32 bits.
    #[error("too many routes")]
    TooManyRoutes,
    /// A route's host is not in canonical form, so that no request could match it.
    #[error("route `{route}`: the host is not canonical")]
    HostNotCanonical {
        /// The route's name.
        route: Arc<str>,
    },
    /// A route's path or prefix does not begin with a slash or holds a broken escape.
    #[error("route `{route}`: the path is not valid")]
    PathNotValid {
        /// The route's name.
        route: Arc<str>,
    },
}

impl Snapshot {
    /// Indexes a configuration. A route that says and stands exactly what and where one of `previous` does is
    /// that one: what is keyed by it stays warm.
    ///
    /// # Errors
    /// [`BuildError`] if a route could never be found. Nothing was changed then.
    pub fn build(config: &Arc<Config>, previous: Option<&Self>) -> Result<Self, BuildError> {
        let old = previous.map(|previous| previous.table.routes()).unwrap_or_default();
        let old: HashMap<&[u8; 32], &Arc<Route>> = old.iter().map(|route| (&route.digest, route)).collect();
        let routes = config.routes.iter().map(|route| {
            // The line is not part of what a route says, but a stale one would mislead whoever reads of it. The
            // policy is: it is compared once more, because a digest that left it out would keep old permissions.
            let same = old.get(&route.digest).filter(|old| {
                old.line == route.line && old.name == route.name && old.policy.digest() == route.policy.digest()
            });
            Arc::clone(same.copied().unwrap_or(route))
        });
        let table = RouteTable::build(routes.collect())?;
        let identity = Arc::new(IdentityHeaders::new(config.sign_in.namespace, &config.assertion));
        let client_rules = Arc::new(ClientRules::new(config));
        Ok(Self { config: Arc::clone(config), table, identity, client_rules })
    }

    /// The configuration this was built of.
    #[must_use]
    pub const fn config(&self) -> &Arc<Config> {
        &self.config
    }

    /// The name of the generation.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.config.generation
    }

    /// The routes in file order, those of the generation before reused where they are equal.
    #[must_use]
    pub fn routes(&self) -> &[Arc<Route>] {
        self.table.routes()
    }

    /// The headers that tell upstreams who asks.
    #[must_use]
    pub const fn identity_headers(&self) -> &Arc<IdentityHeaders> {
        &self.identity
    }

    /// What each host asks of client certificates.
    #[must_use]
    pub const fn client_rules(&self) -> &Arc<ClientRules> {
        &self.client_rules
    }

    /// Whether a host, as clients name it, is the sign-in host or one that a route serves.
    #[must_use]
    pub fn serves(&self, host: &CanonicalHost<'_>) -> bool {
        let sign_in = &*self.config.sign_in.host;
        (!sign_in.is_empty() && host.name() == sign_in) || self.table.knows(host.name())
    }

    pub(crate) const fn table(&self) -> &RouteTable {
        &self.table
    }
}

#[cfg(test)]
mod tests;
