//! Asks providers for new tokens before the old ones end, as long as their session is used, and writes what they say.
//!
//! Before a provider is asked, a mark is on disk; what comes of it is written only if the mark is still there. A
//! provider that is down ends no session, and one that contradicts a session does.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use portcullis_broker_api::wire::{self, WireError};
use portcullis_broker_api::{Profile, Tokens};
use portcullis_config::{Config, Provider};
use portcullis_identity::{Clock, ProviderName, SecretText, SessionKey};
use portcullis_oidc::{
    Held, RefreshError, Refreshed, RefreshedFacts, RefreshedTokens, RelyingParty, SetupError, Unobserved,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::broker::ServeError;
use crate::index::Room;
use crate::metrics::Metrics;
use crate::plan::{Due, Facts, RefreshOutcome, Sureness};
use crate::queue::{Queue, Refusal};
use crate::state::count;
use crate::writer::Command;

/// The most refreshes under way at each provider: one that hangs fills its own share and nobody else's.
const CALLS: usize = 32;
/// How often the broker looks for tokens that are due.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long refreshes that are under way may delay the end.
const LAST_CALLS: Duration = Duration::from_secs(10);
/// How often the writing of an answer is tried, and the first pause, which doubles each time.
const WRITES: u32 = 8;
const WRITE_PAUSE: Duration = Duration::from_millis(50);

/// The refresher of one broker.
pub struct Refresher {
    writes: Queue<Command>,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
    parties: ArcSwap<Vec<Arc<RelyingParty>>>,
}

/// Providers that are set up and that nobody has been sent to yet.
pub struct NextProviders(Vec<Arc<RelyingParty>>);

/// The refreshes under way.
#[derive(Default)]
struct Calls {
    tasks: JoinSet<()>,
    /// What is left of each provider's [`CALLS`]. Bounded by the providers that sessions name.
    shares: HashMap<ProviderName, Arc<Semaphore>>,
}

impl Refresher {
    pub(crate) fn new(
        (writes, clock, metrics): (Queue<Command>, Arc<dyn Clock>, Metrics),
        config: &Config,
    ) -> Result<Self, SetupError> {
        let refresher = Self { writes, clock, metrics, parties: ArcSwap::default() };
        refresher.take_over(refresher.prepare(config)?);
        Ok(refresher)
    }

    /// The providers of the next generation; those that are configured as before go on with all that is known of them.
    ///
    /// # Errors
    /// A provider's transport settings do not work.
    pub fn prepare(&self, config: &Config) -> Result<NextProviders, SetupError> {
        let before = self.parties.load();
        let party = |provider: &Provider| {
            // No browser is sent anywhere from here.
            let nowhere: Url = provider.issuer.clone();
            if let Some(kept) = before.iter().find(|party| party.serves(provider, &nowhere)) {
                return Ok(Arc::clone(kept));
            }
            RelyingParty::new(provider, nowhere, Arc::clone(&self.clock), Arc::new(Unobserved)).map(Arc::new)
        };
        config.providers.iter().map(party).collect::<Result<_, _>>().map(NextProviders)
    }

    /// Talks to these providers from now on.
    pub fn take_over(&self, NextProviders(parties): NextProviders) {
        self.parties.store(Arc::new(parties));
    }

    /// Refreshes what is due until `stop`, then waits a while for what is under way: tokens that are on their way to us
    /// would be lost with it.
    pub async fn run(&self, stop: CancellationToken) {
        let mut calls = Calls::default();
        loop {
            tokio::select! {
                // Both only wait.
                () = stop.cancelled() => break,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            calls.forget_finished();
            if let Err(refusal) = self.begin(&mut calls).await {
                tracing::debug!(error = &refusal as &dyn std::error::Error, "refreshes not begun");
            }
            self.metrics.refreshes_under_way.set(count(calls.tasks.len()));
        }
        let last = async { while calls.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(LAST_CALLS, last).await.is_err() {
            tracing::warn!("refreshes at providers interrupted");
        }
    }

    /// Refreshes what is due now, and waits for it.
    ///
    /// # Errors
    /// [`ServeError::Unavailable`].
    pub async fn refresh_due(&self) -> Result<(), ServeError> {
        let mut calls = Calls::default();
        self.begin(&mut calls).await.map_err(|_refused| ServeError::Unavailable)?;
        while calls.tasks.join_next().await.is_some() {}
        Ok(())
    }

    async fn begin(&self, calls: &mut Calls) -> Result<(), Refusal> {
        let room = calls.room();
        for due in self.writes.ask(|reply| Command::BeginRefreshes { room, reply }).await? {
            let party = self.party(&due.provider);
            let place = calls.place(&due.provider);
            let (writes, metrics) = (self.writes.clone(), self.metrics.clone());
            calls.tasks.spawn(async move {
                let outcome = refresh(&writes, party, due).await;
                metrics.refreshed(outcome);
                drop(place);
            });
        }
        Ok(())
    }

    fn party(&self, name: &ProviderName) -> Option<Arc<RelyingParty>> {
        self.parties.load().iter().find(|party| party.name() == name).cloned()
    }
}

impl fmt::Debug for Refresher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Refresher")
    }
}

impl fmt::Debug for NextProviders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NextProviders")
    }
}

impl Calls {
    /// How many more may begin.
    fn room(&self) -> Room {
        let left = |(provider, share): (&ProviderName, &Arc<Semaphore>)| (provider.clone(), share.available_permits());
        Room { each: CALLS, left: self.shares.iter().map(left).collect() }
    }

    /// A place in a provider's share, held until the call is over. `None` beyond the share: what is marked already is
    /// asked all the same, as nobody else would before a long time.
    fn place(&mut self, provider: &ProviderName) -> Option<OwnedSemaphorePermit> {
        let share = self.shares.entry(provider.clone()).or_insert_with(|| Arc::new(Semaphore::new(CALLS)));
        Arc::clone(share).try_acquire_owned().ok()
    }

    fn forget_finished(&mut self) {
        while self.tasks.try_join_next().is_some() {}
        self.shares.retain(|_, share| share.available_permits() < CALLS);
    }
}

/// Asks the provider and writes what it says; answers what came of it in one word.
async fn refresh(writes: &Queue<Command>, party: Option<Arc<RelyingParty>>, due: Due) -> &'static str {
    let (key, mark) = (due.key, due.mark);
    let outcome = match (&party, &due.tokens.refresh_token) {
        (Some(party), Some(refresh_token)) => {
            let held = Held {
                issuer: &due.principal.issuer,
                subject: &due.principal.subject,
                refresh_token: refresh_token.expose(),
                id_token: due.tokens.id_token.as_ref().map(SecretText::expose),
            };
            let answer = party.refresh(held).await;
            outcome_of(answer, &due)
        }
        // The provider is not configured any more: the session lives its own time.
        (None, _) | (_, None) => RefreshOutcome::Kept(sureness(due.interrupted)),
    };
    finish(writes, (key, mark), &outcome).await
}

/// Writes how a refresh went, again and again while the store is busy: new tokens have no other place. Answers what came
/// of it.
async fn finish(writes: &Queue<Command>, mark: (SessionKey, u64), outcome: &RefreshOutcome) -> &'static str {
    let label = outcome.label();
    let told = |refusal: Refusal| {
        tracing::warn!(session.key = %mark.0, error = &refusal as &dyn std::error::Error, "refresh not written");
        "unwritten"
    };
    for attempt in 0..WRITES {
        let outcome = outcome.clone();
        match writes.ask(|reply| Command::FinishRefresh { mark, outcome, reply }).await {
            Ok(()) => return label,
            // It has ended meanwhile.
            Err(Refusal::NoSession) => return "too_late",
            Err(refusal @ (Refusal::Busy | Refusal::Store)) if attempt + 1 == WRITES => return told(refusal),
            Err(Refusal::Busy | Refusal::Store) => tokio::time::sleep(WRITE_PAUSE * 2_u32.pow(attempt)).await,
            Err(
                refusal @ (Refusal::Closed
                | Refusal::Exists
                | Refusal::TooManyOfType
                | Refusal::TooManyRecordBytes
                | Refusal::OtherType),
            ) => return told(refusal),
        }
    }
    label
}

fn outcome_of(answer: Result<Refreshed, RefreshError>, due: &Due) -> RefreshOutcome {
    let (provider, key) = (due.provider.clone(), due.key);
    let told = |error: &(dyn std::error::Error + 'static), what: &'static str| {
        tracing::info!(session.key = %key, provider.name = %provider, error, what, "refresh at the provider failed");
    };
    match answer {
        Ok(Refreshed { tokens, facts }) => {
            let tokens = match renewed(tokens, &due.tokens) {
                Ok(tokens) => tokens,
                Err(error) => {
                    told(&error, "tried again later");
                    return RefreshOutcome::Kept(Sureness::Unsure);
                }
            };
            match facts {
                Ok(None) => RefreshOutcome::Renewed { tokens, facts: None },
                Ok(Some(facts)) => match facts_of(facts, due) {
                    Ok(facts) => RefreshOutcome::Renewed { tokens, facts: Some(facts) },
                    Err(error) => {
                        told(&error, "session ended");
                        RefreshOutcome::Ended
                    }
                },
                Err(error) if error.is_contradiction() => {
                    told(&error, "session ended");
                    RefreshOutcome::Ended
                }
                Err(error) => {
                    told(&error, "claims stay as they are");
                    RefreshOutcome::Renewed { tokens, facts: None }
                }
            }
        }
        // The spent token may be our own doing: a refresh that went through and was not written.
        Err(error) if error.is_end_of_grant() && due.interrupted => {
            told(&error, "refreshing ended");
            RefreshOutcome::Stopped
        }
        Err(error) if error.is_end_of_grant() => {
            told(&error, "session ended");
            RefreshOutcome::Ended
        }
        Err(error) => {
            told(&error, "tried again later");
            RefreshOutcome::Kept(sureness(due.interrupted || error.is_unsure()))
        }
    }
}

const fn sureness(unsure: bool) -> Sureness {
    if unsure { Sureness::Unsure } else { Sureness::Sure }
}

/// The new tokens, and the old ones for what was not renewed.
///
/// # Errors
/// Tokens that could not be read back: too long.
fn renewed(new: RefreshedTokens, old: &Tokens) -> Result<Tokens, WireError> {
    let RefreshedTokens { access_token, refresh_token, id_token, expires_at } = new;
    let tokens = Tokens {
        access_token: Some(access_token),
        refresh_token: refresh_token.or_else(|| old.refresh_token.clone()),
        id_token: id_token.or_else(|| old.id_token.clone()),
        expires_at,
    };
    wire::tokens(wire::tokens_message(&tokens))
}

/// What the session says from now on.
///
/// # Errors
/// What no session can carry: it would stop every follower at this entry of the log.
fn facts_of(facts: RefreshedFacts, due: &Due) -> Result<Facts, WireError> {
    let RefreshedFacts { claims_json, email, name, groups } = facts;
    let user_id = Arc::clone(&due.principal.subject);
    let profile = Profile { user_id, email, name, groups };
    wire::check_facts(&profile, &claims_json)?;
    Ok(Facts { profile, claims_json })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::answer;

    #[tokio::test]
    async fn new_tokens_are_written_once_a_busy_broker_takes_them() {
        let (writes, commands) = Queue::new(1);
        writes.order(Command::Close);
        let mark = (SessionKey::from_bytes([1; 32]), 7);
        let outcome = RefreshOutcome::Renewed { tokens: Tokens::default(), facts: None };
        let broker = async {
            assert!(matches!(commands.try_recv(), Ok(Command::Close)), "the first try was refused");
            let next = tokio::task::spawn_blocking(move || commands.recv()).await.unwrap();
            let Ok(Command::FinishRefresh { mark, outcome: _, reply }) = next else { panic!("{next:?}") };
            answer(reply, Ok(()));
            mark
        };
        let (told, written) = tokio::join!(finish(&writes, mark, &outcome), broker);
        assert_eq!((told, written), ("renewed", mark));
    }
}
