//! The configuration: its schema, how it is read, what is wrong with it and where, and when it changes.
//!
//! One file and everything it references become one immutable [`Config`], or a [`LoadError`] that names
//! every mistake with file, line and column. This crate is the only one that reads configuration files and
//! the environment. It never starts anything: who reloads, and what happens to a generation, is decided by
//! the composition root.
//!
//! ```
//! use portcullis_config::{ProcessEnvironment, from_text};
//!
//! let text = "
//! routes:
//!   - from: https://status.corp.test
//!     to: http://10.0.0.7:8080
//!     allow_public_unauthenticated_access: true
//! ";
//! let loaded = from_text(text, "portcullis.yaml", std::path::Path::new("."), &ProcessEnvironment)?;
//! assert_eq!(loaded.config.routes.len(), 1);
//! # Ok::<(), portcullis_config::LoadError>(())
//! ```

mod build;
mod check;
mod client_trust;
mod decode;
mod digest;
mod directories;
mod environment;
mod field;
mod files;
mod health;
mod load;
mod model;
mod pem;
mod problem;
mod provider;
mod report;
mod route;
mod schema;
mod values;
mod watch;

pub use build::HEADERS_OF_CLIENTS;
pub use client_trust::{ClientTrust, DownstreamMtls, Enforcement, NameKind, NamePattern, RevocationLists};
pub use directories::{NoDirectories, directories};
pub use environment::{Environment, ProcessEnvironment};
pub use health::{HealthCheck, Probe};
pub use load::{Loaded, ReferencedFile, from_text, load};
pub use model::{
    Assertion, Certificate, Config, Cookie, Decisions, Directories, Drain, Generation, Internal, IssuerFormat, Limits,
    Listen, Namespace, ReplicaLimits, SameSite, SecretSource, Service, Services, SessionLimits, Siblings, SignIn,
    Storage, Telemetry, Tls,
};
pub use problem::{LoadError, Problem, Warning};
pub use provider::{ClaimMapping, ClientAuth, Provider, ProviderTransport};
pub use route::{
    Action, EncodedSlashes, ExchangeRules, Forward, HeaderEdits, HeaderTemplate, HostPattern, HostRewrite, PathPattern,
    PathRewrite, Redirect, RedirectPath, Route, Scheme, TemplatePart, Upstream, UpstreamTls,
};
pub use schema::json_schema as schema;
pub use watch::{WatchError, Watcher};
