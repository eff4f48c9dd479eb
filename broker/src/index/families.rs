//! Which sessions were made of which: all of a family come of one sign-in, and end with it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use portcullis_broker_api::wire::generated as proto;
use portcullis_identity::{SessionKey, Timestamp};

/// The most live sessions that are made of one; the oldest gives way to a further one.
pub(crate) const MAX_DERIVED: usize = 32;

/// How a session was made of another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Made {
    /// The session that it was made of.
    pub(crate) parent: SessionKey,
    /// The one host that it is for; `None`: nobody wrote that down then.
    pub(crate) host: Option<Arc<str>>,
    /// When.
    pub(crate) at: Timestamp,
}

impl Made {
    /// As the stored session says it. Uses are records of their own: the session's own instant is that of its making.
    pub(crate) fn of(parent: SessionKey, stored: &proto::Session) -> Self {
        let host = stored.host.as_deref().map(Arc::from);
        Self { parent, host, at: Timestamp::from_unix_millis(stored.last_used) }
    }
}

/// The families. Most sessions have none, and take no room here.
#[derive(Debug, Default)]
pub(crate) struct Families {
    made: HashMap<SessionKey, Made>,
    /// The oldest first.
    derived: HashMap<SessionKey, Vec<SessionKey>>,
    /// Those whose parent is over, or that gave way: they are over too, and still to be ended in the store.
    orphans: BTreeSet<SessionKey>,
}

impl Families {
    pub(super) fn join(&mut self, key: SessionKey, made: Made) {
        let family = self.derived.entry(made.parent).or_default();
        // A start finds them in any order.
        let younger = |other: &SessionKey| self.made.get(other).is_some_and(|other| other.at > made.at);
        family.insert(family.iter().position(younger).unwrap_or(family.len()), key);
        self.made.insert(key, made);
        let excess = family.len().saturating_sub(MAX_DERIVED);
        self.orphans.extend(family.drain(..excess));
    }

    /// A session is over.
    pub(super) fn leave(&mut self, key: &SessionKey) {
        self.orphans.remove(key);
        if let Some(Made { parent, .. }) = self.made.remove(key)
            && let Some(family) = self.derived.get_mut(&parent)
        {
            family.retain(|other| other != key);
            if family.is_empty() {
                self.derived.remove(&parent);
            }
        }
        self.orphans.extend(self.derived.remove(key).into_iter().flatten());
    }

    /// After a start: whose parent is not there any more is over.
    pub(super) fn settle(&mut self, lives: impl Fn(&SessionKey) -> bool) {
        let over = self.made.iter().filter(|(_, made)| !lives(&made.parent)).map(|(key, _)| *key);
        self.orphans.extend(over);
    }

    /// The session that this one was made of.
    pub(crate) fn parent(&self, key: &SessionKey) -> Option<SessionKey> {
        self.made(key).map(|made| made.parent)
    }

    /// How the session was made; `None`: by a sign-in.
    pub(crate) fn made(&self, key: &SessionKey) -> Option<&Made> {
        self.made.get(key)
    }

    /// The sessions that were made of this one, the oldest first.
    pub(crate) fn derived(&self, key: &SessionKey) -> Vec<SessionKey> {
        self.derived.get(key).cloned().unwrap_or_default()
    }

    /// Sessions that were left by their parent and are still to be ended.
    pub(crate) const fn orphans(&self) -> &BTreeSet<SessionKey> {
        &self.orphans
    }

    /// Uses of sessions, which are uses of what they were made of, too: the latest of each.
    pub(crate) fn uses(&self, uses: Vec<(SessionKey, Timestamp)>) -> Vec<(SessionKey, Timestamp)> {
        if self.made.is_empty() {
            return uses;
        }
        let mut latest = BTreeMap::new();
        for (key, at) in uses {
            for key in [Some(key), self.parent(&key)].into_iter().flatten() {
                let known = latest.entry(key).or_insert(at);
                *known = at.max(*known);
            }
        }
        latest.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u8) -> SessionKey {
        SessionKey::from_bytes([number; 32])
    }

    fn of(parent: u8) -> Made {
        Made { parent: key(parent), host: None, at: Timestamp::EPOCH }
    }

    #[test]
    fn a_family_ends_with_its_parent_and_a_child_alone() {
        let mut families = Families::default();
        (1..4).for_each(|child| families.join(key(child), of(0)));
        families.join(key(9), of(8));
        families.leave(&key(2));
        assert_eq!((families.derived(&key(0)), families.orphans().len()), (vec![key(1), key(3)], 0));
        families.leave(&key(0));
        assert_eq!(families.orphans(), &BTreeSet::from([key(1), key(3)]));
        families.leave(&key(1));
        families.leave(&key(3));
        assert!(families.orphans().is_empty());
        assert_eq!(families.parent(&key(9)), Some(key(8)));
        families.settle(|parent| *parent != key(8));
        assert_eq!(families.orphans(), &BTreeSet::from([key(9)]));
    }

    #[test]
    fn the_oldest_gives_way_to_one_too_many() {
        let mut families = Families::default();
        (0..MAX_DERIVED).for_each(|_| families.join(key(1), of(0)));
        assert!(families.orphans().is_empty());
        families.join(key(2), of(0));
        assert_eq!(families.orphans(), &BTreeSet::from([key(1)]));
    }

    #[test]
    fn the_oldest_gives_way_in_whatever_order_a_start_finds_them() {
        let mut families = Families::default();
        let numbers = || 0..=u8::try_from(MAX_DERIVED).unwrap();
        // 7 and 33 have nothing in common: every number comes once, none in its turn.
        for number in numbers().map(|number| (number * 7) % 33) {
            let at = Timestamp::from_unix_seconds(i64::from(number));
            families.join(key(number), Made { parent: key(99), host: None, at });
        }
        assert_eq!(families.orphans(), &BTreeSet::from([key(0)]));
        assert_eq!(families.derived(&key(99)), numbers().skip(1).map(key).collect::<Vec<_>>());
    }

    #[test]
    fn a_use_of_a_child_is_one_of_its_parent() {
        let at = Timestamp::from_unix_seconds;
        let mut families = Families::default();
        let uses = vec![(key(1), at(9)), (key(0), at(5)), (key(7), at(1))];
        assert_eq!(families.uses(uses.clone()), uses);
        families.join(key(1), of(0));
        assert_eq!(families.uses(uses), [(key(0), at(9)), (key(1), at(9)), (key(7), at(1))]);
    }
}
