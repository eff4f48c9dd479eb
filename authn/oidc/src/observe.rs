//! What others may know about calls to a provider: their outcomes for metrics, the present state for readiness.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use portcullis_identity::{ProviderName, Timestamp};

use crate::transport::CallError;

/// A kind of call to a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// The discovery document.
    Metadata,
    /// The signing keys.
    Keys,
    /// The token endpoint.
    Token,
    /// The userinfo endpoint.
    Userinfo,
    /// The revocation endpoint.
    Revocation,
}

impl Call {
    /// The metric label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Metadata => "metadata",
            Self::Keys => "keys",
            Self::Token => "token",
            Self::Userinfo => "userinfo",
            Self::Revocation => "revocation",
        }
    }
}

/// How a call went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallOutcome {
    /// Answered below 400.
    Ok,
    /// Answered 400 to 499.
    Refused,
    /// Answered 500 or more.
    ServerError,
    /// No whole answer before the deadline.
    TimedOut,
    /// No connection, or it broke.
    Unreachable,
    /// An answer over the size cap.
    TooLarge,
}

impl CallOutcome {
    /// The metric label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Refused => "refused",
            Self::ServerError => "server_error",
            Self::TimedOut => "timed_out",
            Self::Unreachable => "unreachable",
            Self::TooLarge => "too_large",
        }
    }

    pub(crate) fn of(result: &Result<http::Response<Vec<u8>>, CallError>) -> Self {
        match result {
            Ok(answer) if answer.status().is_server_error() => Self::ServerError,
            Ok(answer) if answer.status().is_client_error() => Self::Refused,
            Ok(_) => Self::Ok,
            Err(CallError::TimedOut) => Self::TimedOut,
            Err(CallError::TooLarge { .. }) => Self::TooLarge,
            Err(CallError::Unreachable(_) | CallError::NotARequest) => Self::Unreachable,
        }
    }
}

/// Who is told of every call to a provider; called once per call, on the task that made it.
pub trait CallObserver: Send + Sync + Debug {
    /// A call has ended.
    fn observed(&self, provider: &ProviderName, call: Call, outcome: CallOutcome, took: Duration);
}

/// Nobody is told.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unobserved;

impl CallObserver for Unobserved {
    fn observed(&self, _provider: &ProviderName, _call: Call, _outcome: CallOutcome, _took: Duration) {}
}

/// How a provider is doing, as far as its own answers tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProviderStatus {
    /// Nobody has needed it yet.
    NeverContacted,
    /// Its last answer was a good one.
    Reachable {
        /// The first good answer in a row.
        since: Timestamp,
    },
    /// Its last answer was not.
    Failing {
        /// The first failure in a row.
        since: Timestamp,
        /// The last failure, in our words.
        reason: Arc<str>,
    },
}

/// The present [`ProviderStatus`]; the last writer wins, which is what "last answer" means.
#[derive(Debug)]
pub(crate) struct Health(ArcSwap<ProviderStatus>);

impl Health {
    pub(crate) fn new() -> Self {
        Self(ArcSwap::from_pointee(ProviderStatus::NeverContacted))
    }

    pub(crate) fn succeeded(&self, now: Timestamp) {
        if !matches!(**self.0.load(), ProviderStatus::Reachable { .. }) {
            self.0.store(Arc::new(ProviderStatus::Reachable { since: now }));
        }
    }

    pub(crate) fn failed(&self, now: Timestamp, reason: String) {
        let since = match **self.0.load() {
            ProviderStatus::Failing { since, .. } => since,
            ProviderStatus::NeverContacted | ProviderStatus::Reachable { .. } => now,
        };
        self.0.store(Arc::new(ProviderStatus::Failing { since, reason: reason.into() }));
    }

    pub(crate) fn status(&self) -> ProviderStatus {
        self.0.load().as_ref().clone()
    }
}
