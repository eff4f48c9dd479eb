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

    /// Has the certificates between hosts issued anew, by the ring that is held, if half of their life is over. Exported
    /// ones are renewed with the next export, which is for their operator to bring.
    ///
    /// # Errors
    /// They are not issued, or the proxy takes no other way to the sign-in service; everything stays as it was.
    pub(crate) async fn renew_certificates(&self, config: &Arc<Config>) -> Result<(), String> {
        let (ring, now) = (self.ring.load_full(), self.clock.now());
        if !ring.is_root() || !self.internal_tls.is_due(now) {
            return Ok(());
        }
        let internal_tls = self.internal_tls.prepare(&ring, now).map_err(|error| chain(&error))?;
        let proxy = match &self.proxy {
            Some(room) => {
                let next = self.prepare_proxy(room, config, Some(&ring)).await;
                Some((room, next.map_err(|error| chain(error.as_ref()))?))
            }
            None => None,
        };
        self.internal_tls.take_over(internal_tls);
        if let Some((room, next)) = proxy {
            self.take_over_proxy(room, config, next);
        }
        tracing::info!("certificates between hosts issued anew");
        Ok(())
    }

    async fn prepare(&self, config: &Arc<Config>) -> Result<Next, StartError> {
        let ring = Arc::new(secret_file::held_key_ring(&config.secret)?);
        let changed = *ring != **self.ring.load();
        let now = self.clock.now();
        let internal_tls = if changed { self.internal_tls.prepare(&ring, now)? } else { NextInternalTls::default() };
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
        self.internal_tls.take_over(internal_tls);
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
        if let (Some(room), Some(proxy)) = (&self.proxy, proxy) {
            self.take_over_proxy(room, config, proxy);
        }
        self.ring.store(ring);
    }

    fn take_over_proxy(&self, room: &ProxyRoom, config: &Config, next: NextProxy) {
        let NextProxy { generation, sink, certificate_ends } = next;
        self.certificate_ends.show(&certificate_ends, config);
        room.sink.take_over(sink);
        room.proxy.take_over(generation);
    }
}
