//! The sections beside providers and routes. Every default is written at its field, in the `Default` below it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Address, ByteSize, OneOrMany, Ordered, PemFile, Period, Reference, Switch};

/// The name of a service, or all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ServiceName {
    /// Every service.
    All,
    /// User traffic.
    Proxy,
    /// Sign-in.
    Authn,
    /// Sessions and tokens.
    Broker,
}

/// Where this process keeps sockets and state.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct DirectoriesSection {
    /// Sockets. Default: systemd's `RUNTIME_DIRECTORY`, else `/run/portcullis`.
    pub(crate) run_dir: Option<PathBuf>,
    /// The store, the generated secret, the self-signed certificate. Default: systemd's `STATE_DIRECTORY`, else `/var/lib/portcullis`.
    pub(crate) state_dir: Option<PathBuf>,
}

/// Where the process listens.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ListenSection {
    /// User traffic over TLS. Default: `:443`.
    pub(crate) public: Option<OneOrMany<Address>>,
    /// The port that users type, where a packet filter maps it to another. Default: that of the first public address.
    pub(crate) public_port: Option<u16>,
    /// Plain HTTP that redirects to https. Default: `off`.
    pub(crate) redirect: Option<Switch>,
    /// broker and authn for other hosts, over mutual TLS.
    pub(crate) internal: InternalSection,
    /// Metrics and probes. Default: `127.0.0.1:9464`.
    pub(crate) telemetry: Option<Switch>,
}

/// Where other hosts reach the services of this process.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct InternalSection {
    /// The broker. Default: `off`, or the port of `siblings.broker` if it is given and the broker runs here.
    pub(crate) broker: Option<Switch>,
    /// authn. Default: `off`, or the port of `siblings.authn` if it is given and authn runs here.
    pub(crate) authn: Option<Switch>,
}

/// Certificates of the public listener.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct TlsSection {
    /// Chosen by the name that the client asks for: exact names first, then wildcards. Without any, a self-signed one is made.
    pub(crate) certificates: Vec<CertificateEntry>,
}

/// A certificate with its key.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CertificateEntry {
    /// The chain, the leaf first: the path of a PEM file, or a reference.
    pub(crate) cert: PemFile,
    /// The leaf's key: the path of a PEM file, or a reference.
    pub(crate) key: PemFile,
}

/// The host people sign in on.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SignInSection {
    /// Its name, without scheme and port; its traffic arrives at the public listener too.
    pub(crate) host: Option<String>,
    /// Where the browser goes after a sign-out. Default: our own page.
    pub(crate) signed_out_url: Option<String>,
    /// Hosts that a programmatic sign-in may return to; `localhost` stands for this machine's own addresses, `[]`
    /// switches it off. Default: `[localhost]`.
    pub(crate) programmatic_hosts: Option<Vec<String>>,
}

/// How long sessions live.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SessionSection {
    /// From sign-in to the absolute end; it never slides. Default: `14h`.
    pub(crate) lifetime: Period,
    /// The longest pause between two uses; `0` (default): any.
    pub(crate) idle: Period,
}

impl Default for SessionSection {
    fn default() -> Self {
        Self { lifetime: Period(Duration::from_secs(14 * 3600)), idle: Period(Duration::ZERO) }
    }
}

/// Whose names paths, headers and cookies carry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum NamespaceName {
    /// `/.portcullis/`, `X-Portcullis-…`, `__Host-portcullis`.
    #[default]
    Portcullis,
    /// `/.pomerium/`, `X-Pomerium-…`, `_pomerium`.
    Pomerium,
}

/// Names and attributes of our cookies.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct CookieSection {
    /// The session cookie. Default: `__Host-portcullis`, or `_pomerium` in that namespace.
    pub(crate) name: Option<String>,
    /// `Domain`, only with `namespace: pomerium`. Default: the host alone.
    pub(crate) domain: Option<String>,
    /// `SameSite`. Default: `lax`.
    pub(crate) same_site: SameSiteName,
}

/// `SameSite` of a cookie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SameSiteName {
    /// Sent on navigation from other sites.
    #[default]
    Lax,
    /// Never sent from other sites.
    Strict,
    /// Sent always.
    None,
}

/// The proxies' copy of the sessions.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ReplicaSection {
    /// Sessions beyond this size drop the least used. Default: `512MiB`.
    pub(crate) max_bytes: ByteSize,
    /// How long sessions are honoured without a word from the broker. Default: `5m`.
    pub(crate) max_staleness: Period,
}

impl Default for ReplicaSection {
    fn default() -> Self {
        Self { max_bytes: ByteSize(512 << 20), max_staleness: Period(Duration::from_secs(300)) }
    }
}

/// The broker's store.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct StorageSection {
    /// Default: `embedded`.
    pub(crate) engine: EngineName,
    /// The store's file. Default: `sessions.redb` in the state directory.
    pub(crate) path: Option<PathBuf>,
}

/// A storage engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum EngineName {
    /// One file, one broker.
    #[default]
    Embedded,
}

/// The signed assertion and the claim headers that upstreams receive.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct AssertionSection {
    /// EC P-256 keys as PEM: the first signs, all are published. Default: derived from the cluster secret.
    pub(crate) signing_keys: Vec<Reference>,
    /// `iss` as host name (default) or as URI.
    pub(crate) issuer_format: IssuerFormatName,
    /// Claims that upstreams receive as headers: a list of claims, or header names with their claims.
    pub(crate) claim_headers: ClaimHeaders,
}

/// How an assertion names its issuer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum IssuerFormatName {
    /// `wiki.corp.test`.
    #[default]
    #[serde(alias = "hostOnly")]
    HostOnly,
    /// `https://wiki.corp.test/`.
    Uri,
}

/// Claims that upstreams receive as headers.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "a list of claims, or a mapping of header names to claims")]
pub(crate) enum ClaimHeaders {
    /// Claims; the header is `X-Portcullis-Claim-` and the claim's name.
    Claims(Vec<String>),
    /// Header names with their claims.
    Named(BTreeMap<String, String>),
}

impl Default for ClaimHeaders {
    fn default() -> Self {
        Self::Claims(Vec::new())
    }
}

/// Defaults of all routes that forward.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct UpstreamsSection {
    /// The whole exchange; `0`: unlimited. Default: `30s`.
    pub(crate) timeout: Period,
    /// A pause of the exchange; `0`: unlimited. Default: `5m`.
    pub(crate) idle_timeout: Period,
    /// Whether upstreams are told who asks. Default: `false`.
    pub(crate) pass_identity_headers: bool,
    /// Response headers of every route, unless the route sets them itself.
    pub(crate) set_response_headers: Ordered<String>,
}

impl Default for UpstreamsSection {
    fn default() -> Self {
        Self {
            timeout: Period(Duration::from_secs(30)),
            idle_timeout: Period(Duration::from_secs(300)),
            pass_identity_headers: false,
            set_response_headers: Ordered::default(),
        }
    }
}

/// Deadlines and caps of the public listener.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LimitsSection {
    /// The TLS handshake. Default: `10s`.
    pub(crate) handshake: Period,
    /// Idle time and head of an HTTP/1 request together. Default: `60s`.
    pub(crate) head: Period,
    /// A request body without progress. Default: `60s`.
    pub(crate) body_progress: Period,
    /// A write to a client that reads nothing. Default: `60s`.
    pub(crate) client_write: Period,
    /// Connections in all. Default: 65536.
    pub(crate) connections: usize,
    /// Connections from one IPv4 address or IPv6 /64. Default: 1024.
    pub(crate) connections_per_prefix: usize,
    /// Sign-in requests a minute from one such prefix. Default: 600.
    pub(crate) sign_ins_per_prefix: u32,
    /// Header fields of a request. Default: 100.
    pub(crate) header_fields: usize,
    /// Bytes of a request's head. Default: `32KiB`.
    pub(crate) head_bytes: ByteSize,
    /// Networks whose `X-Forwarded-For` is believed. Default: none.
    pub(crate) trusted_proxies: Vec<String>,
}

impl Default for LimitsSection {
    fn default() -> Self {
        Self {
            handshake: Period(Duration::from_secs(10)),
            head: Period(Duration::from_secs(60)),
            body_progress: Period(Duration::from_secs(60)),
            client_write: Period(Duration::from_secs(60)),
            connections: 65_536,
            connections_per_prefix: 1_024,
            sign_ins_per_prefix: 600,
            header_fields: 100,
            head_bytes: ByteSize(32 << 10),
            trusted_proxies: Vec::new(),
        }
    }
}

/// How the process stops.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct DrainSection {
    /// From "not ready" to "no new connections". Default: `5s`.
    pub(crate) delay: Period,
    /// For what is open. Default: `30s`.
    pub(crate) timeout: Period,
    /// HTTP/2 connections after GOAWAY. Default: `30s`.
    pub(crate) h2: Period,
}

impl Default for DrainSection {
    fn default() -> Self {
        let (delay, timeout, h2) = (5, 30, 30);
        let seconds = |seconds| Period(Duration::from_secs(seconds));
        Self { delay: seconds(delay), timeout: seconds(timeout), h2: seconds(h2) }
    }
}

/// Logs.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct TelemetrySection {
    /// What is logged: a level, or levels by target (`info,portcullis_proxy=debug`). Default: `info`.
    pub(crate) log: String,
}

impl Default for TelemetrySection {
    fn default() -> Self {
        Self { log: "info".to_owned() }
    }
}

/// Decision records.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct DecisionsSection {
    /// How many are kept in memory. Default: 4096.
    pub(crate) ring: usize,
    /// Where they are written too. They hold personal data. Default: nowhere.
    pub(crate) sink: Option<SinkSection>,
}

/// Where decision records are written.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SinkSection {
    /// The file, one JSON object a line; made for its user alone, appended to, opened anew once it was moved.
    pub(crate) file: PathBuf,
}

impl Default for DecisionsSection {
    fn default() -> Self {
        Self { ring: 4_096, sink: None }
    }
}

/// Where the services are that run in other processes on other hosts.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SiblingsSection {
    /// `https://broker.corp.test:5443`. Default: this host's Unix socket.
    pub(crate) broker: Option<String>,
    /// `https://authn.corp.test:5444`. Default: this host's Unix socket.
    pub(crate) authn: Option<String>,
}
