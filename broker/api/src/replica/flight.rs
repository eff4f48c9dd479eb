//! Fetches in flight: one per key, whoever asks.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use portcullis_identity::SessionKey;
use tokio::sync::watch;

use super::table::Landing;
use super::{Change, Replica, Resolved};
use crate::client::{FETCH_TIMEOUT, Fetched};

/// The most fetches in flight; a further one is told that the broker did not answer.
const IN_FLIGHT: usize = 16_384;
/// How often a fetch asks again because the stream told of something newer than the answer, and the first
/// pause before it does; each further one is twice as long.
const ATTEMPTS: u32 = 7;
const PAUSE: Duration = Duration::from_millis(5);

/// The fetches in flight by key.
#[derive(Debug, Default)]
pub(super) struct Flights {
    by_key: DashMap<SessionKey, watch::Receiver<Option<Resolved>>>,
    // The map's own count would lock every shard.
    count: AtomicUsize,
}

pub(super) async fn fetch(replica: &Arc<Replica>, key: &SessionKey) -> Resolved {
    let Some(mut landed) = join(replica, key) else { return Resolved::Missing };
    // The flight ends within its own deadline; a flight that died without an answer closes the channel.
    match landed.wait_for(Option::is_some).await {
        Ok(resolved) => resolved.clone().unwrap_or(Resolved::Missing),
        Err(_) => Resolved::Missing,
    }
}

/// Boards the flight for `key`, which starts with its first passenger. A task of its own flies it, so that
/// a caller who goes away strands nobody; it lives no longer than [`FETCH_TIMEOUT`].
fn join(replica: &Arc<Replica>, key: &SessionKey) -> Option<watch::Receiver<Option<Resolved>>> {
    let flights = &replica.flights;
    match flights.by_key.entry(*key) {
        Entry::Occupied(flight) => Some(flight.get().clone()),
        Entry::Vacant(place) => {
            if flights.count.fetch_add(1, Ordering::Relaxed) >= IN_FLIGHT {
                flights.count.fetch_sub(1, Ordering::Relaxed);
                return None;
            }
            let (sender, receiver) = watch::channel(None);
            place.insert(receiver.clone());
            let flight = Flight { replica: Arc::clone(replica), key: *key };
            tokio::spawn(async move {
                let resolved = tokio::time::timeout(FETCH_TIMEOUT, flight.fly()).await.unwrap_or(Resolved::Missing);
                // Off the map before the answer: who comes later asks the table, then a new flight.
                drop(flight);
                sender.send_replace(Some(resolved));
            });
            Some(receiver)
        }
    }
}

/// One fetch; leaves the map when dropped, also by a panic.
struct Flight {
    replica: Arc<Replica>,
    key: SessionKey,
}

impl Flight {
    async fn fly(&self) -> Resolved {
        for attempt in 0..ATTEMPTS {
            let answer = self.replica.client.fetch_many(std::slice::from_ref(&self.key)).await;
            let Fetched { server, head, sessions, dormant: _ } = match answer {
                Ok(fetched) => fetched,
                Err(error) => {
                    tracing::debug!(session.key = %self.key, error = &error as &dyn std::error::Error, "session not fetched");
                    return Resolved::Missing;
                }
            };
            let session = sessions.into_iter().next().map(|session| self.replica.table.shared(session));
            match self.replica.table.land(Some(server), head, &self.key, session) {
                Landing::Held(session) => return Resolved::Session(session),
                Landing::Gone { was_held } => {
                    if was_held {
                        self.replica.announce(Change::Ended(self.key));
                    }
                    return Resolved::Absent;
                }
                Landing::TooOld => tokio::time::sleep(PAUSE * 2_u32.pow(attempt)).await,
            }
        }
        Resolved::Missing
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.replica.flights.by_key.remove(&self.key);
        self.replica.flights.count.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use portcullis_keys::ServiceRole;

    use super::*;
    use crate::{BrokerClient, Endpoint, ReplicaBounds};

    #[tokio::test]
    async fn a_fetch_beyond_the_bound_is_not_made() {
        let client = BrokerClient::connect_lazy(Endpoint::Unix("/nowhere".into()), ServiceRole::Proxy);
        let bounds = ReplicaBounds { max_bytes: usize::MAX, max_staleness: FETCH_TIMEOUT };
        let replica = Replica::new(client, bounds);
        let key = SessionKey::from_bytes([1; 32]);
        replica.flights.count.store(IN_FLIGHT, Ordering::Relaxed);
        assert!(join(&replica, &key).is_none());
        assert!(matches!(replica.fetch(&key).await, Resolved::Missing));
        replica.flights.count.store(IN_FLIGHT - 1, Ordering::Relaxed);
        assert!(join(&replica, &key).is_some());
    }
}
