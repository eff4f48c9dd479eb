//! What the sign-in service counts. Providers are the configuration's, everything else is a closed set.

use std::time::Duration;

use portcullis_identity::ProviderName;
use portcullis_oidc::{Call, CallObserver, CallOutcome};
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry};

/// How a sign-in ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SignInResult {
    /// A session was made.
    Ok,
    /// A session that was there already was handed over.
    Reused,
    /// The provider said no, or the person did.
    Refused,
    /// What came back does not prove who signed in.
    Rejected,
    /// The person signed in, and not in the way that was asked for.
    Unmet,
    /// The callback was too old or of another browser.
    Stale,
    /// The provider is away.
    ProviderDown,
    /// The broker is away.
    BrokerDown,
}

impl SignInResult {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Reused => "reused",
            Self::Refused => "refused",
            Self::Rejected => "rejected",
            Self::Unmet => "unmet",
            Self::Stale => "stale",
            Self::ProviderDown => "provider_down",
            Self::BrokerDown => "broker_down",
        }
    }
}

/// How a sign-out ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SignOutResult {
    /// The session is over.
    Ok,
    /// There was none.
    Nothing,
    /// Another site asked for it.
    CrossSite,
    /// The broker is away.
    BrokerDown,
}

impl SignOutResult {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Nothing => "nothing",
            Self::CrossSite => "cross_site",
            Self::BrokerDown => "broker_down",
        }
    }
}

/// The counters of this service; clones count together.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    sign_ins: IntCounterVec,
    sign_outs: IntCounterVec,
    provider_calls: IntCounterVec,
    provider_call_seconds: HistogramVec,
}

impl Metrics {
    pub(crate) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name: &str, help: &str, labels: &[&str]| {
            let counter = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        let seconds = HistogramOpts::new(
            "portcullis_provider_call_seconds",
            "Time of calls to identity providers until the whole answer or its failure.",
        );
        let provider_call_seconds =
            HistogramVec::new(seconds.buckets(vec![0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0]), &["provider"])?;
        registry.register(Box::new(provider_call_seconds.clone()))?;
        Ok(Self {
            sign_ins: counter(
                "portcullis_sign_ins_total",
                "Sign-ins by provider and how they ended.",
                &["provider", "result"],
            )?,
            sign_outs: counter("portcullis_sign_outs_total", "Sign-outs by how they ended.", &["result"])?,
            provider_calls: counter(
                "portcullis_provider_calls_total",
                "Calls to identity providers by kind and outcome.",
                &["provider", "call", "result"],
            )?,
            provider_call_seconds,
        })
    }

    pub(crate) fn sign_in_ended(&self, provider: &ProviderName, result: SignInResult) {
        self.sign_ins.with_label_values(&[provider.as_str(), result.as_str()]).inc();
    }

    pub(crate) fn sign_out_ended(&self, result: SignOutResult) {
        self.sign_outs.with_label_values(&[result.as_str()]).inc();
    }
}

impl CallObserver for Metrics {
    fn observed(&self, provider: &ProviderName, call: Call, outcome: CallOutcome, took: Duration) {
        self.provider_calls.with_label_values(&[provider.as_str(), call.as_str(), outcome.as_str()]).inc();
        self.provider_call_seconds.with_label_values(&[provider.as_str()]).observe(took.as_secs_f64());
    }
}
