//! Which hosts ask clients for which certificates.

use std::collections::HashMap;
use std::sync::Arc;

use portcullis_config::{ClientTrust, Config, Enforcement, HostPattern};

/// What every host of one generation asks of client certificates.
#[derive(Debug, Default)]
pub struct ClientRules {
    enforcement: Enforcement,
    everywhere: Option<Arc<ClientTrust>>,
    /// Roots of routes, by host.
    exact: HashMap<Arc<str>, Vec<Arc<ClientTrust>>>,
    patterns: Vec<(HostPattern, Arc<ClientTrust>)>,
}

impl ClientRules {
    /// The rules of a configuration.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let everywhere = config.downstream_mtls.trust.clone();
        let mut rules = Self { enforcement: config.downstream_mtls.enforcement, everywhere, ..Self::default() };
        for route in &config.routes {
            let Some(trust) = route.client_trust.as_ref().filter(|trust| !rules.is_everywhere(trust)) else { continue };
            match &route.host {
                HostPattern::Exact(host) => {
                    rules.exact.entry(Arc::clone(host)).or_default().push(Arc::clone(trust));
                }
                pattern @ HostPattern::Wildcard(_) => rules.patterns.push((pattern.clone(), Arc::clone(trust))),
            }
        }
        rules
    }

    fn is_everywhere(&self, trust: &ClientTrust) -> bool {
        self.everywhere.as_ref().is_some_and(|everywhere| everywhere.digest == trust.digest)
    }

    /// Whether any host asks.
    #[must_use]
    pub fn asks(&self) -> bool {
        self.everywhere.is_some() || self.differ()
    }

    /// Whether hosts ask for different ones.
    fn differ(&self) -> bool {
        !self.exact.is_empty() || !self.patterns.is_empty()
    }

    /// What becomes of a client without a valid certificate.
    #[must_use]
    pub const fn enforcement(&self) -> Enforcement {
        self.enforcement
    }

    /// What a certificate may meet on a canonical host: each once, in an order of their own. Empty: none is asked for.
    #[must_use]
    pub fn of(&self, host: &str) -> Vec<Arc<ClientTrust>> {
        let exact = self.exact.get(host).into_iter().flatten();
        let patterns = self.patterns.iter().filter(|(pattern, _)| pattern.serves(host)).map(|(_, trust)| trust);
        let mut trusts: Vec<_> = self.everywhere.iter().chain(exact).chain(patterns).cloned().collect();
        trusts.sort_unstable_by_key(|trust| trust.digest);
        trusts.dedup_by_key(|trust| trust.digest);
        trusts
    }

    /// Whether a connection made for one canonical host may serve the other.
    pub(crate) fn are_alike(&self, one: &str, other: &str) -> bool {
        if !self.differ() || one == other {
            return true;
        }
        let (one, other) = (self.of(one), self.of(other));
        one.len() == other.len() && one.iter().zip(&other).all(|(one, other)| one.digest == other.digest)
    }

    /// The hosts and patterns that have rules of their own.
    pub fn hosts(&self) -> impl Iterator<Item = &str> {
        let patterns = self.patterns.iter().map(|(pattern, _)| match pattern {
            HostPattern::Exact(host) | HostPattern::Wildcard(host) => &**host,
        });
        self.exact.keys().map(|host| &**host).chain(patterns)
    }
}
