//! The service as a whole: its parts, its generations, and which page answers what.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Limited};
use hyper::body::Body;
use portcullis_broker_api::BrokerClient;
use portcullis_config::Config;
use portcullis_identity::{Clock, Timestamp};
use portcullis_keys::{KeyRing, Random};
use portcullis_oidc::CallObserver;
use portcullis_reply::END_PARAMETER;
use prometheus::Registry;

use crate::answer::{Answer, Cause, What};
use crate::generation::{AuthnKeys, Generation, PublishError, ReadProvider};
use crate::metrics::Metrics;
use crate::pages;
use crate::request::Asked;
use crate::sessions::Sessions;

/// The longest a request may take in all, a little less than a proxy waits: a first contact with a provider is
/// up to five calls.
pub const ANSWER_DEADLINE: Duration = Duration::from_secs(55);
/// The most bytes of a request's body that are read; all forms of ours are empty.
pub const MAX_BODY_BYTES: usize = 16 * 1024;

/// What the service is made of.
#[derive(Debug)]
pub struct AuthnParts<'a, S = BrokerClient> {
    /// The first generation.
    pub config: Arc<Config>,
    /// Must hold `credential`, `handover` and `flow`.
    pub keys: &'a KeyRing,
    /// Where sessions are kept.
    pub broker: S,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness for handles, transactions and bind cookies.
    pub random: Arc<dyn Random>,
    /// Where metrics are registered; once per process.
    pub registry: &'a Registry,
}

/// The sign-in service. Cheap to clone: all clones are one service.
#[derive(Debug)]
pub struct Authn<S = BrokerClient> {
    core: Arc<Core<S>>,
}

impl<S> Clone for Authn<S> {
    fn clone(&self) -> Self {
        Self { core: Arc::clone(&self.core) }
    }
}

#[derive(Debug)]
pub(crate) struct Core<S> {
    generation: ArcSwap<Generation>,
    pub(crate) sessions: S,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) metrics: Metrics,
}

/// A generation that is built and serves nobody yet.
#[derive(Debug)]
pub struct NextGeneration(Generation);

/// One request against one generation at one instant.
#[derive(Debug)]
pub(crate) struct Turn<'a, S> {
    pub(crate) core: &'a Core<S>,
    pub(crate) generation: &'a Generation,
    pub(crate) asked: &'a Asked,
    pub(crate) now: Timestamp,
}

impl<S: Sessions> Authn<S> {
    /// The service, with nothing contacted yet.
    ///
    /// # Errors
    /// If keys are missing, a provider cannot be set up, or the metrics exist already.
    pub fn new(parts: AuthnParts<'_, S>) -> Result<Self, PublishError> {
        let AuthnParts { config, keys, broker, clock, random, registry } = parts;
        let metrics = Metrics::new(registry)?;
        let observer: Arc<dyn CallObserver> = Arc::new(metrics.clone());
        let generation = Generation::build(config, AuthnKeys::of(keys)?, None, &clock, &observer)?;
        let generation = ArcSwap::from_pointee(generation);
        Ok(Self { core: Arc::new(Core { generation, sessions: broker, clock, random, metrics }) })
    }

    /// Builds the next generation, which serves nobody before [`Authn::take_over`]. Providers configured as before keep
    /// what they have learnt.
    ///
    /// # Errors
    /// If a provider cannot be set up or the ring lacks a key; nothing has changed then.
    pub fn prepare(&self, config: Arc<Config>, keys: &KeyRing) -> Result<NextGeneration, PublishError> {
        let observer: Arc<dyn CallObserver> = Arc::new(self.core.metrics.clone());
        let previous = self.core.generation.load_full();
        Generation::build(config, AuthnKeys::of(keys)?, Some(&previous), &self.core.clock, &observer)
            .map(NextGeneration)
    }

    /// Serves what was prepared.
    pub fn take_over(&self, NextGeneration(next): NextGeneration) {
        self.core.generation.store(Arc::new(next));
    }

    /// Answers one request of the proxy. Never fails: what goes wrong is a page, too.
    pub async fn answer<B>(&self, request: Request<B>) -> Response<Bytes>
    where
        B: Body + Send,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let generation = self.core.generation.load_full();
        let (parts, body) = request.into_parts();
        let asked = Asked::new(parts);
        let turn = Turn { core: &self.core, generation: &generation, asked: &asked, now: self.core.clock.now() };
        let answer = match tokio::time::timeout(ANSWER_DEADLINE, turn.answer(body)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(answer)) => *answer,
            Err(_elapsed) => turn.trouble(Cause::TooSlow, None),
        };
        tracing::debug!(
            http.request_id = asked.request_id,
            http.method = %asked.method,
            url.path = asked.path,
            client.address = ?asked.client_address,
            "sign-in service answered"
        );
        pages::response(answer, &turn)
    }

    /// How the providers are doing, for readiness and status; asks nobody.
    #[must_use]
    pub fn providers(&self) -> Vec<ReadProvider> {
        self.core.generation.load().statuses()
    }
}

impl<S: Sessions> Turn<'_, S> {
    /// `https://host` with the port that people type.
    pub(crate) fn origin(&self, host: &str) -> String {
        let configured = self.generation.config.listen.public_port;
        match self.asked.port.or(Some(configured)).filter(|port| *port != 443) {
            Some(port) => format!("https://{host}:{port}"),
            None => format!("https://{host}"),
        }
    }

    async fn answer<B>(&self, body: B) -> Result<Answer, Box<Answer>>
    where
        B: Body + Send,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let namespace = self.generation.config.sign_in.namespace;
        let path = self.asked.path.as_str();
        if path == namespace.provider_callback_path() {
            return self.only(&[Method::GET], self.callback()).await;
        }
        if let Some(page) = path.strip_prefix(namespace.path_prefix()) {
            return match page.strip_suffix('/').unwrap_or(page) {
                "sign_in" if self.asked.method == Method::POST && self.asked.query.has("r") => {
                    self.drain(body).await?;
                    self.program_allowed().await
                }
                "sign_in" => self.only(&[Method::GET, Method::HEAD], self.sign_in()).await,
                "sign_out" => {
                    self.drain(body).await?;
                    self.only(&[Method::GET, Method::HEAD, Method::POST], self.sign_out()).await
                }
                "signed_out" => {
                    self.only(&[Method::GET, Method::HEAD], std::future::ready(Ok(self.signed_out()))).await
                }
                "user" if self.asked.method == Method::POST && self.asked.query.has(END_PARAMETER) => {
                    self.drain(body).await?;
                    self.end_program().await
                }
                "" | "user" => self.only(&[Method::GET, Method::HEAD], self.user()).await,
                _ => Ok(Answer::new(What::NotFound)),
            };
        }
        let well_known = namespace.well_known_prefix();
        match path {
            "/" => self.only(&[Method::GET, Method::HEAD], self.user()).await,
            "/ping" => Ok(Answer::new(What::Pong)),
            _ if path == well_known || Some(path) == well_known.strip_suffix('/') => {
                Ok(Answer::new(What::Discovery(self.discovery())))
            }
            _ => Ok(Answer::new(What::NotFound)),
        }
    }

    async fn only(
        &self,
        methods: &[Method],
        page: impl Future<Output = Result<Answer, Box<Answer>>>,
    ) -> Result<Answer, Box<Answer>> {
        if methods.contains(&self.asked.method) { page.await } else { Ok(Answer::new(What::WrongMethod)) }
    }

    /// Reads a form to its end and lets it go: what counts is who sent it.
    async fn drain<B>(&self, body: B) -> Result<(), Box<Answer>>
    where
        B: Body + Send,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        match Limited::new(std::pin::pin!(body), MAX_BODY_BYTES).collect().await {
            Ok(_form) => Ok(()),
            Err(_too_large_or_broken) => Err(Box::new(self.trouble(Cause::BadBody, None))),
        }
    }

    fn discovery(&self) -> serde_json::Value {
        let origin = self.origin(self.generation.host());
        let callback = self.generation.config.sign_in.namespace.provider_callback_path();
        serde_json::json!({
            "issuer": format!("{origin}/"),
            "authentication_callback_endpoint": format!("{origin}{callback}"),
            "sign_in_endpoint": format!("{origin}{}", self.generation.path("sign_in")),
            "sign_out_endpoint": format!("{origin}{}", self.generation.path("sign_out")),
        })
    }
}
