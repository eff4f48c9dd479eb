//! The sign-in service: it sends people to their identity provider, takes them back, and hands their session
//! over to the host that asked.
//!
//! It serves the sign-in host and nobody but the proxy: over a Unix socket of our own user, or over TLS with
//! the proxy's client certificate. It keeps nothing between two requests. Until a person has authenticated,
//! all there is of a sign-in is one cookie and one sealed `state` in the browser; afterwards there is a
//! session, committed by the broker before anything of it is revealed.
//!
//! It decides nothing about access: what a session must meet comes sealed from the host that asks, and
//! whether it suffices is judged there.
//!
//! ```
//! // The way of one sign-in, by its paths on the sign-in host.
//! use portcullis_config::Namespace;
//! assert_eq!(Namespace::Portcullis.path_prefix().to_owned() + "sign_in", "/.portcullis/sign_in");
//! assert_eq!(Namespace::Portcullis.provider_callback_path(), "/.portcullis/oidc/callback");
//! ```

mod answer;
mod callback;
mod flow;
mod generation;
mod hand_over;
mod listen;
mod metrics;
mod pages;
mod query;
mod request;
mod service;
mod sessions;
mod sign_in;
mod sign_out;
mod user;

#[cfg(test)]
mod tests;

pub use generation::{PublishError, ReadProvider};
pub use listen::{ListenError, MAX_CONNECTIONS, MAX_STREAMS};
pub use service::{ANSWER_DEADLINE, Authn, AuthnParts, MAX_BODY_BYTES, NextGeneration};
pub use sessions::Sessions;
