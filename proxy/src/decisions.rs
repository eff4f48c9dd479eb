//! The last decisions, in a ring: `portcullis explain` reads them over the admin socket. No log ever does.
//!
//! A record keeps what the decision read by reference (the session, the route with its program) and is explained
//! only when somebody asks: a request pays for a few counters, not for copies of claims.

use std::collections::VecDeque;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use http::Method;
use portcullis_config::{Generation, Route};
use portcullis_gate::{CanonicalPath, Missing, PresentedCertificate, Shadowed};
use portcullis_identity::{Records, Session, Subject, Timestamp};
use portcullis_policy::{Decision, Explanation, Facts, McpTool, Program, Request};

use crate::access::Outcome;

/// The most bytes of memory that a text of a record leaves to the next: most paths are shorter, and one long one is not to
/// stay.
const ROOM: usize = 256;

/// One decision, with what it read. It may hold claims: it is for the operator, never for a log.
#[derive(Clone, Debug, Default)]
pub struct DecisionRecord {
    /// The request's id, as pages and events show it.
    pub request_id: String,
    /// When it was judged; where it never was, when it ended.
    pub at: Timestamp,
    /// The method, as far as it is kept; `None` where no head could be read.
    pub method: Option<Method>,
    /// The canonical host.
    pub host: String,
    /// The canonical path, without query, as far as it is kept.
    pub path: String,
    /// Who connected.
    pub client_address: Option<IpAddr>,
    /// Whether it was a CORS preflight.
    pub preflight: bool,
    /// What was known of the tool that it called.
    pub mcp_tool: McpTool<'static>,
    /// The certificate of the client.
    pub certificate: PresentedCertificate,
    /// The route that was judged by, as it was then; `None` if no route served it.
    pub route: Option<Arc<Route>>,
    /// The live session of whoever asked, as it was then.
    pub session: Option<Arc<Session>>,
    /// One of [`DecisionRecord::OUTCOMES`].
    pub outcome: &'static str,
    /// Why, in one word, where the outcome needs one.
    pub cause: &'static str,
    /// What the session lacked, or that there was none.
    pub missing: Option<Missing>,
    /// What the route's policy said.
    pub decision: Option<Decision>,
    /// What the route's shadow policy would have done, where that is something else.
    pub shadow: Option<Box<Shadowed>>,
    /// The generation that decided.
    pub generation: Option<Generation>,
    /// The external data that was looked at, as long as it is the newest: the ring keeps no old one alive.
    pub records: Option<Weak<Records>>,
}

/// Puts `text` in the place of `old`, into the same memory unless that is much.
pub(crate) fn rewrite(old: &mut String, text: &str) {
    if old.capacity() > ROOM {
        *old = String::new();
    }
    old.clear();
    old.push_str(text);
}

/// Takes decision records beside the ring.
pub trait DecisionSink: fmt::Debug + Send + Sync {
    /// Takes a record or drops it, without ever waiting: it is called once per request.
    fn keep(&self, record: &Arc<DecisionRecord>);
}

/// A decision explained, long after it was made, by the same program and what it read.
#[derive(Clone, Debug)]
pub struct Explained {
    /// Every rule and criterion with the fact it read.
    pub explanation: Explanation,
    /// Whether it comes to the very decision that was made. Where a path or method was too long to be kept whole, or
    /// external data has changed since, it may not.
    pub exact: bool,
}

impl DecisionRecord {
    /// What can come of a request, in one word each.
    pub const OUTCOMES: [&'static str; 7] = Outcome::LABELS;

    /// Explains what the route's policy said; `None` if none was asked. `newest` is the external data of now, for where
    /// that of the decision is no longer held. Allocates freely.
    #[must_use]
    pub fn explained(&self, newest: Option<&Records>) -> Option<Explained> {
        let route = self.route.as_ref()?;
        Some(self.explained_by((&route.policy, &self.decision?), newest))
    }

    /// Explains what the route's shadow policy said, where it differed.
    #[must_use]
    pub fn shadow_explained(&self, newest: Option<&Records>) -> Option<Explained> {
        let policy = self.route.as_ref()?.shadow.as_ref()?;
        Some(self.explained_by((policy, &self.shadow.as_ref()?.decision), newest))
    }

    /// The reading that led to `decided`: of the path with or without its parameters, and about the session's subject
    /// or, where the session did not count, about nobody. The gate tries the same.
    fn explained_by(&self, (policy, decided): (&Program, &Decision), newest: Option<&Records>) -> Explained {
        // What was unknown then is so here too.
        let then = self.records.as_ref().map(Weak::upgrade);
        let records = then.as_ref().and_then(|then| then.as_deref().or(newest));
        let path = CanonicalPath::parse(&self.path).ok();
        let whole = path.as_ref().map_or(&*self.path, CanonicalPath::decoded);
        let bare = path.as_ref().and_then(CanonicalPath::without_parameters).and_then(Result::ok);
        let bare = bare.as_ref().map(CanonicalPath::decoded);
        let subject = self.session.as_ref().map(|session| &session.subject);
        let readings = [Some(whole), bare].into_iter().flatten();
        let readings = readings.flat_map(|path| [subject, None].map(|subject| (path, subject)));
        let explain = |(path, subject)| policy.explain(&Facts { records, ..self.facts(path, subject) });
        let exact = readings.map(explain).find(|explanation| explanation.decision == *decided);
        match exact {
            Some(explanation) => Explained { explanation, exact: true },
            None => Explained { explanation: explain((whole, subject)), exact: false },
        }
    }

    fn facts<'a>(&'a self, path: &'a str, subject: Option<&'a Subject>) -> Facts<'a> {
        let trust = self.route.as_ref().and_then(|route| route.client_trust.as_deref());
        let request = Request {
            method: self.method.as_ref().map_or("", Method::as_str),
            host: &self.host,
            path,
            client_address: self.client_address,
            cors_preflight: self.preflight,
            client_certificate: self.certificate.facts(trust, self.at),
            mcp_tool: self.mcp_tool,
        };
        Facts { now: self.at, request, subject, records: None }
    }
}

/// Where decisions are kept: the last `decisions.ring` of them, and a sink if there is one.
#[derive(Debug)]
pub(crate) struct Decisions {
    // A lock: one push of a pointer per request, after its last byte, and a rare read. Never held across an await.
    ring: Mutex<Ring>,
    sink: Option<Arc<dyn DecisionSink>>,
}

#[derive(Debug)]
struct Ring {
    records: VecDeque<Arc<DecisionRecord>>,
    capacity: usize,
}

impl Decisions {
    /// Keeps `capacity` decisions, and gives each to `sink`.
    pub(crate) fn new(capacity: usize, sink: Option<Arc<dyn DecisionSink>>) -> Self {
        let ring = Ring { records: VecDeque::with_capacity(capacity.min(1024)), capacity };
        Self { ring: Mutex::new(ring), sink }
    }

    /// Adds the one that `write` makes of a blank one or of the oldest, which leaves a full ring: from then on a decision
    /// costs no memory of its own.
    pub(crate) fn keep(&self, write: impl FnOnce(&mut DecisionRecord)) {
        let mut record = self.take_oldest().unwrap_or_default();
        if Arc::get_mut(&mut record).is_none() {
            // Somebody reads the oldest: its memory stays theirs.
            record = Arc::default();
        }
        if let Some(record) = Arc::get_mut(&mut record) {
            // Outside the lock, as is whatever the oldest lets go of.
            write(record);
        }
        if let Some(sink) = &self.sink {
            sink.keep(&record);
        }
        let mut ring = self.lock();
        ring.records.push_back(record);
        let excess = if ring.records.len() > ring.capacity { ring.records.pop_front() } else { None };
        drop(ring);
        drop(excess);
    }

    /// The record that a full ring has no more room for.
    fn take_oldest(&self) -> Option<Arc<DecisionRecord>> {
        let mut ring = self.lock();
        if ring.records.len() >= ring.capacity { ring.records.pop_front() } else { None }
    }

    /// Holds this many from now on; the oldest go if there are more.
    pub(crate) fn resize(&self, capacity: usize) {
        let mut ring = self.lock();
        ring.capacity = capacity;
        let excess = ring.records.len().saturating_sub(capacity);
        let oldest: Vec<_> = ring.records.drain(..excess).collect();
        drop(ring);
        drop(oldest);
    }

    /// The newest of them, at most so many, oldest first. The lock is held for as long as they are copied.
    pub(crate) fn newest(&self, most: usize) -> Vec<Arc<DecisionRecord>> {
        let ring = self.lock();
        let older = ring.records.len().saturating_sub(most);
        ring.records.range(older..).cloned().collect()
    }

    /// The newest one of this request id.
    pub(crate) fn find(&self, request_id: &str) -> Option<Arc<DecisionRecord>> {
        self.lock().records.iter().rev().find(|record| record.request_id == request_id).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keep(decisions: &Decisions, request_id: &str) {
        decisions.keep(|record| rewrite(&mut record.request_id, request_id));
    }

    fn kept(decisions: &Decisions) -> Vec<String> {
        decisions.newest(usize::MAX).iter().map(|record| record.request_id.clone()).collect()
    }

    #[test]
    fn the_oldest_leaves_a_full_ring() {
        let decisions = Decisions::new(2, None);
        for id in ["a", "b", "c"] {
            keep(&decisions, id);
        }
        assert_eq!(kept(&decisions), ["b", "c"]);
        assert!(decisions.find("a").is_none());
        assert_eq!(decisions.find("c").map(|record| record.request_id.clone()).as_deref(), Some("c"));
    }

    #[test]
    fn a_record_that_somebody_reads_is_not_written_over() {
        let decisions = Decisions::new(1, None);
        keep(&decisions, "a");
        let read = decisions.find("a").unwrap();
        keep(&decisions, "b");
        let place = Arc::as_ptr(&decisions.find("b").unwrap());
        keep(&decisions, "c");
        assert_eq!(read.request_id, "a");
        assert_eq!(kept(&decisions), ["c"]);
        assert_eq!(Arc::as_ptr(&decisions.find("c").unwrap()), place, "what nobody reads lends its memory");
    }

    #[test]
    fn a_long_text_leaves_no_memory_to_the_next() {
        let mut text = "a".repeat(ROOM + 1);
        rewrite(&mut text, "/wiki/page");
        assert!(text.capacity() <= ROOM);
        let place = text.as_ptr();
        rewrite(&mut text, "/a");
        assert_eq!((text.as_ptr(), &*text), (place, "/a"));
    }

    #[test]
    fn the_ring_follows_a_new_size_both_ways() {
        let decisions = Decisions::new(3, None);
        for id in ["a", "b", "c"] {
            keep(&decisions, id);
        }
        decisions.resize(1);
        assert_eq!(kept(&decisions), ["c"]);
        decisions.resize(2);
        for id in ["d", "e"] {
            keep(&decisions, id);
        }
        assert_eq!(kept(&decisions), ["d", "e"]);
    }
}
