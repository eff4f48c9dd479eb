//! The sealed messages between the sign-in host and route hosts, and the cookie that binds them to a browser.
//!
//! [`SignInRequest`] travels from a route host to the sign-in host, [`HandOver`] back, [`SignOutOrder`] from
//! a route host again (design §5). Each is sealed with the `handover` key for one receiver, carries the
//! instant it was made, and opens for a short while only. They are the only source of an address to return
//! to, and a [`ReturnPath`] is always a path on the host that asked: a hand-over cannot become an open
//! redirect. Whether a hand-over was already redeemed is the broker's to say, not this crate's.
//!
//! ```
//! use portcullis_handover::{Bind, ReturnPath, SignInRequest};
//! use portcullis_identity::{Needs, Timestamp};
//! use portcullis_keys::{KeyRing, SystemRandom};
//!
//! let now = Timestamp::from_unix_seconds(1_700_000_000);
//! let keys = KeyRing::generate(&SystemRandom).0.handover()?;
//! let request = SignInRequest {
//!     host: "wiki.corp.test".into(),
//!     return_path: ReturnPath::or_root("/page?id=5"),
//!     needs: Needs::default(),
//!     bind: Bind::random(&SystemRandom).digest(),
//!     issued: now,
//!     attempt: 0,
//!     fresh_account: false,
//!     programmatic: None,
//! };
//! let sealed = request.seal(&keys, "auth.corp.test", &SystemRandom);
//! let opened = SignInRequest::open(&sealed, &keys, "auth.corp.test", now)?;
//! assert_eq!(opened.return_path.as_str(), "/page?id=5");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod bind;
mod codec;
mod message;
mod return_path;

pub use bind::{Attempt, Bind, LOOP_WINDOW, MAX_HAND_OVERS};
pub use message::{HandOver, HandoverError, LEEWAY, SignInRequest, SignOutOrder};
pub use return_path::{MAX_RETURN_PATH, ReturnPath, UnsafeReturnPath};
