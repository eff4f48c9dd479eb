//! Asks providers for new tokens before the old ones end, as long as their session is used, and writes what they say.
//!
//! Before a provider is asked, a mark is on disk; what comes of it is written only if the mark is still there. A
//! provider that is down ends no session, and one that contradicts a session does. Sessions whose tokens have ended
//! unused are dormant: replicas let go of them, and who asks for one waits a while for its refresh.

mod outcome;
mod wanted;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use portcullis_config::{Config, Provider};
use portcullis_identity::ProviderName;
use portcullis_oidc::{RelyingParty, SetupError, Unobserved};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use url::Url;

use crate::broker::ServeError;
use crate::index::Room;
use crate::plan::Due;
use crate::queue::{Queue, Refusal};
use crate::state::Shared;
use crate::writer::Command;
use wanted::Wanted;

/// The most refreshes under way at each provider: one that hangs fills its own share and nobody else's.
const CALLS: usize = 32;
/// How often the broker looks for tokens that are due.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long refreshes that are under way may delay the end.
const LAST_CALLS: Duration = Duration::from_secs(10);

/// The refresher of one broker.
pub struct Refresher(Arc<Core>);

/// What the looks of the refresher and those who wait for a session have in common.
pub(crate) struct Core {
    shared: Arc<Shared>,
    writes: Queue<Command>,
    parties: ArcSwap<Vec<Arc<RelyingParty>>>,
    /// What is left of each provider's [`CALLS`]. Bounded by the providers that sessions name.
    // A lock because several callers take places; never held across an await.
    shares: Mutex<HashMap<ProviderName, Arc<Semaphore>>>,
    wanted: Wanted,
    tasks: TaskTracker,
}

/// Providers that are set up and that nobody has been sent to yet.
pub struct NextProviders(Vec<Arc<RelyingParty>>);

impl Refresher {
    pub(crate) fn new(shared: Arc<Shared>, writes: Queue<Command>, config: &Config) -> Result<Self, SetupError> {
        let core = Core {
            shared,
            writes,
            parties: ArcSwap::default(),
            shares: Mutex::default(),
            wanted: Wanted::default(),
            tasks: TaskTracker::new(),
        };
        let refresher = Self(Arc::new(core));
        refresher.take_over(refresher.prepare(config)?);
        Ok(refresher)
    }

    pub(crate) fn core(&self) -> Arc<Core> {
        Arc::clone(&self.0)
    }

    /// The providers of the next generation; those that are configured as before go on with all that is known of them.
    ///
    /// # Errors
    /// A provider's transport settings do not work.
    pub fn prepare(&self, config: &Config) -> Result<NextProviders, SetupError> {
        let before = self.0.parties.load();
        let party = |provider: &Provider| {
            // No browser is sent anywhere from here.
            let nowhere: Url = provider.issuer.clone();
            if let Some(kept) = before.iter().find(|party| party.serves(provider, &nowhere)) {
                return Ok(Arc::clone(kept));
            }
            let clock = Arc::clone(&self.0.shared.clock);
            RelyingParty::new(provider, nowhere, clock, Arc::new(Unobserved)).map(Arc::new)
        };
        config.providers.iter().map(party).collect::<Result<_, _>>().map(NextProviders)
    }

    /// Talks to these providers from now on.
    pub fn take_over(&self, NextProviders(parties): NextProviders) {
        self.0.parties.store(Arc::new(parties));
    }

    /// Refreshes what is due until `stop`, then waits a while for what is under way: tokens that are on their way to us
    /// would be lost with it.
    pub async fn run(&self, stop: CancellationToken) {
        let core = &self.0;
        loop {
            tokio::select! {
                // Both only wait.
                () = stop.cancelled() => break,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            if let Err(refusal) = core.look().await {
                tracing::debug!(error = &refusal as &dyn std::error::Error, "refreshes not begun");
            }
        }
        core.tasks.close();
        if tokio::time::timeout(LAST_CALLS, core.tasks.wait()).await.is_err() {
            tracing::warn!("refreshes at providers interrupted");
        }
    }

    /// Refreshes what is due now and waits for it; tells replicas what is dormant now.
    ///
    /// # Errors
    /// [`ServeError::Unavailable`].
    pub async fn refresh_due(&self) -> Result<(), ServeError> {
        for begun in self.0.look().await.map_err(|_refused| ServeError::Unavailable)? {
            begun.await.map_err(|_panicked| ServeError::Unavailable)?;
        }
        Ok(())
    }
}

impl Core {
    /// Begins what is due, and tells replicas what is dormant.
    async fn look(self: &Arc<Self>) -> Result<Vec<JoinHandle<()>>, Refusal> {
        let room = self.room();
        let dues = self.writes.ask(|reply| Command::BeginRefreshes { room, reply }).await?;
        let begin = |due: Due| {
            let (core, place) = (Arc::clone(self), self.place(&due.provider));
            self.tasks.spawn(async move { core.refresh(due, place).await })
        };
        let begun = dues.into_iter().map(begin).collect();
        // Of sessions whose provider is not configured any more nobody can know more.
        let providers = self.parties.load().iter().map(|party| party.name().clone()).collect();
        self.writes.ask(|reply| Command::TellDormant { providers, reply }).await?;
        Ok(begun)
    }

    /// Asks the provider of a session that is marked, and writes what it says.
    async fn refresh(&self, due: Due, place: Result<OwnedSemaphorePermit, Arc<Semaphore>>) {
        // What is marked already is asked all the same, in its turn: nobody else would before a long time.
        let _place = match place {
            Ok(place) => Ok(place),
            Err(share) => share.acquire_owned().await,
        };
        let metrics = &self.shared.metrics;
        metrics.refreshes_under_way.inc();
        let outcome = outcome::refresh(&self.writes, self.party(&due.provider), due).await;
        metrics.refreshes_under_way.dec();
        metrics.refreshed(outcome);
    }

    fn party(&self, name: &ProviderName) -> Option<Arc<RelyingParty>> {
        self.parties.load().iter().find(|party| party.name() == name).cloned()
    }

    /// How many more may begin.
    fn room(&self) -> Room {
        let mut shares = self.shares();
        shares.retain(|_, share| share.available_permits() < CALLS);
        let left = |(provider, share): (&ProviderName, &Arc<Semaphore>)| (provider.clone(), share.available_permits());
        Room { each: CALLS, left: shares.iter().map(left).collect() }
    }

    /// A place in a provider's share, held until the call is over, or where to wait for one.
    fn place(&self, provider: &ProviderName) -> Result<OwnedSemaphorePermit, Arc<Semaphore>> {
        let mut shares = self.shares();
        let share = shares.entry(provider.clone()).or_insert_with(|| Arc::new(Semaphore::new(CALLS)));
        Arc::clone(share).try_acquire_owned().map_err(|_full| Arc::clone(share))
    }

    fn shares(&self) -> MutexGuard<'_, HashMap<ProviderName, Arc<Semaphore>>> {
        self.shares.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Refresher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Refresher")
    }
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Core")
    }
}

impl fmt::Debug for NextProviders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NextProviders")
    }
}
