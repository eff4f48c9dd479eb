//! The next generation of the whole house: every service's part is built before any is swapped, so that no failure
//! leaves two services of different generations or with different keys.

use std::sync::Arc;

use portcullis_broker::NextProviders;
use portcullis_config::Config;
use portcullis_gate::Snapshot;
use portcullis_keys::{KeyRing, SealKeys};
use portcullis_proxy::NextParts;

use crate::decision_sink::NextSink;
use crate::house::{House, ProxyRoom, StartError, chain, prepare_sink, self_signed_for};
use crate::internal_tls::NextInternalTls;
use crate::{certificates, secret_file};

/// What is built and serves nobody yet; `None` where this process does not run the service.
struct Next {
    ring: Arc<KeyRing>,
    internal_tls: NextInternalTls,
    store_keys: Option<SealKeys>,
    providers: Option<NextProviders>,
    authn: Option<portcullis_authn::NextGeneration>,
    proxy: Option<NextProxy>,
}

struct NextProxy {
    generation: portcullis_proxy::NextGeneration,
    sink: NextSink,
    certificate_ends: Vec<(String, i64)>,
}

impl House {
    /// Serves the next generation from now on, and by the key ring of now.
    ///
    /// # Errors
    /// It cannot be built; everything stays as it was.
    pub(crate) async fn publish(&self, config: &Arc<Config>) -> Result<(), String> {
        let next = self.prepare(config).await.map_err(|error| chain(error.as_ref()))?;
        self.take_over(config, next);
        Ok(())
    }

    async fn prepare(&self, config: &Arc<Config>) -> Result<Next, StartError> {
        let ring = Arc::new(secret_file::held_key_ring(&config.secret)?);
        let changed = *ring != **self.ring.load();
        let internal_tls =
            if changed { self.internal_tls.prepare(&ring, self.clock.now())? } else { NextInternalTls::default() };
        let store_keys = match &self.store {
            Some(store) => {
                let keys = ring.store()?;
                store.check_keys(&keys).await?;
                Some(keys)
            }
            None => None,
        };
        let providers = self.refresher.as_ref().map(|refresher| refresher.prepare(config)).transpose()?;
        let authn = self.authn.as_ref().map(|authn| authn.prepare(Arc::clone(config), &ring)).transpose()?;
        let proxy = match &self.proxy {
            Some(room) => Some(self.prepare_proxy(room, config, changed.then_some(&ring)).await?),
            None => None,
        };
        Ok(Next { ring, internal_tls, store_keys, providers, authn, proxy })
    }

    async fn prepare_proxy(
        &self,
        room: &ProxyRoom,
        config: &Arc<Config>,
        ring: Option<&Arc<KeyRing>>,
    ) -> Result<NextProxy, StartError> {
        let now = self.clock.now();
        let fallback = self_signed_for(config, self.clock.as_ref())?;
        let certificate_ends = certificates::ends(config, fallback.as_ref());
        let (previous, building) = (room.gate.snapshot(), Arc::clone(config));
        let snapshot = tokio::task::spawn_blocking(move || Snapshot::build(&building, Some(&previous))).await??;
        let keys = match ring {
            Some(ring) => Some((Arc::clone(ring), self.internal_tls.authn(ring, now)?)),
            None => None,
        };
        let parts = NextParts { config: Arc::clone(config), snapshot, keys, fallback };
        let generation = room.proxy.prepare(parts)?;
        Ok(NextProxy { generation, sink: prepare_sink(&room.sink, config)?, certificate_ends })
    }

    /// Nothing can fail here.
    fn take_over(&self, config: &Config, next: Next) {
        let Next { ring, internal_tls, store_keys, providers, authn, proxy } = next;
        internal_tls.take_over();
        self.agreement.renew(config, &ring);
        if let (Some(store), Some(keys)) = (&self.store, store_keys) {
            store.set_keys(keys);
            store.set_digest(self.agreement.digest());
        }
        if let (Some(refresher), Some(providers)) = (&self.refresher, providers) {
            refresher.take_over(providers);
        }
        if let (Some(service), Some(authn)) = (&self.authn, authn) {
            service.take_over(authn);
        }
        if let (Some(room), Some(NextProxy { generation, sink, certificate_ends })) = (&self.proxy, proxy) {
            self.certificate_ends.show(&certificate_ends, config);
            room.sink.take_over(sink);
            room.proxy.take_over(generation);
        }
        self.ring.store(ring);
    }
}
