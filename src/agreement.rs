//! What services on several hosts must agree on: compared when they greet each other, so that a difference is a warning
//! and never a silent one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use portcullis_broker_api::{BrokerClient, Greeting};
use portcullis_config::{Config, Provider};
use portcullis_keys::{KeyRing, sha256};
use tokio_util::sync::CancellationToken;

/// From one comparison to the next.
const ROUND: Duration = Duration::from_secs(60);

/// The digest of what must agree, and whether it does.
#[derive(Debug)]
pub(crate) struct Agreement {
    digest: [u8; 32],
    differs: AtomicBool,
}

impl Agreement {
    /// Over namespace, sign-in host, and each provider's name, issuer and client id; and the ids of the keys, of which
    /// an export carries those of its secret.
    pub(crate) fn new(config: &Config, ring: &KeyRing) -> Self {
        let mut text = format!("{:?}\n{}\n", config.sign_in.namespace, config.sign_in.host);
        for Provider { name, issuer, client_id, .. } in &config.providers {
            text.push_str(&format!("{name} {issuer} {client_id}\n"));
        }
        for id in ring.key_ids() {
            text.push_str(&format!("{id}\n"));
        }
        Self { digest: sha256(text.as_bytes()), differs: AtomicBool::new(false) }
    }

    /// The digest that siblings compare.
    pub(crate) const fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// Whether the broker, when last asked, had another digest.
    pub(crate) fn differs(&self) -> bool {
        self.differs.load(Ordering::Relaxed)
    }

    /// Greets the broker each minute until `stop`.
    pub(crate) async fn keep_comparing(self: Arc<Self>, broker: BrokerClient, stop: CancellationToken) {
        loop {
            if let Ok(Greeting { agrees, .. }) = broker.hello(self.digest).await {
                let before = self.differs.swap(!agrees, Ordering::Relaxed);
                if !agrees && !before {
                    tracing::warn!("the broker's host has another sign-in host, namespace, providers or keys");
                }
            }
            // Cancel safe: neither arm holds anything.
            tokio::select! {
                () = tokio::time::sleep(ROUND) => {}
                () = stop.cancelled() => return,
            }
        }
    }
}
