//! The proxy as the composition root holds it.

use std::fmt;
use std::io;
use std::net::TcpListener;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use pingora_core::server::configuration::ServerConf;
use pingora_proxy::http_proxy;
use portcullis_config::{Certificate, Config};
use portcullis_gate::{Gate, Snapshot};
use portcullis_identity::Clock;
use portcullis_keys::{AssertionKeyRejected, KeyRing, NotHeld, Random};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::authn::{AuthnEndpoint, AuthnPeer, UnusableAuthn};
use crate::decisions::{DecisionRecord, DecisionSink, Decisions};
use crate::edge::{Edge, Gatekeeper, adopt, serve_redirects};
use crate::exchange::{Registry, Standing};
use crate::follow::{Follower, follow};
use crate::metrics::Metrics;
use crate::published::{Held, Published};
use crate::request_id::RequestIds;
use crate::sessions::Sessions;
use crate::shared::{Keys, Shared};
use crate::tls::{Certificates, Doors, Handshakes, Tickets, UnusableCertificate};
use crate::traffic::Traffic;
use crate::upstream::{
    ALL_IDLE, Targets, UnhealthyUpstream, UnusableUpstream, keep_checking, keep_resolving, keep_tidy,
};

/// One try and two more.
const TRIES: usize = 3;

/// What a proxy is made of.
#[derive(Debug)]
pub struct ProxyParts {
    /// The first generation.
    pub config: Arc<Config>,
    /// The gate, made of that generation.
    pub gate: Arc<Gate>,
    /// The cluster's keys, or those exported for a proxy.
    pub keys: Arc<KeyRing>,
    /// Sessions; somebody else runs the replica.
    pub sessions: Arc<dyn Sessions>,
    /// The sign-in service.
    pub authn: AuthnEndpoint,
    /// The certificate for names that no configured certificate is for; `None`: their handshakes are refused.
    pub fallback: Option<Certificate>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Arc<dyn Random>,
    /// Where decision records go beside the ring.
    pub decision_sink: Option<Arc<dyn DecisionSink>>,
    /// Where the metrics go.
    pub registry: prometheus::Registry,
}

/// What the next generation is made of.
#[derive(Debug)]
pub struct NextParts {
    /// The configuration.
    pub config: Arc<Config>,
    /// What the gate makes of it.
    pub snapshot: Snapshot,
    /// Another key ring, and the way to the sign-in service that goes with it; `None`: those of the generation before.
    pub keys: Option<(Arc<KeyRing>, AuthnEndpoint)>,
    /// As [`ProxyParts::fallback`].
    pub fallback: Option<Certificate>,
}

/// A generation that is built and serves nobody yet.
pub struct NextGeneration {
    certificates: Certificates,
    published: Published,
    snapshot: Snapshot,
    doors: Doors,
}

/// Why a proxy, or its next generation, cannot be made. Nothing is changed then.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// A key for this service is missing.
    #[error(transparent)]
    Keys(#[from] NotHeld),
    /// A configured signing key of the assertion.
    #[error("signing keys of the assertion cannot be used")]
    SigningKeys(#[from] AssertionKeyRejected),
    /// A certificate of the public listener.
    #[error(transparent)]
    Certificate(#[from] UnusableCertificate),
    /// An upstream's TLS settings.
    #[error(transparent)]
    Upstream(#[from] UnusableUpstream),
    /// The sign-in service.
    #[error(transparent)]
    Authn(#[from] UnusableAuthn),
    /// Two proxies in one metrics registry.
    #[error("metrics cannot be registered")]
    Metrics(#[from] prometheus::Error),
    /// The TLS library refuses its own defaults.
    #[error("listener TLS cannot be set up")]
    Tls(#[from] rustls::Error),
}

/// The proxy; a handle, cheap to clone.
#[derive(Clone)]
pub struct Proxy(Arc<Inside>);

struct Inside {
    shared: Arc<Shared>,
    targets: Arc<Targets>,
    certificates: Arc<ArcSwap<Certificates>>,
    tls: Arc<Handshakes>,
    // A lock: the control plane's alone, a request never takes it.
    doubts: Mutex<Option<mpsc::Receiver<Arc<Standing>>>>,
}

impl Proxy {
    /// A proxy that serves nothing yet.
    ///
    /// # Errors
    /// [`ProxyError`] names what cannot be used.
    pub fn new(parts: ProxyParts) -> Result<Self, ProxyError> {
        let ProxyParts { config, gate, keys: ring, sessions, authn, fallback, clock, random, decision_sink, registry } =
            parts;
        // Pingora would otherwise install another provider; if somebody has installed one, it is this one too.
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        let metrics = Arc::new(Metrics::new(&registry)?);
        let targets = Arc::new(Targets::default());
        let certificates = Certificates::new(&config.tls.certificates, fallback.as_ref())?;
        let certificates = Arc::new(ArcSwap::from_pointee(certificates));
        let held = Held { keys: Keys::of(&config, &ring)?, authn: Arc::new(AuthnPeer::new(authn, &targets)?) };
        let published = Published::new(Arc::clone(&config), held, None, (&targets, &metrics))?;
        let published = Arc::new(ArcSwap::from_pointee(published));
        let tickets = Tickets::new(&published, &clock, &random);
        let rules = Arc::clone(gate.snapshot().client_rules());
        let tls = Arc::new(Handshakes::new(Arc::clone(&certificates), tickets, Arc::clone(&clock), &rules)?);
        let (follower, doubts) = Follower::new();
        let shared = Arc::new(Shared {
            gate,
            sessions,
            published,
            generations: AtomicU64::new(0),
            registry: Arc::new(Registry::default()),
            follower,
            landings: crate::landings::Landings::default(),
            sign_ins: crate::rate::Rate::default(),
            decisions: Decisions::new(config.decisions.ring, decision_sink),
            request_ids: RequestIds::new(&*random),
            metrics,
            clock,
            random,
        });
        let inside = Inside { shared, targets, certificates, tls, doubts: Mutex::new(Some(doubts)) };
        Ok(Self(Arc::new(inside)))
    }

    /// Builds the next generation, which serves nobody before [`Proxy::take_over`].
    ///
    /// # Errors
    /// [`ProxyError`]; nothing has changed.
    pub fn prepare(&self, parts: NextParts) -> Result<NextGeneration, ProxyError> {
        let Inside { shared, targets, certificates: _, tls, doubts: _ } = &*self.0;
        let NextParts { config, snapshot, keys, fallback } = parts;
        let certificates = Certificates::new(&config.tls.certificates, fallback.as_ref())?;
        let previous = shared.published.load_full();
        let (ring, authn) = match keys {
            Some((ring, endpoint)) => (ring, Arc::new(AuthnPeer::new(endpoint, targets)?)),
            None => (Arc::clone(&previous.keys.ring), Arc::clone(&previous.authn)),
        };
        let held = Held { keys: Keys::of(&config, &ring)?, authn };
        let published = Published::new(config, held, Some(&previous), (targets, &shared.metrics))?;
        let doors = tls.prepare(snapshot.client_rules())?;
        Ok(NextGeneration { certificates, published, snapshot, doors })
    }

    /// Serves what was prepared: routes, certificates, keys and limits in one step each, new requests first. Open
    /// connections and exchanges stay; those that last are judged again. What a key made that is not held any more is
    /// refused from the next request on.
    pub fn take_over(&self, next: NextGeneration) {
        let Inside { shared, targets: _, certificates, tls, doubts: _ } = &*self.0;
        let NextGeneration { certificates: new_certificates, published, snapshot, doors } = next;
        // Upstreams first: a request that the new gate judges finds its own.
        certificates.store(Arc::new(new_certificates));
        shared.decisions.resize(published.config.decisions.ring);
        shared.published.store(Arc::new(published));
        shared.gate.publish(snapshot);
        tls.publish(doors);
        shared.generations.fetch_add(1, Ordering::AcqRel);
        shared.follower.published();
    }

    /// The last decisions, at most so many, oldest first. Requests that end wait while they are copied.
    #[must_use]
    pub fn decisions(&self, most: usize) -> Vec<Arc<DecisionRecord>> {
        self.0.shared.decisions.newest(most)
    }

    /// The last decision about the request with this id, if it is still kept.
    #[must_use]
    pub fn decision(&self, request_id: &str) -> Option<Arc<DecisionRecord>> {
        self.0.shared.decisions.find(request_id)
    }

    /// The upstreams that get no requests because a check of their health fails.
    #[must_use]
    pub fn unhealthy_upstreams(&self) -> Vec<UnhealthyUpstream> {
        self.0.targets.unhealthy()
    }

    /// Serves `listeners` (TLS) and `redirect` (plain HTTP) until `drain`, then lets what is open finish
    /// within `limits.drain.timeout` and closes the rest. Called once.
    ///
    /// # Errors
    /// A listener that the runtime cannot take.
    pub async fn serve(
        &self,
        listeners: Vec<TcpListener>,
        redirect: Option<TcpListener>,
        drain: CancellationToken,
    ) -> io::Result<()> {
        let shared = &self.0.shared;
        let listeners = adopt(listeners)?;
        let redirect = adopt(redirect.into_iter().collect())?.pop();
        let door = Arc::new(Gatekeeper::new(Arc::clone(&shared.published), Arc::clone(&shared.metrics)));
        let conf = ServerConf { upstream_keepalive_pool_size: ALL_IDLE, max_retries: TRIES, ..ServerConf::default() };
        let proxy = Arc::new(http_proxy(&Arc::new(conf), Traffic::new(Arc::clone(shared))));
        // What runs beside the connections ends with them, not before.
        let beside = CancellationToken::new();
        let _guard = beside.clone().drop_guard();
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(keep_resolving(Arc::clone(&self.0.targets), beside.clone()));
        tasks.spawn(keep_tidy(Arc::clone(&self.0.targets), beside.clone()));
        let metrics = Arc::clone(&shared.metrics);
        tasks.spawn(keep_checking(Arc::clone(&self.0.targets), metrics, beside.clone()));
        let doubts = self.0.doubts.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(doubts) = doubts {
            tasks.spawn(follow(Arc::clone(shared), doubts, beside.clone()));
        }
        if let Some(listener) = redirect {
            let port = shared.published.load().config.listen.public_port;
            tasks.spawn(serve_redirects(listener, Arc::clone(&door), (Arc::clone(&shared.gate), port), drain.clone()));
        }
        let edge = Arc::new(Edge::new(proxy, Arc::clone(&self.0.tls), door, Arc::clone(&shared.metrics)));
        edge.serve(listeners, drain).await;
        beside.cancel();
        while tasks.join_next().await.is_some() {}
        Ok(())
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Proxy")
    }
}

impl fmt::Debug for NextGeneration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NextGeneration")
    }
}
