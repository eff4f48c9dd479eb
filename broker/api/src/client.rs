//! The broker's calls as functions of our own nouns. Every call has a deadline.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use portcullis_identity::{DerivedSession, Session, SessionKey, Timestamp};
use portcullis_keys::ServiceRole;
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status};

use crate::line::Line;
use crate::wire::generated as proto;
use crate::wire::generated::broker_client::BrokerClient as Stub;
use crate::wire::{self, WireError};
use crate::{
    BrokerError, CreateError, EndReason, EndSelector, Ended, Endpoint, Feed, NewSession, RedeemError, ServerId,
    UpstreamTokens,
};

/// The longest a request may wait for its session.
pub(crate) const FETCH_TIMEOUT: Duration = Duration::from_secs(2);
/// The longest any other call may take: a commit on a busy disk takes its time.
pub(crate) const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// The pause before a fetch asks a broker that is away once more; doubled each time.
const RETRY_PAUSE: Duration = Duration::from_millis(20);
/// The longest such pause.
const RETRY_PAUSE_MAX: Duration = Duration::from_millis(250);
/// The most sessions of one fetch.
pub(crate) const FETCH_BATCH: usize = 256;
/// The most uses of one report.
pub(crate) const TOUCH_BATCH: usize = 4096;
/// The metadata key that names the calling service.
const SERVICE_KEY: &str = "portcullis-service";

/// A handle on the broker; cheap to clone, one connection for all clones.
#[derive(Clone, Debug)]
pub struct BrokerClient {
    pub(crate) line: Arc<Line>,
    role: ServiceRole,
}

/// What a fetch brought: the sessions that exist, as of `head`.
#[derive(Debug)]
pub struct Fetched {
    /// The store that `head` and the versions belong to.
    pub server: ServerId,
    /// Every change up to here is in the answer.
    pub head: u64,
    /// Those that exist, in any order; a key that was asked for and is neither here nor in `dormant` will never have one.
    pub sessions: Vec<Session>,
    /// Live ones that were asked for ahead and are to be asked for when they are used.
    pub dormant: Vec<SessionKey>,
}

/// What a redeemed hand-over brought.
#[derive(Debug)]
pub struct Redeemed {
    /// The store that the version belongs to.
    pub server: ServerId,
    /// The session of the hand-over.
    pub session: Session,
}

/// What the broker says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Greeting {
    /// Its store.
    pub server: ServerId,
    /// The newest version.
    pub head: u64,
    /// Whether its shared settings are the caller's; if not, one of them runs an old file.
    pub agrees: bool,
}

impl BrokerClient {
    /// A client that dials with its first call, and again with the first call after a loss or after a change of the
    /// endpoint's settings. `role` is who calls; the broker believes it only if the connection's peer may be that service.
    #[must_use]
    pub fn connect_lazy(endpoint: Endpoint, role: ServiceRole) -> Self {
        Self { line: Arc::new(Line::new(endpoint)), role }
    }

    /// Makes a session and answers once it is on disk.
    ///
    /// # Errors
    /// [`CreateError`]; claims that are too large are refused without a call.
    pub async fn create(&self, new: NewSession) -> Result<Session, CreateError> {
        let bytes = new.claims_json.len();
        if bytes > portcullis_identity::MAX_CLAIMS_BYTES {
            return Err(CreateError::ClaimsTooLarge { bytes });
        }
        let request = wire::create_request(&new);
        let answer =
            self.call(CALL_TIMEOUT, request, |mut stub, request| async move { stub.create(request).await }).await;
        let proto::CreateAnswer { session } = answer.map_err(|status| {
            if status.code() == Code::AlreadyExists { CreateError::Exists } else { CreateError::Broker(status.into()) }
        })?;
        session_of(session).map_err(|error| CreateError::Broker(error.into()))
    }

    /// Makes a session of another one, under a fresh key, for a program that reaches `host` with it: the same person,
    /// the same sign-in, the same end. `None`: the parent is over, or was made of another one itself.
    ///
    /// # Errors
    /// [`BrokerError`].
    pub async fn derive(
        &self,
        parent: &SessionKey,
        key: &SessionKey,
        host: &str,
    ) -> Result<Option<Session>, BrokerError> {
        let (parent, key) = (parent.as_bytes().to_vec(), key.as_bytes().to_vec());
        let request = proto::DeriveRequest { parent, key, host: host.to_owned() };
        let answer =
            self.call(CALL_TIMEOUT, request, |mut stub, request| async move { stub.derive(request).await }).await;
        let proto::DeriveAnswer { session } = answer?;
        Ok(session.map(wire::session).transpose()?)
    }

    /// The live sessions that were made of `parent`, the oldest first; none of one that is over or was made of another
    /// one itself.
    ///
    /// # Errors
    /// [`BrokerError`].
    pub async fn list_derived(&self, parent: &SessionKey) -> Result<Vec<DerivedSession>, BrokerError> {
        let request = proto::ListDerivedRequest { parent: parent.as_bytes().to_vec() };
        let answer = self
            .call(FETCH_TIMEOUT, request, |mut stub, request| async move { stub.list_derived(request).await })
            .await;
        let proto::ListDerivedAnswer { derived } = answer?;
        Ok(derived.into_iter().map(wire::derived).collect::<Result<Vec<_>, _>>()?)
    }

    /// Reads one session at the store's head. `None` is final: no session ever has this key again.
    /// Asks again within 2 s while the broker is away.
    ///
    /// # Errors
    /// [`BrokerError`].
    pub async fn fetch(&self, key: &SessionKey) -> Result<Option<Session>, BrokerError> {
        let Fetched { server: _, head: _, sessions, dormant: _ } = self.fetch_many(std::slice::from_ref(key)).await?;
        Ok(sessions.into_iter().next())
    }

    /// Reads up to 256 sessions at the store's head; asks again within 2 s while the broker is away.
    ///
    /// # Errors
    /// [`BrokerError`].
    pub async fn fetch_many(&self, keys: &[SessionKey]) -> Result<Fetched, BrokerError> {
        self.fetch_either(keys, false).await
    }

    /// As [`BrokerClient::fetch_many`], for sessions that nobody uses yet: dormant ones are only named.
    ///
    /// # Errors
    /// [`BrokerError`].
    pub async fn fetch_ahead(&self, keys: &[SessionKey]) -> Result<Fetched, BrokerError> {
        self.fetch_either(keys, true).await
    }

    async fn fetch_either(&self, keys: &[SessionKey], ahead: bool) -> Result<Fetched, BrokerError> {
        let request = proto::FetchRequest { key: keys.iter().map(|key| key.as_bytes().to_vec()).collect(), ahead };
        let proto::FetchAnswer { server_id, head, session, dormant } = self.fetch_patiently(request).await?;
        let dormant = dormant.iter().map(|key| wire::key(key)).collect::<Result<Vec<_>, _>>()?;
        let sessions = session.into_iter().map(wire::session).collect::<Result<Vec<_>, _>>()?;
        if !sessions.iter().all(|session| keys.contains(&session.key)) {
            return Err(WireError::OutOfRange { field: "key" }.into());
        }
        Ok(Fetched { server: ServerId::from_bytes(&server_id)?, head, sessions, dormant })
    }

    /// Spends a hand-over's id, which stays spent until `until` and beyond, and reads its session. Never
    /// tried twice: if the answer got lost, the id may be spent.
    ///
    /// # Errors
    /// [`RedeemError`].
    pub async fn redeem(&self, id: [u8; 16], until: Timestamp, key: &SessionKey) -> Result<Session, RedeemError> {
        self.redeem_for_replica(id, until, key).await.map(|Redeemed { server: _, session }| session)
    }

    pub(crate) async fn redeem_for_replica(
        &self,
        id: [u8; 16],
        until: Timestamp,
        key: &SessionKey,
    ) -> Result<Redeemed, RedeemError> {
        let request =
            proto::RedeemRequest { id: id.to_vec(), until: until.unix_millis(), key: key.as_bytes().to_vec() };
        let answer =
            self.call(FETCH_TIMEOUT, request, |mut stub, request| async move { stub.redeem(request).await }).await;
        let proto::RedeemAnswer { server_id, outcome, session } =
            answer.map_err(|status| RedeemError::Unavailable(status.into()))?;
        let malformed = |error: WireError| RedeemError::Unavailable(error.into());
        match proto::RedeemOutcome::try_from(outcome) {
            Ok(proto::RedeemOutcome::Redeemed) => {
                let session = session_of(session).map_err(malformed)?;
                if session.key != *key {
                    return Err(malformed(WireError::OutOfRange { field: "key" }));
                }
                Ok(Redeemed { server: ServerId::from_bytes(&server_id).map_err(malformed)?, session })
            }
            Ok(proto::RedeemOutcome::AlreadyRedeemed) => Err(RedeemError::AlreadyRedeemed),
            Ok(proto::RedeemOutcome::NoSession) => Err(RedeemError::NoSession),
            Ok(proto::RedeemOutcome::Unspecified) | Err(_) => {
                Err(malformed(WireError::OutOfRange { field: "outcome" }))
            }
        }
    }

    /// Reports last uses; older ones than the broker knows change nothing.
    ///
    /// # Errors
    /// [`BrokerError`]; some of the uses may have been taken note of.
    pub async fn touch(&self, uses: Vec<(SessionKey, Timestamp)>) -> Result<(), BrokerError> {
        for batch in uses.chunks(TOUCH_BATCH) {
            let uses = batch.iter().map(|(key, at)| proto::Use { key: key.as_bytes().to_vec(), at: at.unix_millis() });
            let request = proto::TouchRequest { r#use: uses.collect() };
            self.call(CALL_TIMEOUT, request, |mut stub, request| async move { stub.touch(request).await }).await?;
        }
        Ok(())
    }

    /// Ends sessions and answers once that is on disk; a session that was over before is not among the
    /// answers, except to authn for its hint.
    ///
    /// # Errors
    /// [`BrokerError`].
    pub async fn end(&self, selector: EndSelector, reason: EndReason) -> Result<Vec<Ended>, BrokerError> {
        let request = wire::end_request(selector, reason);
        let proto::EndAnswer { ended } =
            self.call(CALL_TIMEOUT, request, |mut stub, request| async move { stub.end(request).await }).await?;
        Ok(ended.into_iter().map(wire::ended).collect::<Result<Vec<_>, _>>()?)
    }

    /// The tokens that the named route injects; `None`: there is no such session.
    ///
    /// # Errors
    /// [`BrokerError`].
    pub async fn access_token(&self, key: &SessionKey, route: &str) -> Result<Option<UpstreamTokens>, BrokerError> {
        let request = proto::AccessTokenRequest { key: key.as_bytes().to_vec(), route: route.to_owned() };
        let answer = self
            .call(FETCH_TIMEOUT, request, |mut stub, request| async move { stub.access_token(request).await })
            .await;
        let proto::AccessTokenAnswer { access_token, id_token, expires_at } = match answer {
            Ok(answer) => answer,
            Err(status) if status.code() == Code::NotFound => return Ok(None),
            Err(status) => return Err(status.into()),
        };
        Ok(Some(UpstreamTokens {
            access_token: wire::secret(access_token, "access_token")?,
            id_token: wire::secret(id_token, "id_token")?,
            expires_at: expires_at.map(Timestamp::from_unix_millis),
        }))
    }

    /// Compares the digest of what split services must share.
    ///
    /// # Errors
    /// [`BrokerError`].
    pub async fn hello(&self, digest: [u8; 32]) -> Result<Greeting, BrokerError> {
        let request = proto::HelloRequest { digest: digest.to_vec() };
        let answer =
            self.call(CALL_TIMEOUT, request, |mut stub, request| async move { stub.hello(request).await }).await?;
        let proto::HelloAnswer { server_id, digest: theirs, head } = answer;
        Ok(Greeting { server: ServerId::from_bytes(&server_id)?, head, agrees: theirs == digest })
    }

    /// Follows the log after `cursor`; `None`: from now on. The first event is always a start.
    ///
    /// # Errors
    /// [`BrokerError`].
    pub async fn watch(&self, cursor: Option<(ServerId, u64)>) -> Result<Feed, BrokerError> {
        let (server_id, version) =
            cursor.map_or_else(Default::default, |(server, version)| (server.as_bytes().to_vec(), version));
        let request = proto::WatchRequest { server_id, version };
        let renewal = self.line.renewal();
        let stream =
            self.call(CALL_TIMEOUT, request, |mut stub, request| async move { stub.watch(request).await }).await?;
        Ok(Feed::new(stream, renewal))
    }

    async fn fetch_patiently(&self, request: proto::FetchRequest) -> Result<proto::FetchAnswer, Status> {
        let deadline = tokio::time::Instant::now() + FETCH_TIMEOUT;
        let mut pause = RETRY_PAUSE;
        loop {
            let left = deadline.saturating_duration_since(tokio::time::Instant::now());
            let answer =
                self.call(left, request.clone(), |mut stub, request| async move { stub.fetch(request).await }).await;
            match answer {
                Err(status)
                    if status.code() == Code::Unavailable
                        && pause < deadline.saturating_duration_since(tokio::time::Instant::now()) =>
                {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(RETRY_PAUSE_MAX);
                }
                answer => return answer,
            }
        }
    }

    pub(crate) async fn call<Q, A, F>(
        &self,
        limit: Duration,
        message: Q,
        ask: impl FnOnce(Stub<Channel>, Request<Q>) -> F,
    ) -> Result<A, Status>
    where
        F: Future<Output = Result<Response<A>, Status>>,
    {
        let mut request = Request::new(message);
        request.metadata_mut().insert(SERVICE_KEY, MetadataValue::from_static(self.role.name()));
        match tokio::time::timeout(limit, ask(self.line.stub(), request)).await {
            Ok(answer) => Ok(answer?.into_inner()),
            Err(_) => Err(Status::deadline_exceeded("broker too slow")),
        }
    }
}

fn session_of(message: Option<proto::Session>) -> Result<Session, WireError> {
    wire::session(message.ok_or(WireError::Missing { field: "session" })?)
}
