//! Fuzzing: texts that nobody would write, put into everything that reads what strangers send or operators write.
//!
//! A [`Target`] takes bytes, panics if a promise is broken, and answers with a [`Shape`]: which way the bytes went.
//! Inputs are mutations of the committed `corpus/`; those of a new shape join it for the rest of the run, so that
//! the search follows what the code tells without any instrumentation by the compiler (which needs a nightly one).
//! Everything follows from the printed seed. `cargo test -p portcullis-fuzz` replays the corpus; `make deep` searches.
//!
//! ```
//! use portcullis_fuzz::{TARGETS, replay};
//! let policy = TARGETS.iter().find(|target| target.name == "policy").expect("a target");
//! let (permits, broken) = (replay(policy, b"allow: {and: [{accept: 1}]}"), replay(policy, b"allow: ["));
//! assert_ne!(permits.expect("no panic"), broken.expect("no panic"));
//! ```

#![expect(clippy::expect_used, reason = "a broken promise is told by panicking")]

mod corpus;
mod dice;
mod mutation;
mod promises;
mod search;
mod shape;

pub use corpus::{Seed, committed};
pub use promises::{TARGETS, Target};
pub use search::{MAX_INPUT_BYTES, Search, replay};
pub use shape::Shape;
