//! Caps on open connections, in total and per prefix: one client, or one network, cannot take them all.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dashmap::DashMap;

/// Bits of an IPv6 address that name a network: what one customer of an access network commonly gets.
const V6_PREFIX_BITS: u32 = 64;

/// Why a connection is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    /// `limits.connections` are open.
    Total,
    /// `limits.connections_per_prefix` are open from this client's prefix.
    Prefix,
}

/// Counts open connections.
#[derive(Debug, Default)]
pub(crate) struct Caps {
    open: AtomicUsize,
    // Bounded by the total: an entry exists only while one of its connections is open.
    prefixes: DashMap<u128, usize>,
}

/// One open connection; closes its place when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    caps: Arc<Caps>,
    prefix: u128,
}

impl Caps {
    /// Takes a place for a connection from `address`, if there is one under both caps.
    pub(crate) fn take(self: &Arc<Self>, address: IpAddr, total: usize, per_prefix: usize) -> Result<Place, Full> {
        if self.open.fetch_add(1, Ordering::AcqRel) >= total {
            self.open.fetch_sub(1, Ordering::AcqRel);
            return Err(Full::Total);
        }
        let prefix = prefix_of(address);
        let taken = {
            let mut count = self.prefixes.entry(prefix).or_insert(0);
            let free = *count < per_prefix;
            *count += usize::from(free);
            free
        };
        if taken {
            return Ok(Place { caps: Arc::clone(self), prefix });
        }
        self.open.fetch_sub(1, Ordering::AcqRel);
        self.prefixes.remove_if(&prefix, |_, count| *count == 0);
        Err(Full::Prefix)
    }

    /// How many connections are open.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Acquire)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.caps.open.fetch_sub(1, Ordering::AcqRel);
        if let Some(mut count) = self.caps.prefixes.get_mut(&self.prefix) {
            *count = count.saturating_sub(1);
        }
        self.caps.prefixes.remove_if(&self.prefix, |_, count| *count == 0);
    }
}

/// The /32 or /64 of an address as a number; an IPv4 address inside IPv6 counts as IPv4.
pub(crate) fn prefix_of(address: IpAddr) -> u128 {
    match address.to_canonical() {
        IpAddr::V4(v4) => u128::from(u32::from(v4)),
        // Never zero in the high half together with an IPv4's low half: the marker bit keeps the two apart.
        IpAddr::V6(v6) => (u128::from(v6) >> (128 - V6_PREFIX_BITS) << (128 - V6_PREFIX_BITS)) | (1 << 63),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    #[test]
    fn a_prefix_is_refused_when_full_and_served_again_after_a_close() {
        let caps = Arc::new(Caps::default());
        let one = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
        let two = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));
        let first = caps.take(one, 3, 2).unwrap();
        let _second = caps.take(one, 3, 2).unwrap();
        assert_eq!(caps.take(one, 3, 2).unwrap_err(), Full::Prefix);
        let _third = caps.take(two, 3, 2).unwrap();
        assert_eq!(caps.take(two, 3, 2).unwrap_err(), Full::Total);
        drop(first);
        let _again = caps.take(one, 3, 2).unwrap();
        assert_eq!(caps.open(), 3);
    }

    #[test]
    fn addresses_of_one_v6_network_share_a_prefix_and_no_entry_outlives_its_connections() {
        let caps = Arc::new(Caps::default());
        let near = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 1, 2, 0, 0, 0, 1));
        let far = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 1, 3, 0, 0, 0, 1));
        let same = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 1, 2, 9, 9, 9, 9));
        let place = caps.take(near, 10, 1).unwrap();
        assert_eq!(caps.take(same, 10, 1).unwrap_err(), Full::Prefix);
        drop(caps.take(far, 10, 1).unwrap());
        drop(place);
        assert_eq!((caps.open(), caps.prefixes.len()), (0, 0));
    }
}
