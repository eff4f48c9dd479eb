//! The groups of a subject, searchable by id.

use std::ops::Deref;
use std::sync::Arc;

use crate::claims::digest;
use crate::digest_table::{self, FEW};
use crate::{ClaimKind, ClaimValue, Group, same};

/// What the directory says a subject belongs to, in its order. A look-up by id is one search by digest:
/// decisions ask for ids among hundreds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Groups {
    members: Arc<[Arc<Group>]>,
    /// The places of members by the digests of their ids; empty where they are searched one by one: because they are
    /// few, or cannot be told apart by them.
    table: Arc<[u32]>,
}

impl Groups {
    /// Whether a group has exactly this id.
    #[must_use]
    pub fn has(&self, id: &str) -> bool {
        self.has_called(digest(ClaimKind::Text, id), move |group| same(group.id.as_bytes(), id.as_bytes()))
    }

    /// Whether a group's id is this value, which must be a string.
    #[must_use]
    #[inline]
    pub fn has_value(&self, value: &ClaimValue) -> bool {
        let is_called = move |group: &Group| same(group.id.as_bytes(), value.as_text().as_bytes());
        value.kind() == ClaimKind::Text && self.has_called(value.digest(), is_called)
    }

    /// The bytes of the list and its table, without the members.
    #[must_use]
    pub fn own_bytes(&self) -> usize {
        size_of_val(&*self.members).saturating_add(size_of_val(&*self.table))
    }

    /// The same groups, each member in the place of an equal one.
    pub(crate) fn with_members(self, members: Vec<Arc<Group>>) -> Self {
        let Self { members: _, table } = self;
        Self { members: members.into(), table }
    }

    #[inline]
    fn has_called(&self, digest: u32, is_called: impl Fn(&Group) -> bool) -> bool {
        let member = move |place: usize| self.members.get(place).filter(|group| is_called(group)).map(|_| ());
        digest_table::find(&self.table, self.members.len(), digest, member).is_some()
    }
}

impl From<Vec<Arc<Group>>> for Groups {
    fn from(members: Vec<Arc<Group>>) -> Self {
        let table = match members.len() {
            ..=FEW => None,
            _ => digest_table::table(members.iter().map(|group| digest(ClaimKind::Text, &group.id))),
        };
        Self { members: members.into(), table: table.unwrap_or_default().into() }
    }
}

impl From<Vec<Group>> for Groups {
    fn from(members: Vec<Group>) -> Self {
        members.into_iter().collect()
    }
}

impl FromIterator<Group> for Groups {
    fn from_iter<T: IntoIterator<Item = Group>>(members: T) -> Self {
        Self::from(members.into_iter().map(Arc::new).collect::<Vec<_>>())
    }
}

impl Deref for Groups {
    type Target = [Arc<Group>];

    #[inline]
    fn deref(&self) -> &[Arc<Group>] {
        &self.members
    }
}

#[cfg(test)]
mod tests {
    use super::Groups;
    use crate::Group;

    #[test]
    fn every_member_is_found_and_nobody_else() {
        let member = |id: &str| Group { id: id.into(), name: "".into(), email: "".into() };
        for count in [1, 8, 9, 200] {
            let groups: Groups = (0..count).map(|number| member(&format!("g-{number}"))).collect();
            assert!((0..count).all(|number| groups.has(&format!("g-{number}"))));
            assert!(!groups.has(&format!("g-{count}")) && !groups.has("") && !groups.has("G-1"));
            assert_eq!(groups.first().map(|group| &*group.id), Some("g-0"));
        }
        assert!(!Groups::default().has(""));
    }
}
