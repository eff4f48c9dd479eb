//! Dormant sessions that somebody asks for: refreshed first, by one refresh for all who wait.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use portcullis_identity::{ProviderName, SessionKey};
use tokio::sync::watch;

use super::Core;
use crate::index::Lapse;
use crate::writer::Command;

/// How long a session that is asked for waits for its provider. Who asks gives up after two seconds, in which the
/// answer still has to be read and carried.
const PATIENCE: Duration = Duration::from_millis(1200);
/// The most sessions that are waited for; further ones are answered as they are known.
const WAITING: usize = 4096;

/// The sessions that somebody waits for; a channel closes when there is no more to wait for.
// A lock because callers come from every connection; never held across an await.
#[derive(Debug, Default)]
pub(super) struct Wanted(Mutex<HashMap<SessionKey, watch::Receiver<()>>>);

impl Wanted {
    fn lock(&self) -> MutexGuard<'_, HashMap<SessionKey, watch::Receiver<()>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The look after one session, for as long as it takes.
struct Care {
    core: Arc<Core>,
    key: SessionKey,
    // Closes the channel, after the session is off the map.
    _done: watch::Sender<()>,
}

impl Drop for Care {
    fn drop(&mut self) {
        self.core.wanted.lock().remove(&self.key);
    }
}

impl Core {
    /// Has those of these sessions that are dormant refreshed, and waits for that, but not for long: what is known is
    /// an answer, too.
    pub(crate) async fn waken(self: &Arc<Self>, keys: &[SessionKey]) {
        let waits: Vec<_> = keys.iter().filter_map(|key| self.awaited(key)).collect();
        if waits.is_empty() {
            return;
        }
        // Nothing is ever sent: the channel closes.
        let all = join_all(waits.into_iter().map(async |mut done| drop(done.changed().await)));
        if tokio::time::timeout(PATIENCE, all).await.is_err() {
            tracing::debug!("provider too slow for a session that is used");
        }
    }

    /// What to wait for before the session is read; `None`: nothing.
    fn awaited(self: &Arc<Self>, key: &SessionKey) -> Option<watch::Receiver<()>> {
        let now = self.shared.clock.now();
        let (key, lapse) = self.shared.known().index.lapse(key, now)?;
        let provider = match lapse {
            // A broker that ends asks nobody any more.
            Lapse::Dormant(provider) if self.party(&provider).is_some() && !self.tasks.is_closed() => Some(provider),
            Lapse::Asked(at) if now.since(at) < PATIENCE => None,
            Lapse::Dormant(_) | Lapse::Asked(_) => return None,
        };
        let mut wanted = self.wanted.lock();
        if let Some(done) = wanted.get(&key) {
            return Some(done.clone());
        }
        if wanted.len() >= WAITING {
            return None;
        }
        let (sender, done) = watch::channel(());
        wanted.insert(key, done.clone());
        drop(wanted);
        let care = Care { core: Arc::clone(self), key, _done: sender };
        // A task of its own: whoever asked may go away, and a refresh that has begun is not to be lost.
        self.tasks.spawn(async move { care.take(provider).await });
        Some(done)
    }
}

impl Care {
    /// Refreshes the session, or waits for the refresh that is under way.
    async fn take(self, provider: Option<ProviderName>) {
        let (core, key) = (&self.core, self.key);
        let Some(provider) = provider else { return self.answered().await };
        let place = core.place(&provider);
        let room = place.is_ok();
        match core.writes.ask(|reply| Command::BeginWanted { key, room, reply }).await {
            Ok(dues) => match dues.into_iter().next() {
                Some(due) => core.refresh(due, place).await,
                // A look was faster.
                None if room => {
                    drop(place);
                    self.answered().await;
                }
                None => {}
            },
            Err(refusal) => {
                tracing::debug!(session.key = %key, error = &refusal as &dyn std::error::Error, "refresh not begun");
            }
        }
    }

    /// Waits until no refresh is under way, for as long as anybody does.
    async fn answered(&self) {
        let shared = &self.core.shared;
        let mut head = shared.follow_head();
        let answered = async {
            while matches!(shared.known().index.lapse(&self.key, shared.clock.now()), Some((_, Lapse::Asked(_)))) {
                // The broker's threads have ended.
                if head.changed().await.is_err() {
                    return;
                }
            }
        };
        if tokio::time::timeout(PATIENCE, answered).await.is_err() {
            tracing::debug!(session.key = %self.key, "refresh under way for long");
        }
    }
}
