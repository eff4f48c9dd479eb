//! Keys of a Portcullis cluster: one secret, a key of its own for every purpose, and what is made with them.
//!
//! [`KeyRing`] reads the secret's file and hands out one typed set of keys per purpose: [`CredentialKeys`]
//! (session credentials), [`SealKeys`] (sealed messages and records), [`FlowKeys`] (a sign-in in progress),
//! [`AssertionKeys`] (signed assertions), [`pki`] (certificates between services). A key of one purpose
//! never opens what another sealed. This crate does no I/O, reads no clock, and shows a secret nowhere:
//! not in `Debug`, not in an error.
//!
//! ```
//! use portcullis_keys::{CredentialKind, Handle, KeyRing, SystemRandom};
//!
//! let (ring, _file) = KeyRing::generate(&SystemRandom);
//! let keys = ring.credential()?;
//! let handle = Handle::random(&SystemRandom);
//! let cookie = keys.mint(CredentialKind::Session, &handle, "wiki.corp.test");
//! let found = keys.verify(CredentialKind::Session, cookie.as_bytes(), "wiki.corp.test");
//! assert_eq!(found.expect("minted above").key(), handle.key());
//! assert!(keys.verify(CredentialKind::Session, cookie.as_bytes(), "other.corp.test").is_err());
//! # Ok::<(), portcullis_keys::NotHeld>(())
//! ```

mod assertion;
mod credential;
mod digest;
mod flow;
mod p256;
pub mod pki;
mod purpose;
mod random;
mod ring;
mod ring_file;
mod seal;

pub use assertion::{AssertionKeyRejected, AssertionKeys};
pub use credential::{CREDENTIAL_CHARS, CredentialKeys, CredentialKind, Forged, Handle};
pub use digest::{equal, sha256};
pub use flow::FlowKeys;
pub use purpose::{Purpose, ServiceRole};
pub use random::{Random, SystemRandom};
pub use ring::{KeyId, KeyRing, NotHeld, TicketDay};
pub use ring_file::{MAX_KEYS, RingError, append, promote, remove};
pub use seal::{MAX_TEXT, SealError, SealKeys};
