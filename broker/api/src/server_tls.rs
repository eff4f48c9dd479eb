//! What a listener for services of other hosts speaks by, and whether it goes on believing who has come in.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use portcullis_identity::{Clock as _, SystemClock, Timestamp};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use tokio::sync::watch;

/// The settings of one key ring: those of a handshake, and what judges a caller's certificate, then and later.
pub struct ServerTls {
    config: Arc<ServerConfig>,
    verifier: Arc<dyn ClientCertVerifier>,
}

impl ServerTls {
    /// `config` must ask for client certificates, verify them by `verifier`, and offer `h2`.
    #[must_use]
    pub fn new(config: Arc<ServerConfig>, verifier: Arc<dyn ClientCertVerifier>) -> Self {
        Self { config, verifier }
    }

    /// For a handshake.
    #[must_use]
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }

    /// Whether who presents this chain, the leaf first, is let in at `now`.
    #[must_use]
    pub fn believes(&self, chain: &[CertificateDer<'_>], now: Timestamp) -> bool {
        let now = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(now.unix_seconds()).unwrap_or(0)));
        let Some((leaf, intermediates)) = chain.split_first() else { return false };
        self.verifier.verify_client_cert(leaf, intermediates, now).is_ok()
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerTls")
    }
}

/// Ends, and says so, once the newest settings do not believe whoever came in with this chain: its key is gone from the
/// ring. Never, while nothing changes or it is believed. `settings` is as it was seen before the handshake, so that no change is
/// missed.
pub async fn disowned(mut settings: watch::Receiver<Arc<ServerTls>>, chain: Vec<CertificateDer<'static>>) {
    while settings.changed().await.is_ok() {
        let newest = Arc::clone(&settings.borrow_and_update());
        // By the machine's clock, as the library judged it in the handshake.
        if !newest.believes(&chain, SystemClock.now()) {
            tracing::warn!("connection of a service cut: the key of its certificate is gone");
            return;
        }
    }
    std::future::pending().await
}
