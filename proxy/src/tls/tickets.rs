//! Tickets for TLS resumption (RFC 8446 §4.6.1), sealed with keys that change daily and are the same on
//! every proxy of the cluster.

use std::fmt;
use std::sync::Arc;

use portcullis_identity::Clock;
use portcullis_keys::{KeyRing, Random, TicketDay};
use rustls::server::ProducesTickets;

/// How long a ticket is good for: within the day its key lives on after it is no longer used to seal.
const LIFETIME_SECONDS: u32 = 12 * 3600;

/// The receiver that ticket seals are bound to.
const RECEIVER: &str = "tls";

/// Seals and opens tickets.
pub(crate) struct Tickets {
    ring: Arc<KeyRing>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

impl Tickets {
    /// A ticketer; `None` if the ring holds no key for it.
    pub(crate) fn new(ring: &Arc<KeyRing>, clock: &Arc<dyn Clock>, random: &Arc<dyn Random>) -> Option<Self> {
        ring.tickets(TicketDay::of(clock.now())).ok()?;
        Some(Self { ring: Arc::clone(ring), clock: Arc::clone(clock), random: Arc::clone(random) })
    }
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        LIFETIME_SECONDS
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let keys = self.ring.tickets(TicketDay::of(self.clock.now())).ok()?;
        Some(keys.seal_bytes(RECEIVER, plain, &*self.random))
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        let today = TicketDay::of(self.clock.now());
        [today, today.before()]
            .into_iter()
            .find_map(|day| self.ring.tickets(day).ok()?.open_bytes(RECEIVER, cipher).ok())
    }
}

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tickets")
    }
}
