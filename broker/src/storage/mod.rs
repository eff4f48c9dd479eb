//! What the broker asks of an engine: get, put-if, scan by type, ordered changes from a version.
//!
//! An engine knows nothing of sessions. It keeps sealed values by kind and id, gives each change the next
//! version, and acknowledges a commit only when it is durable.

#[cfg(test)]
mod conformance;
mod embedded;
#[cfg(test)]
mod memory;

use std::fmt;
use std::path::PathBuf;

use portcullis_broker_api::EndReason;
use portcullis_identity::SessionKey;

pub(crate) use embedded::Embedded;
#[cfg(test)]
pub(crate) use memory::Memory;

/// The news that an engine remembers for followers who were away; also the size of the broker's ring.
pub(crate) const LOG_ENTRIES: usize = 65_536;

/// The kinds of records; each is a table of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    /// A session, sealed, by its key.
    Session,
    /// A session's tokens, sealed, by its key.
    Tokens,
    /// A session's last use in milliseconds, by its key: apart, because it changes each minute.
    Use,
    /// A hand-over that was spent, by its id: until when the id must be remembered.
    Redeemed,
    /// What a sign-out at the provider needs of a session that ended, sealed, by its key.
    Farewell,
    /// A refresh at the provider that was begun, by the session's key: when. One that is still there was interrupted.
    Refreshing,
    /// A record of external data, sealed, by a number of its own.
    Record,
}

impl Kind {
    pub(crate) const ALL: [Self; 7] =
        [Self::Session, Self::Tokens, Self::Use, Self::Redeemed, Self::Farewell, Self::Refreshing, Self::Record];

    /// The name in table names and in what a value is sealed for.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Tokens => "tokens",
            Self::Use => "use",
            Self::Redeemed => "redeemed",
            Self::Farewell => "farewell",
            Self::Refreshing => "refreshing",
            Self::Record => "record",
        }
    }
}

/// A value and the version of the change that wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) version: u64,
    pub(crate) value: Vec<u8>,
}

/// What must hold of a record before it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expect {
    Anything,
    Absent,
    Present,
    Version(u64),
}

impl Expect {
    /// Whether a record with this version, or none, is as expected.
    pub(crate) fn met_by(self, version: Option<u64>) -> bool {
        match self {
            Self::Anything => true,
            Self::Absent => version.is_none(),
            Self::Present => version.is_some(),
            Self::Version(expected) => version == Some(expected),
        }
    }
}

/// One record to write; no value: to delete.
#[derive(Clone, Debug)]
pub(crate) struct Write {
    pub(crate) kind: Kind,
    pub(crate) id: Vec<u8>,
    pub(crate) expect: Expect,
    pub(crate) value: Option<Vec<u8>>,
}

/// One change: all of its writes or none, under one version.
#[derive(Clone, Debug, Default)]
pub(crate) struct Change {
    pub(crate) writes: Vec<Write>,
    /// What followers are told.
    pub(crate) log: Option<LogEntry>,
}

/// Something new about a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LogEntry {
    pub(crate) key: SessionKey,
    pub(crate) news: News,
}

/// What is new about a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// It is over.
    Ended(EndReason),
    /// It has a newer version.
    Changed,
    /// It lives, and is not to be believed before the broker was asked for it again.
    Dormant,
}

/// What became of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Applied {
        version: u64,
    },
    /// A record was not as expected; nothing of the change was written.
    Conflict,
}

/// The log as an engine remembers it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Logged {
    /// Every entry after this version is here.
    pub(crate) floor: u64,
    /// By version, ascending.
    pub(crate) entries: Vec<(u64, LogEntry)>,
}

/// What a scan does with each record, by its id; an error ends the scan.
pub(crate) type Visit<'a> = &'a mut dyn FnMut(&[u8], Stored) -> Result<(), OpenError>;

/// An engine. Called from the broker's own threads: it may block.
pub(crate) trait Storage: Send + Sync + fmt::Debug {
    /// The id that the store got when it was made.
    fn server_id(&self) -> [u8; 16];

    /// The version of the newest change; 0 in a new store.
    fn head(&self) -> Result<u64, StorageError>;

    /// One record.
    fn get(&self, kind: Kind, id: &[u8]) -> Result<Option<Stored>, StorageError>;

    /// Applies changes in order, each seeing those before it, in one durable step. On an error nothing
    /// was acknowledged. There is one caller at a time.
    fn commit(&self, changes: &[Change]) -> Result<Vec<Outcome>, StorageError>;

    /// Every record of a kind, in the order of ids.
    fn scan(&self, kind: Kind, visit: Visit<'_>) -> Result<(), OpenError>;

    /// The log after `version`; from the floor, if that is later.
    fn changes(&self, version: u64) -> Result<Logged, StorageError>;
}

/// Why an engine did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The engine's own trouble: disk full, I/O error, a page that does not match its checksum.
    #[error("store engine")]
    Engine(#[source] Box<redb::Error>),
    /// A record is not of the form that this program writes.
    #[error("record of kind `{kind}` is malformed")]
    Malformed {
        /// Its kind.
        kind: &'static str,
    },
}

impl StorageError {
    pub(crate) fn engine(error: impl Into<redb::Error>) -> Self {
        Self::Engine(Box::new(error.into()))
    }
}

/// Why a store was not opened. The file is as it was.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file cannot be made or read.
    #[error("store file {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Another process has it open.
    #[error("store {} is in use by another process", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The file is no store, or a damaged one; it was left alone.
    #[error("{} is not a readable store", path.display())]
    NotAStore {
        /// The file.
        path: PathBuf,
        /// What the engine says.
        #[source]
        source: Box<redb::Error>,
    },
    /// The file is a database of something else, or of a newer version of this program; it was left alone.
    #[error("{} holds no session store of format {expected} (found: {found})", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// The format that this program reads.
        expected: u64,
        /// The format in the file, or what it lacks.
        found: String,
    },
    /// Records are sealed with a key that the key ring does not hold: put the key back, nothing is lost.
    #[error("records are sealed with key `{key}`, which the key ring does not hold")]
    UnknownKey {
        /// The key's id.
        key: portcullis_keys::KeyId,
    },
    /// A sealed record does not open: damaged, moved from another place, or of another cluster.
    #[error("sealed record of kind `{kind}` does not open")]
    Unsealable {
        /// Its kind.
        kind: &'static str,
        /// Why.
        #[source]
        source: portcullis_keys::SealError,
    },
    /// The engine failed while reading.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A thread of the broker could not be started.
    #[error("broker thread not started")]
    Thread(#[source] std::io::Error),
    /// A metric of the same name is registered twice.
    #[error("broker metrics")]
    Metrics(#[source] prometheus::Error),
}

#[cfg(test)]
mod tests;
