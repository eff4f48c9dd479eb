//! What the broker's threads and its service share: the index, the ring, and who waits for the next version.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use portcullis_broker_api::ServerId;
use portcullis_identity::Clock;
use tokio::sync::watch;

use crate::index::{Entry, Index, Made};
use crate::log::Ring;
use crate::metrics::Metrics;
use crate::records::RecordIndex;
use crate::storage::{Kind, OpenError, Storage, StorageError};
use crate::vault::Vault;

/// The shared state. It holds no store: whoever closes the broker's threads has closed the store.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) server: ServerId,
    pub(crate) vault: Vault,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: Metrics,
    // A lock because index and ring change together with each commit. One writer; readers copy out and go.
    known: RwLock<Known>,
    head: watch::Sender<u64>,
    digest: watch::Sender<[u8; 32]>,
}

/// What is committed, as of one version.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) index: Index,
    pub(crate) ring: Ring,
    pub(crate) records: RecordIndex,
}

impl Shared {
    /// Reads the whole store once: sessions, last uses, spent hand-overs, farewells, external data, log.
    pub(crate) fn load(
        storage: &dyn Storage,
        vault: Vault,
        clock: Arc<dyn Clock>,
        metrics: Metrics,
        digest: [u8; 32],
    ) -> Result<Self, OpenError> {
        let server =
            ServerId::from_bytes(&storage.server_id()).map_err(|_| StorageError::Malformed { kind: "server" })?;
        let records = RecordIndex::load(storage, &vault)?;
        let head = storage.head()?;
        let index = load_index(storage, &vault)?;
        metrics.sessions.set(count(index.len()));
        metrics.hold_records(&records);
        metrics.log_version.set(i64::try_from(head).unwrap_or(i64::MAX));
        let ring = Ring::new(storage.changes(0)?, head);
        Ok(Self {
            server,
            vault,
            clock,
            metrics,
            known: RwLock::new(Known { index, ring, records }),
            head: watch::Sender::new(head),
            digest: watch::Sender::new(digest),
        })
    }

    pub(crate) fn known(&self) -> RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// For the writer alone, after a commit.
    pub(crate) fn known_mut(&self) -> RwLockWriteGuard<'_, Known> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the followers: `version` is committed, and index and ring show it.
    pub(crate) fn publish(&self, version: u64) {
        self.head.send_replace(version);
        self.metrics.log_version.set(i64::try_from(version).unwrap_or(i64::MAX));
    }

    /// The newest committed version; whoever reads the store after this sees every change up to it.
    pub(crate) fn head(&self) -> u64 {
        *self.head.borrow()
    }

    pub(crate) fn follow_head(&self) -> watch::Receiver<u64> {
        self.head.subscribe()
    }

    pub(crate) fn digest(&self) -> [u8; 32] {
        *self.digest.borrow()
    }

    pub(crate) fn set_digest(&self, digest: [u8; 32]) {
        self.digest.send_replace(digest);
    }
}

/// A count as a gauge has it.
pub(crate) fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn load_index(storage: &dyn Storage, vault: &Vault) -> Result<Index, OpenError> {
    let mut index = Index::default();
    storage.scan(Kind::Session, &mut |id, stored| {
        let key = session_key(id, Kind::Session)?;
        let message = vault.open_session(&key, &stored.value)?;
        let parent = message.parent.as_deref().map(|parent| session_key(parent, Kind::Session)).transpose()?;
        let made = parent.map(|parent| Made::of(parent, &message));
        let entry = Entry::of_stored(message).map_err(|_| malformed(Kind::Session))?;
        match made {
            Some(made) => index.insert_derived(key, made, entry),
            None => index.insert(key, entry),
        }
        Ok(())
    })?;
    index.settle_families();
    storage.scan(Kind::Use, &mut |id, stored| {
        index.touch(&session_key(id, Kind::Use)?, instant(&stored.value, Kind::Use)?.0);
        Ok(())
    })?;
    storage.scan(Kind::Tokens, &mut |id, stored| {
        let key = session_key(id, Kind::Tokens)?;
        // Tokens that do not open are no reason not to start: the session lives without them.
        let tokens = vault.open_tokens(&key, &stored.value).ok();
        index.refresh_stored(&key, tokens.as_ref());
        Ok(())
    })?;
    storage.scan(Kind::Redeemed, &mut |id, stored| {
        let id = id.try_into().map_err(|_| malformed(Kind::Redeemed))?;
        index.note_redeemed(id, instant(&stored.value, Kind::Redeemed)?.0);
        Ok(())
    })?;
    storage.scan(Kind::Farewell, &mut |id, stored| {
        index.note_farewell(session_key(id, Kind::Farewell)?, instant(&stored.value, Kind::Farewell)?.0);
        Ok(())
    })?;
    Ok(index)
}

fn session_key(id: &[u8], kind: Kind) -> Result<portcullis_identity::SessionKey, StorageError> {
    portcullis_broker_api::wire::key(id).map_err(|_| malformed(kind))
}

/// The instant in front of a value, and what follows it.
pub(crate) fn instant(value: &[u8], kind: Kind) -> Result<(portcullis_identity::Timestamp, &[u8]), StorageError> {
    let (millis, rest) = value.split_first_chunk::<8>().ok_or_else(|| malformed(kind))?;
    Ok((portcullis_identity::Timestamp::from_unix_millis(i64::from_be_bytes(*millis)), rest))
}

const fn malformed(kind: Kind) -> StorageError {
    StorageError::Malformed { kind: kind.name() }
}
