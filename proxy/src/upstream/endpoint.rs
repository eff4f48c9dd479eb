//! A target and its addresses, each with what we know of its health.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::watch;
use tokio::time::Instant;

use super::idle::Idle;
use super::streams::Streams;

/// How long an address is left alone after its first failed connection; doubles with each further one.
const FIRST_EJECTION: Duration = Duration::from_secs(2);

/// The longest an address is left alone.
const LONGEST_EJECTION: Duration = Duration::from_secs(60);

/// How long a request waits for the very first resolution of a name.
const FIRST_RESOLUTION: Duration = Duration::from_secs(3);

/// A host and port, and where they are now.
#[derive(Debug)]
pub(crate) struct Target {
    /// A name or an address.
    pub(crate) host: Arc<str>,
    /// Its port.
    pub(crate) port: u16,
    endpoints: ArcSwap<Vec<Arc<Endpoint>>>,
    resolved: watch::Sender<bool>,
    all_idle: Arc<AtomicUsize>,
}

/// One address of a target.
#[derive(Debug)]
pub(crate) struct Endpoint {
    /// Where.
    pub(crate) address: SocketAddr,
    /// Its connections between two requests.
    pub(crate) idle: Idle,
    /// Its connections that requests share.
    pub(crate) streams: Streams,
    in_flight: AtomicUsize,
    failures: AtomicU32,
    /// Milliseconds since `born`; 0: not ejected.
    ejected_until: AtomicU64,
    born: Instant,
}

impl Target {
    /// A target; one that is an address is resolved at once. `all_idle` counts the idle connections of every target.
    pub(crate) fn new(host: Arc<str>, port: u16, all_idle: Arc<AtomicUsize>) -> Self {
        let literal = host.trim_matches(['[', ']']).parse::<IpAddr>().ok();
        let endpoint = |ip| Arc::new(Endpoint::new(SocketAddr::new(ip, port), &all_idle));
        let endpoints = literal.map(endpoint).into_iter().collect();
        let resolved = watch::Sender::new(literal.is_some());
        Self { host, port, endpoints: ArcSwap::from_pointee(endpoints), resolved, all_idle }
    }

    /// Whether the target is an address and never changes.
    pub(crate) fn is_literal(&self) -> bool {
        self.host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok()
    }

    /// Takes new addresses; known ones keep their health. An empty answer keeps the last good set.
    pub(crate) fn located(&self, addresses: &[SocketAddr]) {
        if !addresses.is_empty() {
            let old = self.endpoints.load_full();
            let kept = |address: &SocketAddr| old.iter().find(|endpoint| endpoint.address == *address).cloned();
            let new = addresses
                .iter()
                .map(|address| kept(address).unwrap_or_else(|| Arc::new(Endpoint::new(*address, &self.all_idle))))
                .collect();
            self.endpoints.store(Arc::new(new));
        }
        self.resolved.send_replace(true);
    }

    /// The present addresses; none before the first resolution.
    pub(crate) fn endpoints(&self) -> arc_swap::Guard<Arc<Vec<Arc<Endpoint>>>> {
        self.endpoints.load()
    }

    /// Waits for the first resolution, a moment at most.
    pub(crate) async fn first_resolution(&self) {
        let mut resolved = self.resolved.subscribe();
        // Late or never: the caller sees an empty set and says so.
        drop(tokio::time::timeout(FIRST_RESOLUTION, resolved.wait_for(|done| *done)).await);
    }
}

impl Endpoint {
    fn new(address: SocketAddr, all_idle: &Arc<AtomicUsize>) -> Self {
        Self {
            address,
            idle: Idle::new(Arc::clone(all_idle)),
            streams: Streams::default(),
            in_flight: AtomicUsize::new(0),
            failures: AtomicU32::new(0),
            ejected_until: AtomicU64::new(0),
            born: Instant::now(),
        }
    }

    /// Closes connections that nobody has used for long.
    pub(super) fn tidy(&self) {
        self.idle.tidy();
        self.streams.tidy();
    }

    /// Whether the address is worth a try.
    pub(crate) fn is_healthy(&self) -> bool {
        let until = self.ejected_until.load(Ordering::Relaxed);
        until == 0 || milliseconds(self.born.elapsed()) >= until
    }

    /// A connection could not be made.
    pub(crate) fn failed(&self) {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed).min(8);
        let pause = FIRST_EJECTION.saturating_mul(1 << failures).min(LONGEST_EJECTION);
        self.ejected_until.store(milliseconds(self.born.elapsed().saturating_add(pause)), Ordering::Relaxed);
    }

    /// A connection was made.
    pub(crate) fn connected(&self) {
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
            self.ejected_until.store(0, Ordering::Relaxed);
        }
    }

    /// Requests under way here.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// One more.
    pub(crate) fn begin(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    /// One less.
    pub(crate) fn end(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
