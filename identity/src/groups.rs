//! The groups of a subject, searchable by id.

use std::ops::Deref;
use std::sync::Arc;

use crate::Group;
use crate::order::first_from;

/// What the directory says a subject belongs to, in its order. A look-up by id is one search by digest:
/// decisions ask for ids among hundreds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Groups {
    members: Arc<[Group]>,
    /// Digest and place of each member, ordered.
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
        let start = first_from(&self.index, digest, |(entry, _)| *entry);
        let same = self.index.iter().skip(start).take_while(|(entry, _)| *entry == digest);
        same.filter_map(|(_, place)| self.members.get(usize::try_from(*place).ok()?)).any(|group| *group.id == *id)
    }

    /// What orders the index: it narrows the search, the id itself decides.
    #[must_use]
    pub fn digest(id: &str) -> u32 {
        id.bytes().fold(0x811c_9dc5, |digest, byte| (digest ^ u32::from(byte)).wrapping_mul(0x0100_0193))
    }
}

impl From<Arc<[Group]>> for Groups {
    fn from(members: Arc<[Group]>) -> Self {
        let places = 0..u32::try_from(members.len()).unwrap_or(u32::MAX);
        let mut index: Vec<_> =
            places.zip(members.iter()).map(|(place, group)| (Self::digest(&group.id), place)).collect();
        index.sort_unstable();
        Self { members, index: index.into() }
    }
}

impl From<Vec<Group>> for Groups {
    fn from(members: Vec<Group>) -> Self {
        Self::from(Arc::<[Group]>::from(members))
    }
}

impl FromIterator<Group> for Groups {
    fn from_iter<T: IntoIterator<Item = Group>>(members: T) -> Self {
        Self::from(members.into_iter().collect::<Vec<_>>())
    }
}

impl Deref for Groups {
    type Target = [Group];

    #[inline]
    fn deref(&self) -> &[Group] {
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
        let groups: Groups = (0..200).map(|number| member(&format!("g-{number}"))).collect();
        assert!((0..200).all(|number| groups.has(&format!("g-{number}"))));
        assert!(!groups.has("g-200") && !groups.has("") && !groups.has("G-1"));
        assert_eq!(groups.first().map(|group| &*group.id), Some("g-0"));
    }
}
