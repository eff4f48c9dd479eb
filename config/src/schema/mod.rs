//! The file's shape, as serde reads it and as editors see it: nothing here is resolved or checked beyond it.

mod client_certificates;
mod health;
mod provider;
mod reference;
mod route;
mod scalar;
mod section;

pub(crate) use client_certificates::{DownstreamMtlsSection, EnforcementName, NameEntry};
pub(crate) use health::{GrpcCheckEntry, HealthCheckEntry, HealthChecks, HttpCheckEntry, StatusRange, StatusesEntry};
pub(crate) use provider::{ClaimNames, ClientAuthName, ProviderEntry};
pub(crate) use reference::{PemFile, PemText, Reference};
pub(crate) use route::{
    EncodedSlashesName, READ_BY_POLICY, RedirectEntry, ResponseEntry, RouteEntry, RouteSession, UpstreamText,
};
pub(crate) use scalar::{Address, ByteSize, OneOrMany, Ordered, Period, ReadByPolicy, Switch};
pub(crate) use section::{
    AssertionSection, CertificateEntry, ClaimHeaders, CookieSection, DecisionsSection, DirectoriesSection,
    DrainSection, EngineName, InternalSection, IssuerFormatName, LimitsSection, ListenSection, NamespaceName,
    ReplicaSection, SameSiteName, ServiceName, SessionSection, SiblingsSection, SignInSection, SinkSection,
    StorageSection, TelemetrySection, TlsSection, UpstreamsSection,
};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

/// The configuration of Portcullis.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Portcullis configuration")]
pub(crate) struct Document {
    /// The services this process runs: `all` (default), one of them, or a list.
    #[serde(default)]
    pub(crate) services: Option<OneOrMany<ServiceName>>,
    /// Where this process keeps sockets and state.
    #[serde(default)]
    pub(crate) directories: DirectoriesSection,
    /// Where it listens.
    #[serde(default)]
    pub(crate) listen: ListenSection,
    /// Certificates of the public listener.
    #[serde(default)]
    pub(crate) tls: TlsSection,
    /// Client certificates on the public listener.
    #[serde(default)]
    pub(crate) downstream_mtls: DownstreamMtlsSection,
    /// The host people sign in on.
    #[serde(default)]
    pub(crate) sign_in: SignInSection,
    /// Identity providers by name, in the order of the choice page.
    #[serde(default)]
    pub(crate) providers: Ordered<ProviderEntry>,
    /// How long sessions live.
    #[serde(default)]
    pub(crate) session: SessionSection,
    /// Names and attributes of our cookies.
    #[serde(default)]
    pub(crate) cookie: CookieSection,
    /// Whose names paths, headers and cookies carry: `portcullis` (default) or `pomerium`.
    #[serde(default)]
    pub(crate) namespace: NamespaceName,
    /// The cluster secret (a key ring) or the exported keys of some services. Without it, a key ring is made
    /// at first start in the state directory.
    #[serde(default)]
    pub(crate) secret: Option<Reference>,
    /// The proxies' copy of the sessions.
    #[serde(default)]
    pub(crate) replica: ReplicaSection,
    /// The broker's store.
    #[serde(default)]
    pub(crate) storage: StorageSection,
    /// The signed assertion and the claim headers that upstreams receive.
    #[serde(default)]
    pub(crate) assertion: AssertionSection,
    /// Defaults of all routes that forward.
    #[serde(default)]
    pub(crate) upstreams: UpstreamsSection,
    /// Deadlines and caps of the public listener.
    #[serde(default)]
    pub(crate) limits: LimitsSection,
    /// How the process stops.
    #[serde(default)]
    pub(crate) drain: DrainSection,
    /// Logs.
    #[serde(default)]
    pub(crate) telemetry: TelemetrySection,
    /// Decision records.
    #[serde(default)]
    pub(crate) decisions: DecisionsSection,
    /// Where the services are that run in other processes on other hosts.
    #[serde(default)]
    pub(crate) siblings: SiblingsSection,
    /// Policies that routes refer to by name.
    #[serde(default)]
    #[schemars(with = "std::collections::BTreeMap<String, route::PolicyShape>")]
    pub(crate) policies: ReadByPolicy,
    /// The routes; inside a host the first that matches is taken.
    pub(crate) routes: Vec<RouteEntry>,
}

/// The JSON Schema (2020-12) of the configuration file, for editors.
#[must_use]
pub fn json_schema() -> Value {
    let mut schema = schemars::schema_for!(Document).to_value();
    forbid_null(&mut schema);
    schema
}

/// A key without a value is refused, wherever the types alone would take it for an absent one.
fn forbid_null(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            if let Some(Value::Array(types)) = map.get_mut("type") {
                types.retain(|name| name != "null");
            }
            if let Some(Value::Array(choices)) = map.get_mut("anyOf") {
                choices.retain(|choice| choice.get("type").is_none_or(|name| name != "null"));
            }
            map.values_mut().for_each(forbid_null);
        }
        Value::Array(list) => list.iter_mut().for_each(forbid_null),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
