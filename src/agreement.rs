//! What services on several hosts must agree on: compared when they greet each other, so that a difference is a warning
//! and never a silent one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use portcullis_broker_api::{BrokerClient, Greeting};
use portcullis_config::{Config, Provider};
use portcullis_keys::{KeyRing, sha256};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// From one comparison to the next, and while there is a difference: somebody may be changing one host after another.
const ROUND: Duration = Duration::from_secs(60);
const ROUND_OF_DIFFERENCE: Duration = Duration::from_secs(5);

/// The digest of what must agree, and whether it does.
#[derive(Debug)]
pub(crate) struct Agreement {
    digest: ArcSwap<[u8; 32]>,
    differs: AtomicBool,
    renewed: Notify,
}

impl Agreement {
    /// Over namespace, sign-in host, and each provider's name, issuer and client id; and the ids of the keys, of which
    /// an export carries those of its secret.
    pub(crate) fn new(config: &Config, ring: &KeyRing) -> Self {
        let digest = ArcSwap::from_pointee(digest_of(config, ring));
        Self { digest, differs: AtomicBool::new(false), renewed: Notify::new() }
    }

    /// Another generation, or another key ring.
    pub(crate) fn renew(&self, config: &Config, ring: &KeyRing) {
        self.digest.store(Arc::new(digest_of(config, ring)));
        self.renewed.notify_one();
    }

    /// The digest that siblings compare.
    pub(crate) fn digest(&self) -> [u8; 32] {
        **self.digest.load()
    }

    /// Whether the broker, when last asked, had another digest.
    pub(crate) fn differs(&self) -> bool {
        self.differs.load(Ordering::Relaxed)
    }

    /// Greets the broker each minute until `stop`, more often while its host differs, and after each change of ours.
    pub(crate) async fn keep_comparing(self: Arc<Self>, broker: BrokerClient, stop: CancellationToken) {
        loop {
            if let Ok(Greeting { agrees, .. }) = broker.hello(self.digest()).await {
                let before = self.differs.swap(!agrees, Ordering::Relaxed);
                if !agrees && !before {
                    tracing::warn!("the broker's host has another sign-in host, namespace, providers or keys");
                }
            }
            let round = if self.differs() { ROUND_OF_DIFFERENCE } else { ROUND };
            // Cancel safe: no arm holds anything, and a notice that nobody has taken stays.
            tokio::select! {
                () = tokio::time::sleep(round) => {}
                () = self.renewed.notified() => {}
                () = stop.cancelled() => return,
            }
        }
    }
}

fn digest_of(config: &Config, ring: &KeyRing) -> [u8; 32] {
    let mut text = format!("{:?}\n{}\n", config.sign_in.namespace, config.sign_in.host);
    for Provider { name, issuer, client_id, .. } in &config.providers {
        text.push_str(&format!("{name} {issuer} {client_id}\n"));
    }
    for id in ring.key_ids() {
        text.push_str(&format!("{id}\n"));
    }
    sha256(text.as_bytes())
}
