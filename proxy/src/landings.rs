//! Where hand-overs landed a moment ago: a request there that is challenged again was not helped by the
//! sign-in just made for it, and another one would not help either (design §3, *Needs*).

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use portcullis_identity::{SessionKey, Timestamp};

/// How long a landing is remembered.
const MEMORY: Duration = Duration::from_secs(60);

/// The most landings remembered; beyond it the oldest are forgotten, and the bind cookie's count stops loops.
const CAPACITY: usize = 4096;

#[derive(Debug)]
struct Landing {
    session: SessionKey,
    path: Box<str>,
    at: Timestamp,
}

/// The landings of the last minute on this proxy.
#[derive(Debug, Default)]
pub(crate) struct Landings {
    // A lock: taken by hand-overs and by challenges of somebody who is signed in, both rare.
    recent: Mutex<VecDeque<Landing>>,
}

impl Landings {
    /// A hand-over gave `session` and sends the browser to `path`.
    pub(crate) fn note(&self, session: SessionKey, path: &str, at: Timestamp) {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        while recent.front().is_some_and(|oldest| at.since(oldest.at) > MEMORY) || recent.len() >= CAPACITY {
            recent.pop_front();
        }
        recent.push_back(Landing { session, path: path.into(), at });
    }

    /// Whether `session` was made a moment ago for `path`.
    pub(crate) fn has(&self, session: SessionKey, path: &str, now: Timestamp) -> bool {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent
            .iter()
            .any(|landing| landing.session == session && *landing.path == *path && now.since(landing.at) <= MEMORY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_landing_is_known_for_a_minute_by_session_and_path() {
        let landings = Landings::default();
        let at = Timestamp::from_unix_seconds(1_700_000_000);
        let (one, two) = (SessionKey::from_bytes([1; 32]), SessionKey::from_bytes([2; 32]));
        landings.note(one, "/a?b", at);
        assert!(landings.has(one, "/a?b", at));
        assert!(!landings.has(one, "/a", at));
        assert!(!landings.has(two, "/a?b", at));
        assert!(!landings.has(one, "/a?b", at.saturating_add(Duration::from_secs(61))));
        (0..2 * CAPACITY).for_each(|_| landings.note(two, "/", at));
        assert!(!landings.has(one, "/a?b", at));
    }
}
