//! How the other services talk to the broker: the wire, the [`BrokerClient`] and a proxy's [`Replica`].
//!
//! This crate dials and follows; it never listens, keeps nothing on disk and never sees a refresh token
//! after it was handed over. Generated code stays in [`wire`], which only this crate and the broker use.
//!
//! ```
//! use portcullis_broker_api::Secret;
//! let token = Secret::new("ya29.a0");
//! assert_eq!(format!("{token:?}"), "Secret(..)");
//! assert_eq!(token.expose(), "ya29.a0");
//! ```

mod client;
mod end;
mod endpoint;
mod error;
mod feed;
mod new_session;
mod replica;
mod tokens;
pub mod wire;

pub use client::{BrokerClient, Fetched, Greeting, Redeemed};
pub use end::{EndReason, EndSelector, Ended, LogoutHint};
pub use endpoint::Endpoint;
pub use error::{BrokerError, CreateError, RedeemError};
pub use feed::{Feed, FeedEvent, ServerId};
pub use new_session::{NewSession, Profile};
pub use replica::{Change, Replica, ReplicaBounds, ReplicaStatus, Resolved};
pub use tokens::{Secret, Tokens, UpstreamTokens};
