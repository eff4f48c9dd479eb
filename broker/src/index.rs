//! Which sessions live, by every name somebody ends them by; rebuilt from the store at each start.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use portcullis_broker_api::wire::{WireError, generated as proto};
use portcullis_broker_api::{EndSelector, NewSession, wire};
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
            tokens: _,
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
        })
    }

    /// When the session ends by itself if nobody uses it again.
    fn deadline(&self) -> Timestamp {
        self.idle.map_or(self.expires_at, |idle| self.expires_at.min(self.last_used.saturating_add(idle)))
    }

    pub(crate) fn is_over(&self, now: Timestamp) -> bool {
        now >= self.deadline()
    }
}

/// The index.
#[derive(Debug, Default)]
pub(crate) struct Index {
    by_key: HashMap<SessionKey, Entry>,
    by_principal: HashMap<Principal, HashSet<SessionKey>>,
    by_user: HashMap<Arc<str>, HashSet<SessionKey>>,
    by_provider_session: HashMap<(Arc<str>, Arc<str>), HashSet<SessionKey>>,
    deadlines: BTreeSet<(Timestamp, SessionKey)>,
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
        let after = entry.deadline();
        if before != after {
            self.deadlines.remove(&(before, *key));
            self.deadlines.insert((after, *key));
        }
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
