//! The services of this process, wired together: one runtime, one registry, one key ring. Sockets are bound first,
//! so that a port in use is said before anything runs.

use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use portcullis_authn::{Authn, AuthnParts};
use portcullis_broker::{Broker, BrokerParts, Refresher};
use portcullis_broker_api::{BrokerClient, EndReason, EndSelector, Endpoint, Replica, ReplicaBounds};
use portcullis_config::{Certificate, Config, Service, Storage};
use portcullis_gate::{Gate, Snapshot};
use portcullis_identity::{Clock, SystemClock};
use portcullis_keys::{KeyRing, Random, ServiceRole, SystemRandom};
use portcullis_proxy::{BrokerRecords, BrokerSessions, Proxy, ProxyParts};
use prometheus::Registry;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::agreement::Agreement;
use crate::certificates::CertificateEnds;
use crate::decision_sink::{NextSink, Sink};
use crate::internal_tls::InternalTls;
use crate::readiness::{Readiness, Stage};
use crate::replica_metrics::ReplicaMetrics;
use crate::sockets::Sockets;
use crate::{certificates, secret_file, self_signed};

/// Why the house does not stand: said once, at start.
pub(crate) type StartError = Box<dyn std::error::Error + Send + Sync>;

/// The running services of one process.
#[derive(Debug)]
pub(crate) struct House {
    pub(crate) proxy: Option<ProxyRoom>,
    pub(crate) authn: Option<Authn>,
    /// The broker itself, if this process runs it.
    pub(crate) store: Option<Broker>,
    /// What keeps its tokens fresh.
    pub(crate) refresher: Option<Arc<Refresher>>,
    /// The way to it for who may change external data: its own host's operator.
    operator: Option<BrokerClient>,
    /// The way to the broker, wherever it is.
    broker: BrokerClient,
    pub(crate) agreement: Arc<Agreement>,
    /// The keys of the newest generation.
    pub(crate) ring: ArcSwap<KeyRing>,
    pub(crate) internal_tls: InternalTls,
    pub(crate) certificate_ends: CertificateEnds,
    readiness: Arc<Readiness>,
    pub(crate) clock: Arc<dyn Clock>,
    /// Ends user traffic: no new connections, then what is open.
    drain: CancellationToken,
    /// Ends everything else, once traffic has ended.
    stop: CancellationToken,
    traffic: TaskTracker,
    siblings: TaskTracker,
    drain_delay: std::time::Duration,
}

/// The proxy and what it reads.
#[derive(Debug)]
pub(crate) struct ProxyRoom {
    pub(crate) proxy: Arc<Proxy>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) replica: Arc<Replica>,
    pub(crate) sink: Arc<Sink>,
}

/// What the services share while they are set up.
struct Site<'a> {
    config: &'a Arc<Config>,
    ring: Arc<KeyRing>,
    registry: Registry,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    internal_tls: InternalTls,
    stop: CancellationToken,
    siblings: TaskTracker,
}

impl House {
    /// Binds, opens and starts the services that `config` names.
    ///
    /// # Errors
    /// A port in use, keys that are missing, a store that cannot be opened.
    pub(crate) async fn start(config: &Arc<Config>, registry: Registry) -> Result<Self, StartError> {
        secret_file::own_folder(&config.directories.run)?;
        secret_file::own_folder(&config.directories.state)?;
        let sockets = Sockets::bind(config)?;
        let random: Arc<dyn Random> = Arc::new(SystemRandom);
        let site = Site {
            config,
            ring: Arc::new(secret_file::key_ring(&config.secret, random.as_ref())?),
            registry,
            clock: Arc::new(SystemClock),
            random,
            internal_tls: InternalTls::new(config),
            stop: CancellationToken::new(),
            siblings: TaskTracker::new(),
        };
        let drain = CancellationToken::new();
        let traffic = TaskTracker::new();
        let Sockets { public, redirect, broker, broker_tls, authn, authn_tls } = sockets;
        let store = site.start_broker(broker, broker_tls).await?;
        let operator = store.as_ref().map(|_| site.operator());
        let refresher = store.as_ref().map(|store| site.start_refresher(store)).transpose()?;
        // Without a sign-in host no route asks who somebody is.
        let authn = if config.sign_in.host.is_empty() { None } else { site.start_authn(authn, authn_tls)? };
        let certificate_ends = CertificateEnds::register(&site.registry)?;
        let proxy = match public.is_empty() {
            true => None,
            false => Some(site.start_proxy(public, redirect, (&drain, &traffic), &certificate_ends)?),
        };
        let broker = site.broker_client(ServiceRole::Authn).or_else(|_| site.broker_client(ServiceRole::Proxy))?;
        let agreement = Arc::new(Agreement::new(config, &site.ring));
        if config.siblings.broker.is_some() {
            let (greeting, stop) = (Arc::clone(&agreement), site.stop.clone());
            site.siblings.spawn(greeting.keep_comparing(broker.clone(), stop));
        }
        let Site { clock, stop, siblings, internal_tls, ring, .. } = site;
        let drain_delay = config.limits.drain.delay;
        let readiness = Arc::new(Readiness::default());
        readiness.reach(Stage::Ready);
        Ok(Self {
            proxy,
            authn,
            store,
            refresher,
            operator,
            broker,
            agreement,
            ring: ArcSwap::new(ring),
            internal_tls,
            certificate_ends,
            readiness,
            clock,
            drain,
            stop,
            traffic,
            siblings,
            drain_delay,
        })
    }

    /// Ends sessions as the operator says; answers how many.
    ///
    /// # Errors
    /// The broker does not answer.
    pub(crate) async fn end_sessions(&self, selector: EndSelector, reason: EndReason) -> Result<usize, String> {
        self.broker.end(selector, reason).await.map(|ended| ended.len()).map_err(|error| chain(&error))
    }

    /// The way to the broker for its operator, if this process runs it.
    pub(crate) const fn operator(&self) -> Option<&BrokerClient> {
        self.operator.as_ref()
    }

    /// Drains and stops: traffic first, then the services it needs.
    pub(crate) async fn stop(&self) {
        self.readiness.reach(Stage::Draining);
        if self.proxy.is_some() {
            tokio::time::sleep(self.drain_delay).await;
        }
        self.drain.cancel();
        self.traffic.close();
        self.traffic.wait().await;
        if let Some(room) = &self.proxy {
            let sink = Arc::clone(&room.sink);
            // It writes what waits, which may take a moment.
            let closed = tokio::task::spawn_blocking(move || sink.close()).await;
            if let Err(error) = closed {
                tracing::error!(error = %error, "the decision sink was not closed");
            }
        }
        self.stop.cancel();
        self.siblings.close();
        self.siblings.wait().await;
        if let Some(store) = &self.store {
            store.close().await;
        }
    }

    /// The process's stage.
    pub(crate) fn readiness(&self) -> Arc<Readiness> {
        Arc::clone(&self.readiness)
    }
}

impl Site<'_> {
    async fn start_broker(
        &self,
        unix: Option<UnixListener>,
        tls: Option<TcpListener>,
    ) -> Result<Option<Broker>, StartError> {
        let Some(unix) = unix else { return Ok(None) };
        let Storage::Embedded { path } = &self.config.storage;
        let parts = BrokerParts {
            path: path.clone(),
            keys: self.ring.store()?,
            clock: Arc::clone(&self.clock),
            random: Arc::clone(&self.random),
            registry: self.registry.clone(),
            digest: Agreement::new(self.config, &self.ring).digest(),
        };
        let broker = tokio::task::spawn_blocking(move || Broker::open(parts)).await??;
        let listener = tokio::net::UnixListener::from_std(unix)?;
        let (serving, stop) = (broker.clone(), self.stop.clone());
        self.siblings.spawn(async move { report("broker", serving.serve_unix(listener, stop).await) });
        if let Some(tls) = tls {
            let settings = self.internal_tls.server(&self.ring, ServiceRole::Broker, self.clock.now())?;
            let listener = tokio::net::TcpListener::from_std(tls)?;
            let (serving, stop) = (broker.clone(), self.stop.clone());
            self.siblings.spawn(async move { report("broker", serving.serve_tls(listener, settings, stop).await) });
        }
        Ok(Some(broker))
    }

    /// The way to the broker of this process for its operator.
    fn operator(&self) -> BrokerClient {
        let socket = self.config.directories.run.join("broker.sock");
        BrokerClient::connect_lazy(Endpoint::Unix(socket), ServiceRole::Broker)
    }

    fn start_refresher(&self, store: &Broker) -> Result<Arc<Refresher>, StartError> {
        let refresher = Arc::new(store.refresher(self.config)?);
        let (running, stop) = (Arc::clone(&refresher), self.stop.clone());
        self.siblings.spawn(async move { running.run(stop).await });
        Ok(refresher)
    }

    fn start_authn(&self, unix: Option<UnixListener>, tls: Option<TcpListener>) -> Result<Option<Authn>, StartError> {
        let Some(unix) = unix else { return Ok(None) };
        let authn = Authn::new(AuthnParts {
            config: Arc::clone(self.config),
            keys: &self.ring,
            broker: self.broker_client(ServiceRole::Authn)?,
            clock: Arc::clone(&self.clock),
            random: Arc::clone(&self.random),
            registry: &self.registry,
        })?;
        let listener = tokio::net::UnixListener::from_std(unix)?;
        let (serving, stop) = (authn.clone(), self.stop.clone());
        self.siblings.spawn(async move { report("authn", serving.serve_unix(listener, stop).await) });
        if let Some(tls) = tls {
            let settings = self.internal_tls.server(&self.ring, ServiceRole::Authn, self.clock.now())?;
            let listener = tokio::net::TcpListener::from_std(tls)?;
            let (serving, stop) = (authn.clone(), self.stop.clone());
            self.siblings.spawn(async move { serving.serve_tls(listener, settings, stop).await });
        }
        Ok(Some(authn))
    }

    fn start_proxy(
        &self,
        public: Vec<TcpListener>,
        redirect: Option<TcpListener>,
        (drain, traffic): (&CancellationToken, &TaskTracker),
        ends: &CertificateEnds,
    ) -> Result<ProxyRoom, StartError> {
        let config = self.config;
        let snapshot = Snapshot::build(config, None)?;
        let broker = self.broker_client(ServiceRole::Proxy)?;
        let bounds = ReplicaBounds { max_bytes: config.replica.max_bytes, max_staleness: config.replica.max_staleness };
        let replica = Replica::new(broker.clone(), bounds);
        ReplicaMetrics::register(&replica, &self.registry)?;
        let records = Arc::new(BrokerRecords::new(Arc::clone(&replica)));
        let gate = Arc::new(Gate::new(snapshot).with_records(records));
        let certificate = self_signed_for(config, self.clock.as_ref())?;
        ends.show(&certificates::ends(config, certificate.as_ref()), config);
        let sink = Arc::new(Sink::new(&self.registry)?);
        sink.take_over(prepare_sink(&sink, config)?);
        let proxy = Arc::new(Proxy::new(ProxyParts {
            config: Arc::clone(config),
            gate: Arc::clone(&gate),
            keys: Arc::clone(&self.ring),
            sessions: Arc::new(BrokerSessions::new(broker, Arc::clone(&replica))),
            authn: self.internal_tls.authn(&self.ring, self.clock.now())?,
            fallback: certificate,
            clock: Arc::clone(&self.clock),
            random: Arc::clone(&self.random),
            decision_sink: Some(Arc::clone(&sink) as _),
            registry: self.registry.clone(),
        })?);
        let (following, stop) = (Arc::clone(&replica), self.stop.clone());
        self.siblings.spawn(async move { following.run(stop).await });
        let (serving, drain) = (Arc::clone(&proxy), drain.clone());
        traffic.spawn(async move { report("proxy", serving.serve(public, redirect, drain).await) });
        Ok(ProxyRoom { proxy, gate, replica, sink })
    }

    /// A client of the broker, wherever that is, that speaks as `role`.
    fn broker_client(&self, role: ServiceRole) -> Result<BrokerClient, StartError> {
        let endpoint = match &self.config.siblings.broker {
            None => Endpoint::Unix(self.config.directories.run.join("broker.sock")),
            Some(url) => {
                let config = self.internal_tls.client(&self.ring, role, self.clock.now())?;
                Endpoint::Tls { url: url.as_str().parse()?, config }
            }
        };
        Ok(BrokerClient::connect_lazy(endpoint, role))
    }
}

/// The self-signed certificate, where the configuration names none.
pub(crate) fn self_signed_for(config: &Config, clock: &dyn Clock) -> Result<Option<Certificate>, StartError> {
    if !config.tls.certificates.is_empty() || !config.services.runs(Service::Proxy) {
        return Ok(None);
    }
    Ok(Some(self_signed::for_names_of(config, &config.directories.state, clock.now())?))
}

/// Where a configuration has the sink write.
pub(crate) fn prepare_sink(sink: &Sink, config: &Config) -> Result<NextSink, StartError> {
    let path = config.decisions.sink.as_deref();
    let shown = path.unwrap_or_else(|| Path::new("")).display();
    sink.prepare(path).map_err(|error| format!("decisions.sink.file: {shown}: {error}").into())
}

fn report<E: std::error::Error + 'static>(service: &'static str, ended: Result<(), E>) {
    if let Err(error) = ended {
        tracing::error!(service, error = chain(&error), "service ended");
    }
}

/// An error with its causes, on one line.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
