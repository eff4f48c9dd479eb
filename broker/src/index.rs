//! Which sessions live, by every name somebody ends them by; rebuilt from the store at each start.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use portcullis_broker_api::wire::{WireError, generated as proto};
use portcullis_broker_api::{EndSelector, NewSession, Tokens, wire};
use portcullis_identity::{Principal, ProviderName, SessionKey, Timestamp};

/// What the index keeps of one session: enough to select and to end it, nothing of its claims.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) principal: Principal,
    pub(crate) user: Arc<str>,
    pub(crate) provider: ProviderName,
    pub(crate) provider_session: Option<Arc<str>>,
    pub(crate) authenticated_at: Timestamp,
    pub(crate) expires_at: Timestamp,
    pub(crate) idle: Option<Duration>,
    pub(crate) last_used: Timestamp,
    /// When the provider was last asked; a later use asks for a refresh.
    pub(crate) asked_at: Timestamp,
    /// When it is asked again, if the session is used; `None`: never.
    pub(crate) refresh_at: Option<Timestamp>,
    /// Refreshes that failed in a row.
    pub(crate) attempts: u32,
    /// Since when a refresh is under way.
    pub(crate) refreshing: Option<Timestamp>,
}

/// How long before the end of an access token a refresh is due.
const REFRESH_LEAD: Duration = Duration::from_secs(60);
/// How often, where the provider does not say how long its access tokens live.
const REFRESH_EVERY: Duration = Duration::from_secs(600);
/// The least time between two refreshes, however short the tokens' life.
const REFRESH_PAUSE: Duration = Duration::from_secs(10);
/// After this long, a refresh whose end nobody told is no longer waited for. Longer than any refresh can take: two with
/// one token would look like theft to the provider.
const REFRESH_LOST: Duration = Duration::from_secs(1200);

/// When tokens that came at `got` are to be refreshed; `None`: they cannot be.
pub(crate) fn refresh_at(tokens: &Tokens, got: Timestamp) -> Option<Timestamp> {
    tokens.refresh_token.as_ref()?;
    let at = match tokens.expires_at {
        Some(end) => end.saturating_sub(REFRESH_LEAD.min(end.since(got) / 5)),
        None => got.saturating_add(REFRESH_EVERY),
    };
    Some(at.max(got.saturating_add(REFRESH_PAUSE)))
}

impl Entry {
    pub(crate) fn of(new: &NewSession, last_used: Timestamp) -> Self {
        let NewSession {
            key: _,
            principal,
            provider,
            provider_session,
            profile,
            claims_json: _,
            authenticated_at,
            acr: _,
            expires_at,
            idle,
            tokens,
        } = new;
        Self {
            principal: principal.clone(),
            user: Arc::clone(&profile.user_id),
            provider: provider.clone(),
            provider_session: provider_session.clone(),
            authenticated_at: *authenticated_at,
            expires_at: *expires_at,
            idle: *idle,
            last_used,
            asked_at: last_used,
            refresh_at: refresh_at(tokens, last_used),
            attempts: 0,
            refreshing: None,
        }
    }

    /// The entry of a stored session.
    pub(crate) fn of_stored(message: proto::Session) -> Result<Self, WireError> {
        let session = wire::session(message)?;
        Ok(Self {
            principal: session.principal,
            user: session.subject.user_id,
            provider: session.provider,
            provider_session: session.provider_session,
            authenticated_at: session.authenticated_at,
            expires_at: session.expires_at,
            idle: session.idle,
            last_used: session.last_used,
            asked_at: session.last_used,
            refresh_at: None,
            attempts: 0,
            refreshing: None,
        })
    }

    /// When the session ends by itself if nobody uses it again.
    fn deadline(&self) -> Timestamp {
        self.idle.map_or(self.expires_at, |idle| self.expires_at.min(self.last_used.saturating_add(idle)))
    }

    pub(crate) fn is_over(&self, now: Timestamp) -> bool {
        now >= self.deadline()
    }

    /// Whether it was used since its provider was asked, and no answer is awaited.
    fn awaits_refresh(&self) -> bool {
        let awaited = self.refreshing.is_some_and(|since| self.last_used.since(since) < REFRESH_LOST);
        self.last_used > self.asked_at && !awaited
    }
}

/// Whose tokens are due.
pub(crate) type DueEntry = (SessionKey, ProviderName, Principal);

/// The index.
#[derive(Debug, Default)]
pub(crate) struct Index {
    by_key: HashMap<SessionKey, Entry>,
    by_principal: HashMap<Principal, HashSet<SessionKey>>,
    by_user: HashMap<Arc<str>, HashSet<SessionKey>>,
    by_provider_session: HashMap<(Arc<str>, Arc<str>), HashSet<SessionKey>>,
    deadlines: BTreeSet<(Timestamp, SessionKey)>,
    /// Sessions that were used since their provider was last asked, by when the next refresh is due.
    refreshes: BTreeSet<(Timestamp, SessionKey)>,
    redeemed: BTreeSet<(Timestamp, [u8; 16])>,
    farewells: BTreeSet<(Timestamp, SessionKey)>,
}

impl Index {
    pub(crate) fn insert(&mut self, key: SessionKey, entry: Entry) {
        self.remove(&key);
        self.by_principal.entry(entry.principal.clone()).or_default().insert(key);
        self.by_user.entry(Arc::clone(&entry.user)).or_default().insert(key);
        if let Some(name) = provider_session(&entry) {
            self.by_provider_session.entry(name).or_default().insert(key);
        }
        self.deadlines.insert((entry.deadline(), key));
        self.by_key.insert(key, entry);
    }

    pub(crate) fn remove(&mut self, key: &SessionKey) -> Option<Entry> {
        let entry = self.by_key.remove(key)?;
        take(&mut self.by_principal, &entry.principal, key);
        take(&mut self.by_user, &entry.user, key);
        if let Some(name) = provider_session(&entry) {
            take(&mut self.by_provider_session, &name, key);
        }
        self.deadlines.remove(&(entry.deadline(), *key));
        if let Some(at) = entry.refresh_at {
            self.refreshes.remove(&(at, *key));
        }
        Some(entry)
    }

    /// Moves a last use forward; an older one changes nothing.
    pub(crate) fn touch(&mut self, key: &SessionKey, at: Timestamp) {
        let Some(entry) = self.by_key.get_mut(key) else { return };
        if entry.last_used >= at {
            return;
        }
        let before = entry.deadline();
        entry.last_used = at;
        if entry.awaits_refresh() {
            self.refreshes.extend(entry.refresh_at.map(|due| (due, *key)));
        }
        let after = entry.deadline();
        if before != after {
            self.deadlines.remove(&(before, *key));
            self.deadlines.insert((after, *key));
        }
    }

    /// A stored session's tokens are to be refreshed at `at`, once the session is used again.
    pub(crate) fn refresh_stored(&mut self, key: &SessionKey, at: Option<Timestamp>) {
        let Some(entry) = self.by_key.get_mut(key) else { return };
        entry.asked_at = entry.last_used;
        self.schedule(key, at);
    }

    /// A refresh is under way since `now`.
    pub(crate) fn refresh_begun(&mut self, key: &SessionKey, now: Timestamp) {
        let Some(entry) = self.by_key.get_mut(key) else { return };
        entry.asked_at = now;
        entry.refreshing = Some(now);
        if let Some(at) = entry.refresh_at {
            self.refreshes.remove(&(at, *key));
        }
    }

    /// The provider has answered; it is asked again at `next`.
    pub(crate) fn refreshed(&mut self, key: &SessionKey, next: Option<Timestamp>) {
        let Some(entry) = self.by_key.get_mut(key) else { return };
        entry.attempts = 0;
        self.schedule(key, next);
    }

    /// A refresh has failed; the next one is at `at`.
    pub(crate) fn refresh_later(&mut self, key: &SessionKey, at: Timestamp) {
        let Some(entry) = self.by_key.get_mut(key) else { return };
        entry.attempts = entry.attempts.saturating_add(1);
        self.schedule(key, Some(at));
    }

    fn schedule(&mut self, key: &SessionKey, at: Option<Timestamp>) {
        let Some(entry) = self.by_key.get_mut(key) else { return };
        if let Some(before) = std::mem::replace(&mut entry.refresh_at, at) {
            self.refreshes.remove(&(before, *key));
        }
        entry.refreshing = None;
        if entry.awaits_refresh() {
            self.refreshes.extend(at.map(|at| (at, *key)));
        }
    }

    /// Up to `most` live sessions whose refresh is due at `now`, the longest due first.
    pub(crate) fn refreshes_due(&self, now: Timestamp, most: usize) -> Vec<DueEntry> {
        let live = |(_, key)| self.live(&key, now).map(|entry| (key, entry.provider.clone(), entry.principal.clone()));
        due(&self.refreshes, now, usize::MAX).filter_map(live).take(most).collect()
    }

    pub(crate) fn note_redeemed(&mut self, id: [u8; 16], until: Timestamp) {
        self.redeemed.insert((until, id));
    }

    pub(crate) fn forget_redeemed(&mut self, id: [u8; 16], until: Timestamp) {
        self.redeemed.remove(&(until, id));
    }

    pub(crate) fn note_farewell(&mut self, key: SessionKey, until: Timestamp) {
        self.farewells.insert((until, key));
    }

    pub(crate) fn forget_farewell(&mut self, key: SessionKey, until: Timestamp) {
        self.farewells.remove(&(until, key));
    }

    pub(crate) fn get(&self, key: &SessionKey) -> Option<&Entry> {
        self.by_key.get(key)
    }

    /// The session, unless it is over at `now`.
    pub(crate) fn live(&self, key: &SessionKey, now: Timestamp) -> Option<&Entry> {
        self.by_key.get(key).filter(|entry| !entry.is_over(now))
    }

    pub(crate) fn select(&self, selector: &EndSelector) -> Vec<SessionKey> {
        let keys = match selector {
            EndSelector::Key(key) => return self.by_key.contains_key(key).then_some(*key).into_iter().collect(),
            EndSelector::Principal(principal) => self.by_principal.get(principal),
            EndSelector::ProviderSession { issuer, id } => {
                self.by_provider_session.get(&(Arc::clone(issuer), Arc::clone(id)))
            }
            EndSelector::User(user) => self.by_user.get(user),
        };
        keys.into_iter().flatten().copied().collect()
    }

    /// Up to `most` sessions that are over at `now`, earliest first.
    pub(crate) fn over(&self, now: Timestamp, most: usize) -> Vec<SessionKey> {
        due(&self.deadlines, now, most).map(|(_, key)| key).collect()
    }

    /// Up to `most` hand-over ids that need not be remembered any more.
    pub(crate) fn redeemed_over(&self, now: Timestamp, most: usize) -> Vec<(Timestamp, [u8; 16])> {
        due(&self.redeemed, now, most).collect()
    }

    /// Up to `most` farewells that nobody came for.
    pub(crate) fn farewells_over(&self, now: Timestamp, most: usize) -> Vec<(Timestamp, SessionKey)> {
        due(&self.farewells, now, most).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.by_key.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&SessionKey, &Entry)> {
        self.by_key.iter()
    }
}

fn due<T: Copy>(set: &BTreeSet<(Timestamp, T)>, now: Timestamp, most: usize) -> impl Iterator<Item = (Timestamp, T)> {
    set.iter().take_while(move |(at, _)| *at <= now).take(most).copied()
}

fn provider_session(entry: &Entry) -> Option<(Arc<str>, Arc<str>)> {
    entry.provider_session.as_ref().map(|id| (Arc::clone(&entry.principal.issuer), Arc::clone(id)))
}

/// Takes a key out of one name's set, and the name with its last key.
fn take<N: Eq + Hash>(map: &mut HashMap<N, HashSet<SessionKey>>, name: &N, key: &SessionKey) {
    if let Some(keys) = map.get_mut(name) {
        keys.remove(key);
        if keys.is_empty() {
            map.remove(name);
        }
    }
}
