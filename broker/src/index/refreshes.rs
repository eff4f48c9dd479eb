//! Whose tokens are due at which provider: one that has many sessions, or does not answer, holds up nobody else's.

use std::collections::{BTreeSet, HashMap};

use portcullis_identity::{ProviderName, Timestamp};

/// Sessions by provider, and by when their next refresh is due.
#[derive(Debug, Default)]
pub(super) struct Refreshes(HashMap<ProviderName, BTreeSet<(Timestamp, u32)>>);

/// How many more refreshes of each provider may begin.
#[derive(Clone, Debug)]
pub(crate) struct Room {
    /// Where none is under way.
    pub(crate) each: usize,
    /// Where some are.
    pub(crate) left: HashMap<ProviderName, usize>,
}

impl Room {
    fn of(&self, provider: &ProviderName) -> usize {
        self.left.get(provider).copied().unwrap_or(self.each)
    }
}

impl Refreshes {
    pub(super) fn insert(&mut self, provider: &ProviderName, at: Timestamp, slot: u32) {
        self.0.entry(provider.clone()).or_default().insert((at, slot));
    }

    pub(super) fn remove(&mut self, provider: &ProviderName, at: Timestamp, slot: u32) {
        let Some(due) = self.0.get_mut(provider) else { return };
        due.remove(&(at, slot));
        if due.is_empty() {
            self.0.remove(provider);
        }
    }

    /// Of each provider what is due at `now` and `live`, the longest due first, as many as there is room for.
    pub(super) fn due<T>(&self, now: Timestamp, room: &Room, live: impl Fn(u32) -> Option<T>) -> Vec<T> {
        let of = |(provider, due): (&ProviderName, &BTreeSet<(Timestamp, u32)>)| {
            let found = super::due(due, now, usize::MAX).filter_map(|(_, slot)| live(slot));
            found.take(room.of(provider)).collect::<Vec<_>>()
        };
        self.0.iter().flat_map(of).collect()
    }
}
