//! The proxy: all user traffic. Pingora inside our own accept loop, with one exchange around each request.
//!
//! [`Proxy::new`] takes what the composition root has made ([`ProxyParts`]), [`Proxy::serve`] serves the
//! listeners until told to drain, [`Proxy::prepare`] builds the next generation and [`Proxy::take_over`] swaps it
//! in. A request is parsed once, routed once, judged once, by `gate`; the upstream receives exactly what was judged.
//! Long exchanges are judged again when a session, external data or the configuration
//! changes, and closed when they may not go on.
//!
//! This crate decides nothing by itself (the gate does), knows no page and no status (`reply` does), keeps no
//! session (the broker does) and never opens a listener: it is given them.
//!
//! ```
//! // One access event per request, under this tracing target.
//! assert_eq!(portcullis_proxy::ACCESS_TARGET, "access");
//! ```

mod access;
mod authn;
mod decisions;
mod digest_hasher;
mod edge;
mod exchange;
mod follow;
mod landings;
mod metrics;
mod own;
mod proxy;
mod published;
mod rate;
mod replies;
mod request_id;
mod sessions;
mod shared;
mod sign_in;
mod split_mix;
mod tls;
mod traffic;
mod upstream;

pub use access::TARGET as ACCESS_TARGET;
pub use authn::{AuthnEndpoint, UnusableAuthn};
pub use decisions::{DecisionRecord, DecisionSink, Explained};
pub use proxy::{NextGeneration, NextParts, Proxy, ProxyError, ProxyParts};
pub use sessions::{BrokerRecords, BrokerSessions, Sessions};
pub use tls::{CertificateFault, UnusableCertificate};
pub use upstream::{UnhealthyUpstream, UnusableUpstream};
