//! The broker as the composition root holds it: opened, served, closed.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use portcullis_broker_api::wire::generated::broker_server::BrokerServer;
use portcullis_broker_api::{EndReason, EndSelector, Ended, ServerId, ServerTls};
use portcullis_config::Config;
use portcullis_identity::{Clock, Principal, ProviderName, SessionKey, Timestamp};
use portcullis_keys::{KeyId, Random, SealKeys};
use portcullis_oidc::SetupError;
use prometheus::Registry;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;

use crate::guard::Guarded;
use crate::listen;
use crate::metrics::Metrics;
use crate::queue::{Queue, Refusal};
use crate::reader::{self, READS, Read};
use crate::records::calls::PUSHES;
use crate::refresher::Refresher;
use crate::service::BrokerService;
use crate::state::Shared;
use crate::storage::{Embedded, OpenError, Storage};
use crate::vault::Vault;
use crate::writer::{COMMANDS, Command, Hints, Writer};

/// Connections that have been accepted and wait for the server.
const ACCEPTED: usize = 64;
/// The largest request: a session with the largest claims and tokens.
const MAX_MESSAGE_BYTES: usize = 1024 * 1024;
/// A connection that does not answer a ping within this span is dead.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// How long calls under way may take once the server is told to stop.
const DRAIN: Duration = Duration::from_secs(2);
/// Calls that one connection may have under way: a replica's misses after a reset.
const STREAMS: u32 = 4096;

/// What a broker needs.
#[derive(Debug)]
pub struct BrokerParts {
    /// The store's file.
    pub path: PathBuf,
    /// The `store` keys; the first seals, all open.
    pub keys: SealKeys,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Arc<dyn Random>,
    /// Where the metrics are registered.
    pub registry: Registry,
    /// The digest of what split services must share.
    pub digest: [u8; 32],
}

/// A running broker: two threads on one store. Cheap to clone; [`Broker::close`] ends it for all clones.
#[derive(Clone, Debug)]
pub struct Broker {
    service: BrokerService,
    // A lock because whoever closes first takes the threads; held for a moment, once.
    threads: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

/// Where a broker stands, for `portcullis status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BrokerStatus {
    /// The store.
    pub server: ServerId,
    /// The newest version.
    pub version: u64,
    /// Live sessions.
    pub sessions: usize,
}

/// A session as an operator sees it: whose, never what it carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionSummary {
    /// Its key.
    pub key: SessionKey,
    /// Who.
    pub principal: Principal,
    /// Where.
    pub provider: ProviderName,
    /// The session that it was made of, for a program.
    pub parent: Option<SessionKey>,
    /// The one host that it is for, if it was made of another one and that is known.
    pub host: Option<Arc<str>>,
    /// Since when.
    pub authenticated_at: Timestamp,
    /// The last use that the broker knows of.
    pub last_used: Timestamp,
    /// The absolute end.
    pub expires_at: Timestamp,
}

/// Why a broker did not do what the composition root asked.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The server ended by itself.
    #[error("broker server")]
    Server(#[source] tonic::transport::Error),
    /// The broker is closing, or its store does not answer.
    #[error("broker unavailable")]
    Unavailable,
}

/// Why a key ring is not taken over.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The key that seals now is not in the new ring: another has to be promoted first.
    #[error("key `{key}` seals records and is not in the new key ring: promote another key before it is removed")]
    Seals {
        /// The key's id.
        key: KeyId,
    },
    /// Some record is sealed with it.
    #[error(
        "records are sealed with key `{key}`, which the new key ring does not hold: it goes when their sessions have ended, and external data is sealed anew"
    )]
    Needed {
        /// The key's id.
        key: KeyId,
    },
    /// The store does not answer.
    #[error(transparent)]
    Broker(#[from] ServeError),
}

impl Broker {
    /// Opens the store, reads it once, and starts the two threads. Blocks for as long as the reading takes.
    ///
    /// # Errors
    /// [`OpenError`]; the file is as it was.
    pub fn open(parts: BrokerParts) -> Result<Self, OpenError> {
        let BrokerParts { path, keys, clock, random, registry, digest } = parts;
        let storage: Arc<dyn Storage> = Arc::new(Embedded::open(&path, &*random)?);
        let metrics = Metrics::new().map_err(OpenError::Metrics)?;
        let shared = Shared::load(&*storage, Vault::new(keys, random), clock, metrics, digest)?;
        // Last: a store that does not open leaves no metrics behind.
        shared.metrics.register(&registry).map_err(OpenError::Metrics)?;
        Self::start(shared, storage)
    }

    pub(crate) fn start(shared: Shared, storage: Arc<dyn Storage>) -> Result<Self, OpenError> {
        let shared = Arc::new(shared);
        let (writes, commands) = Queue::new(COMMANDS);
        let (reads, asked) = Queue::new(READS);
        let writer = Writer::new(Arc::clone(&shared), Arc::clone(&storage));
        let writer = spawn("broker-writer", move || writer.run(&commands))?;
        let known = Arc::clone(&shared);
        let reader = spawn("broker-reader", move || reader::run(&known, &storage, &asked))?;
        let pushes = Arc::new(Semaphore::new(PUSHES));
        let refresher = Arc::default();
        let stop = CancellationToken::new();
        let service = BrokerService { shared, writes, reads, refresher, pushes, stop };
        Ok(Self { service, threads: Arc::new(Mutex::new(vec![writer, reader])) })
    }

    /// Serves services of this host until `stop` or [`Broker::close`]. The socket's folder must be ours alone.
    ///
    /// # Errors
    /// [`ServeError::Server`].
    pub async fn serve_unix(&self, listener: UnixListener, stop: CancellationToken) -> Result<(), ServeError> {
        let (conns, accepted) = mpsc::channel(ACCEPTED);
        let stopping = self.service.stop.child_token();
        let accept = listen::accept_unix(listener, conns, stopping.clone());
        self.serve(accept, accepted, stop, stopping).await
    }

    /// Serves services of other hosts until `stop` or [`Broker::close`]. `tls` is read for each connection, for it
    /// changes with the key ring; a connection whose certificate it does not believe any more is cut.
    ///
    /// # Errors
    /// [`ServeError::Server`].
    pub async fn serve_tls(
        &self,
        listener: TcpListener,
        tls: watch::Receiver<Arc<ServerTls>>,
        stop: CancellationToken,
    ) -> Result<(), ServeError> {
        let (conns, accepted) = mpsc::channel(ACCEPTED);
        let stopping = self.service.stop.child_token();
        let accept = listen::accept_tls(listener, tls, conns, stopping.clone());
        self.serve(accept, accepted, stop, stopping).await
    }

    /// Ends sessions by an operator's order; answered once that is on disk. What a sign-out at the provider
    /// needs is kept for authn.
    ///
    /// # Errors
    /// [`ServeError::Unavailable`].
    pub async fn end(&self, selector: EndSelector, reason: EndReason) -> Result<Vec<Ended>, ServeError> {
        let ask = self.service.writes.ask(|reply| Command::End { selector, reason, hints: Hints::Keep, reply });
        ask.await.map_err(unavailable)
    }

    /// Ends what is over now and forgets what need not be remembered, as the broker does each second.
    ///
    /// # Errors
    /// [`ServeError::Unavailable`].
    pub async fn sweep(&self) -> Result<(), ServeError> {
        self.service.writes.ask(|reply| Command::Sweep { reply }).await.map_err(unavailable)
    }

    /// What refreshes this broker's tokens at the providers of `config`, once it runs. Dormant sessions that are asked for
    /// are refreshed by the latest of these from now on.
    ///
    /// # Errors
    /// A provider's transport settings do not work.
    pub fn refresher(&self, config: &Config) -> Result<Refresher, SetupError> {
        let shared = &self.service.shared;
        let refresher = Refresher::new(Arc::clone(shared), self.service.writes.clone(), config)?;
        self.service.refresher.store(Some(refresher.core()));
        Ok(refresher)
    }

    /// Whether every record opens with `keys`, which may then be taken over by [`Broker::set_keys`]. Reads the store
    /// if they lack a key that was held so far.
    ///
    /// # Errors
    /// [`KeysError`] names a key that is still needed.
    pub async fn check_keys(&self, keys: &SealKeys) -> Result<(), KeysError> {
        let now = self.service.shared.vault.keys();
        // What is sealed from now until the keys are swapped has to open as well.
        if let Some(key) = now.ids().next().filter(|key| !keys.holds(*key)) {
            return Err(KeysError::Seals { key });
        }
        if now.ids().all(|key| keys.holds(key)) {
            return Ok(());
        }
        // Forgets what is over, and comes after the commit of whatever was sealed before the latest swap.
        self.sweep().await?;
        let asked = keys.clone();
        let found = self.service.reads.ask(|reply| Read::Needed { keys: asked, reply }).await;
        match found.map_err(unavailable)? {
            Some(key) => Err(KeysError::Needed { key }),
            None => Ok(()),
        }
    }

    /// Seals and opens with these keys from now on, which [`Broker::check_keys`] has found to be enough.
    pub fn set_keys(&self, keys: SealKeys) {
        self.service.shared.vault.set_keys(keys);
    }

    /// Makes `digest` what services are compared with from now on.
    pub fn set_digest(&self, digest: [u8; 32]) {
        self.service.shared.set_digest(digest);
    }

    /// Up to `most` live sessions, those used last first.
    #[must_use]
    pub fn sessions(&self, most: usize) -> Vec<SessionSummary> {
        let known = self.service.shared.known();
        let mut sessions: Vec<SessionSummary> = known
            .index
            .iter()
            .map(|(key, entry)| {
                let made = known.index.families().made(key);
                SessionSummary {
                    key: *key,
                    principal: entry.principal.clone(),
                    provider: entry.provider.clone(),
                    parent: made.map(|made| made.parent),
                    host: made.and_then(|made| made.host.clone()),
                    authenticated_at: entry.authenticated_at,
                    last_used: entry.last_used,
                    expires_at: entry.expires_at,
                }
            })
            .collect();
        sessions.sort_unstable_by_key(|session| std::cmp::Reverse(session.last_used));
        sessions.truncate(most);
        sessions
    }

    /// The session that a listing shows as `shown`, if there is exactly one.
    #[must_use]
    pub fn shown(&self, shown: &str) -> Option<SessionKey> {
        let known = self.service.shared.known();
        let mut found = known.index.iter().map(|(key, _)| *key).filter(|key| key.to_string() == shown);
        let first = found.next();
        first.filter(|_| found.next().is_none())
    }

    /// Where the broker stands.
    #[must_use]
    pub fn status(&self) -> BrokerStatus {
        let shared = &self.service.shared;
        BrokerStatus { server: shared.server, version: shared.head(), sessions: shared.known().index.len() }
    }

    /// Ends streams and servers, commits what was queued, closes the store: when this returns, another
    /// process can open it.
    pub async fn close(&self) {
        self.service.stop.cancel();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        let BrokerService { writes, reads, .. } = self.service.clone();
        let joined = tokio::task::spawn_blocking(move || {
            writes.order(Command::Close);
            reads.order(Read::Close);
            threads.into_iter().filter_map(|thread| thread.join().err()).count()
        });
        if !matches!(joined.await, Ok(0)) {
            tracing::error!("broker thread ended by a panic");
        }
    }

    /// Serves what `accept` brings. `stopping` ends accepting, streams and the server; calls under way get
    /// a moment to finish.
    async fn serve(
        &self,
        accept: impl Future<Output = ()> + Send,
        accepted: mpsc::Receiver<std::io::Result<listen::Conn>>,
        stop: CancellationToken,
        stopping: CancellationToken,
    ) -> Result<(), ServeError> {
        let service = BrokerService { stop: stopping.clone(), ..self.service.clone() };
        let service = BrokerServer::new(service).max_decoding_message_size(MAX_MESSAGE_BYTES);
        let server = Server::builder()
            .http2_keepalive_interval(Some(KEEP_ALIVE))
            .http2_keepalive_timeout(Some(KEEP_ALIVE))
            .max_concurrent_streams(Some(STREAMS))
            .add_service(Guarded::new(service, self.service.shared.metrics.clone()))
            .serve_with_incoming_shutdown(ReceiverStream::new(accepted), stopping.clone().cancelled_owned());
        let serving = async { tokio::join!(server, accept).0 };
        tokio::pin!(serving);
        tokio::select! {
            served = &mut serving => return served.map_err(ServeError::Server),
            () = stop.cancelled() => stopping.cancel(),
            () = stopping.cancelled() => {}
        }
        // What is still under way then is cut off: its callers ask again.
        tokio::time::timeout(DRAIN, serving).await.unwrap_or(Ok(())).map_err(ServeError::Server)
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, OpenError> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work).map_err(OpenError::Thread)
}

fn unavailable(refusal: Refusal) -> ServeError {
    tracing::warn!(error = &refusal as &dyn std::error::Error, "broker order refused");
    ServeError::Unavailable
}
