//! SplitMix64: numbers that look random, for names and for spreading load, never for secrets.

/// The step of a sequence: odd, so that it runs through every number before one comes again.
pub(crate) const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// What makes a step of a sequence look random: a bijection, so different numbers stay different.
pub(crate) const fn mixed(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_is_the_published_one() {
        // The first numbers of the reference implementation from the seed 0.
        let numbers = [1, 2, 3].map(|step: u64| mixed(step.wrapping_mul(STEP)));
        assert_eq!(numbers, [0xE220_A839_7B1D_CDAF, 0x6E78_9E6A_A1B9_65F4, 0x06C4_5D18_8009_454F]);
    }
}
