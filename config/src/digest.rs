//! SHA-256 over parts, so that no two lists of parts read alike.

use aws_lc_rs::digest::{SHA256, digest};

/// The digest of one text.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    for (to, from) in out.iter_mut().zip(digest(&SHA256, bytes).as_ref()) {
        *to = *from;
    }
    out
}

/// A digest over parts; each goes in with its length in front. The parts are gathered first: many short ones cost
/// more one by one than all at once.
pub(crate) struct Digester(Vec<u8>);

impl Digester {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn part(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(&u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes());
        self.0.extend_from_slice(bytes);
        self
    }

    pub(crate) fn finish(self) -> [u8; 32] {
        sha256(&self.0)
    }
}
