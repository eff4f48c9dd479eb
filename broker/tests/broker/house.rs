//! A broker on a Unix socket in a folder of its own, which tests may stop and start.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use portcullis_broker::{Broker, BrokerParts};
use portcullis_broker_api::{BrokerClient, Change, Endpoint, NewSession, Profile, Replica, ReplicaBounds, Tokens};
use portcullis_identity::{Clock as _, Group, ManualClock, Principal, ProviderName, SecretText, SessionKey, Timestamp};
use portcullis_keys::{KeyRing, ServiceRole, SystemRandom, sha256};
use prometheus::Registry;
use tempfile::TempDir;
use tokio::net::UnixListener;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

pub(crate) const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);
pub(crate) const DIGEST: [u8; 32] = [9; 32];
pub(crate) const BOUNDS: ReplicaBounds = ReplicaBounds { max_bytes: 64 << 20, max_staleness: Duration::from_secs(300) };
/// Far longer than anything takes: a bound for what hangs, not a measure.
pub(crate) const SOON: Duration = Duration::from_secs(20);

pub(crate) struct House {
    pub(crate) folder: TempDir,
    pub(crate) ring: KeyRing,
    pub(crate) ring_text: String,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) registry: Registry,
    running: Option<Running>,
}

struct Running {
    broker: Broker,
    stop: CancellationToken,
    server: JoinHandle<()>,
}

impl House {
    pub(crate) fn new() -> Self {
        let (ring, ring_text) = KeyRing::generate(&SystemRandom);
        let mut house = Self {
            folder: tempfile::tempdir().unwrap(),
            ring,
            ring_text,
            clock: Arc::new(ManualClock::at(NOW)),
            registry: Registry::new(),
            running: None,
        };
        house.start();
        house
    }

    pub(crate) fn start(&mut self) {
        let broker = Broker::open(self.parts()).unwrap();
        let socket = self.socket();
        drop(std::fs::remove_file(&socket));
        let listener = UnixListener::bind(socket).unwrap();
        let stop = CancellationToken::new();
        let (serving, stopped) = (broker.clone(), stop.clone());
        let server = tokio::spawn(async move { serving.serve_unix(listener, stopped).await.unwrap() });
        self.running = Some(Running { broker, stop, server });
    }

    pub(crate) async fn stop(&mut self) {
        let Running { broker, stop, server } = self.running.take().unwrap();
        stop.cancel();
        server.await.unwrap();
        broker.close().await;
        self.registry = Registry::new();
    }

    pub(crate) fn parts(&self) -> BrokerParts {
        BrokerParts {
            path: self.store(),
            keys: self.ring.store().unwrap(),
            clock: Arc::clone(&self.clock) as _,
            random: Arc::new(SystemRandom),
            registry: self.registry.clone(),
            digest: DIGEST,
        }
    }

    pub(crate) fn broker(&self) -> &Broker {
        &self.running.as_ref().unwrap().broker
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.folder.path().join("sessions.redb")
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("broker.sock")
    }

    pub(crate) fn client(&self, role: ServiceRole) -> BrokerClient {
        BrokerClient::connect_lazy(Endpoint::Unix(self.socket()), role)
    }

    pub(crate) fn proxy(&self) -> BrokerClient {
        self.client(ServiceRole::Proxy)
    }

    pub(crate) fn authn(&self) -> BrokerClient {
        self.client(ServiceRole::Authn)
    }

    /// A session made now that lasts an hour.
    pub(crate) fn new_session(&self, name: &str) -> NewSession {
        new_session(name, self.clock.now())
    }

    /// A replica that is driven until the guard is dropped, and follows by now.
    pub(crate) async fn replica(&self) -> (Arc<Replica>, DropGuard) {
        let replica = Replica::new(self.proxy(), BOUNDS);
        let mut changes = replica.changes();
        let stop = CancellationToken::new();
        tokio::spawn(Arc::clone(&replica).run(stop.clone()));
        // Its first stream begins with a reset, that of external data with all there is.
        let mut awaited = vec![Change::Reset, Change::Records];
        while !awaited.is_empty() {
            let change = tokio::time::timeout(SOON, changes.recv()).await.unwrap().unwrap();
            awaited.retain(|wanted| *wanted != change);
        }
        (replica, stop.drop_guard())
    }

    /// The value of a counter or gauge with one label at most.
    pub(crate) fn metric(&self, name: &str, label: Option<&str>) -> u64 {
        let families = self.registry.gather();
        let family = families.iter().find(|family| family.name() == name);
        let metrics = family.map(prometheus::proto::MetricFamily::get_metric).unwrap_or_default();
        let metric = metrics
            .iter()
            .find(|metric| label.is_none_or(|label| metric.get_label().iter().any(|pair| pair.value() == label)));
        metric.map_or(0, |metric| {
            let (counter, gauge) = (metric.get_counter().get_value(), metric.get_gauge().get_value());
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small counts")]
            let count = (counter + gauge) as u64;
            count
        })
    }
}

pub(crate) fn key(name: &str) -> SessionKey {
    SessionKey::from_bytes(sha256(name.as_bytes()))
}

pub(crate) fn new_session(name: &str, now: Timestamp) -> NewSession {
    NewSession {
        key: key(name),
        principal: Principal { issuer: "https://idp.corp.test".into(), subject: "alice".into() },
        provider: ProviderName::new("corp"),
        provider_session: Some("idp-session-1".into()),
        profile: Profile {
            user_id: "alice".into(),
            email: "alice@corp.test".into(),
            name: "Alice".into(),
            groups: Some(
                [Group { id: "admins".into(), name: "Admins".into(), email: "".into() }].into_iter().collect(),
            ),
        },
        claims_json: r#"{"department":"canary-claim","level":7}"#.to_owned(),
        authenticated_at: now,
        acr: Some("phr".into()),
        expires_at: now.saturating_add(Duration::from_secs(3600)),
        idle: None,
        tokens: Tokens {
            access_token: Some(SecretText::new("canary-access")),
            refresh_token: Some(SecretText::new("canary-refresh")),
            id_token: Some(SecretText::new("canary-id")),
            expires_at: Some(now.saturating_add(Duration::from_secs(300))),
        },
    }
}
