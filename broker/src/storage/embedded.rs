//! The engine for one machine: redb in one file, one writer, copy on write.

use std::fmt;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use portcullis_broker_api::EndReason;
use portcullis_identity::SessionKey;
use portcullis_keys::Random;
use redb::{
    Database, DatabaseError, Durability, ReadableDatabase as _, ReadableTable as _, ReadableTableMetadata as _, Table,
    TableDefinition, TableHandle as _, WriteTransaction,
};

use super::{
    Change, Expect, Kind, LOG_ENTRIES, LogEntry, Logged, News, OpenError, Outcome, Storage, StorageError, Stored,
    Visit, Write,
};

/// The form of the store; another number is another program's.
const FORMAT: u64 = 1;
/// The engine's page cache; the broker reads only what replicas miss.
const CACHE_BYTES: usize = 16 * 1024 * 1024;

const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("portcullis");
const LOG: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("log");
const FORMAT_KEY: &str = "format";
const SERVER_KEY: &str = "server";
const HEAD_KEY: &str = "head";
const FLOOR_KEY: &str = "log-floor";

type Records<'a> = TableDefinition<'a, &'static [u8], (u64, &'static [u8])>;

/// The embedded engine.
pub(crate) struct Embedded {
    database: Database,
    server: [u8; 16],
}

impl Embedded {
    /// Opens the store in `path`, or makes one (0600) if there is no file or an empty one.
    pub(crate) fn open(path: &Path, random: &dyn Random) -> Result<Self, OpenError> {
        let in_file = |source| OpenError::File { path: path.to_owned(), source };
        let file = std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(in_file)?;
        let mut builder = Database::builder();
        builder.set_cache_size(CACHE_BYTES);
        let database = redb::backends::FileBackend::new(file).and_then(|file| builder.create_with_backend(file));
        let database = database.map_err(|error| {
            if matches!(error, DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch) {
                OpenError::InUse { path: path.to_owned() }
            } else {
                OpenError::NotAStore { path: path.to_owned(), source: Box::new(error.into()) }
            }
        })?;
        let server = match format_of(&database)? {
            Found::Store { server } => {
                complete(&database)?;
                server
            }
            Found::Nothing => make(&database, random)?,
            Found::Other(found) => {
                return Err(OpenError::Foreign { path: path.to_owned(), expected: FORMAT, found });
            }
        };
        Ok(Self { database, server })
    }
}

impl Storage for Embedded {
    fn server_id(&self) -> [u8; 16] {
        self.server
    }

    fn head(&self) -> Result<u64, StorageError> {
        let read = self.database.begin_read().map_err(StorageError::engine)?;
        let meta = read.open_table(META).map_err(StorageError::engine)?;
        number(meta.get(HEAD_KEY).map_err(StorageError::engine)?.as_ref().map(redb::AccessGuard::value))
    }

    fn get(&self, kind: Kind, id: &[u8]) -> Result<Option<Stored>, StorageError> {
        let read = self.database.begin_read().map_err(StorageError::engine)?;
        let table = read.open_table(records(kind)).map_err(StorageError::engine)?;
        let found = table.get(id).map_err(StorageError::engine)?;
        Ok(found.map(|found| {
            let (version, value) = found.value();
            Stored { version, value: value.to_vec() }
        }))
    }

    fn commit(&self, changes: &[Change]) -> Result<Vec<Outcome>, StorageError> {
        let mut transaction = self.database.begin_write().map_err(StorageError::engine)?;
        transaction.set_durability(Durability::Immediate).map_err(StorageError::engine)?;
        // After a crash the next open need not walk the whole file.
        transaction.set_quick_repair(true);
        let outcomes = apply(&transaction, changes)?;
        transaction.commit().map_err(StorageError::engine)?;
        Ok(outcomes)
    }

    fn scan(&self, kind: Kind, visit: Visit<'_>) -> Result<(), OpenError> {
        let read = self.database.begin_read().map_err(StorageError::engine)?;
        let table = read.open_table(records(kind)).map_err(StorageError::engine)?;
        for entry in table.iter().map_err(StorageError::engine)? {
            let (id, found) = entry.map_err(StorageError::engine)?;
            let (version, value) = found.value();
            visit(id.value(), Stored { version, value: value.to_vec() })?;
        }
        Ok(())
    }

    fn changes(&self, version: u64) -> Result<Logged, StorageError> {
        let read = self.database.begin_read().map_err(StorageError::engine)?;
        let meta = read.open_table(META).map_err(StorageError::engine)?;
        let floor = number(meta.get(FLOOR_KEY).map_err(StorageError::engine)?.as_ref().map(redb::AccessGuard::value))?;
        let log = read.open_table(LOG).map_err(StorageError::engine)?;
        let mut entries = Vec::new();
        for entry in log.range(version.saturating_add(1)..).map_err(StorageError::engine)? {
            let (at, bytes) = entry.map_err(StorageError::engine)?;
            entries.push((at.value(), decoded(bytes.value())?));
        }
        Ok(Logged { floor, entries })
    }
}

impl fmt::Debug for Embedded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Embedded").finish_non_exhaustive()
    }
}

enum Found {
    Nothing,
    Store { server: [u8; 16] },
    Other(String),
}

fn format_of(database: &Database) -> Result<Found, StorageError> {
    let read = database.begin_read().map_err(StorageError::engine)?;
    let tables: Vec<String> =
        read.list_tables().map_err(StorageError::engine)?.map(|table| table.name().to_owned()).collect();
    if tables.is_empty() {
        return Ok(Found::Nothing);
    }
    if !tables.iter().any(|name| name == "portcullis") {
        return Ok(Found::Other("another program's tables".to_owned()));
    }
    let Ok(meta) = read.open_table(META) else { return Ok(Found::Other("another program's table".to_owned())) };
    let format = number(meta.get(FORMAT_KEY).map_err(StorageError::engine)?.as_ref().map(redb::AccessGuard::value))?;
    if format != FORMAT {
        return Ok(Found::Other(format!("format {format}")));
    }
    let server = meta.get(SERVER_KEY).map_err(StorageError::engine)?;
    let server =
        server.and_then(|bytes| bytes.value().try_into().ok()).ok_or(StorageError::Malformed { kind: "server" })?;
    Ok(Found::Store { server })
}

/// Adds the tables of kinds that the store's maker did not know.
fn complete(database: &Database) -> Result<(), StorageError> {
    let mut transaction = database.begin_write().map_err(StorageError::engine)?;
    transaction.set_quick_repair(true);
    for kind in Kind::ALL {
        transaction.open_table(records(kind)).map_err(StorageError::engine)?;
    }
    transaction.commit().map_err(StorageError::engine)
}

/// Writes a new store's tables and its id.
fn make(database: &Database, random: &dyn Random) -> Result<[u8; 16], StorageError> {
    let mut server = [0; 16];
    random.fill(&mut server);
    let transaction = database.begin_write().map_err(StorageError::engine)?;
    {
        let mut meta = transaction.open_table(META).map_err(StorageError::engine)?;
        let zero = 0_u64.to_be_bytes();
        let format = FORMAT.to_be_bytes();
        let rows: [(&str, &[u8]); 4] =
            [(FORMAT_KEY, &format), (SERVER_KEY, &server), (HEAD_KEY, &zero), (FLOOR_KEY, &zero)];
        for (key, value) in rows {
            meta.insert(key, value).map_err(StorageError::engine)?;
        }
        transaction.open_table(LOG).map_err(StorageError::engine)?;
        for kind in Kind::ALL {
            transaction.open_table(records(kind)).map_err(StorageError::engine)?;
        }
    }
    transaction.commit().map_err(StorageError::engine)?;
    Ok(server)
}

fn apply(transaction: &WriteTransaction, changes: &[Change]) -> Result<Vec<Outcome>, StorageError> {
    let mut meta = transaction.open_table(META).map_err(StorageError::engine)?;
    let mut head = number(meta.get(HEAD_KEY).map_err(StorageError::engine)?.as_ref().map(redb::AccessGuard::value))?;
    let mut log = transaction.open_table(LOG).map_err(StorageError::engine)?;
    let mut outcomes = Vec::with_capacity(changes.len());
    for Change { writes, log: entry } in changes {
        let version = head.saturating_add(1);
        if !expected(transaction, writes)? {
            outcomes.push(Outcome::Conflict);
            continue;
        }
        for write in writes {
            put(transaction, write, version)?;
        }
        if let Some(entry) = entry {
            log.insert(version, encoded(*entry).as_slice()).map_err(StorageError::engine)?;
        }
        head = version;
        outcomes.push(Outcome::Applied { version });
    }
    prune(&mut log, &mut meta)?;
    meta.insert(HEAD_KEY, head.to_be_bytes().as_slice()).map_err(StorageError::engine)?;
    Ok(outcomes)
}

fn expected(transaction: &WriteTransaction, writes: &[Write]) -> Result<bool, StorageError> {
    for Write { kind, id, expect, value: _ } in writes {
        if *expect == Expect::Anything {
            continue;
        }
        let table = transaction.open_table(records(*kind)).map_err(StorageError::engine)?;
        let found = table.get(id.as_slice()).map_err(StorageError::engine)?;
        if !expect.met_by(found.map(|found| found.value().0)) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn put(transaction: &WriteTransaction, write: &Write, version: u64) -> Result<(), StorageError> {
    let Write { kind, id, expect: _, value } = write;
    let mut table = transaction.open_table(records(*kind)).map_err(StorageError::engine)?;
    match value {
        Some(value) => drop(table.insert(id.as_slice(), (version, value.as_slice())).map_err(StorageError::engine)?),
        None => drop(table.remove(id.as_slice()).map_err(StorageError::engine)?),
    }
    Ok(())
}

/// Keeps the log within its bound; the floor tells followers what was forgotten.
fn prune(
    log: &mut Table<'_, u64, &'static [u8]>,
    meta: &mut Table<'_, &'static str, &'static [u8]>,
) -> Result<(), StorageError> {
    let bound = u64::try_from(LOG_ENTRIES).unwrap_or(u64::MAX);
    let mut excess = log.len().map_err(StorageError::engine)?.saturating_sub(bound);
    let mut floor = None;
    while excess > 0 {
        let Some((version, _)) = log.pop_first().map_err(StorageError::engine)? else { break };
        floor = Some(version.value());
        excess -= 1;
    }
    if let Some(floor) = floor {
        meta.insert(FLOOR_KEY, floor.to_be_bytes().as_slice()).map_err(StorageError::engine)?;
    }
    Ok(())
}

const fn records(kind: Kind) -> Records<'static> {
    TableDefinition::new(kind.name())
}

/// Eight bytes, big endian; every number of the meta table was written with the store.
fn number(bytes: Option<&[u8]>) -> Result<u64, StorageError> {
    let bytes = bytes.and_then(|bytes| bytes.try_into().ok()).ok_or(StorageError::Malformed { kind: "portcullis" })?;
    Ok(u64::from_be_bytes(bytes))
}

fn encoded(entry: LogEntry) -> Vec<u8> {
    let LogEntry { key, news } = entry;
    let mut bytes = key.as_bytes().to_vec();
    bytes.push(match news {
        News::Ended(EndReason::SignedOut) => 1,
        News::Ended(EndReason::Provider) => 2,
        News::Ended(EndReason::Revoked) => 3,
        News::Ended(EndReason::Replaced) => 4,
        News::Ended(EndReason::Expired) => 5,
        News::Changed => 6,
        News::Dormant => 7,
    });
    bytes
}

fn decoded(bytes: &[u8]) -> Result<LogEntry, StorageError> {
    let malformed = StorageError::Malformed { kind: "log" };
    let Some((key, [news])) = bytes.split_first_chunk::<32>() else { return Err(malformed) };
    let news = match news {
        1 => News::Ended(EndReason::SignedOut),
        2 => News::Ended(EndReason::Provider),
        3 => News::Ended(EndReason::Revoked),
        4 => News::Ended(EndReason::Replaced),
        5 => News::Ended(EndReason::Expired),
        6 => News::Changed,
        7 => News::Dormant,
        _ => return Err(malformed),
    };
    Ok(LogEntry { key: SessionKey::from_bytes(*key), news })
}
