//! Sessions and external data in memory.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use portcullis_broker_api::wire::WireError;
use portcullis_broker_api::{BrokerError, Change, RedeemError, Resolved, UpstreamTokens};
use portcullis_gate::RecordSource;
use portcullis_identity::{
    DerivedSession, Principal, ProviderName, Records, SecretText, Session, SessionKey, Subject, Timestamp,
};
use portcullis_proxy::Sessions;
use tokio::sync::broadcast;

#[derive(Debug)]
pub(crate) struct FakeSessions {
    pub(crate) held: Mutex<HashMap<SessionKey, Arc<Session>>>,
    pub(crate) redeemed: Mutex<HashSet<[u8; 16]>>,
    pub(crate) stale: AtomicBool,
    /// Those that are not at hand before they are fetched.
    dormant: Mutex<HashSet<SessionKey>>,
    /// Those whose fetch is never answered: their provider takes its time.
    pub(crate) slow: Mutex<HashSet<SessionKey>>,
    /// Whether nobody answers a fetch.
    pub(crate) away: AtomicBool,
    /// What was made of which; `None`: the broker is away.
    pub(crate) derived: Mutex<Option<HashMap<SessionKey, Vec<DerivedSession>>>>,
    records: Mutex<Option<Arc<Records>>>,
    epoch: AtomicU64,
    changes: broadcast::Sender<Change>,
}

impl Default for FakeSessions {
    fn default() -> Self {
        Self {
            held: Mutex::default(),
            redeemed: Mutex::default(),
            stale: AtomicBool::new(false),
            dormant: Mutex::default(),
            slow: Mutex::default(),
            away: AtomicBool::new(false),
            derived: Mutex::new(Some(HashMap::new())),
            records: Mutex::default(),
            epoch: AtomicU64::new(0),
            changes: broadcast::Sender::new(64),
        }
    }
}

impl FakeSessions {
    pub(crate) fn put(&self, session: Session) {
        self.held.lock().unwrap().insert(session.key, Arc::new(session));
    }

    pub(crate) fn end_now(&self, key: &SessionKey) {
        self.held.lock().unwrap().remove(key);
        self.tell(Change::Ended(*key));
    }

    pub(crate) fn change(&self, session: Session) {
        let key = session.key;
        self.put(session);
        self.tell(Change::Changed(key));
    }

    /// The session is let go of, and is this one once it is fetched.
    pub(crate) fn doze(&self, session: Session) {
        let key = session.key;
        self.dormant.lock().unwrap().insert(key);
        self.put(session);
        drop(self.changes.send(Change::Dormant(key)));
    }

    pub(crate) fn go_stale(&self) {
        self.stale.store(true, Ordering::SeqCst);
        self.tell(Change::Stale);
    }

    /// Has all external data be this; `None`: nobody knows it.
    pub(crate) fn hold_records(&self, records: Option<Records>) {
        *self.records.lock().unwrap() = records.map(Arc::new);
        self.tell(Change::Records);
    }

    fn tell(&self, change: Change) {
        self.epoch.fetch_add(1, Ordering::SeqCst);
        drop(self.changes.send(change));
    }
}

impl RecordSource for FakeSessions {
    fn records(&self) -> Option<Arc<Records>> {
        self.records.lock().unwrap().clone()
    }
}

#[async_trait]
impl Sessions for FakeSessions {
    fn resolve(&self, key: &SessionKey, _: Timestamp) -> Resolved {
        if self.stale.load(Ordering::SeqCst) {
            return Resolved::Stale;
        }
        if self.dormant.lock().unwrap().contains(key) {
            return Resolved::Missing;
        }
        self.held.lock().unwrap().get(key).map_or(Resolved::Absent, |session| Resolved::Session(Arc::clone(session)))
    }

    async fn fetch(&self, key: &SessionKey) -> Resolved {
        if self.slow.lock().unwrap().contains(key) {
            std::future::pending::<()>().await;
        }
        if self.away.load(Ordering::SeqCst) {
            return Resolved::Missing;
        }
        self.dormant.lock().unwrap().remove(key);
        self.resolve(key, Timestamp::EPOCH)
    }

    async fn redeem(&self, id: [u8; 16], _: Timestamp, key: &SessionKey) -> Result<Arc<Session>, RedeemError> {
        if !self.redeemed.lock().unwrap().insert(id) {
            return Err(RedeemError::AlreadyRedeemed);
        }
        self.held.lock().unwrap().get(key).cloned().ok_or(RedeemError::NoSession)
    }

    fn used(&self, _: &SessionKey, _: Timestamp) {}

    fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::SeqCst)
    }

    fn changes(&self) -> broadcast::Receiver<Change> {
        self.changes.subscribe()
    }

    async fn end(&self, key: &SessionKey) -> Result<(), BrokerError> {
        self.end_now(key);
        Ok(())
    }

    async fn list_derived(&self, key: &SessionKey) -> Result<Vec<DerivedSession>, BrokerError> {
        let derived = self.derived.lock().unwrap();
        let away = || BrokerError::BadAnswer(WireError::Missing { field: "all of it" });
        let held = self.held.lock().unwrap();
        let family = derived.as_ref().ok_or_else(away)?.get(key).cloned().unwrap_or_default();
        Ok(family.into_iter().filter(|session| held.contains_key(&session.key)).collect())
    }

    async fn tokens(&self, _: &SessionKey, _: &str) -> Result<Option<UpstreamTokens>, BrokerError> {
        Ok(Some(UpstreamTokens {
            access_token: Some(SecretText::new("access-of-alice")),
            id_token: None,
            expires_at: None,
        }))
    }
}

pub(crate) fn session(key: SessionKey, email: &str, now: Timestamp) -> Session {
    Session {
        key,
        version: 1,
        principal: Principal { issuer: "https://idp.test".into(), subject: "u1".into() },
        provider: ProviderName::new("corp"),
        provider_session: None,
        subject: Subject { user_id: "u1".into(), email: email.into(), name: "Alice".into(), ..Subject::default() },
        authenticated_at: now,
        acr: None,
        last_used: now,
        expires_at: now.saturating_add(Duration::from_secs(14 * 3600)),
        idle: None,
    }
}
