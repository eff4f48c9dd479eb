//! What the sign-in service asks of the broker.

use std::fmt::Debug;
use std::future::Future;

use portcullis_broker_api::{BrokerClient, BrokerError, CreateError, EndReason, EndSelector, Ended, NewSession};
use portcullis_identity::{DerivedSession, Session, SessionKey};

/// The broker as the sign-in service knows it: five calls. [`BrokerClient`] is the real one; tests have
/// their own.
pub trait Sessions: Debug + Send + Sync + 'static {
    /// Keeps a session; answers once it is on disk.
    fn create(&self, new: NewSession) -> impl Future<Output = Result<Session, CreateError>> + Send;

    /// Keeps a session made of another one, for a program that reaches `host` with it; `None`: that one is over.
    fn derive(
        &self,
        parent: &SessionKey,
        key: &SessionKey,
        host: &str,
    ) -> impl Future<Output = Result<Option<Session>, BrokerError>> + Send;

    /// The live sessions that were made of one.
    fn list_derived(
        &self,
        parent: &SessionKey,
    ) -> impl Future<Output = Result<Vec<DerivedSession>, BrokerError>> + Send;

    /// The session of a key, at the store's head.
    fn fetch(&self, key: &SessionKey) -> impl Future<Output = Result<Option<Session>, BrokerError>> + Send;

    /// Ends sessions on every host.
    fn end(
        &self,
        selector: EndSelector,
        reason: EndReason,
    ) -> impl Future<Output = Result<Vec<Ended>, BrokerError>> + Send;
}

impl Sessions for BrokerClient {
    async fn create(&self, new: NewSession) -> Result<Session, CreateError> {
        Self::create(self, new).await
    }

    async fn derive(&self, parent: &SessionKey, key: &SessionKey, host: &str) -> Result<Option<Session>, BrokerError> {
        Self::derive(self, parent, key, host).await
    }

    async fn list_derived(&self, parent: &SessionKey) -> Result<Vec<DerivedSession>, BrokerError> {
        Self::list_derived(self, parent).await
    }

    async fn fetch(&self, key: &SessionKey) -> Result<Option<Session>, BrokerError> {
        Self::fetch(self, key).await
    }

    async fn end(&self, selector: EndSelector, reason: EndReason) -> Result<Vec<Ended>, BrokerError> {
        Self::end(self, selector, reason).await
    }
}
