//! Places by a 32-bit digest: open addressing over a slice of numbers.
//!
//! An entry is a place, counted from 1, in its low bits, and what a digest has above them; the digest's own low bits
//! say where to look first. So four bytes know a place and nearly all of its digest, and a look-up reads one or two.

/// How far from its first place an entry may stand. Chance comes nowhere near it; somebody who chooses texts whose
/// digests begin at one place gets no table, so that neither making one nor looking into it can be made long.
const STEPS: usize = 64;

/// Up to this many places are tried one by one: a table would cost more than it spares.
pub(crate) const FEW: usize = 8;

/// How many numbers a table of so many places has: a power of two, at most half of them full.
pub(crate) fn size(places: usize) -> usize {
    places.saturating_mul(2).max(1).next_power_of_two()
}

/// The table of the places whose digests these are, in their order; `None` if there is no place, or if an entry would
/// stand too far from where it is looked for.
pub(crate) fn table(digests: impl ExactSizeIterator<Item = u32>) -> Option<Vec<u32>> {
    if digests.len() == 0 {
        return None;
    }
    let mut table = vec![0; size(digests.len())];
    let mask = u32::try_from(table.len()).ok()?.wrapping_sub(1);
    for (entry, digest) in (1..).zip(digests) {
        let free = (index(digest)..).take(STEPS).map(|at| at & index(mask)).find(|at| table.get(*at) == Some(&0))?;
        *table.get_mut(free)? = (digest & !mask) | entry;
    }
    Some(table)
}

/// What `take` makes of the first of so many places with this digest, or with one that this table cannot tell from it,
/// of which it makes anything. Without a table each of them is tried.
#[inline]
pub(crate) fn find<T>(table: &[u32], places: usize, digest: u32, take: impl Fn(usize) -> Option<T>) -> Option<T> {
    if table.is_empty() {
        return find_one_by_one(places, take);
    }
    // The first entry decides most look-ups. The calls come last, so that what they need weighs on nobody else.
    let entry = entry(table, digest, 0)?;
    if entry.is_of(digest)
        && let Some(taken) = take(entry.place())
    {
        return Some(taken);
    }
    find_further(table, digest, take)
}

#[inline(never)]
fn find_one_by_one<T>(places: usize, take: impl Fn(usize) -> Option<T>) -> Option<T> {
    (0..places).find_map(take)
}

/// As [`find`], behind the first entry.
#[inline(never)]
fn find_further<T>(table: &[u32], digest: u32, take: impl Fn(usize) -> Option<T>) -> Option<T> {
    let entries = (1..STEPS).map_while(|step| entry(table, digest, step));
    entries.filter(|entry| entry.is_of(digest)).find_map(|entry| take(entry.place()))
}

/// What stands so many steps behind where a digest is looked for first; `None` if nothing does, nor further on.
#[inline]
fn entry(table: &[u32], digest: u32, steps: usize) -> Option<Entry> {
    let mask = table.len().wrapping_sub(1);
    let entry = index(*table.get(index(digest).wrapping_add(steps) & mask)?);
    (entry != 0).then_some(Entry { entry, mask })
}

/// What a table holds of one place, and which of its bits are the place's.
struct Entry {
    entry: usize,
    mask: usize,
}

impl Entry {
    /// Whether it has this digest, as far as it can tell.
    #[inline]
    fn is_of(&self, digest: u32) -> bool {
        self.entry ^ index(digest) <= self.mask
    }

    #[inline]
    fn place(&self) -> usize {
        (self.entry & self.mask).wrapping_sub(1)
    }
}

#[inline]
fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::{STEPS, find, size, table};

    #[test]
    fn every_place_is_found_by_its_digest_and_no_other() {
        let even: Vec<u32> = (0..150).map(|number: u32| number.wrapping_mul(0x9e37_79b9)).collect();
        let low: Vec<u32> = (0..150).collect();
        let high: Vec<u32> = (0..150).map(|number| u32::MAX - number).collect();
        let same_start: Vec<u32> = (0..40).map(|number| number << 16).collect();
        for digests in [even, low, high, same_start, vec![0], vec![u32::MAX], vec![5, 9]] {
            let table = table(digests.iter().copied()).unwrap();
            for (place, digest) in digests.iter().enumerate() {
                let take = |found: usize| (found == place).then_some(found);
                let found = |table: &[u32]| find(table, digests.len(), *digest, take);
                assert_eq!(found(&table), Some(place), "{digest} in {digests:?}");
                assert_eq!(found(&[]), Some(place), "without a table");
                let absent = digest ^ 0x0100_0000;
                assert!(digests.contains(&absent) || find(&table, digests.len(), absent, Some).is_none());
            }
        }
    }

    #[test]
    fn places_of_one_digest_come_in_their_order() {
        let table = table([7; 20].into_iter()).unwrap();
        for last in 0..20 {
            assert_eq!(find(&table, 20, 7, |place| (place >= last).then_some(place)), Some(last));
        }
        assert_eq!(find(&table, 20, 7, |_| None::<usize>), None);
    }

    #[test]
    fn a_table_has_room_and_neither_making_nor_asking_it_can_be_made_long() {
        assert!((0..1000).all(|places| size(places) > places));
        assert_eq!(find(&[], 0, 7, Some), None);
        assert_eq!(table([].into_iter()), None);
        // As many as claims may hold, and all of them begin at one of a few places.
        assert_eq!(table((0..9_362).map(|number: u32| (number << 15) | (number % 64))), None);
        assert!(table([3; STEPS].into_iter()).is_some() && table([3; STEPS + 1].into_iter()).is_none());
        // A long run in which every entry stands at its own place: who is absent is not looked for along all of it.
        let run = table(0..4_096).unwrap();
        assert_eq!(find(&run, 4_096, 1 << 20, Some), None);
    }
}
