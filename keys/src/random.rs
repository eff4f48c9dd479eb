//! Where randomness comes from; a parameter everywhere, so that tests hold it.

/// A source of random bytes.
pub trait Random: Send + Sync + std::fmt::Debug {
    /// Fills `bytes`. There is no failure: without randomness nothing of ours may go on.
    fn fill(&self, bytes: &mut [u8]);
}

/// The operating system's randomness by aws-lc.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, bytes: &mut [u8]) {
        #[expect(clippy::expect_used, reason = "aws-lc ends the process itself when the system has no randomness")]
        aws_lc_rs::rand::fill(bytes).expect("randomness");
    }
}
