//! SHA-256 over parts, so that no two lists of parts read alike.

use aws_lc_rs::digest::{Context, Digest, SHA256, digest};

/// The digest of one text.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    array(&digest(&SHA256, bytes))
}

/// A digest over parts; each goes in with its length in front.
pub(crate) struct Digester(Context);

impl Digester {
    pub(crate) fn new() -> Self {
        Self(Context::new(&SHA256))
    }

    pub(crate) fn part(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.update(&u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes());
        self.0.update(bytes);
        self
    }

    pub(crate) fn finish(self) -> [u8; 32] {
        array(&self.0.finish())
    }
}

fn array(digest: &Digest) -> [u8; 32] {
    let mut out = [0; 32];
    for (to, from) in out.iter_mut().zip(digest.as_ref()) {
        *to = *from;
    }
    out
}
