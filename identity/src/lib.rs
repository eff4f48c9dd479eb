//! The nouns everybody in Portcullis speaks: time, claims, subjects, sessions, needs.
//!
//! This crate holds values and nothing that acts: no I/O, no crypto, no wire format. Time is read in
//! exactly one place, [`SystemClock`].
//!
//! # Glossary
//! *Principal*: issuer and subject, the only key of a person. *Subject*: what policy sees of whoever asks.
//! *Session*: one sign-in, known by a [`SessionKey`]. *Need*: what a request lacks that a sign-in could give.
//! *Record*: external data that somebody pushed to the broker, for policies to look at.
//!
//! ```
//! use portcullis_identity::Timestamp;
//! use std::time::Duration;
//! let login = Timestamp::from_unix_seconds(1_700_000_000);
//! assert_eq!(login.saturating_add(Duration::from_secs(60)).since(login), Duration::from_secs(60));
//! ```

mod claims;
mod digest_table;
mod groups;
mod need;
mod pool;
mod record;
mod same;
mod secret;
mod session;
mod subject;
mod time;

pub use claims::{
    ClaimKind, ClaimRef, ClaimValue, Claims, ClaimsError, Found, MAX_CLAIMS_BYTES, MAX_CLAIMS_DEPTH, NameKey,
    canonical_number, compare_numbers,
};
pub use groups::Groups;
pub use need::Needs;
pub use pool::Pool;
pub use record::{Record, Records};
pub use same::same;
pub use secret::SecretText;
pub use session::{DerivedSession, Principal, ProviderName, Session, SessionKey};
pub use subject::{Device, DeviceState, Group, Subject};
pub use time::{Clock, ManualClock, SystemClock, Timestamp};
