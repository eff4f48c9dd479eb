//! Which way an input went.

/// A digest of what the code told of an input: texts without what the input itself put there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape(u64);

impl Shape {
    /// Nothing told yet.
    pub(crate) const NEW: Self = Self(0xcbf2_9ce4_8422_2325);

    /// With a message: what it quotes and counts is left out, so that it names a place in the code.
    pub(crate) fn with_message(self, message: &str) -> Self {
        let unquoted = message.split('`').step_by(2).flat_map(str::bytes);
        unquoted.filter(|byte| !byte.is_ascii_digit()).fold(self, Self::with)
    }

    /// With a few small facts.
    pub(crate) fn with_facts(self, facts: &[u64]) -> Self {
        facts.iter().flat_map(|fact| fact.to_le_bytes()).fold(self, Self::with)
    }

    /// With how many there are of something, to the power of two.
    pub(crate) fn with_count(self, count: usize) -> Self {
        self.with_facts(&[u64::from(usize::BITS - count.leading_zeros())])
    }

    // FNV-1a.
    fn with(self, byte: u8) -> Self {
        Self((self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
    }
}
