//! Sessions as the proxy asks for them. The real ones are the broker's, through the replica; tests have
//! their own.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use portcullis_broker_api::{
    BrokerClient, BrokerError, Change, EndReason, RedeemError, Replica, Resolved, UpstreamTokens,
};
use portcullis_gate::RecordSource;
use portcullis_identity::{DerivedSession, Records, Session, SessionKey, Timestamp};
use tokio::sync::broadcast;

/// Where the proxy gets sessions from.
#[async_trait]
pub trait Sessions: fmt::Debug + Send + Sync {
    /// The session with this key as far as it is at hand: no waiting, no lock, no allocation.
    fn resolve(&self, key: &SessionKey, now: Timestamp) -> Resolved;

    /// The session with this key, asked for where it is kept; bounded in time.
    async fn fetch(&self, key: &SessionKey) -> Resolved;

    /// Redeems a hand-over: its `id` is spent until `until`, and the session comes back.
    ///
    /// # Errors
    /// Spent before, no such session, or nobody to ask.
    async fn redeem(&self, id: [u8; 16], until: Timestamp, key: &SessionKey) -> Result<Arc<Session>, RedeemError>;

    /// The session was used now.
    fn used(&self, key: &SessionKey, now: Timestamp);

    /// Grows whenever a session ended or changed, external data changed, or what is at hand became doubtful.
    fn epoch(&self) -> u64;

    /// What makes the epoch grow, as it happens.
    fn changes(&self) -> broadcast::Receiver<Change>;

    /// Ends a session everywhere.
    ///
    /// # Errors
    /// Nobody to ask, or not allowed.
    async fn end(&self, key: &SessionKey) -> Result<(), BrokerError>;

    /// The live sessions that were made of this one, for programs.
    ///
    /// # Errors
    /// Nobody to ask, or not allowed.
    async fn list_derived(&self, key: &SessionKey) -> Result<Vec<DerivedSession>, BrokerError>;

    /// The tokens the named route injects; `None`: there is no such session.
    ///
    /// # Errors
    /// Nobody to ask, or not allowed.
    async fn tokens(&self, key: &SessionKey, route: &str) -> Result<Option<UpstreamTokens>, BrokerError>;
}

/// The broker's sessions through this process's replica.
#[derive(Clone, Debug)]
pub struct BrokerSessions {
    broker: BrokerClient,
    replica: Arc<Replica>,
}

impl BrokerSessions {
    /// Sessions of `replica`, which somebody else runs, and of the broker behind it.
    #[must_use]
    pub const fn new(broker: BrokerClient, replica: Arc<Replica>) -> Self {
        Self { broker, replica }
    }
}

#[async_trait]
impl Sessions for BrokerSessions {
    fn resolve(&self, key: &SessionKey, now: Timestamp) -> Resolved {
        self.replica.resolve(key, now)
    }

    async fn fetch(&self, key: &SessionKey) -> Resolved {
        self.replica.fetch(key).await
    }

    async fn redeem(&self, id: [u8; 16], until: Timestamp, key: &SessionKey) -> Result<Arc<Session>, RedeemError> {
        self.replica.redeem(id, until, key).await
    }

    fn used(&self, key: &SessionKey, now: Timestamp) {
        self.replica.used(key, now);
    }

    fn epoch(&self) -> u64 {
        self.replica.epoch()
    }

    fn changes(&self) -> broadcast::Receiver<Change> {
        self.replica.changes()
    }

    async fn end(&self, key: &SessionKey) -> Result<(), BrokerError> {
        // Through the replica: it has let go of the session when the caller is answered.
        self.replica.end(key, EndReason::SignedOut).await
    }

    async fn list_derived(&self, key: &SessionKey) -> Result<Vec<DerivedSession>, BrokerError> {
        self.broker.list_derived(key).await
    }

    async fn tokens(&self, key: &SessionKey, route: &str) -> Result<Option<UpstreamTokens>, BrokerError> {
        self.broker.access_token(key, route).await
    }
}

/// The broker's external data through this process's replica, for the gate.
#[derive(Clone, Debug)]
pub struct BrokerRecords(Arc<Replica>);

impl BrokerRecords {
    /// External data of `replica`, which somebody else runs.
    #[must_use]
    pub const fn new(replica: Arc<Replica>) -> Self {
        Self(replica)
    }
}

impl RecordSource for BrokerRecords {
    fn records(&self) -> Option<Arc<Records>> {
        self.0.records()
    }
}
