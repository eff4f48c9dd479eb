//! Searching in what is ordered by a digest.

/// The steps that a guess is mended by before it is given up.
const STEPS: usize = 16;

/// The first place whose digest is not below `wanted`, as `partition_point` would find it.
///
/// Digests spread evenly, so the place can be guessed from the digest's size: a few neighbours away in a list of
/// hundreds. Where they do not, by chance or because somebody chose the texts, halving finds it.
#[inline]
pub(crate) fn first_from<T>(entries: &[T], wanted: u32, digest: impl Fn(&T) -> u32) -> usize {
    let count = u64::try_from(entries.len()).unwrap_or(u64::MAX);
    let guess = u64::from(wanted).saturating_mul(count) >> u32::BITS;
    let mut at = usize::try_from(guess).unwrap_or_default();
    for _ in 0..STEPS {
        if entries.get(at).is_some_and(|entry| digest(entry) < wanted) {
            at = at.saturating_add(1);
        } else if let Some(before) = at.checked_sub(1)
            && entries.get(before).is_some_and(|entry| digest(entry) >= wanted)
        {
            at = before;
        } else {
            return at;
        }
    }
    entries.partition_point(|entry| digest(entry) < wanted)
}

#[cfg(test)]
mod tests {
    use super::first_from;

    #[test]
    fn every_place_is_the_one_that_halving_finds() {
        let even: Vec<u32> = (0..150).map(|number: u32| number.wrapping_mul(0x9e37_79b9)).collect();
        let low: Vec<u32> = (0..150).collect();
        let high: Vec<u32> = (0..150).map(|number| u32::MAX - number).collect();
        let same = vec![7; 150];
        for mut list in [even, low, high, same, vec![], vec![0], vec![u32::MAX], vec![5, 5, 9]] {
            list.sort_unstable();
            let near = list.iter().flat_map(|entry| [entry.wrapping_sub(1), *entry, entry.wrapping_add(1)]);
            for wanted in near.chain([0, 1, u32::MAX / 2, u32::MAX]) {
                let expected = list.partition_point(|entry| *entry < wanted);
                assert_eq!(first_from(&list, wanted, |entry| *entry), expected, "{wanted} in {list:?}");
            }
        }
    }
}
