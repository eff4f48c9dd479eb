//! Refreshes at providers: marked before, written by compare-and-set after.

use std::time::Duration;

use portcullis_broker_api::wire::generated as proto;
use portcullis_broker_api::{EndReason, Profile, Tokens, wire};
use portcullis_identity::{Principal, ProviderName, SessionKey, Timestamp};

use super::{End, Plan, Planned, Settled, Step, answered, applied, apply_ends, delete, put};
use crate::index::{DueEntry, Lease, Room};
use crate::queue::{Refusal, Reply, store_failed};
use crate::reader;
use crate::state::Known;
use crate::storage::{Change, Expect, Kind, LogEntry, News, Outcome, Write};
use crate::writer::Hints;

/// The pause after a refresh that failed, doubled with each failure.
const PAUSE: Duration = Duration::from_secs(30);
/// The longest such pause.
const PAUSE_MAX: Duration = Duration::from_secs(600);

/// A session whose tokens are to be refreshed; marked so on disk.
#[derive(Clone, Debug)]
pub(crate) struct Due {
    pub(crate) key: SessionKey,
    /// The version of the mark: what is written afterwards must find it.
    pub(crate) mark: u64,
    /// An earlier refresh was begun and nobody knows how it ended.
    pub(crate) interrupted: bool,
    pub(crate) provider: ProviderName,
    pub(crate) principal: Principal,
    pub(crate) tokens: Tokens,
}

/// How a refresh went.
#[derive(Clone, Debug)]
pub(crate) enum RefreshOutcome {
    /// New tokens, and what is new about the person, if anything is known.
    Renewed { tokens: Tokens, facts: Option<Facts> },
    /// None now. `Sureness::Unsure`: the provider may have spent the refresh token all the same.
    Kept(Sureness),
    /// The refresh token is worth nothing any more, but nobody says that the session is over.
    Stopped,
    /// The provider says that the session is over, or contradicts it.
    Ended,
}

/// Whether it is known what a provider did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sureness {
    Sure,
    Unsure,
}

/// What a provider says of a person by now.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) profile: Profile,
    pub(crate) claims_json: String,
}

/// Refreshes that begin.
#[derive(Debug)]
pub(crate) struct Begin {
    pub(super) dues: Vec<Due>,
    /// Due, but their tokens cannot be read now.
    pub(super) unread: Vec<SessionKey>,
    /// The one that somebody waits for.
    pub(super) wanted: Option<SessionKey>,
    pub(super) now: Timestamp,
    pub(super) reply: Reply<Vec<Due>>,
}

/// A refresh that is over.
#[derive(Debug)]
pub(crate) struct Finish {
    key: SessionKey,
    next: Next,
    /// What each change told followers: the session's own, and those of what was made of it.
    news: Vec<Option<LogEntry>>,
    pub(super) reply: Reply<()>,
}

/// When the session is refreshed next.
#[derive(Debug)]
enum Next {
    /// After an answer: as these tokens are good, if they can be refreshed.
    Answered(Option<Lease>),
    /// After a failure, at this instant.
    Later(Timestamp),
    /// Never: it is over.
    Ended(Vec<End>),
}

impl RefreshOutcome {
    /// One word for metrics.
    pub(crate) const fn label(&self) -> &'static str {
        match self {
            Self::Renewed { .. } => "renewed",
            Self::Kept(Sureness::Sure) => "failed",
            Self::Kept(Sureness::Unsure) => "interrupted",
            Self::Stopped => "stopped",
            Self::Ended => "ended",
        }
    }
}

impl Plan<'_> {
    /// Marks sessions that are due and in use, as far as there is room.
    pub(crate) fn begin_refreshes(&self, room: &Room, reply: Reply<Vec<Due>>) -> Planned {
        let used = self.shared.known().index.refreshes_due(self.now, room);
        self.begin(used, None, reply)
    }

    /// Marks a dormant session, or what it was made of, that somebody waits for. Without room, its refresh comes when
    /// there is some.
    pub(crate) fn begin_wanted(&self, key: &SessionKey, room: bool, reply: Reply<Vec<Due>>) -> Planned {
        let Some(found) = self.shared.known().index.dormant(key, self.now) else {
            return answered(reply, Ok(Vec::new()));
        };
        let wanted = Some(found.0);
        self.begin(if room { vec![found] } else { Vec::new() }, wanted, reply)
    }

    fn begin(&self, found: Vec<DueEntry>, wanted: Option<SessionKey>, reply: Reply<Vec<Due>>) -> Planned {
        let mut unread = Vec::new();
        let mut dues = Vec::with_capacity(found.len());
        let mut changes = Vec::with_capacity(found.len());
        for (key, provider, principal) in found {
            match self.due(key, provider, principal) {
                Ok(due) => {
                    let value = self.now.unix_millis().to_be_bytes().to_vec();
                    let write = put(Kind::Refreshing, key.as_bytes().to_vec(), Expect::Anything, value);
                    changes.push(Change { writes: vec![write], log: None });
                    dues.push(due);
                }
                // Told where it happened; the others go on.
                Err(_refused) => unread.push(key),
            }
        }
        if dues.is_empty() && unread.is_empty() && wanted.is_none() {
            return answered(reply, Ok(dues));
        }
        Some((Step::Begin(Begin { dues, unread, wanted, now: self.now, reply }), changes))
    }

    fn due(&self, key: SessionKey, provider: ProviderName, principal: Principal) -> Result<Due, Refusal> {
        let tokens = reader::held_tokens(self.shared, self.storage, &key)?;
        let mark = self.storage.get(Kind::Refreshing, key.as_bytes()).map_err(|error| store_failed(&error))?;
        Ok(Due { key, mark: 0, interrupted: mark.is_some(), provider, principal, tokens })
    }

    /// Writes how a refresh went, if its mark is still there.
    pub(crate) fn finish_refresh(
        &self,
        (key, mark): (SessionKey, u64),
        outcome: RefreshOutcome,
        reply: Reply<()>,
    ) -> Planned {
        match self.finished(key, mark, outcome) {
            Ok((next, changes)) => {
                let news = changes.iter().map(|change| change.log).collect();
                Some((Step::Finish(Finish { key, next, news, reply }), changes))
            }
            Err(refusal) => answered(reply, Err(refusal)),
        }
    }

    fn finished(&self, key: SessionKey, mark: u64, outcome: RefreshOutcome) -> Result<(Next, Vec<Change>), Refusal> {
        let id = key.as_bytes().to_vec();
        let attempts = self.shared.known().index.get(&key).map(|entry| entry.attempts).ok_or(Refusal::NoSession)?;
        let unmark = delete(Kind::Refreshing, id.clone(), Expect::Version(mark));
        let vault = &self.shared.vault;
        let mut change = Change { writes: vec![unmark], log: None };
        let mut family = Vec::new();
        let next = match outcome {
            RefreshOutcome::Renewed { tokens, facts } => {
                change.writes.push(put(Kind::Tokens, id, Expect::Present, vault.seal_tokens(&key, &tokens)));
                if let Some(facts) = &facts {
                    // A session that cannot be read is told where it happened; the new tokens are not lost by it.
                    if let Ok(Some(write)) = self.changed(key, facts) {
                        change.writes.push(write);
                        change.log = Some(LogEntry { key, news: News::Changed });
                    }
                    // What was made of it is about the same person.
                    family = self.family_changed(key, facts);
                }
                Next::Answered(Lease::of(&tokens, self.now))
            }
            RefreshOutcome::Kept(sureness) => {
                if sureness == Sureness::Unsure {
                    // The mark stays: the next refresh knows that this one may have gone through.
                    let value = self.now.unix_millis().to_be_bytes().to_vec();
                    change.writes = vec![put(Kind::Refreshing, id, Expect::Version(mark), value)];
                }
                Next::Later(self.now.saturating_add(pause(attempts)))
            }
            RefreshOutcome::Stopped => {
                let tokens = reader::held_tokens(self.shared, self.storage, &key)?;
                let tokens = Tokens { refresh_token: None, ..tokens };
                change.writes.push(put(Kind::Tokens, id, Expect::Present, vault.seal_tokens(&key, &tokens)));
                Next::Answered(None)
            }
            RefreshOutcome::Ended => {
                let (ends, changes) = self.ends(vec![key], EndReason::Provider, Some(Hints::Keep))?;
                let mut ended = changes.into_iter().next().ok_or(Refusal::NoSession)?;
                // Another refresh may have gone through since: only the one that the mark is of may end anything.
                ended.writes.retain(|write| write.kind != Kind::Refreshing);
                ended.writes.append(&mut change.writes);
                return Ok((Next::Ended(ends), vec![ended]));
            }
        };
        family.insert(0, change);
        Ok((next, family))
    }

    fn family_changed(&self, key: SessionKey, facts: &Facts) -> Vec<Change> {
        let derived = self.shared.known().index.families().derived(&key);
        let change = |key: SessionKey| {
            let write = self.changed(key, facts).ok()??;
            Some(Change { writes: vec![write], log: Some(LogEntry { key, news: News::Changed }) })
        };
        derived.into_iter().filter_map(change).collect()
    }

    /// The session with new facts; `None` if they are the old ones.
    fn changed(&self, key: SessionKey, facts: &Facts) -> Result<Option<Write>, Refusal> {
        let stored = self.storage.get(Kind::Session, key.as_bytes()).map_err(|error| store_failed(&error))?;
        let stored = stored.ok_or(Refusal::NoSession)?;
        let vault = &self.shared.vault;
        let old = vault.open_session(&key, &stored.value).map_err(|error| reader::unopened(&error))?;
        let Facts { profile, claims_json } = facts;
        let profile = Some(wire::profile_message(profile));
        let new = proto::Session { profile, claims: claims_json.clone(), ..old.clone() };
        if new == old {
            return Ok(None);
        }
        let value = vault.reseal_session(&key, &new);
        Ok(Some(put(Kind::Session, key.as_bytes().to_vec(), Expect::Version(stored.version), value)))
    }
}

/// How long after a failure the provider is asked again, if `attempts` failed before.
fn pause(attempts: u32) -> Duration {
    PAUSE.saturating_mul(1_u32.checked_shl(attempts).unwrap_or(u32::MAX)).min(PAUSE_MAX)
}

impl Begin {
    pub(super) fn apply(self, outcomes: &[Outcome], known: &mut Known) -> Settled {
        let Self { dues, unread, wanted, now, reply } = self;
        if let Some(key) = wanted.filter(|_| dues.is_empty()) {
            known.index.want(&key);
        }
        for key in unread {
            let attempts = known.index.get(&key).map_or(0, |entry| entry.attempts);
            known.index.refresh_begun(&key, now, wanted.is_some());
            known.index.refresh_later(&key, now.saturating_add(pause(attempts)));
        }
        let marked = |(due, outcome): (Due, &Outcome)| Some(Due { mark: applied(*outcome)?, ..due });
        let dues: Vec<Due> = dues.into_iter().zip(outcomes).filter_map(marked).collect();
        dues.iter().for_each(|due| known.index.refresh_begun(&due.key, now, wanted.is_some()));
        Settled::Begun { dues, reply }
    }
}

impl Finish {
    pub(super) fn apply(self, outcomes: &[Outcome], known: &mut Known) -> Settled {
        let Self { key, next, news, reply } = self;
        // Without its mark somebody else has ended the session, or the broker was another one meanwhile.
        let marked = outcomes.first().is_some_and(|outcome| applied(*outcome).is_some());
        match next {
            Next::Ended(ends) => {
                return Settled::Finished { ended: apply_ends(ends, EndReason::Provider, outcomes, known), reply };
            }
            Next::Answered(next) if marked => known.index.refreshed(&key, next),
            Next::Later(at) if marked => known.index.refresh_later(&key, at),
            Next::Answered(_) | Next::Later(_) => {}
        }
        for (outcome, news) in outcomes.iter().zip(news) {
            if let Some((version, news)) = applied(*outcome).zip(news) {
                known.ring.push(version, news);
            }
        }
        Settled::Finished { ended: Vec::new(), reply }
    }
}
