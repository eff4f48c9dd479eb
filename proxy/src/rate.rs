//! How many requests one prefix sends to the sign-in host, by the minute.

use std::net::IpAddr;
use std::time::Duration;

use dashmap::DashMap;
use portcullis_identity::Timestamp;

use crate::edge::prefix_of;

/// The span that is counted.
const WINDOW: Duration = Duration::from_secs(60);

/// The most prefixes counted; beyond it the counting starts anew, for all alike.
const PREFIXES: usize = 65_536;

/// Counts requests by prefix.
#[derive(Debug, Default)]
pub(crate) struct Rate(DashMap<u128, (Timestamp, u32)>);

impl Rate {
    /// Counts a request from `address`; `false` if its prefix had more than `most` in this window.
    pub(crate) fn admit(&self, address: IpAddr, most: u32, now: Timestamp) -> bool {
        let prefix = prefix_of(address);
        if self.0.len() >= PREFIXES && !self.0.contains_key(&prefix) {
            self.0.clear();
        }
        let mut entry = self.0.entry(prefix).or_insert((now, 0));
        let (since, count) = entry.value_mut();
        if now.since(*since) >= WINDOW {
            (*since, *count) = (now, 0);
        }
        *count = count.saturating_add(1);
        *count <= most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_refused_beyond_its_number_and_served_in_the_next_minute() {
        let rate = Rate::default();
        let now = Timestamp::from_unix_seconds(1_700_000_000);
        let (one, two) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        assert!((0..3).all(|_| rate.admit(one, 3, now)));
        assert!(!rate.admit(one, 3, now));
        assert!(rate.admit(two, 3, now));
        assert!(rate.admit(one, 3, now.saturating_add(WINDOW)));
    }
}
