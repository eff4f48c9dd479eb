//! One proxy with everything around it.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;

use portcullis_config::{Certificate, Config, Environment, from_text};
use portcullis_gate::{Gate, Snapshot};
use portcullis_identity::{Clock, ManualClock, SessionKey, Timestamp};
use portcullis_keys::{CredentialKind, Handle, KeyRing, Random, SystemRandom};
use portcullis_proxy::{
    AuthnEndpoint, DecisionRecord, DecisionSink, NextGeneration, NextParts, Proxy, ProxyError, ProxyParts,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::sessions::{FakeSessions, session};
use crate::upstream::Upstream;

pub(crate) const NOW: Timestamp = Timestamp::from_unix_seconds(1_700_000_000);

/// Hosts of the fallback certificate.
const HOSTS: [&str; 5] = ["wiki.test", "open.test", "auth.test", "other.test", "grpc.test"];

/// Decisions as a sink gets them.
#[derive(Debug, Default)]
pub(crate) struct Heard(std::sync::Mutex<Vec<Arc<DecisionRecord>>>);

impl DecisionSink for Heard {
    fn keep(&self, record: &Arc<DecisionRecord>) {
        self.0.lock().unwrap().push(Arc::clone(record));
    }
}

impl Heard {
    pub(crate) fn all(&self) -> Vec<Arc<DecisionRecord>> {
        self.0.lock().unwrap().clone()
    }
}

#[derive(Debug)]
struct Variables;

impl Environment for Variables {
    fn var(&self, name: &str) -> Option<String> {
        (name == "SECRET").then(|| "secret".to_owned())
    }
}

pub(crate) struct World {
    pub(crate) address: SocketAddr,
    pub(crate) redirect: SocketAddr,
    pub(crate) sessions: Arc<FakeSessions>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) ring: Arc<KeyRing>,
    pub(crate) proxy: Proxy,
    pub(crate) drain: CancellationToken,
    pub(crate) upstream: Upstream,
    pub(crate) root: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
    pub(crate) registry: prometheus::Registry,
    pub(crate) heard: Arc<Heard>,
    pub(crate) served: JoinHandle<std::io::Result<()>>,
    pub(crate) directory: tempfile::TempDir,
}

/// Routes that most tests use; `UP` is the upstream's address.
pub(crate) const ROUTES: &str = r"
  - {name: open, from: https://open.test, to: http://UP, allow_public_unauthenticated_access: true, cors_allow_preflight: true, pass_identity_headers: true, allow_websockets: true, timeout: 2s}
  - {name: raw, from: https://other.test, prefix: /raw, prefix_rewrite: /cooked, to: http://UP, allow_public_unauthenticated_access: true}
  - {name: plain, from: https://other.test, to: http://UP, allow_public_unauthenticated_access: true, host_rewrite: inner.test, set_request_headers: {X-Token: 'Bearer ${pomerium.access_token}', X-Fixed: a}, remove_request_headers: [X-Secret], set_response_headers: {X-Frame-Options: DENY}}
  - {name: wiki, from: https://wiki.test, to: http://UP, allow_any_authenticated_user: true, pass_identity_headers: true, allow_websockets: true, cors_allow_preflight: true, preserve_host_header: true}
  - {name: grpc, from: https://grpc.test, to: h2c://UP, allow_any_authenticated_user: true}
";

pub(crate) fn config(routes: &str, extra: &str, upstream: &str, directory: &std::path::Path) -> Arc<Config> {
    let sign_in = if extra.contains("sign_in:") { "" } else { "sign_in: {host: auth.test}\n" };
    let text = format!(
        "{sign_in}providers:\n  corp: {{issuer: 'https://idp.test', client_id: portcullis, client_secret: {{env: SECRET}}}}\n{extra}\nroutes:{}",
        routes.replace("://UP", &format!("://{upstream}"))
    );
    match from_text(&text, "test.yaml", directory, &Variables) {
        Ok(loaded) => loaded.config,
        Err(error) => panic!("{error}\n{text}"),
    }
}

pub(crate) fn certificate(names: &[&str]) -> Certificate {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let rcgen::CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(names).unwrap();
    Certificate {
        chain: vec![cert.der().clone()],
        key: PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap(),
        origin: PathBuf::from("fallback"),
    }
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::with(ROUTES, "").await
    }

    pub(crate) async fn with(routes: &str, extra: &str) -> Self {
        let upstream = Upstream::start().await;
        let directory = tempfile::tempdir().unwrap();
        let config = config(routes, extra, &upstream.address.to_string(), directory.path());
        let (ring, _) = KeyRing::generate(&SystemRandom);
        let (ring, sessions, clock) =
            (Arc::new(ring), Arc::new(FakeSessions::default()), Arc::new(ManualClock::at(NOW)));
        let fallback = certificate(&HOSTS);
        let (root, key) = (fallback.chain[0].clone(), fallback.key.clone_key());
        let registry = prometheus::Registry::new();
        let heard = Arc::new(Heard::default());
        let proxy = Proxy::new(ProxyParts {
            config: Arc::clone(&config),
            gate: Arc::new(Gate::new(Snapshot::build(&config, None).unwrap()).with_records(Arc::clone(&sessions) as _)),
            keys: Arc::clone(&ring),
            sessions: Arc::clone(&sessions) as _,
            authn: AuthnEndpoint::Unix(directory.path().join("authn.sock")),
            fallback: Some(fallback),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            random: Arc::new(SystemRandom) as Arc<dyn Random>,
            decision_sink: Some(Arc::clone(&heard) as _),
            registry: registry.clone(),
        })
        .unwrap();
        let (listener, redirect) =
            (TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
        let (address, redirect_address) = (listener.local_addr().unwrap(), redirect.local_addr().unwrap());
        let drain = CancellationToken::new();
        let served = tokio::spawn({
            let (proxy, drain) = (proxy.clone(), drain.clone());
            async move { proxy.serve(vec![listener], Some(redirect), drain).await }
        });
        Self {
            address,
            redirect: redirect_address,
            sessions,
            clock,
            ring,
            proxy,
            drain,
            upstream,
            root,
            key,
            registry,
            heard,
            served,
            directory,
        }
    }

    /// A new generation.
    pub(crate) fn publish(&self, routes: &str, extra: &str) {
        self.proxy.take_over(self.prepare(routes, extra, None).unwrap());
    }

    /// The same configuration with another key ring.
    pub(crate) fn publish_keys(&self, ring: &Arc<KeyRing>) {
        self.proxy.take_over(self.prepare(ROUTES, "", Some(ring)).unwrap());
    }

    /// A new generation that serves nobody yet.
    pub(crate) fn prepare(
        &self,
        routes: &str,
        extra: &str,
        ring: Option<&Arc<KeyRing>>,
    ) -> Result<NextGeneration, ProxyError> {
        let config = config(routes, extra, &self.upstream.address.to_string(), self.directory.path());
        let snapshot = Snapshot::build(&config, None).unwrap();
        let authn = || AuthnEndpoint::Unix(self.directory.path().join("authn.sock"));
        let keys = ring.map(|ring| (Arc::clone(ring), authn()));
        let (chain, key) = (vec![self.root.clone()], self.key.clone_key());
        let fallback = Some(Certificate { chain, key, origin: PathBuf::from("fallback") });
        self.proxy.prepare(NextParts { config, snapshot, keys, fallback })
    }

    /// Signs Alice in on `host`: her session's key and her cookie.
    pub(crate) fn sign_in(&self, host: &str) -> (SessionKey, String) {
        let handle = Handle::random(&SystemRandom);
        self.sessions.put(session(handle.key(), "alice@corp.test", NOW));
        let credential = self.ring.credential().unwrap().mint(CredentialKind::Session, &handle, host);
        (handle.key(), format!("__Host-portcullis={credential}"))
    }

    /// The value of a metric with these labels in its text form.
    pub(crate) fn metric(&self, line: &str) -> f64 {
        use prometheus::Encoder as _;
        let mut text = Vec::new();
        prometheus::TextEncoder::new().encode(&self.registry.gather(), &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        text.lines().find_map(|found| found.strip_prefix(line)?.trim().parse().ok()).unwrap_or(0.0)
    }
}
