//! The configuration as the rest of Portcullis sees it: resolved, checked, immutable, without serde.
//!
//! Every referenced file has been read, every name looked up, every default filled in. May NOT be in here:
//! an unresolved reference, a path that somebody reads later (sockets and the store excepted), a string for
//! a closed set.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use portcullis_identity::SecretText;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::client_trust::DownstreamMtls;
use crate::provider::Provider;
use crate::route::Route;

/// One generation of the configuration.
#[derive(Debug)]
pub struct Config {
    /// Names this generation: a digest of everything that was read.
    pub generation: Generation,
    /// The services this process runs.
    pub services: Services,
    /// Where this process keeps sockets and state.
    pub directories: Directories,
    /// Where it listens.
    pub listen: Listen,
    /// Certificates of the public listener.
    pub tls: Tls,
    /// Client certificates on the public listener.
    pub downstream_mtls: DownstreamMtls,
    /// The sign-in host and what names, cookies and paths look like.
    pub sign_in: SignIn,
    /// Identity providers in the order of the file; never empty if a route needs a sign-in.
    pub providers: Vec<Provider>,
    /// How long sessions live.
    pub session: SessionLimits,
    /// The cluster secret's lines, or the exported keys of some services.
    pub secret: SecretSource,
    /// The proxies' copy of the sessions.
    pub replica: ReplicaLimits,
    /// The broker's store.
    pub storage: Storage,
    /// The signed assertion and claim headers for upstreams.
    pub assertion: Assertion,
    /// Where the sibling services are when they do not run in this process.
    pub siblings: Siblings,
    /// Deadlines and caps.
    pub limits: Limits,
    /// Logs and probes.
    pub telemetry: Telemetry,
    /// Decision records.
    pub decisions: Decisions,
    /// Routes in the order of the file.
    pub routes: Vec<Arc<Route>>,
    /// What `check` warns of in this file; never empty of reasons to look.
    pub warnings: Vec<crate::Warning>,
}

impl Config {
    /// Whether a route denies whoever has no valid client certificate, whatever its policy says.
    #[must_use]
    pub fn guards(&self, route: &Route) -> bool {
        route.client_trust.is_some() && self.downstream_mtls.enforcement.denies_by_default()
    }
}

/// The content digest of a generation: SHA-256 over the file and every file it references.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Generation(pub [u8; 32]);

/// The first six bytes in hexadecimal, as events and `status` show it.
impl std::fmt::Display for Generation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // In one piece: every access event shows it.
        let mut text = [0; 12];
        let [a, b, c, d, e, g, ..] = self.0;
        hex::encode_to_slice([a, b, c, d, e, g], &mut text).map_err(|_| std::fmt::Error)?;
        f.write_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

/// A service of design §1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    /// User traffic.
    Proxy,
    /// Sign-in.
    Authn,
    /// Sessions and tokens.
    Broker,
}

/// The services one process runs; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Services(pub std::collections::BTreeSet<Service>);

impl Services {
    /// Whether this process runs `service`.
    #[must_use]
    pub fn runs(&self, service: Service) -> bool {
        self.0.contains(&service)
    }
}

/// Directories of the process, each 0700.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directories {
    /// Sockets: `broker.sock`, `authn.sock`, `admin.sock`.
    pub run: PathBuf,
    /// The secret made at first start, the store, the self-signed certificate.
    pub state: PathBuf,
}

/// Where the process listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// User traffic over TLS; at least one address.
    pub public: Vec<SocketAddr>,
    /// The port that users type: 443 unless told otherwise or the first public address has another.
    pub public_port: u16,
    /// Plain HTTP that redirects to https.
    pub redirect: Option<SocketAddr>,
    /// broker and authn for other hosts, over mutual TLS.
    pub internal: Internal,
    /// `/metrics`, `/livez`, `/readyz`.
    pub telemetry: Option<SocketAddr>,
}

/// Where other hosts reach the services of this process, over mutual TLS; `listen: {internal: {broker: …, authn: …}}`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Internal {
    /// The broker's gRPC; 5443 by custom.
    pub broker: Option<SocketAddr>,
    /// authn's HTTP/2; 5444 by custom.
    pub authn: Option<SocketAddr>,
}

/// Certificates of the public listener.
#[derive(Debug)]
pub struct Tls {
    /// Chosen by name: exact first, then wildcard. Empty: one is made for the names of the routes.
    pub certificates: Vec<Certificate>,
}

/// A certificate chain with its key.
#[derive(Debug)]
pub struct Certificate {
    /// Leaf first.
    pub chain: Vec<CertificateDer<'static>>,
    /// The leaf's key; never shown by `Debug`.
    pub key: PrivateKeyDer<'static>,
    /// The file the chain came from, for messages.
    pub origin: PathBuf,
}

/// The sign-in host and the names of what Portcullis puts on hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignIn {
    /// The host people sign in on; canonical (lower case, no port, no trailing dot). Empty where the file names
    /// none, which it may if no route needs a sign-in.
    pub host: Arc<str>,
    /// Names of paths, headers and cookies.
    pub namespace: Namespace,
    /// Attributes of the session cookie.
    pub cookie: Cookie,
    /// Where the browser goes after a sign-out; `None`: our signed-out page.
    pub signed_out_url: Option<url::Url>,
    /// Hosts a programmatic sign-in may return to; `localhost` stands for loopback. Empty: there is no such sign-in.
    pub programmatic_hosts: Vec<Arc<str>>,
}

/// Whose names paths, headers and cookies carry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Namespace {
    /// `/.portcullis/`, `X-Portcullis-…`, `__Host-portcullis`.
    #[default]
    Portcullis,
    /// `/.pomerium/`, `X-Pomerium-…`, `_pomerium`.
    Pomerium,
}

/// Attributes of our cookies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cookie {
    /// The session cookie's name.
    pub name: Arc<str>,
    /// The browser-binding cookie's name.
    pub bind_name: Arc<str>,
    /// `Domain`; only with [`Namespace::Pomerium`].
    pub domain: Option<Arc<str>>,
    /// `SameSite`.
    pub same_site: SameSite,
}

/// `SameSite` of RFC 6265bis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SameSite {
    /// Sent on top-level navigation from other sites.
    #[default]
    Lax,
    /// Never sent from other sites.
    Strict,
    /// Sent always.
    None,
}

/// How long sessions live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionLimits {
    /// From sign-in to the absolute end; 14 h.
    pub lifetime: Duration,
    /// The longest pause between two uses.
    pub idle: Option<Duration>,
}

/// Where the keys come from.
#[derive(Debug)]
pub enum SecretSource {
    /// The text of a key ring file or of `portcullis keys export`, as `keys` parses it.
    Text(SecretText),
    /// Made at first start in this file of the state directory (0600), then read from it.
    StateFile(PathBuf),
}

/// The proxies' copy of the sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplicaLimits {
    /// Sessions beyond this many bytes drop the least used; 512 MiB.
    pub max_bytes: usize,
    /// After this long without a word from the broker the replica answers nothing; 5 min.
    pub max_staleness: Duration,
}

/// The broker's store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Storage {
    /// redb in one file.
    Embedded {
        /// The file; `state_dir/sessions.redb`.
        path: PathBuf,
    },
}

/// The signed assertion and claim headers for upstreams.
#[derive(Debug)]
pub struct Assertion {
    /// PEM keys, the first signs, all are published; empty: derived from the cluster secret.
    pub signing_keys: Vec<SecretText>,
    /// `iss` as a host name or as `https://host/`.
    pub issuer_format: IssuerFormat,
    /// Claim headers: (claim, header name).
    pub claim_headers: Vec<(String, http::HeaderName)>,
}

/// How an assertion names its issuer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IssuerFormat {
    /// `wiki.corp.test`.
    #[default]
    HostOnly,
    /// `https://wiki.corp.test/`.
    Uri,
}

/// Where the sibling services are; `None`: in this process or on this host, by their Unix socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Siblings {
    /// `https://broker.corp.test:5443`.
    pub broker: Option<url::Url>,
    /// `https://authn.corp.test:5443`.
    pub authn: Option<url::Url>,
}

/// Deadlines and caps of the edge, each with a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// TLS handshake; 10 s.
    pub handshake: Duration,
    /// Idle time and head together on HTTP/1; 60 s.
    pub head: Duration,
    /// A request body without progress; 60 s.
    pub body_progress: Duration,
    /// A write to a client that reads nothing; 60 s.
    pub client_write: Duration,
    /// Connections in all; 65536.
    pub connections: usize,
    /// Connections from one /32 or /64; 1024.
    pub connections_per_prefix: usize,
    /// Sign-in requests a minute from one prefix; 600.
    pub sign_ins_per_prefix: u32,
    /// Header fields of a request; 100.
    pub header_fields: usize,
    /// Bytes of a request's head; 32 KiB.
    pub head_bytes: usize,
    /// Whose word on the client's address is believed; default nobody.
    pub trusted_proxies: Vec<IpNet>,
    /// On stop.
    pub drain: Drain,
}

/// How the process stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drain {
    /// From "not ready" to "no new connections"; 5 s.
    pub delay: Duration,
    /// For what is open; 30 s.
    pub timeout: Duration,
    /// HTTP/2 connections after GOAWAY; 30 s.
    pub h2: Duration,
}

/// Logs and probes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Telemetry {
    /// A `tracing` filter; `info`.
    pub log: String,
}

/// Decision records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decisions {
    /// How many the ring holds; 4096.
    pub ring: usize,
    /// The file they are written to, if any.
    pub sink: Option<PathBuf>,
}

impl Namespace {
    /// The path prefix of our pages on every host, with both slashes: `/.portcullis/`.
    #[must_use]
    pub const fn path_prefix(self) -> &'static str {
        match self {
            Self::Portcullis => "/.portcullis/",
            Self::Pomerium => "/.pomerium/",
        }
    }

    /// The path prefix of our well-known documents, with both slashes.
    #[must_use]
    pub const fn well_known_prefix(self) -> &'static str {
        match self {
            Self::Portcullis => "/.well-known/portcullis/",
            Self::Pomerium => "/.well-known/pomerium/",
        }
    }

    /// The lower-case prefix of every header that is ours to set: `x-portcullis-`. Stripped from requests in
    /// every spelling, whether configured or not.
    #[must_use]
    pub const fn header_prefix(self) -> &'static str {
        match self {
            Self::Portcullis => "x-portcullis-",
            Self::Pomerium => "x-pomerium-",
        }
    }

    /// Where the provider sends the browser back to, on the sign-in host.
    #[must_use]
    pub const fn provider_callback_path(self) -> &'static str {
        match self {
            Self::Portcullis => "/.portcullis/oidc/callback",
            Self::Pomerium => "/oauth2/callback",
        }
    }
}
