//! The groups of a subject, searchable by id.

use std::ops::Deref;
use std::sync::Arc;

use crate::Group;
use crate::order::first_from;

/// Up to this many are searched one by one.
const LINEAR: usize = 8;

/// What the directory says a subject belongs to, in its order. A look-up by id is one search by digest:
/// decisions ask for ids among hundreds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Groups {
    members: Arc<[Arc<Group>]>,
    /// Digest and place of each member, ordered; empty for so few that they are searched one by one.
    index: Arc<[(u32, u32)]>,
}

impl Groups {
    /// Whether a group has exactly this id.
    #[must_use]
    pub fn has(&self, id: &str) -> bool {
        self.has_digested(id, Self::digest(id))
    }

    /// As [`Groups::has`], with the id's digest made beforehand.
    #[must_use]
    #[inline]
    pub fn has_digested(&self, id: &str, digest: u32) -> bool {
        if self.index.is_empty() {
            return self.members.iter().any(|group| *group.id == *id);
        }
        let start = first_from(&self.index, digest, |(entry, _)| *entry);
        let same = self.index.get(start..).unwrap_or_default().iter().take_while(|(entry, _)| *entry == digest);
        let mut members = same.filter_map(|(_, place)| self.members.get(usize::try_from(*place).ok()?));
        members.any(|group| *group.id == *id)
    }

    /// What orders the index: it narrows the search, the id itself decides.
    #[must_use]
    pub fn digest(id: &str) -> u32 {
        id.bytes().fold(0x811c_9dc5, |digest, byte| (digest ^ u32::from(byte)).wrapping_mul(0x0100_0193))
    }
}

impl From<Vec<Arc<Group>>> for Groups {
    fn from(members: Vec<Arc<Group>>) -> Self {
        if members.len() <= LINEAR {
            return Self { members: members.into(), index: Arc::default() };
        }
        let places = 0..u32::try_from(members.len()).unwrap_or(u32::MAX);
        let mut index: Vec<_> =
            places.zip(members.iter()).map(|(place, group)| (Self::digest(&group.id), place)).collect();
        index.sort_unstable();
        Self { members: members.into(), index: index.into() }
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
