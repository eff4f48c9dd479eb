//! What a request lacks that a sign-in could give.

use std::sync::Arc;
use std::time::Duration;

use crate::{ProviderName, Session, Timestamp};

/// The conditions a session must meet for a route, and so what a sign-in is asked to give. The default
/// asks for nothing but a signed-in subject.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// The providers whose sessions count; empty: every configured one.
    pub providers: Arc<[ProviderName]>,
    /// How long ago the person may have authenticated (`max_age`, OpenID Connect Core 3.1.2.1).
    pub max_age: Option<Duration>,
    /// The authentication context classes that count; empty: any (`acr_values`).
    pub acr: Arc<[Arc<str>]>,
}

impl Needs {
    /// Whether `session` meets every condition at `now`.
    #[must_use]
    pub fn met_by(&self, session: &Session, now: Timestamp) -> bool {
        let Self { providers, max_age, acr } = self;
        let provider = providers.is_empty() || providers.contains(&session.provider);
        let fresh = max_age.is_none_or(|age| now.since(session.authenticated_at) < age);
        let class = acr.is_empty() || session.acr.as_ref().is_some_and(|given| acr.contains(given));
        provider && fresh && class
    }
}
