//! How calls to a provider travel: TLS, no redirects, a deadline, a size cap, perhaps an egress proxy.

use std::sync::Arc;
use std::time::Duration;

use portcullis_config::ProviderTransport;
use portcullis_identity::{Clock, ProviderName};
use tokio::time::Instant;

use crate::error::SetupError;
use crate::observe::{Call, CallObserver, CallOutcome, Health};
use crate::settings::Settings;

/// Connections that wait for the next call, per provider.
const IDLE_CONNECTIONS: usize = 4;
/// How long such a connection is kept.
const IDLE_CONNECTION_AGE: Duration = Duration::from_secs(30);

/// Why a call to a provider has no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CallError {
    /// No whole answer before the deadline.
    #[error("no answer in time")]
    TimedOut,
    /// The answer is larger than the cap; the rest was not read.
    #[error("the answer is larger than {limit} bytes")]
    TooLarge {
        /// The cap.
        limit: usize,
    },
    /// No connection, no TLS, or the connection broke. The source never holds the request's address.
    #[error("no connection")]
    Unreachable(#[source] Arc<reqwest::Error>),
    /// The request cannot be written: the provider's token does not fit into a header.
    #[error("the request cannot be written")]
    NotARequest,
}

impl CallError {
    /// Whether waiting may help.
    #[must_use]
    pub const fn is_outage(&self) -> bool {
        match self {
            Self::TimedOut | Self::Unreachable(_) => true,
            Self::TooLarge { .. } | Self::NotARequest => false,
        }
    }
}

/// The HTTP client of one provider.
#[derive(Debug)]
pub(crate) struct Transport {
    client: reqwest::Client,
    provider: ProviderName,
    timeout: Duration,
    max_answer_bytes: usize,
    health: Health,
    observer: Arc<dyn CallObserver>,
    clock: Arc<dyn Clock>,
}

impl Transport {
    pub(crate) fn new(
        settings: &Settings,
        clock: Arc<dyn Clock>,
        observer: Arc<dyn CallObserver>,
    ) -> Result<Self, SetupError> {
        Ok(Self {
            client: client(&settings.transport)?,
            provider: settings.name.clone(),
            timeout: settings.transport.timeout,
            max_answer_bytes: settings.transport.max_answer_bytes,
            health: Health::new(),
            observer,
            clock,
        })
    }

    /// One call, whatever its status: under the deadline in all, its answer under the cap.
    pub(crate) async fn send(
        &self,
        call: Call,
        request: http::Request<Vec<u8>>,
    ) -> Result<http::Response<Vec<u8>>, CallError> {
        let started = Instant::now();
        let result = tokio::time::timeout(self.timeout, self.exchange(request)).await;
        let result = result.unwrap_or(Err(CallError::TimedOut));
        self.record(call, &result, started.elapsed());
        result
    }

    pub(crate) const fn health(&self) -> &Health {
        &self.health
    }

    async fn exchange(&self, request: http::Request<Vec<u8>>) -> Result<http::Response<Vec<u8>>, CallError> {
        let request = reqwest::Request::try_from(request).map_err(|_unwritable| CallError::NotARequest)?;
        let mut answer = self.client.execute(request).await.map_err(unreachable)?;
        let mut body = Vec::new();
        // The length a provider announces is not believed: what arrives is counted.
        while let Some(chunk) = answer.chunk().await.map_err(unreachable)? {
            if body.len().saturating_add(chunk.len()) > self.max_answer_bytes {
                return Err(CallError::TooLarge { limit: self.max_answer_bytes });
            }
            body.extend_from_slice(&chunk);
        }
        let mut whole = http::Response::new(body);
        *whole.status_mut() = answer.status();
        *whole.headers_mut() = std::mem::take(answer.headers_mut());
        Ok(whole)
    }

    fn record(&self, call: Call, result: &Result<http::Response<Vec<u8>>, CallError>, took: Duration) {
        let outcome = CallOutcome::of(result);
        self.observer.observed(&self.provider, call, outcome, took);
        let now = self.clock.now();
        match outcome {
            CallOutcome::Ok => self.health.succeeded(now),
            // A refused code or token says nothing about the provider; a refused document does.
            CallOutcome::Refused if !matches!(call, Call::Metadata | Call::Keys) => {}
            CallOutcome::Refused
            | CallOutcome::ServerError
            | CallOutcome::TimedOut
            | CallOutcome::Unreachable
            | CallOutcome::TooLarge => {
                tracing::debug!(
                    provider.name = %self.provider,
                    provider.call = call.as_str(),
                    provider.outcome = outcome.as_str(),
                    "provider call went wrong"
                );
                self.health.failed(now, format!("{}: {}", call.as_str(), outcome.as_str()));
            }
        }
    }
}

fn unreachable(error: reqwest::Error) -> CallError {
    if error.is_timeout() { CallError::TimedOut } else { CallError::Unreachable(Arc::new(error.without_url())) }
}

fn client(transport: &ProviderTransport) -> Result<reqwest::Client, SetupError> {
    let ProviderTransport { egress_proxy, ca, timeout, max_answer_bytes: _ } = transport;
    let builder = || {
        let builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .no_proxy() // the environment's proxy variables are not ours to read
            .connect_timeout(*timeout)
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .pool_idle_timeout(IDLE_CONNECTION_AGE)
            .user_agent("portcullis");
        match egress_proxy {
            Some(url) => reqwest::Proxy::all(url.as_str()).map(|proxy| builder.proxy(proxy)),
            None => Ok(builder),
        }
    };
    let roots = ca
        .iter()
        .map(|der| reqwest::Certificate::from_der(der))
        .collect::<Result<Vec<_>, _>>()
        .map_err(SetupError::Root)?;
    let system = builder().map_err(SetupError::Client)?.tls_certs_merge(roots.clone()).build();
    match system {
        Ok(client) => Ok(client),
        // A machine without any system root: then only the configured ones are believed, perhaps none.
        Err(_no_system_roots) => {
            builder().map_err(SetupError::Client)?.tls_certs_only(roots).build().map_err(SetupError::Client)
        }
    }
}
