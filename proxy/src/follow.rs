//! Follows what may take a permission away, and closes the exchanges that last: a session's end or change,
//! a replica gone stale, a change of external data, a new generation.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use portcullis_broker_api::{Change, Resolved};
use portcullis_gate::Presented;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Notify, mpsc};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::exchange::{Cut, Standing};
use crate::shared::Shared;
use crate::traffic::still;

/// Judgements at a time; each may wait for a fetch.
const AT_ONCE: usize = 64;

/// Doubtful exchanges that may wait for the follower.
const DOUBTS: usize = 1024;

/// How often what lasts is judged again without being told to: hours of a policy and pauses of a session pass
/// without an event.
const TIME_PASSES: Duration = Duration::from_secs(5);

/// The way to the follower.
#[derive(Debug)]
pub(crate) struct Follower {
    doubts: mpsc::Sender<Arc<Standing>>,
    generation: Notify,
    records: Notify,
}

impl Follower {
    /// A way to a follower, and the follower's end of it.
    pub(crate) fn new() -> (Self, mpsc::Receiver<Arc<Standing>>) {
        let (doubts, inbox) = mpsc::channel(DOUBTS);
        (Self { doubts, generation: Notify::new(), records: Notify::new() }, inbox)
    }

    /// Asks for a judgement that has to wait; `false` if too many wait already.
    pub(crate) fn doubt(&self, standing: Arc<Standing>) -> bool {
        self.doubts.try_send(standing).is_ok()
    }

    /// A new generation was published.
    pub(crate) fn published(&self) {
        self.generation.notify_one();
    }
}

/// Follows until `stop`.
pub(crate) async fn follow(shared: Arc<Shared>, doubts: mpsc::Receiver<Arc<Standing>>, stop: CancellationToken) {
    // Side by side: the end of a session waits neither for what an export makes doubtful nor for a provider that takes its
    // time. Nothing is lost with any of them: what they judge is judged again by the next one, or closed with its connection.
    tokio::select! {
        () = stop.cancelled() => {}
        () = follow_changes(&shared) => {}
        () = follow_doubts(&shared, doubts) => {}
        () = follow_records(&shared) => {}
        () = follow_dormant(&shared) => {}
    }
}

/// However many changes of external data come meanwhile, one more judgement is enough.
async fn follow_records(shared: &Shared) {
    loop {
        shared.follower.records.notified().await;
        judge_all(shared, reading_records(shared)).await;
    }
}

/// What lasts uses its session: once that one is dormant, it is asked for.
async fn follow_dormant(shared: &Shared) {
    let dormant = stream::unfold(shared.sessions.changes(), async |mut changes| {
        loop {
            match changes.recv().await {
                Ok(Change::Dormant(key)) => return Some((shared.registry.of(key), changes)),
                Ok(Change::Ended(_) | Change::Changed(_) | Change::Reset | Change::Stale | Change::Records) => {}
                Err(RecvError::Lagged(_)) => return Some((shared.registry.all(), changes)),
                Err(RecvError::Closed) => return None,
            }
        }
    });
    let judge = async |standing: Arc<Standing>| {
        let presented = present(shared, &standing).await;
        // That nobody can say just now takes no permission away: an end or a change is told when it comes, and so is a
        // broker that has been silent for too long.
        if !matches!(presented, Presented::Unavailable) {
            decide(shared, &standing, &presented);
        }
    };
    dormant.flat_map(stream::iter).for_each_concurrent(AT_ONCE, judge).await;
}

/// Exchanges that could not wait for their session themselves.
async fn follow_doubts(shared: &Shared, mut doubts: mpsc::Receiver<Arc<Standing>>) {
    let doubts = stream::poll_fn(|cx| doubts.poll_recv(cx));
    doubts.for_each_concurrent(AT_ONCE, async |standing| judge(shared, &standing).await).await;
}

async fn follow_changes(shared: &Shared) {
    let mut changes = shared.sessions.changes();
    let mut time = tokio::time::interval(TIME_PASSES);
    time.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        // All arms are cancel-safe: receivers lose nothing, a notification that is not taken stays, as does a tick.
        tokio::select! {
            change = changes.recv() => match change {
                Ok(change) => {
                    shared.metrics.session_changed(&change);
                    heed(shared, change).await;
                }
                Err(RecvError::Lagged(_)) => judge_all(shared, shared.registry.all()).await,
                Err(RecvError::Closed) => return,
            },
            () = shared.follower.generation.notified() => judge_all(shared, shared.registry.all()).await,
            _ = time.tick() => judge_what_is_at_hand(shared),
        }
    }
}

async fn heed(shared: &Shared, change: Change) {
    match change {
        // Nothing to judge: whoever it was is signed out, and public routes are told apart by `still`.
        Change::Ended(key) => {
            for standing in shared.registry.of(key) {
                decide(shared, &standing, &Presented::Rejected);
            }
        }
        Change::Changed(key) => judge_all(shared, shared.registry.of(key)).await,
        Change::Reset | Change::Stale => judge_all(shared, shared.registry.all()).await,
        Change::Records => shared.follower.records.notify_one(),
        // Followed by itself.
        Change::Dormant(_) => {}
    }
}

/// Those that a change of external data may concern: not the ones whose route looks at none and still stands so.
fn reading_records(shared: &Shared) -> Vec<Arc<Standing>> {
    let snapshot = shared.gate.snapshot();
    let indifferent = snapshot.routes().iter().filter(|route| !route.policy.reads_records());
    let indifferent: HashSet<&str> = indifferent.map(|route| &*route.name).collect();
    let mut standings = shared.registry.all();
    standings.retain(|standing| {
        let Standing { route, .. } = &**standing;
        route.policy.reads_records() || !indifferent.contains(&*route.name)
    });
    standings
}

async fn judge_all(shared: &Shared, standings: Vec<Arc<Standing>>) {
    stream::iter(standings)
        .for_each_concurrent(AT_ONCE, async |standing| {
            judge(shared, &standing).await;
            // A policy may look at a hundred thousand records: others have their turn in between.
            tokio::task::yield_now().await;
        })
        .await;
}

async fn judge(shared: &Shared, standing: &Standing) {
    let presented = present(shared, standing).await;
    decide(shared, standing, &presented);
}

/// Who an exchange lasts for, asked for where that is not at hand.
async fn present(shared: &Shared, standing: &Standing) -> Presented {
    match standing.session {
        None => Presented::Anonymous,
        Some(key) => shared.present(key, shared.now()).await,
    }
}

/// Judges everything that lasts, without waiting: ends that the follower is told of must not wait behind it.
fn judge_what_is_at_hand(shared: &Shared) {
    let now = shared.now();
    for standing in shared.registry.all() {
        let presented = match standing.session.map(|key| shared.sessions.resolve(&key, now)) {
            None => Presented::Anonymous,
            Some(Resolved::Session(session)) => Presented::Session(session),
            Some(Resolved::Absent) => Presented::Rejected,
            // Whoever makes these known tells the follower, too.
            Some(Resolved::Missing | Resolved::Stale) => continue,
        };
        decide(shared, &standing, &presented);
    }
}

fn decide(shared: &Shared, standing: &Standing, presented: &Presented) {
    if still(shared, &standing.view, standing.session, &standing.route, presented).is_none() {
        standing.exchange.cut(Cut::Revoked);
    }
}
