//! Whether two short texts are equal.

/// Whether two texts are equal, for the short ones that decisions compare: those of 2 to 32 bytes by their two
/// overlapping halves, which costs less than a call. Not for secrets: how long it takes tells where they differ.
#[must_use]
#[inline]
pub fn same(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    match one.len() {
        33.. | ..2 => same_bytes(one, other),
        17.. => same_halves::<16>(one, other),
        9.. => same_halves::<8>(one, other),
        5.. => same_halves::<4>(one, other),
        2.. => same_halves::<2>(one, other),
    }
}

#[inline(never)]
fn same_bytes(one: &[u8], other: &[u8]) -> bool {
    one == other
}

#[inline]
fn same_halves<const N: usize>(one: &[u8], other: &[u8]) -> bool {
    let (Some((a, _)), Some((b, _))) = (one.split_first_chunk::<N>(), other.split_first_chunk()) else { return false };
    let (Some((_, y)), Some((_, z))) = (one.split_last_chunk::<N>(), other.split_last_chunk()) else { return false };
    a == b && y == z
}

#[cfg(test)]
mod tests {
    use super::same;

    #[test]
    fn every_byte_counts() {
        for length in 0..70 {
            let text: Vec<u8> = (0..length).collect();
            assert!(same(&text, &text.clone()));
            for place in 0..text.len() {
                let mut other = text.clone();
                other[place] ^= 1;
                assert!(!same(&text, &other), "{place} of {length}");
                assert!(!same(&text, &text[..place]) && !same(&text[..place], &text));
            }
        }
    }
}
