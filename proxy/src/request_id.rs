//! Names for requests: unique, not secret. One draw of randomness at the start serves them all.

use std::sync::atomic::{AtomicU64, Ordering};

use http::HeaderValue;
use portcullis_keys::Random;

use crate::split_mix::{STEP, mixed};

/// Makes request ids.
#[derive(Debug)]
pub(crate) struct RequestIds {
    high: u64,
    low: u64,
    next: AtomicU64,
}

/// A request's id: 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RequestId([u8; 32]);

impl RequestIds {
    /// Ids that begin somewhere: two processes do not meet.
    pub(crate) fn new(random: &dyn Random) -> Self {
        let (mut high, mut low) = ([0; 8], [0; 8]);
        random.fill(&mut high);
        random.fill(&mut low);
        Self { high: u64::from_be_bytes(high), low: u64::from_be_bytes(low), next: AtomicU64::new(0) }
    }

    /// The next id.
    pub(crate) fn next(&self) -> RequestId {
        let step = self.next.fetch_add(1, Ordering::Relaxed).wrapping_mul(STEP);
        let number = u128::from(mixed(self.high.wrapping_add(step))) << 64 | u128::from(mixed(self.low ^ step));
        let mut digits = [0; 32];
        // Twice the bytes is what it asks for, so there is nothing to go wrong.
        _ = hex::encode_to_slice(number.to_be_bytes(), &mut digits);
        RequestId(digits)
    }
}

impl RequestId {
    /// The digits.
    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The value of `X-Request-Id`.
    pub(crate) fn to_header(self) -> HeaderValue {
        HeaderValue::from_bytes(&self.0).unwrap_or_else(|_| HeaderValue::from_static(""))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[derive(Debug)]
    struct Fixed(u8);

    impl Random for Fixed {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(self.0);
        }
    }

    #[test]
    fn ids_are_32_digits_and_no_two_are_alike() {
        let (one, other) = (RequestIds::new(&Fixed(1)), RequestIds::new(&Fixed(2)));
        let ids: HashSet<String> =
            (0..10_000).flat_map(|_| [one.next(), other.next()]).map(|id| id.as_str().to_owned()).collect();
        assert_eq!(ids.len(), 20_000);
        assert!(ids.iter().all(|id| id.len() == 32 && id.bytes().all(|digit| digit.is_ascii_hexdigit())));
        assert_eq!(one.next().to_header().len(), 32);
    }
}
