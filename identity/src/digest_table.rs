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

/// The first of so many places with this digest, or with one that this table cannot tell from it, that `is_it` takes.
/// Without a table each of them is tried.
#[inline]
pub(crate) fn find(table: &[u32], places: usize, digest: u32, is_it: impl Fn(usize) -> bool) -> Option<usize> {
    if table.is_empty() {
        return find_one_by_one(places, is_it);
    }
    let place = place_from(table, digest, &mut index(digest))?;
    if is_it(place) { Some(place) } else { find_among_same(table, digest, is_it) }
}

#[inline(never)]
fn find_one_by_one(places: usize, is_it: impl Fn(usize) -> bool) -> Option<usize> {
    (0..places).find(|place| is_it(*place))
}

/// Where digests collide: apart, since what the loop needs would weigh on every look-up.
#[cold]
fn find_among_same(table: &[u32], digest: u32, is_it: impl Fn(usize) -> bool) -> Option<usize> {
    let mut at = index(digest);
    loop {
        let place = place_from(table, digest, &mut at)?;
        if is_it(place) {
            return Some(place);
        }
    }
}

/// The next place with this digest as far as the table can tell.
#[inline]
fn place_from(table: &[u32], digest: u32, at: &mut usize) -> Option<usize> {
    let (mask, digest) = (table.len().wrapping_sub(1), index(digest));
    let end = digest.wrapping_add(STEPS);
    while *at != end {
        let entry = index(*table.get(*at & mask)?);
        *at = at.wrapping_add(1);
        if (entry ^ digest) & !mask == 0 || entry == 0 {
            return (entry & mask).checked_sub(1);
        }
    }
    None
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
                let found = |table: &[u32]| find(table, digests.len(), *digest, |found| found == place);
                assert_eq!(found(&table), Some(place), "{digest} in {digests:?}");
                assert_eq!(found(&[]), Some(place), "without a table");
                let absent = digest ^ 0x0100_0000;
                assert!(digests.contains(&absent) || find(&table, digests.len(), absent, |_| true).is_none());
            }
        }
    }

    #[test]
    fn places_of_one_digest_come_in_their_order() {
        let table = table([7; 20].into_iter()).unwrap();
        for last in 0..20 {
            assert_eq!(find(&table, 20, 7, |place| place >= last), Some(last));
        }
        assert_eq!(find(&table, 20, 7, |_| false), None);
    }

    #[test]
    fn a_table_has_room_and_neither_making_nor_asking_it_can_be_made_long() {
        assert!((0..1000).all(|places| size(places) > places));
        assert_eq!(find(&[], 0, 7, |_| true), None);
        assert_eq!(table([].into_iter()), None);
        // As many as claims may hold, and all of them begin at one of a few places.
        assert_eq!(table((0..9_362).map(|number: u32| (number << 15) | (number % 64))), None);
        assert!(table([3; STEPS].into_iter()).is_some() && table([3; STEPS + 1].into_iter()).is_none());
        // A long run in which every entry stands at its own place: who is absent is not looked for along all of it.
        let run = table(0..4_096).unwrap();
        assert_eq!(find(&run, 4_096, 1 << 20, |_| true), None);
    }
}
