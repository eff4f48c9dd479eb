//! Tickets for TLS resumption (RFC 8446 §4.6.1), sealed with keys that change daily and are the same on
//! every proxy of the cluster.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use portcullis_identity::Clock;
use portcullis_keys::{Random, SealKeys, TicketDay};
use rustls::server::ProducesTickets;

use crate::published::Published;

/// How long a ticket is good for: within the day its key lives on after it is no longer used to seal.
const LIFETIME_SECONDS: u32 = 12 * 3600;

/// The receiver that ticket seals are bound to, where clients are asked for no certificate.
const RECEIVER: &str = "tls";

/// The longest session in a ticket: a ticket has 16 bits of length, and the client's certificates are in it.
const MAX_SESSION_BYTES: usize = 32 * 1024;

/// Seals and opens tickets.
#[derive(Clone)]
pub(crate) struct Tickets {
    receiver: Arc<str>,
    published: Arc<ArcSwap<Published>>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

impl Tickets {
    /// A ticketer; `None` if the ring holds no key for it.
    pub(crate) fn new(
        published: &Arc<ArcSwap<Published>>,
        clock: &Arc<dyn Clock>,
        random: &Arc<dyn Random>,
    ) -> Option<Self> {
        let (published, clock, random) = (Arc::clone(published), Arc::clone(clock), Arc::clone(random));
        let tickets = Self { receiver: RECEIVER.into(), published, clock, random };
        tickets.keys(TicketDay::of(tickets.clock.now()))?;
        Some(tickets)
    }

    /// Tickets for where clients are asked for what has this digest: others do not open there, nor they elsewhere.
    pub(super) fn bound_to(&self, asked: [u8; 32]) -> Self {
        let digits: String = asked.iter().map(|byte| format!("{byte:02x}")).collect();
        Self { receiver: format!("{RECEIVER}/{digits}").into(), ..self.clone() }
    }

    /// The keys of a day, of the newest generation.
    fn keys(&self, day: TicketDay) -> Option<SealKeys> {
        self.published.load().keys.ring.tickets(day).ok()
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
        let keys = self.keys(TicketDay::of(self.clock.now())).filter(|_| plain.len() <= MAX_SESSION_BYTES)?;
        Some(keys.seal_bytes(&self.receiver, plain, &*self.random))
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        let today = TicketDay::of(self.clock.now());
        [today, today.before()].into_iter().find_map(|day| self.keys(day)?.open_bytes(&self.receiver, cipher).ok())
    }
}

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tickets")
    }
}
