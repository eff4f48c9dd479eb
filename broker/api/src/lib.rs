//! How the other services talk to the broker: the wire, the [`BrokerClient`] and a proxy's [`Replica`].
//!
//! This crate dials and follows; it never listens, keeps nothing on disk and never sees a refresh token
//! after it was handed over. Generated code stays in [`wire`], which only this crate and the broker use.
//!
//! ```
//! use portcullis_broker_api::Tokens;
//! use portcullis_identity::SecretText;
//! let tokens = Tokens { access_token: Some(SecretText::new("ya29.a0")), ..Tokens::default() };
//! assert!(!format!("{tokens:?}").contains("ya29.a0"));
//! ```

mod client;
mod end;
mod endpoint;
mod error;
mod feed;
mod line;
mod new_record;
mod new_session;
mod record_calls;
mod record_line;
mod replica;
mod server_tls;
mod tokens;
pub mod wire;

pub use client::{BrokerClient, Fetched, Greeting, Redeemed};
pub use end::{EndReason, EndSelector, Ended, LogoutHint};
pub use endpoint::Endpoint;
pub use error::{BrokerError, CreateError, RecordsError, RedeemError};
pub use feed::{Feed, FeedEvent, ServerId};
pub use new_record::{
    MAX_RECORD_DATA_BYTES, MAX_RECORD_ID_BYTES, MAX_RECORD_TYPE_BYTES, MAX_RECORDS_BYTES, MAX_RECORDS_OF_A_TYPE,
    NewRecord, RECORD_OVERHEAD_BYTES, RecordError, RecordKey, record_type,
};
pub use new_session::{NewSession, Profile};
pub use record_calls::{Deletion, Listing, Pushed, RecordPage, RecordsFeed, RecordsFeedEvent};
pub use record_line::{MAX_RECORD_LINE_BYTES, RecordLineError, record_line};
pub use replica::{Change, RecordsStatus, Replica, ReplicaBounds, ReplicaStatus, Resolved};
pub use server_tls::{ServerTls, disowned};
pub use tokens::{Tokens, UpstreamTokens};
