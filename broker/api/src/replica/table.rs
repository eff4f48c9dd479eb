//! The sessions held, and the few facts that keep an old answer from bringing an ended one back.

use std::collections::VecDeque;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use portcullis_identity::{Pool, Session, SessionKey, Timestamp};

use super::Resolved;
use super::held::{Held, millis};
use crate::ServerId;

/// The most keys remembered as ended or as newer than any answer under way.
const REMEMBERED: usize = 131_072;
/// The sessions looked at to find one to drop.
const SAMPLE: usize = 8;
/// A session's last use, as others read it in the session, is at most this much and one report behind.
const NOTE_AFTER: Duration = Duration::from_secs(5);

/// What landing an answer in the table did.
#[derive(Debug)]
pub(super) enum Landing {
    /// Held now: the answer, or something newer that was held before.
    Held(Arc<Session>),
    /// There is no such session. `was_held`: until now it was held here.
    Gone { was_held: bool },
    /// The stream has told of something newer than the answer: ask again.
    TooOld,
}

/// Sessions by key. Reads take no lock; writes go one at a time through the ledger.
#[derive(Debug)]
pub(super) struct Table {
    places: papaya::HashMap<SessionKey, Place>,
    // A lock because a write touches map, slots, sums and floor together; writers are the stream and
    // fetches that land, never a hit. Not held across an await: everything here is synchronous.
    ledger: Mutex<Ledger>,
    max_bytes: usize,
    hasher: RandomState,
}

#[derive(Debug)]
enum Place {
    Held(Held),
    /// Ended by this version, or absent as of it: final, for keys are digests of random handles.
    Gone {
        version: u64,
    },
    /// Not held, and answers older than this version are out of date.
    Newer {
        version: u64,
    },
}

#[derive(Debug, Default)]
struct Ledger {
    /// The sessions held, in any order, for sampling.
    held: Vec<Arc<Session>>,
    bytes: usize,
    /// The keys that are `Gone` or `Newer`, oldest first.
    remembered: VecDeque<(SessionKey, u64)>,
    /// Answers read before this version may contradict what was forgotten or reset.
    floor: u64,
    server: Option<ServerId>,
    /// Every change up to here is applied.
    version: u64,
    draws: u64,
    /// What sessions have in common.
    pool: Pool,
}

impl Table {
    pub(super) fn new(max_bytes: usize) -> Self {
        Self { places: papaya::HashMap::new(), ledger: Mutex::default(), max_bytes, hasher: RandomState::new() }
    }

    /// A session to be held, with what others have in common with it in the place of its own.
    pub(super) fn shared(&self, session: Session) -> Arc<Session> {
        self.ledger().pool.share(session).into()
    }

    /// What is held of `key`. A session that looks idle for too long is `Missing`: the broker may know of a
    /// use at another proxy.
    pub(super) fn look(&self, key: &SessionKey, now: Timestamp) -> Resolved {
        let places = self.places.pin();
        match places.get(key) {
            None | Some(Place::Newer { version: _ }) => Resolved::Missing,
            Some(Place::Gone { version: _ }) => Resolved::Absent,
            Some(Place::Held(held)) if now >= held.session.expires_at => Resolved::Absent,
            Some(Place::Held(held)) if held.is_idle(now) => Resolved::Missing,
            Some(Place::Held(held)) => {
                held.look(now);
                Resolved::Session(Arc::clone(&held.session))
            }
        }
    }

    /// Takes note of a use; `queue` is called if the use must go to [`Table::refresh`], and says whether it will.
    pub(super) fn note_use(&self, key: &SessionKey, now: Timestamp, queue: impl FnOnce() -> bool) {
        let places = self.places.pin();
        let Some(Place::Held(held)) = places.get(key) else { return };
        let now = now.unix_millis();
        held.last_used.fetch_max(now, Ordering::Relaxed);
        let before = held.noted.load(Ordering::Relaxed);
        if now.saturating_sub(before) < millis(NOTE_AFTER).min(held.report_after()) {
            return;
        }
        let won = held.noted.compare_exchange(before, now, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if won && !queue() {
            held.noted.store(before, Ordering::Relaxed);
        }
    }

    /// Lands the broker's answer for `key`, read at version `head` of `server`; `None`: there is no session.
    pub(super) fn land(
        &self,
        server: Option<ServerId>,
        head: u64,
        key: &SessionKey,
        session: Option<Arc<Session>>,
    ) -> Landing {
        let mut ledger = self.ledger();
        let foreign = matches!((server, ledger.server), (Some(theirs), Some(ours)) if theirs != ours);
        if foreign || head < ledger.floor {
            return Landing::TooOld;
        }
        let places = self.places.pin();
        let was_held = match places.get(key) {
            Some(Place::Gone { version: _ }) => return Landing::Gone { was_held: false },
            Some(Place::Newer { version }) if head < *version => return Landing::TooOld,
            Some(Place::Held(held)) if session.as_ref().is_some_and(|answer| answer.version < held.session.version) => {
                return Landing::Held(Arc::clone(&held.session));
            }
            Some(Place::Held(held)) if session.is_none() && head < held.session.version => return Landing::TooOld,
            Some(Place::Held(_)) => true,
            Some(Place::Newer { version: _ }) | None => false,
        };
        match session {
            Some(session) => {
                self.hold(&mut ledger, Held::new(Arc::clone(&session)));
                Landing::Held(session)
            }
            None => {
                self.remember(&mut ledger, key, Place::Gone { version: head }, head);
                Landing::Gone { was_held }
            }
        }
    }

    /// Applies the end of a session.
    pub(super) fn end(&self, key: &SessionKey, version: u64) {
        let mut ledger = self.ledger();
        self.remember(&mut ledger, key, Place::Gone { version }, version);
        ledger.version = ledger.version.max(version);
    }

    /// Applies an end that the broker has answered and the stream has yet to tell.
    pub(super) fn end_early(&self, key: &SessionKey) {
        let mut ledger = self.ledger();
        let version = ledger.version;
        self.remember(&mut ledger, key, Place::Gone { version }, version);
    }

    /// Applies a newer version of a session: replaces it if it is held, else only outdates answers.
    pub(super) fn change(&self, session: Session, version: u64) {
        let mut ledger = self.ledger();
        ledger.version = ledger.version.max(version);
        let places = self.places.pin();
        match places.get(&session.key) {
            Some(Place::Gone { version: _ }) => {}
            Some(Place::Held(held)) if held.session.version >= session.version => {}
            Some(Place::Held(held)) => {
                // The broker hears of uses later than this copy does.
                let last_used = session.last_used.max(held.session.last_used);
                let session = ledger.pool.share(Session { last_used, ..session });
                self.hold(&mut ledger, Held::new(session.into()));
            }
            Some(Place::Newer { version: _ }) | None => {
                self.remember(&mut ledger, &session.key, Place::Newer { version }, version);
            }
        }
    }

    /// Lets go of a session that lives on: the broker is to be asked for it, and answers from before `version` do not count.
    pub(super) fn let_go(&self, key: &SessionKey, version: u64) {
        let mut ledger = self.ledger();
        ledger.version = ledger.version.max(version);
        let places = self.places.pin();
        match places.get(key) {
            // What is newer than the word is not meant by it.
            Some(Place::Held(held)) if held.session.version > version => {}
            Some(Place::Gone { version: _ }) => {}
            Some(Place::Held(_) | Place::Newer { version: _ }) | None => {
                self.remember(&mut ledger, key, Place::Newer { version }, version);
            }
        }
    }

    /// Every change up to `version` is applied.
    pub(super) fn advance(&self, version: u64) {
        let mut ledger = self.ledger();
        ledger.version = ledger.version.max(version);
    }

    /// Drops everything, follows `server` from `version` on, and names the `most` keys used last, latest first.
    pub(super) fn reset(&self, server: ServerId, version: u64, most: usize) -> Vec<SessionKey> {
        let mut ledger = self.ledger();
        let places = self.places.pin();
        let mut keys: Vec<(u32, SessionKey)> = ledger
            .held
            .iter()
            .filter_map(|session| match places.get(&session.key) {
                Some(Place::Held(held)) => Some((held.looked_up.load(Ordering::Relaxed), session.key)),
                Some(Place::Gone { version: _ } | Place::Newer { version: _ }) | None => None,
            })
            .collect();
        keys.sort_unstable_by(|a, b| b.cmp(a));
        places.clear();
        let (draws, pool) = (ledger.draws, std::mem::take(&mut ledger.pool));
        *ledger = Ledger { server: Some(server), version, floor: version, draws, pool, ..Ledger::default() };
        keys.into_iter().take(most).map(|(_, key)| key).collect()
    }

    /// Writes later last uses into the sessions themselves, where others read them, and names those that the
    /// broker should hear of.
    pub(super) fn refresh(&self, uses: &[(SessionKey, Timestamp)]) -> Vec<(SessionKey, Timestamp)> {
        let mut ledger = self.ledger();
        let places = self.places.pin();
        let mut due = Vec::new();
        for (key, at) in uses {
            let Some(Place::Held(held)) = places.get(key) else { continue };
            if at.unix_millis().saturating_sub(held.reported.load(Ordering::Relaxed)) >= held.report_after() {
                held.reported.store(at.unix_millis(), Ordering::Relaxed);
                due.push((*key, *at));
            }
            if held.session.last_used < *at {
                let session = Session { last_used: *at, ..Session::clone(&held.session) };
                let fresh = Held::new(Arc::new(session));
                // This use is ours: that it is in the session does not mean that the broker knows it.
                fresh.reported.store(held.reported.load(Ordering::Relaxed), Ordering::Relaxed);
                self.hold(&mut ledger, fresh);
            }
        }
        due
    }

    /// Where a new stream resumes.
    pub(super) fn cursor(&self) -> Option<(ServerId, u64)> {
        let ledger = self.ledger();
        ledger.server.map(|server| (server, ledger.version))
    }

    pub(super) fn follows(&self, server: ServerId) -> bool {
        self.ledger().server == Some(server)
    }

    /// Server, version, sessions and bytes.
    pub(super) fn totals(&self) -> (Option<ServerId>, u64, usize, usize) {
        let ledger = self.ledger();
        (ledger.server, ledger.version, ledger.held.len(), ledger.bytes)
    }

    fn hold(&self, ledger: &mut Ledger, fresh: Held) {
        let key = fresh.session.key;
        let places = self.places.pin();
        if let Some(Place::Held(old)) = places.get(&key) {
            fresh.inherit(old);
            ledger.bytes = ledger.bytes.saturating_sub(old.bytes);
            if let Some(place) = ledger.held.get_mut(old.slot.load(Ordering::Relaxed)) {
                *place = Arc::clone(&fresh.session);
            }
        } else {
            fresh.slot.store(ledger.held.len(), Ordering::Relaxed);
            ledger.held.push(Arc::clone(&fresh.session));
        }
        ledger.bytes = ledger.bytes.saturating_add(fresh.bytes);
        places.insert(key, Place::Held(fresh));
        while ledger.bytes > self.max_bytes && ledger.held.len() > 1 {
            let Some(victim) = self.least_used(ledger, &key) else { break };
            self.release(ledger, &victim);
            places.remove(&victim);
        }
    }

    fn remember(&self, ledger: &mut Ledger, key: &SessionKey, place: Place, version: u64) {
        self.release(ledger, key);
        let places = self.places.pin();
        places.insert(*key, place);
        ledger.remembered.push_back((*key, version));
        if ledger.remembered.len() > REMEMBERED
            && let Some((oldest, known_at)) = ledger.remembered.pop_front()
        {
            // Once forgotten, the key's story is kept by the floor: answers from before it are refused.
            ledger.floor = ledger.floor.max(known_at);
            let forgotten = matches!(places.get(&oldest),
                Some(Place::Gone { version } | Place::Newer { version }) if *version == known_at);
            if forgotten {
                places.remove(&oldest);
            }
        }
    }

    /// Takes a held key out of the sums; its place in the map is the caller's to fill or remove.
    fn release(&self, ledger: &mut Ledger, key: &SessionKey) {
        let places = self.places.pin();
        let Some(Place::Held(held)) = places.get(key) else { return };
        ledger.bytes = ledger.bytes.saturating_sub(held.bytes);
        let slot = held.slot.load(Ordering::Relaxed);
        if slot < ledger.held.len() {
            ledger.held.swap_remove(slot);
        }
        if let Some(moved) = ledger.held.get(slot)
            && let Some(Place::Held(moved)) = places.get(&moved.key)
        {
            moved.slot.store(slot, Ordering::Relaxed);
        }
    }

    /// The key looked up longest ago among a few drawn at random, never `spared`.
    fn least_used(&self, ledger: &mut Ledger, spared: &SessionKey) -> Option<SessionKey> {
        let places = self.places.pin();
        let count = u64::try_from(ledger.held.len()).ok().filter(|count| *count > 0)?;
        let mut oldest: Option<(u32, SessionKey)> = None;
        for attempt in 0..SAMPLE * 4 {
            if attempt >= SAMPLE && oldest.is_some() {
                break;
            }
            ledger.draws = ledger.draws.wrapping_add(1);
            let drawn = self.hasher.hash_one(ledger.draws).checked_rem(count)?;
            let drawn = usize::try_from(drawn).ok().and_then(|slot| ledger.held.get(slot));
            let Some(key) = drawn.map(|session| &session.key) else { continue };
            let Some(Place::Held(held)) = places.get(key) else { continue };
            let seen = held.looked_up.load(Ordering::Relaxed);
            if key != spared && oldest.is_none_or(|(least, _)| seen < least) {
                oldest = Some((seen, *key));
            }
        }
        oldest.map(|(_, key)| key)
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
