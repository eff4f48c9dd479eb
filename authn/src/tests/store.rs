//! Sessions in memory, in the place of the broker.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use portcullis_broker_api::{BrokerError, CreateError, EndReason, EndSelector, Ended, LogoutHint, NewSession, Profile};
use portcullis_identity::{Claims, Clock, DerivedSession, ManualClock, Session, SessionKey, Subject};

use crate::Sessions;

#[derive(Clone, Debug)]
pub(super) struct Store(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    clock: Arc<ManualClock>,
    sessions: Mutex<BTreeMap<SessionKey, (Session, LogoutHint)>>,
    ended: Mutex<Vec<(SessionKey, EndReason)>>,
    derived: Mutex<Vec<(SessionKey, DerivedSession)>>,
    down: AtomicBool,
    unlisted: AtomicBool,
}

impl Store {
    pub(super) fn new(clock: Arc<ManualClock>) -> Self {
        let (sessions, ended, derived) = (Mutex::default(), Mutex::default(), Mutex::default());
        let (down, unlisted) = (AtomicBool::new(false), AtomicBool::new(false));
        Self(Arc::new(Inner { clock, sessions, ended, derived, down, unlisted }))
    }

    pub(super) fn set_down(&self, down: bool) {
        self.0.down.store(down, Ordering::SeqCst);
    }

    /// Sessions are found, and what was made of them is not.
    pub(super) fn set_unlisted(&self, unlisted: bool) {
        self.0.unlisted.store(unlisted, Ordering::SeqCst);
    }

    pub(super) fn keys(&self) -> Vec<SessionKey> {
        self.0.sessions.lock().unwrap().keys().copied().collect()
    }

    pub(super) fn session(&self, key: &SessionKey) -> Option<Session> {
        self.0.sessions.lock().unwrap().get(key).map(|(session, _)| session.clone())
    }

    pub(super) fn ended(&self) -> Vec<(SessionKey, EndReason)> {
        self.0.ended.lock().unwrap().clone()
    }

    fn up(&self) -> Result<(), BrokerError> {
        if self.0.down.load(Ordering::SeqCst) {
            return Err(BrokerError::Unavailable(Box::new(tonic::Status::unavailable("down"))));
        }
        Ok(())
    }
}

impl Sessions for Store {
    async fn create(&self, new: NewSession) -> Result<Session, CreateError> {
        self.up().map_err(CreateError::Broker)?;
        let NewSession { key, principal, provider, provider_session, profile, claims_json, .. } = new;
        let Profile { user_id, email, name, groups } = profile;
        let claims = Claims::from_json(&claims_json).unwrap();
        let groups = groups.map(|groups| groups.to_vec().into());
        let session = Session {
            key,
            version: 1,
            principal,
            provider: provider.clone(),
            provider_session,
            subject: Subject { user_id, email, name, claims, groups, devices: Arc::default() },
            authenticated_at: new.authenticated_at,
            acr: new.acr,
            last_used: self.0.clock.now(),
            expires_at: new.expires_at,
            idle: new.idle,
        };
        let hint = LogoutHint { provider, id_token: new.tokens.id_token, access_token: new.tokens.access_token };
        self.0.sessions.lock().unwrap().insert(key, (session.clone(), hint));
        Ok(session)
    }

    async fn derive(&self, parent: &SessionKey, key: &SessionKey, host: &str) -> Result<Option<Session>, BrokerError> {
        self.up()?;
        let Some(of) = self.session(parent) else { return Ok(None) };
        let now = self.0.clock.now();
        let derived = DerivedSession { key: *key, host: Some(host.into()), made_at: now, last_used: now };
        self.0.derived.lock().unwrap().push((*parent, derived));
        let hint = LogoutHint { provider: of.provider.clone(), id_token: None, access_token: None };
        let session = Session { key: *key, last_used: self.0.clock.now(), ..of };
        self.0.sessions.lock().unwrap().insert(*key, (session.clone(), hint));
        Ok(Some(session))
    }

    async fn list_derived(&self, parent: &SessionKey) -> Result<Vec<DerivedSession>, BrokerError> {
        self.up()?;
        if self.0.unlisted.load(Ordering::SeqCst) {
            return Err(BrokerError::Unavailable(Box::new(tonic::Status::unavailable("away"))));
        }
        let (derived, live) = (self.0.derived.lock().unwrap().clone(), self.keys());
        let of = derived.into_iter().filter(|(of, session)| of == parent && live.contains(&session.key));
        Ok(of.map(|(_, session)| session).collect())
    }

    async fn fetch(&self, key: &SessionKey) -> Result<Option<Session>, BrokerError> {
        self.up()?;
        Ok(self.session(key))
    }

    async fn end(&self, selector: EndSelector, reason: EndReason) -> Result<Vec<Ended>, BrokerError> {
        self.up()?;
        let EndSelector::Key(key) = selector else { panic!("only by key") };
        let ended = self.0.sessions.lock().unwrap().remove(&key);
        self.0.ended.lock().unwrap().extend(ended.is_some().then_some((key, reason)));
        Ok(ended.map(|(_, logout)| Ended { key, logout: Some(logout) }).into_iter().collect())
    }
}
