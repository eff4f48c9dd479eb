//! Exchanges that last: upgrades, event streams, gRPC, long downloads. Kept by session, so that silent ones
//! end too when who asked may no longer. Short exchanges never get here: they compare an epoch per chunk.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dashmap::DashMap;
use portcullis_config::Route;
use portcullis_gate::RequestView;
use portcullis_identity::SessionKey;

use super::Exchange;

/// An exchange that lasts, with what a later judgement needs.
#[derive(Debug)]
pub(crate) struct Standing {
    /// What is cut after a refusal.
    pub(crate) exchange: Arc<Exchange>,
    /// What is judged again.
    pub(crate) view: RequestView<'static>,
    /// On whose behalf.
    pub(crate) session: Option<SessionKey>,
    /// The route it was forwarded by.
    pub(crate) route: Arc<Route>,
}

/// Exchanges that last, by session. Bounded by connections and their streams: an entry leaves with its
/// exchange.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    standing: DashMap<Option<SessionKey>, HashMap<u64, Arc<Standing>>>,
    next: AtomicU64,
}

/// A place in the registry; left when dropped.
#[derive(Debug)]
pub(crate) struct Registration {
    registry: Arc<Registry>,
    session: Option<SessionKey>,
    number: u64,
}

impl Registry {
    /// Enters an exchange.
    pub(crate) fn enter(self: &Arc<Self>, standing: Standing) -> Registration {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let session = standing.session;
        self.standing.entry(session).or_default().insert(number, Arc::new(standing));
        Registration { registry: Arc::clone(self), session, number }
    }

    /// The exchanges of a session.
    pub(crate) fn of(&self, key: SessionKey) -> Vec<Arc<Standing>> {
        self.standing.get(&Some(key)).map(|entries| entries.values().cloned().collect()).unwrap_or_default()
    }

    /// Every exchange, anonymous ones too.
    pub(crate) fn all(&self) -> Vec<Arc<Standing>> {
        self.standing.iter().flat_map(|entries| entries.value().values().cloned().collect::<Vec<_>>()).collect()
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        if let Some(mut entries) = self.registry.standing.get_mut(&self.session) {
            entries.remove(&self.number);
        }
        self.registry.standing.remove_if(&self.session, |_, entries| entries.is_empty());
    }
}
