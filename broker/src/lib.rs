//! The broker: keeps sessions and tokens on disk, sealed, and tells every proxy when one ends.
//!
//! One thread writes, with one durable commit for all that queued up during the last one; nothing is
//! acknowledged before it is on disk. One thread reads. The gRPC service asks the two and never touches the
//! store. A [`Refresher`] asks providers for new tokens while sessions are used. The broker knows nothing of cookies,
//! routes or policies.
//!
//! ```
//! use std::sync::Arc;
//! use portcullis_broker::{Broker, BrokerParts};
//! use portcullis_identity::SystemClock;
//! use portcullis_keys::{KeyRing, SystemRandom};
//!
//! let folder = tempfile::tempdir()?;
//! let (ring, _) = KeyRing::generate(&SystemRandom);
//! let broker = Broker::open(BrokerParts {
//!     path: folder.path().join("sessions.redb"),
//!     keys: ring.store()?,
//!     clock: Arc::new(SystemClock),
//!     random: Arc::new(SystemRandom),
//!     registry: prometheus::Registry::new(),
//!     digest: [0; 32],
//! })?;
//! assert_eq!(broker.status().sessions, 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod broker;
mod guard;
mod index;
mod listen;
mod log;
mod metrics;
mod peer;
mod permission;
mod plan;
mod pulse;
mod queue;
mod reader;
mod records;
mod refresher;
mod service;
mod state;
mod storage;
mod vault;
mod watch;
mod writer;

pub use broker::{Broker, BrokerParts, BrokerStatus, KeysError, ServeError, SessionSummary};
pub use refresher::{NextProviders, Refresher};
pub use storage::{OpenError, StorageError};
