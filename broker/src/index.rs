//! Which sessions live, by every name somebody ends them by; rebuilt from the store at each start.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::sync::Arc;
use std::time::Duration;

pub(crate) use families::{Families, Made};
use portcullis_broker_api::wire::{WireError, generated as proto};
use portcullis_broker_api::{EndSelector, NewSession, wire};
use portcullis_identity::{Pool, Principal, ProviderName, SessionKey, Timestamp};
use refreshes::Refreshes;
pub(crate) use refreshes::{DueEntry, Lapse, Lease, Room};

mod families;
mod refreshes;

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
    /// What is known of its tokens; `None`: they are never refreshed.
    pub(crate) lease: Option<Lease>,
    /// Refreshes that failed in a row.
    pub(crate) attempts: u32,
    /// Whether a refresh is under way, since `asked_at`.
    pub(crate) refreshing: bool,
    /// Whether somebody was answered by what was known, for want of new tokens: that asks for a refresh as a use does.
    pub(crate) wanted: bool,
    /// Whether replicas were told that it is dormant.
    pub(crate) told: bool,
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
            lease: Lease::of(tokens, last_used),
            attempts: 0,
            refreshing: false,
            wanted: false,
            told: false,
        }
    }

    /// The entry of a stored session.
    pub(crate) fn of_stored(message: proto::Session) -> Result<Self, WireError> {
        // Claims are most of a record, and nothing of them is kept here.
        let session = wire::session(proto::Session { claims: "{}".to_owned(), ..message })?;
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
            lease: None,
            attempts: 0,
            refreshing: false,
            wanted: false,
            told: false,
        })
    }

    /// When the session ends by itself if nobody uses it again.
    fn deadline(&self) -> Timestamp {
        self.idle.map_or(self.expires_at, |idle| self.expires_at.min(self.last_used.saturating_add(idle)))
    }

    pub(crate) fn is_over(&self, now: Timestamp) -> bool {
        now >= self.deadline()
    }

    fn provider_session(&self) -> Option<(&str, &str)> {
        self.provider_session.as_deref().map(|id| (&*self.principal.issuer, id))
    }

    /// With what many entries have in common kept once.
    fn shared(self, pool: &mut Pool) -> Self {
        let Self { principal: Principal { issuer, subject }, user, provider, .. } = self;
        let user = if user == subject { Arc::clone(&subject) } else { user };
        let provider = ProviderName::new(pool.text(provider.into()));
        Self { principal: Principal { issuer: pool.text(issuer), subject }, user, provider, ..self }
    }
}

/// The index. A million sessions are an ordinary number of them: every way to find one leads to its slot, and the
/// ways by name hold digests, which the entry itself confirms.
#[derive(Debug, Default)]
pub(crate) struct Index {
    slots: Vec<Option<(SessionKey, Entry)>>,
    free: Vec<u32>,
    by_key: HashMap<SessionKey, u32>,
    by_principal: BTreeSet<(u64, u32)>,
    by_user: BTreeSet<(u64, u32)>,
    by_provider_session: BTreeSet<(u64, u32)>,
    deadlines: BTreeSet<(Timestamp, u32)>,
    refreshes: Refreshes,
    families: Families,
    redeemed: BTreeSet<(Timestamp, [u8; 16])>,
    farewells: BTreeSet<(Timestamp, SessionKey)>,
    hasher: RandomState,
    pool: Pool,
}

impl Index {
    pub(crate) fn insert(&mut self, key: SessionKey, entry: Entry) {
        self.remove(&key);
        let entry = entry.shared(&mut self.pool);
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            // Four thousand million sessions fit into no memory.
            u32::try_from(self.slots.len().saturating_sub(1)).unwrap_or(u32::MAX)
        });
        self.by_principal.insert((self.digest(&entry.principal), slot));
        self.by_user.insert((self.digest(&*entry.user), slot));
        if let Some(name) = entry.provider_session() {
            self.by_provider_session.insert((self.digest(&name), slot));
        }
        self.deadlines.insert((entry.deadline(), slot));
        self.refreshes.insert(&entry, slot);
        self.by_key.insert(key, slot);
        if let Some(place) = self.slots.get_mut(place(slot)) {
            *place = Some((key, entry));
        }
    }

    /// A session that was made of another one.
    pub(crate) fn insert_derived(&mut self, key: SessionKey, made: Made, entry: Entry) {
        self.insert(key, entry);
        self.families.join(key, made);
    }

    /// Once every session of the store is here: those whose parent is not are over.
    pub(crate) fn settle_families(&mut self) {
        let by_key = &self.by_key;
        self.families.settle(|parent| by_key.contains_key(parent));
    }

    pub(crate) fn remove(&mut self, key: &SessionKey) -> Option<Entry> {
        let slot = self.by_key.remove(key)?;
        self.families.leave(key);
        let (_, entry) = self.slots.get_mut(place(slot))?.take()?;
        self.by_principal.remove(&(self.digest(&entry.principal), slot));
        self.by_user.remove(&(self.digest(&*entry.user), slot));
        if let Some(name) = entry.provider_session() {
            self.by_provider_session.remove(&(self.digest(&name), slot));
        }
        self.deadlines.remove(&(entry.deadline(), slot));
        self.refreshes.remove(&entry, slot);
        self.free.push(slot);
        Some(entry)
    }

    /// Moves a last use forward; an older one changes nothing.
    pub(crate) fn touch(&mut self, key: &SessionKey, at: Timestamp) {
        let Some((slot, entry)) = held(&mut self.slots, &self.by_key, key) else { return };
        if entry.last_used >= at {
            return;
        }
        let before = entry.deadline();
        self.refreshes.used(entry, slot, at);
        let after = entry.deadline();
        if before != after {
            self.deadlines.remove(&(before, slot));
            self.deadlines.insert((after, slot));
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
        self.at(*self.by_key.get(key)?).map(|(_, entry)| entry)
    }

    /// The session, unless it is over at `now`.
    pub(crate) fn live(&self, key: &SessionKey, now: Timestamp) -> Option<&Entry> {
        self.get(key).filter(|entry| !entry.is_over(now) && !self.families.orphans().contains(key))
    }

    pub(crate) fn select(&self, selector: &EndSelector) -> Vec<SessionKey> {
        match selector {
            EndSelector::Key(key) => self.by_key.contains_key(key).then_some(*key).into_iter().collect(),
            EndSelector::Principal(principal) => {
                self.named(&self.by_principal, self.digest(principal), |entry| entry.principal == *principal)
            }
            EndSelector::ProviderSession { issuer, id } => {
                let name = (&**issuer, &**id);
                self.named(&self.by_provider_session, self.digest(&name), |entry| {
                    entry.provider_session() == Some(name)
                })
            }
            EndSelector::User(user) => self.named(&self.by_user, self.digest(&**user), |entry| entry.user == *user),
        }
    }

    /// Up to `most` sessions that are over at `now`: those that their parent has left, then the earliest.
    pub(crate) fn over(&self, now: Timestamp, most: usize) -> Vec<SessionKey> {
        let orphans = self.families.orphans();
        let late = due(&self.deadlines, now, most).filter_map(|(_, slot)| self.at(slot)).map(|(key, _)| *key);
        orphans.iter().copied().chain(late.filter(|key| !orphans.contains(key))).take(most).collect()
    }

    /// Which sessions were made of which.
    pub(crate) const fn families(&self) -> &Families {
        &self.families
    }

    /// The live sessions that were made of a live one, the oldest first, each with its last use. A family has a bound, so
    /// has this.
    pub(crate) fn derived(&self, parent: &SessionKey, now: Timestamp) -> Vec<(SessionKey, &Made, Timestamp)> {
        if self.live(parent, now).is_none() {
            return Vec::new();
        }
        let family = self.families.derived(parent).into_iter();
        family.filter_map(|key| Some((key, self.families.made(&key)?, self.live(&key, now)?.last_used))).collect()
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
        self.slots.iter().flatten().map(|(key, entry)| (key, entry))
    }

    fn at(&self, slot: u32) -> Option<&(SessionKey, Entry)> {
        self.slots.get(place(slot))?.as_ref()
    }

    /// The sessions under a name's digest that have the name.
    fn named(&self, ways: &BTreeSet<(u64, u32)>, digest: u64, has: impl Fn(&Entry) -> bool) -> Vec<SessionKey> {
        let found = ways.range((digest, 0)..=(digest, u32::MAX)).filter_map(|(_, slot)| self.at(*slot));
        found.filter(|(_, entry)| has(entry)).map(|(key, _)| *key).collect()
    }

    fn digest<N: Hash + ?Sized>(&self, name: &N) -> u64 {
        self.hasher.hash_one(name)
    }
}

fn place(slot: u32) -> usize {
    usize::try_from(slot).unwrap_or(usize::MAX)
}

fn due<T: Copy>(set: &BTreeSet<(Timestamp, T)>, now: Timestamp, most: usize) -> impl Iterator<Item = (Timestamp, T)> {
    set.iter().take_while(move |(at, _)| *at <= now).take(most).copied()
}

/// The slot and entry of a session.
fn held<'a>(
    slots: &'a mut [Option<(SessionKey, Entry)>],
    by_key: &HashMap<SessionKey, u32>,
    key: &SessionKey,
) -> Option<(u32, &'a mut Entry)> {
    let slot = *by_key.get(key)?;
    let (_, entry) = slots.get_mut(place(slot))?.as_mut()?;
    Some((slot, entry))
}

#[cfg(test)]
mod tests;
