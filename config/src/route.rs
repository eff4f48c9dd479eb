//! A route as the rest of Portcullis sees it.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue, StatusCode};
use portcullis_identity::Needs;
use portcullis_policy::Program;
use rustls_pki_types::CertificateDer;

use crate::client_trust::ClientTrust;
use crate::health::HealthCheck;
use crate::model::Certificate;

/// One entry of `routes`.
#[derive(Debug)]
pub struct Route {
    /// `name`, else made of `from` and the path; unique. The label of metrics and events.
    pub name: Arc<str>,
    /// `description`: what the portal says of it.
    pub description: Option<Arc<str>>,
    /// SHA-256 of everything the route says; equal routes of two generations are reused.
    pub digest: [u8; 32],
    /// Where it stands in the file, from 1.
    pub line: usize,
    /// Which hosts.
    pub host: HostPattern,
    /// Only on this port, if `from` gives one that is not the public port.
    pub port: Option<u16>,
    /// Which paths.
    pub path: PathPattern,
    /// What happens to a permitted request.
    pub action: Action,
    /// Who is permitted; shared between routes with the same text.
    pub policy: Arc<Program>,
    /// `shadow_policy`: what would say who is permitted; judged beside `policy`, never acted upon.
    pub shadow: Option<Arc<Program>>,
    /// What a client certificate must meet here to be valid; `None`: there is nothing to validate it by.
    pub client_trust: Option<Arc<ClientTrust>>,
    /// What a session must meet here.
    pub needs: Needs,
    /// The longest pause between two uses of a session here; tightens the session's own.
    pub idle: Option<Duration>,
    /// Header edits and identity.
    pub headers: HeaderEdits,
    /// Deadlines and protocols.
    pub exchange: ExchangeRules,
}

/// Which hosts a route serves.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// Exactly this canonical host (lower case, no port, no trailing dot).
    Exact(Arc<str>),
    /// `*` stands for any characters, dots among them; in lower case.
    Wildcard(Arc<str>),
}

impl HostPattern {
    /// Whether a canonical host (lower case, no port, no trailing dot) is one of these.
    #[must_use]
    pub fn serves(&self, host: &str) -> bool {
        crate::build::host::serves(self, host)
    }
}

/// Which paths a route serves, judged on the canonical path.
#[derive(Clone, Debug)]
pub enum PathPattern {
    /// Every path.
    Any,
    /// Paths that begin with this text: `/app` matches `/apple`.
    Prefix(Arc<str>),
    /// This path.
    Exact(Arc<str>),
    /// Paths that this expression matches as a whole.
    Regex(Arc<regex::Regex>),
}

/// What happens to a permitted request.
#[derive(Clone, Debug)]
pub enum Action {
    /// Sent to one of the upstreams.
    Forward(Arc<Forward>),
    /// Answered with a redirect.
    Redirect(Redirect),
    /// Answered with a fixed text.
    Respond {
        /// The status.
        status: StatusCode,
        /// The body, as `text/plain; charset=utf-8`.
        body: Arc<str>,
    },
}

/// How a request travels to its upstream.
#[derive(Debug)]
pub struct Forward {
    /// The upstreams; never empty.
    pub upstreams: Vec<Upstream>,
    /// How the path is rewritten.
    pub path: PathRewrite,
    /// Which `Host` the upstream sees.
    pub host: HostRewrite,
    /// TLS to `https` upstreams.
    pub tls: UpstreamTls,
    /// `health_checks`: an address is healthy here while all of them are content.
    pub health: Vec<HealthCheck>,
}

/// One upstream of a route.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Upstream {
    /// How it is spoken to.
    pub scheme: Scheme,
    /// A name or an address, without brackets.
    pub host: Arc<str>,
    /// Its port.
    pub port: u16,
    /// Its share, at least 1.
    pub weight: u32,
}

/// How an upstream is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// HTTP/1.1 in the clear.
    Http,
    /// TLS; HTTP/2 if the upstream offers it, else HTTP/1.1.
    Https,
    /// HTTP/2 in the clear, by prior knowledge: gRPC.
    H2c,
}

/// How the path is rewritten.
#[derive(Clone, Debug)]
pub enum PathRewrite {
    /// Sent as judged.
    Keep,
    /// The route's `prefix` is replaced by this text; also the path of a `to` URL, for which the replaced prefix is `/`.
    Prefix {
        /// What is replaced at the front.
        from: Arc<str>,
        /// What stands there instead.
        to: Arc<str>,
    },
    /// Every match of the expression is replaced; `$1` or `\1` is the first group.
    Regex {
        /// The expression.
        pattern: Arc<regex::Regex>,
        /// The replacement, in the syntax of the `regex` crate.
        substitution: Arc<str>,
    },
}

/// Which `Host` the upstream sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostRewrite {
    /// The upstream's own name (default).
    Upstream,
    /// What the client sent: `preserve_host_header`.
    Preserve,
    /// `host_rewrite`.
    Fixed(Arc<str>),
    /// The value of this request header, if it is there: `host_rewrite_header`.
    Header(HeaderName),
}

/// TLS to upstreams.
#[derive(Debug, Default)]
pub struct UpstreamTls {
    /// Roots that are believed instead of the system's: `tls_custom_ca`.
    pub ca: Vec<CertificateDer<'static>>,
    /// The name that is sent and checked: `tls_upstream_server_name`, else `tls_server_name`, else the host.
    pub server_name: Option<Arc<str>>,
    /// `tls_skip_verify`.
    pub skip_verify: bool,
    /// `tls_client_cert` and `tls_client_key`.
    pub client_certificate: Option<Certificate>,
    /// Digest of the four above: which connections may be shared (`group_key`).
    pub digest: [u8; 32],
}

/// A redirect route.
#[derive(Clone, Debug)]
pub struct Redirect {
    /// `https_redirect` or `scheme_redirect`: `http` or `https`.
    pub scheme: Option<Arc<str>>,
    /// `host_redirect`.
    pub host: Option<Arc<str>>,
    /// `port_redirect`.
    pub port: Option<u16>,
    /// `path_redirect` or `prefix_rewrite`.
    pub path: RedirectPath,
    /// 301, 302, 303, 307 or 308.
    pub status: StatusCode,
    /// `strip_query`.
    pub strip_query: bool,
}

/// The path of a redirect.
#[derive(Clone, Debug)]
pub enum RedirectPath {
    /// The request's.
    Keep,
    /// This one, with its own query if it has one.
    Replace(Arc<str>),
    /// The route's matched prefix replaced by this text.
    Prefix(Arc<str>),
}

/// Header edits and identity.
#[derive(Debug)]
pub struct HeaderEdits {
    /// `set_request_headers`, after the identity headers are set.
    pub set_request: Vec<(HeaderName, HeaderTemplate)>,
    /// `remove_request_headers`.
    pub remove_request: Vec<HeaderName>,
    /// `set_response_headers`.
    pub set_response: Vec<(HeaderName, HeaderValue)>,
    /// Whether the upstream is told who asks: `pass_identity_headers`.
    pub pass_identity: bool,
}

/// A header value with the reference's tokens: `${pomerium.jwt}` and its kin, `$$` for a dollar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderTemplate(pub Vec<TemplatePart>);

/// A piece of a header template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TemplatePart {
    /// Text as it stands.
    Literal(String),
    /// `${pomerium.access_token}`.
    AccessToken,
    /// `${pomerium.id_token}`.
    IdToken,
    /// `${pomerium.jwt}`: the signed assertion.
    Assertion,
    /// `${pomerium.request.headers["X"]}`.
    RequestHeader(HeaderName),
    /// `${pomerium.client_cert_fingerprint}`.
    ClientCertificateFingerprint,
    /// `${pomerium.client_cert_san_dns}`.
    ClientCertificateDnsNames,
    /// `${pomerium.client_cert_san_email}`.
    ClientCertificateEmailAddresses,
}

/// Deadlines and protocols of a route.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "switches that do not depend on each other")]
pub struct ExchangeRules {
    /// The whole exchange, from head to last byte; `None`: unlimited.
    pub timeout: Option<Duration>,
    /// A pause of the exchange; `None`: unlimited.
    pub idle_timeout: Option<Duration>,
    /// `allow_websockets`.
    pub websockets: bool,
    /// `cors_allow_preflight`, for information: the policy already says so.
    pub cors_preflight: bool,
    /// Whether `%2F` in a path is refused or kept.
    pub encoded_slashes: EncodedSlashes,
    /// `keep_fragment`: a challenge keeps `#…` through the sign-in.
    pub keep_fragment: bool,
    /// `show_error_details`: the 403 page names the rules.
    pub show_error_details: bool,
}

/// What becomes of `%2F` in a path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EncodedSlashes {
    /// 400.
    #[default]
    Refuse,
    /// Kept as it is, never decoded.
    Keep,
}
