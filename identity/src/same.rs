//! Whether two short texts are equal.

/// Whether two texts are equal, for the short ones that decisions compare: word by word and without a call, so that
/// whoever asks keeps all it knows in registers. Not for secrets: how long it takes tells where they differ.
#[must_use]
#[inline]
pub fn same(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    match one.len() {
        17.. => same_words(one, other) && same_halves::<8>(one, other),
        8.. => same_halves::<8>(one, other),
        4.. => same_halves::<4>(one, other),
        2.. => same_halves::<2>(one, other),
        ..2 => one.first() == other.first(),
    }
}

/// Of texts of one length, N to 2 N bytes: their first and their last N, which may overlap.
#[inline]
fn same_halves<const N: usize>(one: &[u8], other: &[u8]) -> bool {
    let (Some(a), Some(b)) = (one.first_chunk::<N>(), other.first_chunk()) else { return false };
    let (Some(y), Some(z)) = (one.last_chunk::<N>(), other.last_chunk()) else { return false };
    a == b && y == z
}

/// All but what is less than a word at their end.
#[inline]
fn same_words(one: &[u8], other: &[u8]) -> bool {
    let ((one, _), (other, _)) = (one.as_chunks::<8>(), other.as_chunks::<8>());
    one.iter().zip(other).all(|(a, b)| a == b)
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
