//! What every request needs and no generation owns.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use portcullis_broker_api::Resolved;
use portcullis_config::Config;
use portcullis_gate::{Assertions, Gate, Presented};
use portcullis_identity::{Clock, SecretText, SessionKey, Timestamp};
use portcullis_keys::{AssertionKeys, CredentialKeys, KeyRing, Random, SealKeys};

use crate::decisions::Decisions;
use crate::exchange::Registry;
use crate::follow::Follower;
use crate::landings::Landings;
use crate::metrics::Metrics;
use crate::proxy::ProxyError;
use crate::published::Published;
use crate::rate::Rate;
use crate::request_id::RequestIds;
use crate::sessions::Sessions;

/// The proxy's inside.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) gate: Arc<Gate>,
    pub(crate) sessions: Arc<dyn Sessions>,
    pub(crate) published: Arc<ArcSwap<Published>>,
    /// Generations published since the start: part of the epoch.
    pub(crate) generations: AtomicU64,
    pub(crate) registry: Arc<Registry>,
    pub(crate) follower: Follower,
    pub(crate) landings: Landings,
    pub(crate) sign_ins: Rate,
    pub(crate) decisions: Decisions,
    pub(crate) request_ids: RequestIds,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
}

/// The keys a proxy holds, and what was made with them: one generation's, so that a key that was taken away is
/// neither believed nor used from the next request on.
#[derive(Debug)]
pub(crate) struct Keys {
    pub(crate) ring: Arc<KeyRing>,
    pub(crate) credential: CredentialKeys,
    pub(crate) handover: SealKeys,
    pub(crate) assertion: AssertionKeys,
    /// Assertions that these keys signed.
    pub(crate) assertions: Assertions,
}

impl Keys {
    /// The keys of `ring`, and those by which `config` has assertions signed.
    ///
    /// # Errors
    /// A key for this service is missing, or a configured one cannot be used.
    pub(crate) fn of(config: &Config, ring: &Arc<KeyRing>) -> Result<Self, ProxyError> {
        let assertion = if config.assertion.signing_keys.is_empty() {
            AssertionKeys::from_ring(ring)?
        } else {
            let keys: Vec<&str> = config.assertion.signing_keys.iter().map(SecretText::expose).collect();
            AssertionKeys::from_pem(&keys)?
        };
        Ok(Self {
            ring: Arc::clone(ring),
            credential: ring.credential()?,
            handover: ring.handover()?,
            assertion,
            assertions: Assertions::default(),
        })
    }
}

impl Shared {
    /// The time.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A number that changes whenever an earlier judgement may no longer hold.
    pub(crate) fn epoch(&self) -> u64 {
        // Both only ever grow, so their sum stands still only if both do.
        self.sessions.epoch().wrapping_add(self.generations.load(Ordering::Acquire))
    }

    /// What a credential's session is worth now; a miss is one fetch, bounded and shared.
    pub(crate) async fn present(&self, key: SessionKey, now: Timestamp) -> Presented {
        match self.sessions.resolve(&key, now) {
            Resolved::Missing => presented(self.sessions.fetch(&key).await),
            known @ (Resolved::Session(_) | Resolved::Absent | Resolved::Stale) => presented(known),
        }
    }
}

fn presented(resolved: Resolved) -> Presented {
    match resolved {
        Resolved::Session(session) => Presented::Session(session),
        Resolved::Absent => Presented::Rejected,
        Resolved::Missing | Resolved::Stale => Presented::Unavailable,
    }
}
