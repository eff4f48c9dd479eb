//! The last decisions, in a ring: `portcullis explain` reads them over the admin socket. No log ever does.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use portcullis_config::Generation;
use portcullis_gate::Shadowed;
use portcullis_identity::{SessionKey, Timestamp};

/// One decision.
#[derive(Clone, Debug)]
pub struct DecisionRecord {
    /// The request's id, as pages and events show it.
    pub request_id: String,
    /// When.
    pub at: Timestamp,
    /// The method.
    pub method: String,
    /// The canonical host.
    pub host: String,
    /// The canonical path, without query.
    pub path: String,
    /// The route; `None` if no route served it.
    pub route: Option<String>,
    /// `permit`, `challenge`, `refuse`, `malformed`, `own`, `sign_in` or `aborted`.
    pub decision: &'static str,
    /// The reasons, sorted, with commas between.
    pub reasons: String,
    /// The rule that decided, from 0.
    pub rule: Option<u16>,
    /// What the route's shadow policy would have done, where that is something else.
    pub shadow: Option<Box<Shadowed>>,
    /// The session's digest.
    pub session: Option<SessionKey>,
    /// The generation that decided.
    pub generation: Option<Generation>,
}

/// The last `decisions.ring` decisions.
#[derive(Debug)]
pub(crate) struct Ring {
    // A lock: one push per request, after its last byte, and a rare read. Never held across an await.
    records: Mutex<VecDeque<DecisionRecord>>,
    capacity: usize,
}

impl Ring {
    /// A ring for `capacity` decisions.
    pub(crate) fn new(capacity: usize) -> Self {
        Self { records: Mutex::new(VecDeque::with_capacity(capacity.min(1024))), capacity }
    }

    /// Adds one; the oldest leaves a full ring.
    pub(crate) fn push(&self, record: DecisionRecord) {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        if records.len() >= self.capacity {
            records.pop_front();
        }
        if self.capacity > 0 {
            records.push_back(record);
        }
    }

    /// All of them, oldest first.
    pub(crate) fn all(&self) -> Vec<DecisionRecord> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// Whether anything is kept.
    pub(crate) const fn is_kept(&self) -> bool {
        self.capacity > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_leaves_a_full_ring() {
        let ring = Ring::new(2);
        for id in ["a", "b", "c"] {
            ring.push(DecisionRecord {
                request_id: id.to_owned(),
                at: Timestamp::from_unix_seconds(0),
                method: String::new(),
                host: String::new(),
                path: String::new(),
                route: None,
                decision: "permit",
                reasons: String::new(),
                rule: None,
                shadow: None,
                session: None,
                generation: None,
            });
        }
        let kept: Vec<String> = ring.all().into_iter().map(|record| record.request_id).collect();
        assert_eq!(kept, ["b", "c"]);
    }
}
