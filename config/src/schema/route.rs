//! An entry of `routes`, flat as the reference writes it.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{HealthChecks, OneOrMany, Ordered, PemText, Period, ReadByPolicy, Reference};

/// The keys of a route that are [`ReadByPolicy`].
pub(crate) const READ_BY_POLICY: [&str; 7] = [
    "allow_public_unauthenticated_access",
    "allow_any_authenticated_user",
    "allowed_users",
    "allowed_domains",
    "allowed_idp_claims",
    "policy",
    "shadow_policy",
];

/// A route: which requests, who may, and what happens to them.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "the keys of the reference, as they are")]
pub(crate) struct RouteEntry {
    /// The label of metrics, events and the portal; unique. Default: made of `from` and the path.
    #[serde(default)]
    pub(crate) name: Option<String>,
    /// What the portal says of it.
    #[serde(default)]
    pub(crate) description: Option<String>,
    /// `https://host`, `https://*.host` or `https://host:port`.
    pub(crate) from: String,
    /// The upstreams: `http://`, `https://` or `h2c://`, each with an optional weight behind a comma. A path acts as prefix rewrite.
    #[serde(default)]
    pub(crate) to: Option<OneOrMany<UpstreamText>>,
    /// Checks of the upstreams' health; an address that fails one gets no requests while another is healthy.
    #[serde(default)]
    pub(crate) health_checks: HealthChecks,
    /// Answer with a redirect.
    #[serde(default)]
    pub(crate) redirect: Option<RedirectEntry>,
    /// Answer with a fixed text.
    #[serde(default)]
    pub(crate) response: Option<ResponseEntry>,
    /// Paths that begin with this text: `/app` matches `/apple` too.
    #[serde(default)]
    pub(crate) prefix: Option<String>,
    /// Exactly this path.
    #[serde(default)]
    pub(crate) path: Option<String>,
    /// Paths that this expression matches as a whole.
    #[serde(default)]
    pub(crate) regex: Option<String>,
    /// What replaces `prefix` in the path that the upstream sees.
    #[serde(default)]
    pub(crate) prefix_rewrite: Option<String>,
    /// An expression; every match in the path is replaced.
    #[serde(default)]
    pub(crate) regex_rewrite_pattern: Option<String>,
    /// What replaces it; `\1` is the first group.
    #[serde(default)]
    pub(crate) regex_rewrite_substitution: Option<String>,
    /// `Host` for the upstream.
    #[serde(default)]
    pub(crate) host_rewrite: Option<String>,
    /// The request header whose value becomes `Host` for the upstream.
    #[serde(default)]
    pub(crate) host_rewrite_header: Option<String>,
    /// Whether the upstream sees the client's `Host`. Default: `false`, it sees its own name.
    #[serde(default)]
    pub(crate) preserve_host_header: bool,
    /// Request headers for the upstream; `${pomerium.jwt}` and its kin are replaced, `$$` is a dollar.
    #[serde(default)]
    pub(crate) set_request_headers: Ordered<String>,
    /// Request headers that the upstream does not see.
    #[serde(default)]
    pub(crate) remove_request_headers: Vec<String>,
    /// Response headers for the client.
    #[serde(default)]
    pub(crate) set_response_headers: Ordered<String>,
    /// The whole exchange; `0`: unlimited. Default: `upstreams.timeout`, unlimited with WebSockets.
    #[serde(default)]
    pub(crate) timeout: Option<Period>,
    /// A pause of the exchange; `0`: unlimited. Default: `upstreams.idle_timeout`, unlimited with WebSockets.
    #[serde(default)]
    pub(crate) idle_timeout: Option<Period>,
    /// Whether WebSockets pass. Default: `false`.
    #[serde(default)]
    pub(crate) allow_websockets: bool,
    /// Whether the upstream is told who asks. Default: `upstreams.pass_identity_headers`.
    #[serde(default)]
    pub(crate) pass_identity_headers: Option<bool>,
    /// Whether CORS preflights pass without a sign-in. Default: `false`.
    #[serde(default)]
    pub(crate) cors_allow_preflight: bool,
    /// Everybody passes, signed in or not.
    #[serde(default)]
    #[schemars(with = "bool")]
    pub(crate) allow_public_unauthenticated_access: ReadByPolicy,
    /// Everybody passes who is signed in.
    #[serde(default)]
    #[schemars(with = "bool")]
    pub(crate) allow_any_authenticated_user: ReadByPolicy,
    /// These pass, by id or e-mail address.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub(crate) allowed_users: ReadByPolicy,
    /// Everybody passes whose e-mail address is in one of these domains.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub(crate) allowed_domains: ReadByPolicy,
    /// Everybody passes who has one of these claims.
    #[serde(default)]
    #[schemars(with = "std::collections::BTreeMap<String, Vec<serde_json::Value>>")]
    pub(crate) allowed_idp_claims: ReadByPolicy,
    /// Who passes: rules, the name of a shared policy, or a list of both.
    #[serde(default)]
    #[schemars(with = "PolicyShape")]
    pub(crate) policy: ReadByPolicy,
    /// A policy on trial in the place of all keys that say who passes: never acted upon, differences are counted and kept.
    #[serde(default)]
    #[schemars(with = "PolicyShape")]
    pub(crate) shadow_policy: ReadByPolicy,
    /// The providers whose sign-ins count here. Default: all.
    #[serde(default)]
    pub(crate) providers: OneOrMany<String>,
    /// What a session must meet here beyond `session`.
    #[serde(default)]
    pub(crate) session: RouteSession,
    /// Whether the upstream's certificate goes unchecked. Default: `false`.
    #[serde(default)]
    pub(crate) tls_skip_verify: bool,
    /// The name that is sent to and checked in the upstream's certificate. Default: the upstream's host.
    #[serde(default)]
    pub(crate) tls_server_name: Option<String>,
    /// As `tls_server_name`, and stronger.
    #[serde(default)]
    pub(crate) tls_upstream_server_name: Option<String>,
    /// Roots that are believed instead of the system's, as PEM or PEM in base64.
    #[serde(default)]
    pub(crate) tls_custom_ca: Option<PemText>,
    /// The file of such roots.
    #[serde(default)]
    pub(crate) tls_custom_ca_file: Option<PathBuf>,
    /// Our client certificate for the upstream, as PEM or PEM in base64.
    #[serde(default)]
    pub(crate) tls_client_cert: Option<PemText>,
    /// The file of such a certificate.
    #[serde(default)]
    pub(crate) tls_client_cert_file: Option<PathBuf>,
    /// The key of our client certificate.
    #[serde(default)]
    pub(crate) tls_client_key: Option<Reference>,
    /// The file of such a key.
    #[serde(default)]
    pub(crate) tls_client_key_file: Option<PathBuf>,
    /// Roots of clients' certificates here, in place of `downstream_mtls.ca`, as PEM or PEM in base64.
    #[serde(default)]
    pub(crate) tls_downstream_client_ca: Option<PemText>,
    /// The file of such roots.
    #[serde(default)]
    pub(crate) tls_downstream_client_ca_file: Option<PathBuf>,
    /// What becomes of `%2F` in a path: `refuse` (default) or `keep`.
    #[serde(default)]
    pub(crate) encoded_slashes: EncodedSlashesName,
    /// Whether a sign-in keeps the `#…` of the address. Default: `false`.
    #[serde(default)]
    pub(crate) keep_fragment: bool,
    /// Whether the refusal page names the rules. Default: `false`.
    #[serde(default)]
    pub(crate) show_error_details: bool,
}

/// An upstream with its weight: `http://10.0.0.7:8080` or `http://10.0.0.7:8080,3`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(transparent)]
pub(crate) struct UpstreamText(pub(crate) String);

/// A redirect.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RedirectEntry {
    /// To https.
    pub(crate) https_redirect: bool,
    /// To this scheme: `http` or `https`.
    pub(crate) scheme_redirect: Option<String>,
    /// To this host.
    pub(crate) host_redirect: Option<String>,
    /// To this port.
    pub(crate) port_redirect: Option<u16>,
    /// To this path.
    pub(crate) path_redirect: Option<String>,
    /// To the path with the route's `prefix` replaced by this.
    pub(crate) prefix_rewrite: Option<String>,
    /// 301 (default), 302, 303, 307 or 308.
    pub(crate) response_code: Option<u16>,
    /// Whether the query is left away. Default: `false`.
    pub(crate) strip_query: bool,
}

/// A fixed answer.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ResponseEntry {
    /// 200 to 599.
    pub(crate) status: u16,
    /// Plain text.
    #[serde(default)]
    pub(crate) body: String,
}

/// What a session must meet on a route.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RouteSession {
    /// How long ago the person may have authenticated.
    pub(crate) max_age: Option<Period>,
    /// The longest pause between two uses.
    pub(crate) idle: Option<Period>,
    /// The authentication context classes that count.
    pub(crate) acr: OneOrMany<String>,
}

/// What becomes of `%2F` in a path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum EncodedSlashesName {
    /// The request is refused.
    #[default]
    Refuse,
    /// It stays as it is.
    Keep,
}

/// Who may pass: one rule, the name of a shared policy, or a list of both.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "the schema's shape of something that serde never reads")]
pub(crate) enum PolicyShape {
    /// The name of a shared policy.
    Name(String),
    /// One rule.
    Rule(RuleShape),
    /// Rules and names.
    List(Vec<RuleOrName>),
}

/// A rule or the name of a shared policy.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "the schema's shape of something that serde never reads")]
pub(crate) enum RuleOrName {
    /// The name of a shared policy.
    Name(String),
    /// A rule.
    Rule(RuleShape),
}

/// A rule.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "the schema's shape of something that serde never reads")]
pub(crate) struct RuleShape {
    /// Who is permitted.
    allow: Option<OperatorsShape>,
    /// Who is refused, whatever else permits them.
    deny: Option<OperatorsShape>,
}

/// Criteria under their operators.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "the schema's shape of something that serde never reads")]
pub(crate) struct OperatorsShape {
    /// All of them hold.
    and: Option<Vec<CriterionShape>>,
    /// One of them holds.
    or: Option<Vec<CriterionShape>>,
    /// None of them holds.
    not: Option<Vec<CriterionShape>>,
    /// One of them does not hold.
    nor: Option<Vec<CriterionShape>>,
}

/// One criterion with its matcher: `{domain: corp.test}`.
type CriterionShape = std::collections::BTreeMap<String, serde_json::Value>;
