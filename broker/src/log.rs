//! The log that followers read: one bounded ring, a cursor per follower, no queue per follower.

use std::collections::VecDeque;

use crate::storage::{LOG_ENTRIES, LogEntry, Logged};

/// The newest news, oldest first.
#[derive(Debug)]
pub(crate) struct Ring {
    entries: VecDeque<(u64, LogEntry)>,
    /// Every entry after this version is in the ring.
    floor: u64,
    /// The newest version of the store, which need not be news.
    head: u64,
}

/// What follows a cursor.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Page {
    /// The cursor is older than the ring, or of the future: the follower starts over.
    OffTheRing,
    /// These, ascending; `head` is where a follower stands who has read them and got fewer than it asked for.
    Entries { entries: Vec<(u64, LogEntry)>, head: u64 },
}

impl Ring {
    pub(crate) fn new(logged: Logged, head: u64) -> Self {
        let Logged { floor, entries } = logged;
        Self { entries: entries.into(), floor, head }
    }

    pub(crate) fn push(&mut self, version: u64, entry: LogEntry) {
        self.entries.push_back((version, entry));
        if self.entries.len() > LOG_ENTRIES
            && let Some((version, _)) = self.entries.pop_front()
        {
            self.floor = version;
        }
        self.advance(version);
    }

    pub(crate) fn advance(&mut self, version: u64) {
        self.head = self.head.max(version);
    }

    pub(crate) const fn head(&self) -> u64 {
        self.head
    }

    /// Up to `most` entries after `cursor`.
    pub(crate) fn after(&self, cursor: u64, most: usize) -> Page {
        if cursor < self.floor || cursor > self.head {
            return Page::OffTheRing;
        }
        let start = self.entries.partition_point(|(version, _)| *version <= cursor);
        let entries = self.entries.range(start..).take(most).copied().collect();
        Page::Entries { entries, head: self.head }
    }
}

#[cfg(test)]
mod tests {
    use portcullis_broker_api::EndReason;
    use portcullis_identity::SessionKey;

    use super::*;
    use crate::storage::News;

    const ENTRY: LogEntry = LogEntry { key: SessionKey::from_bytes([7; 32]), news: News::Ended(EndReason::Revoked) };

    fn versions(page: Page) -> Option<(Vec<u64>, u64)> {
        match page {
            Page::OffTheRing => None,
            Page::Entries { entries, head } => Some((entries.into_iter().map(|(version, _)| version).collect(), head)),
        }
    }

    #[test]
    fn a_cursor_reads_on_where_it_stands() {
        let mut ring = Ring::new(Logged { floor: 0, entries: vec![(2, ENTRY)] }, 3);
        ring.push(5, ENTRY);
        ring.advance(6);
        assert_eq!(versions(ring.after(0, 9)), Some((vec![2, 5], 6)));
        assert_eq!(versions(ring.after(0, 1)), Some((vec![2], 6)));
        assert_eq!(versions(ring.after(2, 9)), Some((vec![5], 6)));
        assert_eq!(versions(ring.after(6, 9)), Some((vec![], 6)));
        assert_eq!(versions(ring.after(7, 9)), None, "a cursor of the future is another store's");
    }

    #[test]
    fn who_falls_off_the_ring_is_told() {
        let mut ring = Ring::new(Logged::default(), 0);
        for version in 1..=LOG_ENTRIES as u64 + 1 {
            ring.push(version, ENTRY);
        }
        assert_eq!(versions(ring.after(0, 1)), None);
        assert_eq!(versions(ring.after(1, 1)), Some((vec![2], LOG_ENTRIES as u64 + 1)));
    }
}
