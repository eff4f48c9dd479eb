//! A provider's metadata and keys: fetched when first needed, refreshed by age, kept while the provider is away.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use openidconnect::core::CoreJsonWebKeySet;
use portcullis_identity::{Clock, Timestamp};
use tokio::sync::Semaphore;
use url::Url;

use crate::error::{DiscoveryError, Document};
use crate::metadata::{Metadata, metadata_address, parse_keys};
use crate::observe::Call;
use crate::transport::Transport;

/// Metadata and keys older than this are fetched again by whoever needs them next.
pub const METADATA_MAX_AGE: Duration = Duration::from_secs(3600);
/// After a failed refresh the old ones serve this long before the next try.
pub const STALE_RETRY_PAUSE: Duration = Duration::from_secs(30);
/// An unknown key id or a signature that does not hold makes us fetch the keys again, at most this often:
/// forged tokens cannot make us a client that hammers the provider.
pub const KEY_REFRESH_PAUSE: Duration = Duration::from_secs(10);

/// What is known of a provider.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) metadata: Metadata,
    pub(crate) keys: CoreJsonWebKeySet,
    fetched: Timestamp,
}

#[derive(Debug)]
struct Failure {
    at: Timestamp,
    error: DiscoveryError,
}

/// The cache, and whose turn it is to fill it.
#[derive(Debug)]
pub(crate) struct Discovery {
    issuer: Url,
    known: ArcSwapOption<Known>,
    /// The last fetch of everything, if it failed.
    failure: ArcSwapOption<Failure>,
    /// When the keys were last fetched out of turn.
    forced: ArcSwapOption<Timestamp>,
    /// One permit: one fetch at a time. A permit, not a lock, guards no data: the fields above are swapped whole.
    turn: Semaphore,
    clock: Arc<dyn Clock>,
}

impl Discovery {
    pub(crate) fn new(issuer: Url, clock: Arc<dyn Clock>) -> Self {
        Self {
            issuer,
            known: ArcSwapOption::empty(),
            failure: ArcSwapOption::empty(),
            forced: ArcSwapOption::empty(),
            turn: Semaphore::new(1),
            clock,
        }
    }

    /// What is known, fetched first if need be. Everybody who waits for a fetch shares its outcome.
    pub(crate) async fn known(&self, transport: &Transport) -> Result<Arc<Known>, DiscoveryError> {
        match self.known.load_full() {
            Some(known) if self.is_recent(known.fetched, METADATA_MAX_AGE) => Ok(known),
            Some(stale) => Ok(self.renewed(stale, transport).await),
            None => self.first(transport).await,
        }
    }

    /// What is known, whatever its age, without asking the provider.
    pub(crate) fn held(&self) -> Option<Arc<Known>> {
        self.known.load_full()
    }

    /// Newer keys than those of `seen`, which could not check a signature; `None` if there are none or if it
    /// is too early to ask again.
    pub(crate) async fn newer_keys(&self, seen: &Arc<Known>, transport: &Transport) -> Option<Arc<Known>> {
        let _turn = self.turn.acquire().await.ok()?;
        let current = self.known.load_full()?;
        if !Arc::ptr_eq(&current, seen) {
            return Some(current); // somebody asked while we waited
        }
        if self.forced.load().as_deref().is_some_and(|at| self.is_recent(*at, KEY_REFRESH_PAUSE)) {
            return None;
        }
        self.forced.store(Some(Arc::new(self.clock.now())));
        let keys = fetch_keys(&current.metadata, transport).await.ok()?;
        let renewed = Arc::new(Known { metadata: current.metadata.clone(), keys, fetched: current.fetched });
        self.known.store(Some(Arc::clone(&renewed)));
        Some(renewed)
    }

    async fn first(&self, transport: &Transport) -> Result<Arc<Known>, DiscoveryError> {
        let before = self.failure.load_full();
        let _turn = self.turn.acquire().await;
        if let Some(known) = self.known.load_full() {
            return Ok(known);
        }
        // Whoever waited through a failed attempt takes its outcome: a hanging provider costs everybody one
        // deadline, not one each after the other.
        let after = self.failure.load_full();
        let is_new = |failure: &Arc<Failure>| before.as_ref().is_none_or(|before| !Arc::ptr_eq(before, failure));
        if let Some(failure) = after.filter(is_new) {
            return Err(failure.error.clone());
        }
        self.fetch(transport).await
    }

    /// The stale is good enough for everybody but the one who fetches.
    async fn renewed(&self, stale: Arc<Known>, transport: &Transport) -> Arc<Known> {
        let Ok(_turn) = self.turn.try_acquire() else {
            return stale;
        };
        if self.failure.load().as_deref().is_some_and(|failure| self.is_recent(failure.at, STALE_RETRY_PAUSE)) {
            return stale;
        }
        self.fetch(transport).await.unwrap_or(stale)
    }

    /// Whether `at` lies less than `span` back. An instant from the future means that the clock was set back
    /// since; then nothing is known of its age and it counts as long past.
    fn is_recent(&self, at: Timestamp, span: Duration) -> bool {
        let now = self.clock.now();
        at <= now && now.since(at) < span
    }

    async fn fetch(&self, transport: &Transport) -> Result<Arc<Known>, DiscoveryError> {
        match fetch_all(&self.issuer, transport, &*self.clock).await {
            Ok(known) => {
                let known = Arc::new(known);
                self.known.store(Some(Arc::clone(&known)));
                self.failure.store(None);
                Ok(known)
            }
            Err(error) => {
                self.failure.store(Some(Arc::new(Failure { at: self.clock.now(), error: error.clone() })));
                Err(error)
            }
        }
    }
}

async fn fetch_all(issuer: &Url, transport: &Transport, clock: &dyn Clock) -> Result<Known, DiscoveryError> {
    let text = fetch(Document::Metadata, &metadata_address(issuer), transport).await?;
    let metadata = Metadata::parse(&text, issuer)?;
    let keys = fetch_keys(&metadata, transport).await?;
    Ok(Known { metadata, keys, fetched: clock.now() })
}

async fn fetch_keys(metadata: &Metadata, transport: &Transport) -> Result<CoreJsonWebKeySet, DiscoveryError> {
    parse_keys(&fetch(Document::Keys, metadata.keys_endpoint.as_str(), transport).await?)
}

async fn fetch(document: Document, address: &str, transport: &Transport) -> Result<Vec<u8>, DiscoveryError> {
    let call = match document {
        Document::Metadata => Call::Metadata,
        Document::Keys => Call::Keys,
    };
    let failed = |source| DiscoveryError::Call { document, source };
    let request = http::Request::get(address)
        .header(http::header::ACCEPT, "application/json")
        .body(Vec::new())
        .map_err(|_unwritable| failed(crate::transport::CallError::NotARequest))?;
    let answer = transport.send(call, request).await.map_err(failed)?;
    if answer.status() == http::StatusCode::OK {
        Ok(answer.into_body())
    } else {
        Err(DiscoveryError::Status { document, status: answer.status().as_u16() })
    }
}
