//! The thread that reads: sessions that replicas miss, tokens that routes inject.

use std::sync::Arc;
use std::sync::mpsc::Receiver;

use portcullis_broker_api::wire::generated as proto;
use portcullis_broker_api::{Tokens, UpstreamTokens};
use portcullis_identity::SessionKey;
use portcullis_keys::{KeyId, SealKeys};

use crate::queue::{Refusal, Reply, answer, store_failed};
use crate::state::{Shared, instant};
use crate::storage::{Kind, Storage};
use crate::vault::VaultError;

/// The most reads that wait.
pub(crate) const READS: usize = 4096;

/// What the reader is asked.
#[derive(Debug)]
pub(crate) enum Read {
    /// Sessions at the store's head.
    Fetch { keys: Vec<SessionKey>, ahead: Ahead, reply: Reply<proto::FetchAnswer> },
    /// The tokens of one session.
    Tokens { key: SessionKey, reply: Reply<UpstreamTokens> },
    /// A key that some record is sealed with and these keys do not hold.
    Needed { keys: SealKeys, reply: Reply<Option<KeyId>> },
    /// No more.
    Close,
}

/// Whether sessions are asked for before anybody uses them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ahead {
    /// Dormant ones are named and left for their next use.
    Yes,
    /// As they are known.
    No,
}

/// Answers until it is told to close.
pub(crate) fn run(shared: &Shared, storage: &Arc<dyn Storage>, reads: &Receiver<Read>) {
    for read in reads {
        match read {
            Read::Fetch { keys, ahead, reply } => answer(reply, fetch(shared, &**storage, &keys, ahead)),
            Read::Tokens { key, reply } => answer(reply, tokens(shared, &**storage, &key)),
            Read::Needed { keys, reply } => answer(reply, needed(&**storage, &keys)),
            Read::Close => return,
        }
    }
}

fn fetch(
    shared: &Shared,
    storage: &dyn Storage,
    keys: &[SessionKey],
    ahead: Ahead,
) -> Result<proto::FetchAnswer, Refusal> {
    // The head before the records: the answer may be newer than it says, never older.
    let head = shared.head();
    let mut sessions = Vec::with_capacity(keys.len());
    let mut dormant = Vec::new();
    for key in keys {
        if ahead == Ahead::Yes && shared.known().index.lapse(key, shared.clock.now()).is_some() {
            dormant.push(key.as_bytes().to_vec());
            continue;
        }
        sessions.extend(session(shared, storage, key)?);
    }
    let absent = keys.len().saturating_sub(sessions.len()).saturating_sub(dormant.len());
    shared.metrics.fetched(u64::try_from(sessions.len()).unwrap_or(0), u64::try_from(absent).unwrap_or(0));
    Ok(proto::FetchAnswer { server_id: shared.server.as_bytes().to_vec(), head, session: sessions, dormant })
}

/// The session as proxies get it; `None`: it is over, and stays so.
pub(crate) fn session(
    shared: &Shared,
    storage: &dyn Storage,
    key: &SessionKey,
) -> Result<Option<proto::Session>, Refusal> {
    let now = shared.clock.now();
    let Some(last_used) = shared.known().index.live(key, now).map(|entry| entry.last_used) else { return Ok(None) };
    let stored = storage.get(Kind::Session, key.as_bytes()).map_err(|error| store_failed(&error))?;
    // Ended since the index was asked.
    let Some(stored) = stored else { return Ok(None) };
    let session = shared.vault.open_session(key, &stored.value).map_err(|error| unopened(&error))?;
    Ok(Some(proto::Session { version: stored.version, last_used: last_used.unix_millis(), ..session }))
}

fn tokens(shared: &Shared, storage: &dyn Storage, key: &SessionKey) -> Result<UpstreamTokens, Refusal> {
    if shared.known().index.live(key, shared.clock.now()).is_none() {
        return Err(Refusal::NoSession);
    }
    // Tokens are those of the sign-in.
    let parent = shared.known().index.families().parent(key);
    let key = parent.as_ref().unwrap_or(key);
    let Tokens { access_token, refresh_token: _, id_token, expires_at } = held_tokens(shared, storage, key)?;
    Ok(UpstreamTokens { access_token, id_token, expires_at })
}

/// The tokens of a sign-in, all of them.
pub(crate) fn held_tokens(shared: &Shared, storage: &dyn Storage, key: &SessionKey) -> Result<Tokens, Refusal> {
    let stored = storage.get(Kind::Tokens, key.as_bytes()).map_err(|error| store_failed(&error))?;
    let stored = stored.ok_or(Refusal::NoSession)?;
    shared.vault.open_tokens(key, &stored.value).map_err(|error| unopened(&error))
}

/// The key of the first sealed record that `keys` would not open.
fn needed(storage: &dyn Storage, keys: &SealKeys) -> Result<Option<KeyId>, Refusal> {
    let mut found = None;
    for kind in [Kind::Session, Kind::Tokens, Kind::Farewell, Kind::Record] {
        let scanned = storage.scan(kind, &mut |_, stored| {
            // A farewell has its instant in front.
            let sealed = if kind == Kind::Farewell { instant(&stored.value, kind)?.1 } else { &stored.value };
            if found.is_none() {
                found = SealKeys::key_of_bytes(sealed).filter(|key| !keys.holds(*key));
            }
            Ok(())
        });
        scanned.map_err(|error| {
            tracing::error!(error = &error as &dyn std::error::Error, "store not scanned");
            Refusal::Store
        })?;
    }
    Ok(found)
}

pub(crate) fn unopened(error: &VaultError) -> Refusal {
    tracing::error!(error = error as &dyn std::error::Error, "sealed record not opened");
    Refusal::Store
}
