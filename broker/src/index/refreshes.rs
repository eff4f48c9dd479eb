//! Whose tokens are due at which provider, and whose have ended while nobody used the session: one provider that has
//! many sessions, or does not answer, holds up nobody else's.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use portcullis_broker_api::Tokens;
use portcullis_identity::{Principal, ProviderName, SessionKey, Timestamp};

use super::{Entry, Index, held};

/// How long before the end of an access token a refresh is due.
const REFRESH_LEAD: Duration = Duration::from_secs(60);
/// How often, where the provider does not say how long its access tokens live.
const REFRESH_EVERY: Duration = Duration::from_secs(600);
/// The least time between two refreshes, however short the tokens' life.
const REFRESH_PAUSE: Duration = Duration::from_secs(10);
/// After this long, a refresh whose end nobody told is no longer waited for. Longer than any refresh can take: two with
/// one token would look like theft to the provider.
const REFRESH_LOST: Duration = Duration::from_secs(1200);

/// How long the tokens of a session are good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lease {
    /// When the provider is asked again, if the session is used.
    pub(crate) refresh_at: Timestamp,
    /// When they end.
    pub(crate) end: Timestamp,
}

impl Lease {
    /// The lease of tokens that came at `got`; `None`: they cannot be refreshed.
    pub(crate) fn of(tokens: &Tokens, got: Timestamp) -> Option<Self> {
        tokens.refresh_token.as_ref()?;
        let at = match tokens.expires_at {
            Some(end) => end.saturating_sub(REFRESH_LEAD.min(end.since(got) / 5)),
            None => got.saturating_add(REFRESH_EVERY),
        };
        let refresh_at = at.max(got.saturating_add(REFRESH_PAUSE));
        Some(Self { refresh_at, end: tokens.expires_at.unwrap_or(refresh_at) })
    }

    /// The lease of tokens in the store, which does not say when they came: not before the session was made, and where
    /// the provider does not say when they end, not long before its last use.
    fn of_stored(tokens: &Tokens, made: Timestamp, last_used: Timestamp) -> Option<Self> {
        let lease = Self::of(tokens, made)?;
        let end = tokens.expires_at.unwrap_or_else(|| made.max(last_used).saturating_add(REFRESH_EVERY));
        Some(Self { end, ..lease })
    }
}

/// What has become of a live session's tokens that are not good any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Lapse {
    /// This provider is to be asked before the session is believed again.
    Dormant(ProviderName),
    /// It has been asked at this instant.
    Asked(Timestamp),
}

/// Whose tokens are due.
pub(crate) type DueEntry = (SessionKey, ProviderName, Principal);

/// Sessions by provider, each by an instant.
type Queues = HashMap<ProviderName, BTreeSet<(Timestamp, u32)>>;

/// Sessions whose tokens can be refreshed; each is in one queue at most.
#[derive(Debug, Default)]
pub(super) struct Refreshes {
    /// Those that were used since their provider was last asked, by when the next refresh is due.
    used: Queues,
    /// The others, by when they become dormant; those that replicas were told of are not here any more.
    quiet: Queues,
}

/// How many more refreshes of each provider may begin.
#[derive(Clone, Debug)]
pub(crate) struct Room {
    /// Where none is under way.
    pub(crate) each: usize,
    /// Where some are.
    pub(crate) left: HashMap<ProviderName, usize>,
}

impl Room {
    fn of(&self, provider: &ProviderName) -> usize {
        self.left.get(provider).copied().unwrap_or(self.each)
    }
}

impl Entry {
    /// Whether it was used since its provider was asked, and no answer is awaited.
    fn awaits_refresh(&self) -> bool {
        let awaited = self.refreshing && self.last_used.since(self.asked_at) < REFRESH_LOST;
        (self.wanted || self.last_used > self.asked_at) && !awaited
    }

    /// From when on the session, unless somebody uses it or its provider answers, is dormant.
    fn dormant_at(&self) -> Option<Timestamp> {
        let Lease { refresh_at, end } = self.lease?;
        let asked = if self.refreshing { self.asked_at.saturating_add(REFRESH_LOST) } else { refresh_at };
        Some(end.max(asked))
    }

    fn lapse(&self, now: Timestamp) -> Option<Lapse> {
        if self.dormant_at()? <= now {
            return Some(Lapse::Dormant(self.provider.clone()));
        }
        let ended = self.lease.is_some_and(|lease| lease.end <= now);
        (ended && self.refreshing).then_some(Lapse::Asked(self.asked_at))
    }
}

impl Refreshes {
    pub(super) fn insert(&mut self, entry: &Entry, slot: u32) {
        let Some((queues, at)) = self.queue(entry) else { return };
        queues.entry(entry.provider.clone()).or_default().insert((at, slot));
    }

    pub(super) fn remove(&mut self, entry: &Entry, slot: u32) {
        let Some((queues, at)) = self.queue(entry) else { return };
        let Some(queue) = queues.get_mut(&entry.provider) else { return };
        queue.remove(&(at, slot));
        if queue.is_empty() {
            queues.remove(&entry.provider);
        }
    }

    /// Moves the last use of an entry forward.
    pub(super) fn used(&mut self, entry: &mut Entry, slot: u32, at: Timestamp) {
        if entry.awaits_refresh() {
            // It stays where it is.
            entry.last_used = at;
            return;
        }
        self.change(entry, slot, |entry| {
            entry.last_used = at;
            entry.told = entry.told && !entry.awaits_refresh();
        });
    }

    /// Changes an entry, and its place with it.
    fn change(&mut self, entry: &mut Entry, slot: u32, change: impl FnOnce(&mut Entry)) {
        self.remove(entry, slot);
        change(entry);
        self.insert(entry, slot);
    }

    /// Where an entry belongs.
    fn queue(&mut self, entry: &Entry) -> Option<(&mut Queues, Timestamp)> {
        if entry.awaits_refresh() {
            return entry.lease.map(|lease| (&mut self.used, lease.refresh_at));
        }
        entry.dormant_at().filter(|_| !entry.told).map(|at| (&mut self.quiet, at))
    }

    /// Of each provider what is due at `now` and `live`, the longest due first, as many as there is room for.
    fn due<T>(&self, now: Timestamp, room: &Room, live: impl Fn(u32) -> Option<T>) -> Vec<T> {
        let of = |(provider, due): (&ProviderName, &BTreeSet<(Timestamp, u32)>)| {
            let found = super::due(due, now, usize::MAX).filter_map(|(_, slot)| live(slot));
            found.take(room.of(provider)).collect::<Vec<_>>()
        };
        self.used.iter().flat_map(of).collect()
    }
}

impl Index {
    /// A stored session's tokens are to be refreshed once the session is used again.
    pub(crate) fn refresh_stored(&mut self, key: &SessionKey, tokens: Option<&Tokens>) {
        self.change_entry(key, |entry| {
            entry.asked_at = entry.last_used;
            entry.lease = tokens.and_then(|tokens| Lease::of_stored(tokens, entry.authenticated_at, entry.last_used));
        });
    }

    /// A refresh is under way since `now`; `wanted`: somebody waits for it.
    pub(crate) fn refresh_begun(&mut self, key: &SessionKey, now: Timestamp, wanted: bool) {
        self.change_entry(key, |entry| {
            entry.asked_at = now;
            entry.refreshing = true;
            entry.wanted = wanted;
        });
    }

    /// Somebody was answered by what was known, because no refresh could begin.
    pub(crate) fn want(&mut self, key: &SessionKey) {
        self.change_entry(key, |entry| entry.wanted = true);
    }

    /// The provider has answered; its tokens are good as `lease` says.
    pub(crate) fn refreshed(&mut self, key: &SessionKey, lease: Option<Lease>) {
        self.change_entry(key, |entry| {
            entry.refreshing = false;
            entry.wanted = false;
            entry.attempts = 0;
            entry.lease = lease;
        });
    }

    /// A refresh has failed; the next one is at `at`.
    pub(crate) fn refresh_later(&mut self, key: &SessionKey, at: Timestamp) {
        self.change_entry(key, |entry| {
            entry.refreshing = false;
            entry.attempts = entry.attempts.saturating_add(1);
            entry.lease = entry.lease.map(|lease| Lease { refresh_at: at, ..lease });
        });
    }

    /// Replicas know that the session is dormant.
    pub(crate) fn dormancy_told(&mut self, key: &SessionKey) {
        self.change_entry(key, |entry| entry.told = true);
    }

    /// Whatever else changes, replicas have to be told anew.
    fn change_entry(&mut self, key: &SessionKey, note: impl FnOnce(&mut Entry)) {
        let Some((slot, entry)) = held(&mut self.slots, &self.by_key, key) else { return };
        self.refreshes.change(entry, slot, |entry| {
            entry.told = false;
            note(entry);
        });
    }

    /// Live sessions whose refresh is due at `now`: of each provider those that are due longest, as far as there is room.
    pub(crate) fn refreshes_due(&self, now: Timestamp, room: &Room) -> Vec<DueEntry> {
        self.refreshes.due(now, room, |slot| {
            let (key, entry) = self.at(slot).filter(|(_, entry)| !entry.is_over(now))?;
            Some((*key, entry.provider.clone(), entry.principal.clone()))
        })
    }

    /// The session of which `key` is or was made, if it is dormant: its provider is to be asked before it is believed.
    pub(crate) fn dormant(&self, key: &SessionKey, now: Timestamp) -> Option<DueEntry> {
        let (key, lapse) = self.lapse(key, now)?;
        let entry = self.get(&key).filter(|_| matches!(lapse, Lapse::Dormant(_)))?;
        Some((key, entry.provider.clone(), entry.principal.clone()))
    }

    /// The live session whose tokens `key` lives by, and what has become of those; `None`: they are good, or there
    /// is nothing to refresh.
    pub(crate) fn lapse(&self, key: &SessionKey, now: Timestamp) -> Option<(SessionKey, Lapse)> {
        let key = self.families().parent(key).unwrap_or(*key);
        Some((key, self.live(&key, now)?.lapse(now)?))
    }

    /// Up to `most` live sessions of these providers that are dormant at `now` and that replicas were not told of.
    pub(crate) fn newly_dormant(&self, now: Timestamp, providers: &[ProviderName], most: usize) -> Vec<SessionKey> {
        let of = |provider| self.refreshes.quiet.get(provider);
        let found = providers.iter().filter_map(of).flat_map(|quiet| super::due(quiet, now, usize::MAX));
        let live = found.filter_map(|(_, slot)| self.at(slot)).filter(|(_, entry)| !entry.is_over(now));
        live.map(|(key, _)| *key).take(most).collect()
    }
}
