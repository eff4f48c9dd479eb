//! Where external data comes from.

use std::fmt;
use std::sync::Arc;

use portcullis_identity::Records;

/// Holds external data whole, for policies with a `record` criterion.
pub trait RecordSource: fmt::Debug + Send + Sync {
    /// All of it as it is now; `None`: it is not known, and what hangs on it is denied. Asked in the middle of a
    /// request: no waiting, no lock, no allocation.
    fn records(&self) -> Option<Arc<Records>>;
}
