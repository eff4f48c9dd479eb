//! What each command writes, and what follows once it is written.

mod derive;
mod dormant;
mod refresh;
mod writes;

use portcullis_broker_api::wire::generated as proto;
use portcullis_broker_api::{EndReason, EndSelector, Ended, LogoutHint, NewSession, Pushed, wire};
use portcullis_identity::{SessionKey, Timestamp};
use std::time::Duration;

use crate::index::Entry;
use crate::metrics::RedeemResult;
use crate::queue::{Refusal, Reply, answer, store_failed};
use crate::reader;
use crate::records::edit::Edited;
use crate::state::{Known, Shared, instant};
use crate::storage::{Change, Expect, Kind, LogEntry, News, Outcome, Storage, Write};
use crate::writer::Hints;

pub(crate) use derive::{Derive, Derived};
use dormant::Tell;
use refresh::{Begin, Finish};
pub(crate) use refresh::{Due, Facts, RefreshOutcome, Sureness};
pub(crate) use writes::{answered, applied, delete, put};

/// How long what a sign-out needs is kept after somebody else than authn ended the session.
const FAREWELL: Duration = Duration::from_secs(600);
/// What a proxy's clock may be behind ours, or ours behind its.
const LEEWAY: Duration = Duration::from_secs(5);
/// A spent hand-over is remembered this long after its own end, so that no clock brings it back.
const REMEMBER_SPENT: Duration = Duration::from_secs(60);
/// The longest life of a hand-over that is believed; bounds what must be remembered.
const LONGEST_HANDOVER: Duration = Duration::from_secs(600);

/// How a hand-over went.
#[derive(Debug)]
pub(crate) enum Redeem {
    /// Spent now.
    Redeemed(Box<proto::Session>),
    /// Spent before, or past its time.
    AlreadyRedeemed,
    /// Its session is over or never was.
    NoSession,
}

/// Plans from what is committed, as of `now`.
pub(crate) struct Plan<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) storage: &'a dyn Storage,
    pub(crate) now: Timestamp,
}

/// A command whose changes are in the group.
#[derive(Debug)]
pub(crate) enum Step {
    Create {
        new: Box<NewSession>,
        now: Timestamp,
        reply: Reply<proto::Session>,
    },
    Redeem {
        id: [u8; 16],
        remember: Timestamp,
        key: SessionKey,
        reply: Reply<Redeem>,
    },
    Touch {
        uses: Vec<(SessionKey, Timestamp)>,
        reply: Reply<()>,
    },
    End {
        ends: Vec<End>,
        reason: EndReason,
        reply: Reply<Vec<Ended>>,
    },
    /// Tells a farewell that was kept.
    Farewell {
        key: SessionKey,
        until: Timestamp,
        hint: Option<LogoutHint>,
        reply: Reply<Vec<Ended>>,
    },
    Derive(Box<Derive>),
    /// Dormant sessions that replicas are told of.
    Tell(Tell),
    /// Refreshes that begin.
    Begin(Begin),
    /// A refresh that is over.
    Finish(Finish),
    /// A change of external data.
    Records(Edited),
    Sweep {
        ends: Vec<End>,
        spent: Vec<(Timestamp, [u8; 16])>,
        farewells: Vec<(Timestamp, SessionKey)>,
    },
}

/// One session that ends.
#[derive(Debug)]
pub(crate) struct End {
    key: SessionKey,
    /// What the caller is told.
    hint: Option<LogoutHint>,
    /// Until when what authn needs is kept.
    farewell: Option<Timestamp>,
}

/// A step that is written and shown, but not answered yet.
#[derive(Debug)]
pub(crate) enum Settled {
    Created { new: Box<NewSession>, now: Timestamp, version: Option<u64>, reply: Reply<proto::Session> },
    Derived { made: Box<Result<proto::Session, Refusal>>, reply: Reply<Derived> },
    Redeemed { key: SessionKey, spent: bool, reply: Reply<Redeem> },
    Done { reply: Reply<()> },
    Ended { ended: Vec<Ended>, reason: EndReason, reply: Option<Reply<Vec<Ended>>> },
    Begun { dues: Vec<Due>, reply: Reply<Vec<Due>> },
    Finished { ended: Vec<Ended>, reply: Reply<()> },
    Recorded { pushed: Option<Pushed>, reply: Reply<Pushed> },
}

pub(crate) type Planned = Option<(Step, Vec<Change>)>;

impl Plan<'_> {
    pub(crate) fn create(&self, new: Box<NewSession>, reply: Reply<proto::Session>) -> Planned {
        let vault = &self.shared.vault;
        let id = new.key.as_bytes().to_vec();
        let writes = vec![
            put(Kind::Session, id.clone(), Expect::Absent, vault.seal_session(&new, self.now)),
            put(Kind::Tokens, id, Expect::Anything, vault.seal_tokens(&new.key, &new.tokens)),
        ];
        Some((Step::Create { new, now: self.now, reply }, vec![Change { writes, log: None }]))
    }

    pub(crate) fn redeem(&self, id: [u8; 16], until: Timestamp, key: SessionKey, reply: Reply<Redeem>) -> Planned {
        let too_late = until.saturating_add(LEEWAY) <= self.now;
        if too_late || until > self.now.saturating_add(LONGEST_HANDOVER) {
            self.shared.metrics.redeemed(RedeemResult::AlreadyRedeemed);
            return answered(reply, Ok(Redeem::AlreadyRedeemed));
        }
        let remember = until.saturating_add(LEEWAY).saturating_add(REMEMBER_SPENT);
        let value = remember.unix_millis().to_be_bytes().to_vec();
        let change = Change { writes: vec![put(Kind::Redeemed, id.to_vec(), Expect::Absent, value)], log: None };
        Some((Step::Redeem { id, remember, key, reply }, vec![change]))
    }

    pub(crate) fn touch(&self, uses: &[(SessionKey, Timestamp)], reply: Reply<()>) -> Planned {
        let known = self.shared.known();
        // A use of the future would keep an idle session alive; a use after the end brings nothing back.
        let later = uses
            .iter()
            .map(|(key, at)| (*key, (*at).min(self.now)))
            .filter(|(key, at)| known.index.live(key, self.now).is_some_and(|entry| entry.last_used < *at));
        let uses: Vec<(SessionKey, Timestamp)> = later.collect();
        let write = |(key, at): &(SessionKey, Timestamp)| {
            put(Kind::Use, key.as_bytes().to_vec(), Expect::Anything, at.unix_millis().to_be_bytes().to_vec())
        };
        let writes: Vec<Write> = uses.iter().map(write).collect();
        let changes = if writes.is_empty() { Vec::new() } else { vec![Change { writes, log: None }] };
        Some((Step::Touch { uses, reply }, changes))
    }

    pub(crate) fn end(
        &self,
        selector: &EndSelector,
        reason: EndReason,
        hints: Hints,
        reply: Reply<Vec<Ended>>,
    ) -> Planned {
        let keys = self.shared.known().index.select(selector);
        if let (EndSelector::Key(key), true, Hints::Tell) = (selector, keys.is_empty(), hints) {
            return self.farewell(*key, reply);
        }
        match self.ends(keys, reason, Some(hints)) {
            Ok((ends, changes)) => Some((Step::End { ends, reason, reply }, changes)),
            Err(refusal) => answered(reply, Err(refusal)),
        }
    }

    /// Ends up to `most` sessions that are over and forgets as many ids and farewells.
    pub(crate) fn sweep(&self, most: usize) -> Planned {
        let (over, spent, farewells) = {
            let index = &self.shared.known().index;
            (index.over(self.now, most), index.redeemed_over(self.now, most), index.farewells_over(self.now, most))
        };
        if over.is_empty() && spent.is_empty() && farewells.is_empty() {
            return None;
        }
        // What is over keeps no farewell: nobody signs out of a session that has ended by itself.
        let (ends, mut changes) = self.ends(over, EndReason::Expired, None).ok()?;
        let mut forgotten: Vec<Write> =
            spent.iter().map(|(_, id)| delete(Kind::Redeemed, id.to_vec(), Expect::Anything)).collect();
        forgotten
            .extend(farewells.iter().map(|(_, key)| delete(Kind::Farewell, key.as_bytes().to_vec(), Expect::Anything)));
        if !forgotten.is_empty() {
            changes.push(Change { writes: forgotten, log: None });
        }
        Some((Step::Sweep { ends, spent, farewells }, changes))
    }

    fn ends(
        &self,
        keys: Vec<SessionKey>,
        reason: EndReason,
        hints: Option<Hints>,
    ) -> Result<(Vec<End>, Vec<Change>), Refusal> {
        let mut ends = Vec::with_capacity(keys.len());
        let mut changes = Vec::with_capacity(keys.len());
        for key in keys {
            let id = key.as_bytes().to_vec();
            let mut writes = vec![
                delete(Kind::Session, id.clone(), Expect::Present),
                delete(Kind::Tokens, id.clone(), Expect::Anything),
                delete(Kind::Use, id.clone(), Expect::Anything),
                delete(Kind::Refreshing, id.clone(), Expect::Anything),
            ];
            let (hint, farewell) = match hints {
                None => (None, None),
                Some(Hints::Tell) => (Some(self.hint(&key)?), None),
                Some(Hints::Keep) => {
                    let until = self.now.saturating_add(FAREWELL);
                    let mut value = until.unix_millis().to_be_bytes().to_vec();
                    value.append(&mut self.shared.vault.seal_farewell(&key, &self.hint(&key)?));
                    writes.push(put(Kind::Farewell, id, Expect::Anything, value));
                    (None, Some(until))
                }
            };
            changes.push(Change { writes, log: Some(LogEntry { key, news: News::Ended(reason) }) });
            ends.push(End { key, hint, farewell });
        }
        Ok((ends, changes))
    }

    /// What a sign-out at the provider of a live session needs.
    fn hint(&self, key: &SessionKey) -> Result<LogoutHint, Refusal> {
        let provider = self.shared.known().index.get(key).map(|entry| entry.provider.clone());
        let provider = provider.ok_or(Refusal::NoSession)?;
        let stored = self.storage.get(Kind::Tokens, key.as_bytes()).map_err(|error| store_failed(&error))?;
        let Some(stored) = stored else { return Ok(LogoutHint { provider, id_token: None, access_token: None }) };
        // Tokens that do not open are no reason to keep the session: it ends, the provider's goes on.
        let tokens = self.shared.vault.open_tokens(key, &stored.value).map_err(|error| reader::unopened(&error));
        let portcullis_broker_api::Tokens { access_token, refresh_token: _, id_token, expires_at: _ } =
            tokens.unwrap_or_default();
        Ok(LogoutHint { provider, id_token, access_token })
    }

    fn farewell(&self, key: SessionKey, reply: Reply<Vec<Ended>>) -> Planned {
        let read = self.storage.get(Kind::Farewell, key.as_bytes()).map_err(|error| store_failed(&error));
        let found = read.and_then(|found| {
            let Some(stored) = found else { return Ok(None) };
            let (until, sealed) = instant(&stored.value, Kind::Farewell).map_err(|error| store_failed(&error))?;
            let hint = self.shared.vault.open_farewell(&key, sealed).map_err(|error| reader::unopened(&error))?;
            Ok(Some((stored.version, until, hint)))
        });
        match found {
            Ok(Some((version, until, hint))) if until > self.now => {
                let write = delete(Kind::Farewell, key.as_bytes().to_vec(), Expect::Version(version));
                let change = Change { writes: vec![write], log: None };
                Some((Step::Farewell { key, until, hint, reply }, vec![change]))
            }
            Ok(_) => answered(reply, Ok(Vec::new())),
            Err(refusal) => answered(reply, Err(refusal)),
        }
    }
}

impl Step {
    /// Shows what was written.
    pub(crate) fn apply(self, outcomes: &[Outcome], known: &mut Known) -> Settled {
        let first = outcomes.first().and_then(|outcome| applied(*outcome));
        match self {
            Self::Create { new, now, reply } => {
                if first.is_some() {
                    known.index.insert(new.key, Entry::of(&new, now));
                }
                Settled::Created { new, now, version: first, reply }
            }
            Self::Redeem { id, remember, key, reply } => {
                if first.is_some() {
                    known.index.note_redeemed(id, remember);
                }
                Settled::Redeemed { key, spent: first.is_some(), reply }
            }
            Self::Touch { uses, reply } => {
                uses.iter().for_each(|(key, at)| known.index.touch(key, *at));
                Settled::Done { reply }
            }
            Self::End { ends, reason, reply } => {
                Settled::Ended { ended: apply_ends(ends, reason, outcomes, known), reason, reply: Some(reply) }
            }
            Self::Farewell { key, until, hint, reply } => {
                known.index.forget_farewell(key, until);
                let ended = first.map(|_| Ended { key, logout: hint });
                answer(reply, Ok(ended.into_iter().collect()));
                Settled::Ended { ended: Vec::new(), reason: EndReason::SignedOut, reply: None }
            }
            Self::Derive(derive) => derive.apply(outcomes, known),
            Self::Tell(tell) => tell.apply(outcomes, known),
            Self::Begin(begin) => begin.apply(outcomes, known),
            Self::Finish(finish) => finish.apply(outcomes, known),
            Self::Records(edited) => edited.apply(outcomes, known),
            Self::Sweep { ends, spent, farewells } => {
                spent.into_iter().for_each(|(until, id)| known.index.forget_redeemed(id, until));
                farewells.into_iter().for_each(|(until, key)| known.index.forget_farewell(key, until));
                let ended = apply_ends(ends, EndReason::Expired, outcomes, known);
                Settled::Ended { ended, reason: EndReason::Expired, reply: None }
            }
        }
    }

    /// Nothing of it is known to be written.
    pub(crate) fn refuse(self, refusal: Refusal) {
        match self {
            Self::Create { new: _, now: _, reply } => answer(reply, Err(refusal)),
            Self::Redeem { id: _, remember: _, key: _, reply } => answer(reply, Err(refusal)),
            Self::Touch { uses: _, reply } => answer(reply, Err(refusal)),
            Self::End { ends: _, reason: _, reply } | Self::Farewell { key: _, until: _, hint: _, reply } => {
                answer(reply, Err(refusal));
            }
            Self::Derive(derive) => answer(derive.reply, Err(refusal)),
            Self::Tell(tell) => answer(tell.reply, Err(refusal)),
            Self::Begin(begin) => answer(begin.reply, Err(refusal)),
            Self::Finish(Finish { reply, .. }) => answer(reply, Err(refusal)),
            Self::Records(edited) => edited.refuse(refusal),
            Self::Sweep { ends: _, spent: _, farewells: _ } => {}
        }
    }
}

impl Settled {
    pub(crate) fn answer(self, shared: &Shared, storage: &dyn Storage) {
        match self {
            Self::Created { new, now, version, reply } => {
                let made = version.map(|version| proto::Session { version, ..wire::session_message(&new, now) });
                if made.is_some() {
                    shared.metrics.creates.inc();
                }
                answer(reply, made.ok_or(Refusal::Exists));
            }
            Self::Redeemed { key, spent: true, reply } => {
                let read = reader::session(shared, storage, &key);
                let result = if matches!(read, Ok(None)) { RedeemResult::NoSession } else { RedeemResult::Redeemed };
                shared.metrics.redeemed(result);
                answer(
                    reply,
                    read.map(|found| found.map_or(Redeem::NoSession, |session| Redeem::Redeemed(Box::new(session)))),
                );
            }
            Self::Redeemed { key: _, spent: false, reply } => {
                shared.metrics.redeemed(RedeemResult::AlreadyRedeemed);
                answer(reply, Ok(Redeem::AlreadyRedeemed));
            }
            Self::Derived { made, reply } => {
                made.iter().for_each(|_| shared.metrics.creates.inc());
                answer(reply, made.map(Some));
            }
            Self::Done { reply } => answer(reply, Ok(())),
            Self::Begun { dues, reply } => answer(reply, Ok(dues)),
            Self::Recorded { pushed, reply } => answer(reply, pushed.ok_or(Refusal::Store)),
            Self::Finished { ended, reply } => {
                ended.iter().for_each(|_| shared.metrics.ended(EndReason::Provider));
                answer(reply, Ok(()));
            }
            Self::Ended { ended, reason, reply } => {
                ended.iter().for_each(|_| shared.metrics.ended(reason));
                if let Some(reply) = reply {
                    answer(reply, Ok(ended));
                }
            }
        }
    }
}

/// Takes the sessions whose end was written out of the index and into the ring.
fn apply_ends(ends: Vec<End>, reason: EndReason, outcomes: &[Outcome], known: &mut Known) -> Vec<Ended> {
    let mut ended = Vec::with_capacity(ends.len());
    for (End { key, hint, farewell }, outcome) in ends.into_iter().zip(outcomes) {
        let Some(version) = applied(*outcome) else { continue };
        known.index.remove(&key);
        known.ring.push(version, LogEntry { key, news: News::Ended(reason) });
        if let Some(until) = farewell {
            known.index.note_farewell(key, until);
        }
        ended.push(Ended { key, logout: hint });
    }
    ended
}
