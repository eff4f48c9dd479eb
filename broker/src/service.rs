//! The gRPC side: checks messages, asks the threads, names refusals.

use std::pin::Pin;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use futures_util::Stream;
use portcullis_broker_api::wire::generated as proto;
use portcullis_broker_api::wire::generated::broker_server;
use portcullis_broker_api::{EndReason, ServerId, UpstreamTokens, wire};
use portcullis_identity::{SecretText, SessionKey, Timestamp};
use portcullis_keys::ServiceRole;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use crate::metrics::RefusalCause;
use crate::peer;
use crate::plan::Redeem;
use crate::queue::{Queue, Refusal};
use crate::reader::{Ahead, Read};
use crate::records;
use crate::refresher::Core;
use crate::state::Shared;
use crate::watch;
use crate::writer::{Command, Hints};

/// The most sessions of one fetch.
const FETCH_BATCH: usize = 256;
/// The most uses of one report.
const TOUCH_BATCH: usize = 4096;

/// The service; one for all connections.
#[derive(Clone, Debug)]
pub(crate) struct BrokerService {
    pub(crate) shared: Arc<Shared>,
    pub(crate) writes: Queue<Command>,
    pub(crate) reads: Queue<Read>,
    /// Who asks providers, once there is somebody.
    pub(crate) refresher: Arc<ArcSwapOption<Core>>,
    /// Whose turn it is to push records.
    pub(crate) pushes: Arc<Semaphore>,
    pub(crate) stop: CancellationToken,
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl broker_server::Broker for BrokerService {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<proto::WatchEvent, Status>> + Send>>;
    type WatchRecordsStream = Pin<Box<dyn Stream<Item = Result<proto::RecordsEvent, Status>> + Send>>;

    async fn hello(&self, request: Request<proto::HelloRequest>) -> Answer<proto::HelloAnswer> {
        let role = peer::role(request.extensions())?;
        let digest = self.shared.digest();
        if request.into_inner().digest != digest {
            tracing::warn!(service = role.name(), "service runs with other shared settings");
        }
        let server_id = self.shared.server.as_bytes().to_vec();
        Ok(Response::new(proto::HelloAnswer { server_id, digest: digest.to_vec(), head: self.shared.head() }))
    }

    async fn create(&self, request: Request<proto::CreateRequest>) -> Answer<proto::CreateAnswer> {
        let new = wire::new_session(request.into_inner()).map_err(|error| self.malformed(&error))?;
        let session = self.writes.ask(|reply| Command::Create { new: Box::new(new), reply }).await;
        let session = session.map_err(|refusal| self.refused(refusal))?;
        Ok(Response::new(proto::CreateAnswer { session: Some(session) }))
    }

    async fn derive(&self, request: Request<proto::DeriveRequest>) -> Answer<proto::DeriveAnswer> {
        let asked = wire::derive_request(request.into_inner());
        let (parent, key, host) = asked.map_err(|error| self.malformed(&error))?;
        let session = self.writes.ask(|reply| Command::Derive { parent, key, host, reply }).await;
        Ok(Response::new(proto::DeriveAnswer { session: session.map_err(|refusal| self.refused(refusal))? }))
    }

    async fn list_derived(&self, request: Request<proto::ListDerivedRequest>) -> Answer<proto::ListDerivedAnswer> {
        let proto::ListDerivedRequest { parent } = request.into_inner();
        let parent = wire::key(&parent).map_err(|error| self.malformed(&error))?;
        let known = self.shared.known();
        let derived = known.index.derived(&parent, self.shared.clock.now()).into_iter();
        let derived = derived.map(|(key, made, last_used)| proto::DerivedSession {
            key: key.as_bytes().to_vec(),
            host: made.host.as_deref().map(str::to_owned),
            made_at: made.at.unix_millis(),
            last_used: last_used.unix_millis(),
        });
        Ok(Response::new(proto::ListDerivedAnswer { derived: derived.collect() }))
    }

    async fn fetch(&self, request: Request<proto::FetchRequest>) -> Answer<proto::FetchAnswer> {
        let proto::FetchRequest { key, ahead } = request.into_inner();
        if key.len() > FETCH_BATCH {
            return Err(self.malformed(&wire::WireError::OutOfRange { field: "key" }));
        }
        let keys = key.iter().map(|key| wire::key(key)).collect::<Result<Vec<SessionKey>, _>>();
        let keys = keys.map_err(|error| self.malformed(&error))?;
        let ahead = if ahead { Ahead::Yes } else { Ahead::No };
        if ahead == Ahead::No {
            self.waken(&keys).await;
        }
        let answer = self.reads.ask(|reply| Read::Fetch { keys, ahead, reply }).await;
        Ok(Response::new(answer.map_err(|refusal| self.refused(refusal))?))
    }

    async fn redeem(&self, request: Request<proto::RedeemRequest>) -> Answer<proto::RedeemAnswer> {
        let proto::RedeemRequest { id, until, key } = request.into_inner();
        let id = wire::id(&id, "id").map_err(|error| self.malformed(&error))?;
        let key = wire::key(&key).map_err(|error| self.malformed(&error))?;
        let until = Timestamp::from_unix_millis(until);
        self.waken(&[key]).await;
        let redeem = self.writes.ask(|reply| Command::Redeem { id, until, key, reply }).await;
        let (outcome, session) = match redeem.map_err(|refusal| self.refused(refusal))? {
            Redeem::Redeemed(session) => (proto::RedeemOutcome::Redeemed, Some(*session)),
            Redeem::AlreadyRedeemed => (proto::RedeemOutcome::AlreadyRedeemed, None),
            Redeem::NoSession => (proto::RedeemOutcome::NoSession, None),
        };
        let server_id = self.shared.server.as_bytes().to_vec();
        Ok(Response::new(proto::RedeemAnswer { server_id, outcome: outcome.into(), session }))
    }

    async fn touch(&self, request: Request<proto::TouchRequest>) -> Answer<proto::TouchAnswer> {
        let proto::TouchRequest { r#use: uses } = request.into_inner();
        if uses.len() > TOUCH_BATCH {
            return Err(self.malformed(&wire::WireError::OutOfRange { field: "use" }));
        }
        let one = |proto::Use { key, at }: proto::Use| Ok((wire::key(&key)?, Timestamp::from_unix_millis(at)));
        let uses = uses.into_iter().map(one).collect::<Result<Vec<_>, wire::WireError>>();
        let uses = uses.map_err(|error| self.malformed(&error))?;
        let done = self.writes.ask(|reply| Command::Touch { uses, reply }).await;
        done.map_err(|refusal| self.refused(refusal))?;
        Ok(Response::new(proto::TouchAnswer {}))
    }

    async fn end(&self, request: Request<proto::EndRequest>) -> Answer<proto::EndAnswer> {
        // Only authn talks to providers, so nobody else is told what that takes.
        let hints = if peer::role(request.extensions())? == ServiceRole::Authn { Hints::Tell } else { Hints::Keep };
        let (selector, reason) = wire::end_selector(request.into_inner()).map_err(|error| self.malformed(&error))?;
        if reason == EndReason::Expired {
            return Err(self.malformed(&wire::WireError::OutOfRange { field: "reason" }));
        }
        let ended = self.writes.ask(|reply| Command::End { selector, reason, hints, reply }).await;
        let ended = ended.map_err(|refusal| self.refused(refusal))?;
        Ok(Response::new(proto::EndAnswer { ended: ended.iter().map(wire::ended_message).collect() }))
    }

    async fn watch(&self, request: Request<proto::WatchRequest>) -> Answer<Self::WatchStream> {
        let proto::WatchRequest { server_id, version } = request.into_inner();
        let cursor = self.cursor(&server_id, version)?;
        let stream = watch::follow(Arc::clone(&self.shared), self.reads.clone(), cursor, self.stop.clone());
        Ok(Response::new(Box::pin(stream)))
    }

    async fn access_token(&self, request: Request<proto::AccessTokenRequest>) -> Answer<proto::AccessTokenAnswer> {
        let proto::AccessTokenRequest { key, route } = request.into_inner();
        let key = wire::key(&key).map_err(|error| self.malformed(&error))?;
        tracing::debug!(session.key = %key, http.route = route, "tokens for an upstream");
        let tokens = self.reads.ask(|reply| Read::Tokens { key, reply }).await;
        let UpstreamTokens { access_token, id_token, expires_at } = tokens.map_err(|refusal| self.refused(refusal))?;
        let exposed = |secret: Option<SecretText>| secret.map(|secret| secret.expose().to_owned());
        Ok(Response::new(proto::AccessTokenAnswer {
            access_token: exposed(access_token),
            id_token: exposed(id_token),
            expires_at: expires_at.map(Timestamp::unix_millis),
        }))
    }

    async fn push_records(
        &self,
        request: Request<Streaming<proto::PushRecordsRequest>>,
    ) -> Answer<proto::PushRecordsAnswer> {
        records::calls::push(self, request.into_inner()).await.map(Response::new)
    }

    async fn delete_records(
        &self,
        request: Request<proto::DeleteRecordsRequest>,
    ) -> Answer<proto::DeleteRecordsAnswer> {
        records::calls::delete(self, request.into_inner()).await.map(Response::new)
    }

    async fn list_records(&self, request: Request<proto::ListRecordsRequest>) -> Answer<proto::ListRecordsAnswer> {
        records::calls::list(self, request.into_inner()).map(Response::new)
    }

    async fn watch_records(&self, request: Request<proto::WatchRecordsRequest>) -> Answer<Self::WatchRecordsStream> {
        let proto::WatchRecordsRequest { server_id, version } = request.into_inner();
        let cursor = self.cursor(&server_id, version)?;
        let stream = records::follow::follow(Arc::clone(&self.shared), cursor, self.stop.clone());
        Ok(Response::new(Box::pin(stream)))
    }
}

impl BrokerService {
    /// Has those of the sessions that are dormant refreshed, and waits a while for that.
    async fn waken(&self, keys: &[SessionKey]) {
        if let Some(refresher) = &*self.refresher.load() {
            refresher.waken(keys).await;
        }
    }

    /// Where a follower stands; no server: nowhere yet.
    fn cursor(&self, server_id: &[u8], version: u64) -> Result<Option<(ServerId, u64)>, Status> {
        if server_id.is_empty() {
            return Ok(None);
        }
        let server = ServerId::from_bytes(server_id).map_err(|error| self.malformed(&error))?;
        Ok(Some((server, version)))
    }

    pub(crate) fn malformed(&self, error: &wire::WireError) -> Status {
        self.shared.metrics.refused(RefusalCause::Malformed);
        tracing::warn!(error = error as &dyn std::error::Error, "request malformed");
        Status::invalid_argument(error.to_string())
    }

    pub(crate) fn refused(&self, refusal: Refusal) -> Status {
        match refusal {
            Refusal::Exists => Status::already_exists(refusal.to_string()),
            Refusal::NoSession => Status::not_found(refusal.to_string()),
            Refusal::Busy => {
                self.shared.metrics.refused(RefusalCause::Busy);
                Status::unavailable(refusal.to_string())
            }
            Refusal::Closed => Status::unavailable(refusal.to_string()),
            Refusal::TooManyOfType | Refusal::TooManyRecordBytes | Refusal::OtherType => {
                Status::failed_precondition(refusal.to_string())
            }
            Refusal::Store => {
                self.shared.metrics.refused(RefusalCause::Store);
                Status::unavailable(refusal.to_string())
            }
        }
    }
}
