//! The one thread that writes: what queued up during the last commit is the next one.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use portcullis_broker_api::wire::generated as proto;
use portcullis_broker_api::{EndReason, EndSelector, Ended, NewSession, Pushed};
use portcullis_identity::{ProviderName, SessionKey, Timestamp};
use portcullis_keys::KeyId;
use tokio::time::Instant;

use crate::index::Room;
use crate::plan::{Derived, Due, Plan, Redeem, RefreshOutcome, Step};
use crate::queue::{Refusal, Reply, answer, store_failed};
use crate::records::edit::RecordEdit;
use crate::state::{Known, Shared, count};
use crate::storage::{Change, Outcome, Storage};

/// The most commands that wait; a further one is refused as busy.
pub(crate) const COMMANDS: usize = 4096;
/// The most commands of one commit.
const GROUP: usize = 512;
/// How often the broker looks for sessions that are over.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// What the writer is asked.
#[derive(Debug)]
pub(crate) enum Command {
    Create {
        new: Box<NewSession>,
        reply: Reply<proto::Session>,
    },
    /// Makes a session of another one.
    Derive {
        parent: SessionKey,
        key: SessionKey,
        host: Arc<str>,
        reply: Reply<Derived>,
    },
    Redeem {
        id: [u8; 16],
        until: Timestamp,
        key: SessionKey,
        reply: Reply<Redeem>,
    },
    Touch {
        uses: Vec<(SessionKey, Timestamp)>,
        reply: Reply<()>,
    },
    End {
        selector: EndSelector,
        reason: EndReason,
        hints: Hints,
        reply: Reply<Vec<Ended>>,
    },
    /// Marks sessions whose tokens are due, and names them.
    BeginRefreshes {
        room: Room,
        reply: Reply<Vec<Due>>,
    },
    /// Marks a dormant session that somebody waits for, if there is room, and names it.
    BeginWanted {
        key: SessionKey,
        room: bool,
        reply: Reply<Vec<Due>>,
    },
    /// Tells replicas which sessions of these providers are dormant by now.
    TellDormant {
        providers: Vec<ProviderName>,
        reply: Reply<()>,
    },
    /// Writes how a refresh went, by its mark.
    FinishRefresh {
        mark: (SessionKey, u64),
        outcome: RefreshOutcome,
        reply: Reply<()>,
    },
    /// Changes external data.
    EditRecords {
        edit: RecordEdit,
        reply: Reply<Pushed>,
    },
    /// Ends what is over now, without waiting for the next look.
    Sweep {
        reply: Reply<()>,
    },
    /// Commits what came before, then no more.
    Close,
}

/// Who gets what a sign-out at the provider needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hints {
    /// The caller: it is authn.
    Tell,
    /// Nobody now; kept a while for authn.
    Keep,
}

/// The writer's own state.
pub(crate) struct Writer {
    shared: Arc<Shared>,
    storage: Arc<dyn Storage>,
    /// The commit in the making.
    group: Vec<(Step, usize)>,
    changes: Vec<Change>,
    /// The sessions that the group writes.
    keys: HashSet<SessionKey>,
    /// The key that external data is sealed with.
    sealing: Option<KeyId>,
}

impl Writer {
    pub(crate) fn new(shared: Arc<Shared>, storage: Arc<dyn Storage>) -> Self {
        let sealing = shared.vault.sealing();
        Self { shared, storage, group: Vec::new(), changes: Vec::new(), keys: HashSet::new(), sealing }
    }

    /// Writes until it is told to close.
    pub(crate) fn run(mut self, commands: &Receiver<Command>) {
        let mut swept = Instant::now();
        let mut wait = SWEEP_EVERY;
        loop {
            match commands.recv_timeout(wait) {
                Ok(command) => {
                    let queued = std::iter::from_fn(|| commands.try_recv().ok()).take(GROUP - 1);
                    let queued: Vec<Command> = std::iter::once(command).chain(queued).collect();
                    for command in queued {
                        if matches!(command, Command::Close) {
                            self.commit();
                            return;
                        }
                        self.take(command);
                    }
                    self.commit();
                    // What was made of a session that has ended ends at once, not at the next look.
                    let left = !self.shared.known().index.families().orphans().is_empty();
                    if left {
                        self.sweep();
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if wait.is_zero() || swept.elapsed() >= SWEEP_EVERY {
                // More than one group is over: the rest goes after whatever has queued up meanwhile.
                wait = if self.sweep() { Duration::ZERO } else { SWEEP_EVERY };
                self.reseal();
                swept = Instant::now();
            }
        }
    }

    /// Adds a command to the group. One that concerns a session which the group writes, or that selects by
    /// what the group may change, waits for the group: every plan is made from what is committed.
    fn take(&mut self, command: Command) {
        match command {
            Command::Create { new, reply } => {
                self.settle_for(&[new.key]);
                let plan = self.plan().create(new, reply);
                self.add(plan);
            }
            Command::Derive { parent, key, host, reply } => {
                // An end by user or provider does not say whom it ends: nothing is made of a session that it does.
                self.commit();
                self.keys.extend([parent, key]);
                let plan = self.plan().derive((parent, key), &host, reply);
                self.add(plan);
            }
            Command::Redeem { id, until, key, reply } => {
                let plan = self.plan().redeem(id, until, key, reply);
                self.add(plan);
            }
            Command::Touch { uses, reply } => {
                let uses = self.shared.known().index.families().uses(uses);
                let keys: Vec<SessionKey> = uses.iter().map(|(key, _)| *key).collect();
                self.settle_for(&keys);
                let plan = self.plan().touch(&uses, reply);
                self.add(plan);
            }
            Command::End { selector, reason, hints, reply } => {
                match &selector {
                    EndSelector::Key(key) => self.settle_for(&[*key]),
                    EndSelector::Principal(_) | EndSelector::ProviderSession { .. } | EndSelector::User(_) => {
                        self.commit()
                    }
                }
                let plan = self.plan().end(&selector, reason, hints, reply);
                self.add(plan);
            }
            Command::BeginRefreshes { room, reply } => {
                self.commit();
                let plan = self.plan().begin_refreshes(&room, reply);
                self.add(plan);
            }
            Command::BeginWanted { key, room, reply } => {
                // An end by user or provider does not say whom it ends: no mark is to outlive its session.
                self.commit();
                let plan = self.plan().begin_wanted(&key, room, reply);
                self.keys.insert(key);
                self.add(plan);
            }
            Command::TellDormant { providers, reply } => self.tell_dormant(&providers, reply),
            Command::FinishRefresh { mark, outcome, reply } => {
                self.settle_for(&[mark.0]);
                let plan = self.plan().finish_refresh(mark, outcome, reply);
                self.add(plan);
            }
            Command::EditRecords { edit, reply } => {
                self.commit();
                let plan = self.plan().edit_records(edit, reply);
                self.add(plan);
                // By itself: it may be large, and nobody else's refusal is to come of it.
                self.commit();
            }
            Command::Sweep { reply } => {
                self.commit();
                while self.sweep() {}
                self.reseal();
                answer(reply, Ok(()));
            }
            // The caller of `take` ends with it.
            Command::Close => {}
        }
    }

    fn plan(&self) -> Plan<'_> {
        Plan { shared: &self.shared, storage: &*self.storage, now: self.shared.clock.now() }
    }

    fn settle_for(&mut self, keys: &[SessionKey]) {
        if keys.iter().any(|key| self.keys.contains(key)) {
            self.commit();
        }
        self.keys.extend(keys);
    }

    fn add(&mut self, planned: Option<(Step, Vec<Change>)>) {
        let Some((step, mut changes)) = planned else { return };
        self.group.push((step, changes.len()));
        self.changes.append(&mut changes);
    }

    fn tell_dormant(&mut self, providers: &[ProviderName], reply: Reply<()>) {
        self.commit();
        let plan = self.plan().tell_dormant(providers, reply);
        self.add(plan);
    }

    /// Ends what is over, and forgets what need not be remembered; says whether there may be more.
    fn sweep(&mut self) -> bool {
        let Some(swept) = self.plan().sweep(GROUP) else { return false };
        let more = swept.1.len() >= GROUP;
        self.add(Some(swept));
        self.commit();
        more
    }

    /// Seals external data anew where another key seals by now; the next look tries again what was not written.
    fn reseal(&mut self) {
        let sealing = self.shared.vault.sealing();
        if sealing == self.sealing {
            return;
        }
        self.commit();
        let change = self.shared.known().records.resealed(&self.shared.vault);
        if change.writes.is_empty() {
            self.sealing = sealing;
        } else if let Ok(outcomes) = self.write(&[change]) {
            self.settle(Vec::new(), &outcomes);
            self.sealing = sealing;
        }
    }

    /// Makes the group durable, then shows it to readers and followers, then answers.
    fn commit(&mut self) {
        self.keys.clear();
        let group = std::mem::take(&mut self.group);
        let changes = std::mem::take(&mut self.changes);
        if group.is_empty() {
            return;
        }
        let outcomes = if changes.is_empty() { Ok(Vec::new()) } else { self.write(&changes) };
        match outcomes {
            Ok(outcomes) => self.settle(group, &outcomes),
            Err(refusal) => group.into_iter().for_each(|(step, _)| step.refuse(refusal)),
        }
    }

    fn write(&self, changes: &[Change]) -> Result<Vec<Outcome>, Refusal> {
        let started = Instant::now();
        let outcomes = self.storage.commit(changes).map_err(|error| store_failed(&error))?;
        self.shared.metrics.commit_seconds.observe(started.elapsed().as_secs_f64());
        #[expect(clippy::cast_precision_loss, reason = "a group has no more changes than a float has digits")]
        self.shared.metrics.commit_changes.observe(changes.len() as f64);
        Ok(outcomes)
    }

    fn settle(&self, group: Vec<(Step, usize)>, outcomes: &[Outcome]) {
        let mut rest = outcomes;
        let mut settled = Vec::with_capacity(group.len());
        let head = {
            let mut known = self.shared.known_mut();
            for (step, count) in group {
                let (own, others) = rest.split_at_checked(count).unwrap_or((rest, &[]));
                rest = others;
                settled.push(step.apply(own, &mut known));
            }
            for outcome in outcomes {
                if let Outcome::Applied { version } = outcome {
                    known.ring.advance(*version);
                }
            }
            let Known { index, ring, records } = &*known;
            self.shared.metrics.sessions.set(count(index.len()));
            self.shared.metrics.hold_records(records);
            ring.head()
        };
        self.shared.publish(head);
        for settled in settled {
            settled.answer(&self.shared, &*self.storage);
        }
    }
}

#[cfg(test)]
mod tests;
