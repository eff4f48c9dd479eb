//! The gate: one strict parse of a request's head, one route, one decision.
//!
//! [`Gate::read`] turns a [`RequestHead`] into a [`RequestView`] or names why the head is [`Malformed`];
//! [`find`] looks for our credential; [`Gate::admit`] finds the route and answers with a [`Verdict`]. All
//! three take no lock and, for a canonical request and a session at hand, allocate nothing. What was judged
//! (canonical host and path) is what is to be sent.
//!
//! The gate does no I/O, reads no clock, knows no HTTP status and never waits. Generations are immutable:
//! [`Gate::publish`] swaps one [`Snapshot`] for the next, and every call reads exactly one.
//!
//! ```
//! use portcullis_gate::{CanonicalHost, CanonicalPath};
//! let host = CanonicalHost::parse("Wiki.Corp.test.:443").unwrap();
//! assert_eq!((host.name(), host.port()), ("wiki.corp.test", Some(443)));
//! let path = CanonicalPath::parse("/a/./b/%2e%2e/%63").unwrap();
//! assert_eq!(path.to_send(), "/a/c");
//! assert!(CanonicalPath::parse("/a/..%5cb").is_err());
//! ```

#![warn(clippy::arithmetic_side_effects)]

mod admit;
mod assertion;
mod assertions;
mod audience;
mod client_address;
mod client_certificate;
mod client_rules;
mod credential;
mod destination;
mod framing;
mod head;
mod host;
mod identity_headers;
mod malformed;
mod path;
mod portal;
mod record_source;
mod redirect;
mod rewrite;
#[cfg(test)]
mod sample;
mod snapshot;
mod table;
mod upgrade;
mod verdict;
mod view;

pub use admit::Gate;
pub use assertion::{AssertionClaims, MAX_ASSERTION_BYTES};
pub use assertions::{About, Assertions};
pub use audience::Audience;
pub use client_certificate::{CertificateFault, PresentedCertificate, PresentedChain};
pub use client_rules::ClientRules;
pub use credential::{CookieEdit, Found, cookie_values, find, upstream_cookies};
pub use destination::{Destination, OwnPath};
pub use head::{RequestHead, TlsFacts};
pub use host::CanonicalHost;
pub use identity_headers::{IdentityHeaders, MAX_CLAIM_HEADER_BYTES, is_alike, is_of_others, is_ours};
pub use malformed::Malformed;
pub use path::CanonicalPath;
pub use portal::{MAX_PORTAL_ENTRIES, PortalEntry};
pub use record_source::RecordSource;
pub use redirect::redirect_location;
pub use rewrite::{UnsafeRewrite, own_name, rewrite_path, upstream_host};
pub use snapshot::{BuildError, Snapshot};
pub use verdict::{Answer, Challenge, Grant, Missing, Presented, Refusal, RefusalCause, Shadowed, Verdict};
pub use view::RequestView;
