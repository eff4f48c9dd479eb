//! The bind cookie: 16 random bytes that tie a sign-in to one browser, and a count that ends loops.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_identity::Timestamp;
use portcullis_keys::{Random, equal, sha256};

/// How long hand-overs are counted together.
pub const LOOP_WINDOW: Duration = Duration::from_secs(60);

/// How many hand-overs in a row may complete within [`LOOP_WINDOW`]; the next one is a loop.
pub const MAX_HAND_OVERS: u8 = 2;

const VERSION: u8 = 1;

/// The value of one browser's bind cookie on one host.
///
/// version (1 byte) | secret (16) | hand-overs (1) | milliseconds since 1970 of the first of them (6):
/// 32 characters of base64url. The count is the browser's to forge: it protects the browser from loops and
/// us from nothing.
#[derive(Clone)]
pub struct Bind {
    secret: [u8; 16],
    hand_overs: u8,
    since: Timestamp,
}

/// Whether one more sign-in may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// Begin, with this number in [`crate::SignInRequest::attempt`].
    Begin(u8),
    /// [`MAX_HAND_OVERS`] completed a moment ago and the browser still is not let through: show the
    /// diagnostic page.
    Loop,
}

impl Bind {
    /// A new browser.
    #[must_use]
    pub fn random(random: &dyn Random) -> Self {
        let mut secret = [0; 16];
        random.fill(&mut secret);
        Self { secret, hand_overs: 0, since: Timestamp::EPOCH }
    }

    /// Reads a cookie's value; `None` if it is not one of ours.
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        let mut bytes = [0; 24];
        let length = URL_SAFE_NO_PAD.decode_slice(value, &mut bytes).ok()?;
        let (version, rest) = bytes.split_first()?;
        let (secret, rest) = rest.split_first_chunk()?;
        let (hand_overs, since) = rest.split_first()?;
        let since = since.iter().fold(0_i64, |sum, byte| sum << 8 | i64::from(*byte));
        let since = Timestamp::from_unix_millis(since);
        (length == bytes.len() && *version == VERSION).then_some(Self {
            secret: *secret,
            hand_overs: *hand_overs,
            since,
        })
    }

    /// The cookie's value.
    #[must_use]
    pub fn value(&self) -> String {
        let Self { secret, hand_overs, since } = self;
        let [_, _, since @ ..] = since.unix_millis().to_be_bytes();
        let bytes = [&[VERSION][..], secret, &[*hand_overs], &since].concat();
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Whether a sign-in may begin at `now`.
    ///
    /// Many tabs that were challenged together share one number, so they are one hand-over, not many.
    #[must_use]
    pub fn attempt(&self, now: Timestamp) -> Attempt {
        match self.counted(now) {
            count if count >= MAX_HAND_OVERS => Attempt::Loop,
            count => Attempt::Begin(count),
        }
    }

    /// The cookie after the hand-over that began as number `attempt` has completed at `now`.
    #[must_use]
    pub fn completed(&self, attempt: u8, now: Timestamp) -> Self {
        let counted = self.counted(now);
        let since = if counted == 0 { now } else { self.since };
        Self { secret: self.secret, hand_overs: counted.max(attempt.saturating_add(1)), since }
    }

    /// The cookie with the count at zero: a person chose to try again.
    #[must_use]
    pub const fn restarted(&self) -> Self {
        Self { secret: self.secret, hand_overs: 0, since: Timestamp::EPOCH }
    }

    /// SHA-256 of the secret: what the messages carry.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        sha256(&self.secret)
    }

    /// Whether `digest` is this browser's; in constant time.
    #[must_use]
    pub fn matches(&self, digest: &[u8; 32]) -> bool {
        equal(&self.digest(), digest)
    }

    /// The secret, for the values that [`portcullis_keys::FlowKeys`] derives.
    #[must_use]
    pub const fn secret(&self) -> &[u8; 16] {
        &self.secret
    }

    /// The hand-overs that still count at `now`.
    fn counted(&self, now: Timestamp) -> u8 {
        // A count from the future (the clock was set back, or forged) counts as old.
        let fresh = self.since <= now && now.since(self.since) < LOOP_WINDOW;
        if fresh { self.hand_overs } else { 0 }
    }
}

impl fmt::Debug for Bind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bind").field("hand_overs", &self.hand_overs).field("since", &self.since).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use portcullis_keys::SystemRandom;
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_700_000_000);

    fn later(seconds: u64) -> Timestamp {
        NOW.saturating_add(Duration::from_secs(seconds))
    }

    #[test]
    fn the_third_hand_over_in_a_minute_is_a_loop() {
        let fresh = Bind::random(&SystemRandom);
        assert_eq!(fresh.attempt(NOW), Attempt::Begin(0));
        let once = fresh.completed(0, later(2));
        assert_eq!(once.attempt(later(3)), Attempt::Begin(1));
        let twice = once.completed(1, later(5));
        assert_eq!(twice.attempt(later(6)), Attempt::Loop);
        assert_eq!(twice.attempt(later(61)), Attempt::Loop);
        assert_eq!(twice.attempt(later(62)), Attempt::Begin(0), "a minute after the first it is over");
        assert_eq!(twice.restarted().attempt(later(6)), Attempt::Begin(0));
    }

    #[test]
    fn ten_tabs_at_once_are_one_hand_over() {
        let mut cookie = Bind::random(&SystemRandom);
        let attempts: Vec<_> = (0..10).map(|_| cookie.attempt(NOW)).collect();
        assert_eq!(attempts, vec![Attempt::Begin(0); 10]);
        for second in 0..10 {
            cookie = cookie.completed(0, later(second));
        }
        assert_eq!(cookie.attempt(later(11)), Attempt::Begin(1));
    }

    #[test]
    fn a_count_from_the_future_is_old() {
        let ahead = Bind::random(&SystemRandom).completed(9, later(1000));
        assert_eq!(ahead.attempt(NOW), Attempt::Begin(0));
        assert_eq!(ahead.attempt(later(1000)), Attempt::Loop);
    }

    #[test]
    fn the_browser_is_known_by_the_digest_alone() {
        let (a, b) = (Bind::random(&SystemRandom), Bind::random(&SystemRandom));
        assert!(a.matches(&a.digest()));
        assert!(!a.matches(&b.digest()));
        assert!(!format!("{a:?}").contains(&a.value()));
        assert_eq!(a.digest(), a.completed(1, NOW).digest(), "counting keeps the browser");
    }

    proptest! {
        #[test]
        fn values_survive_the_cookie(secret: [u8; 16], count: u8, millis in 0..1_i64 << 48) {
            let bind = Bind { secret, hand_overs: count, since: Timestamp::from_unix_millis(millis) };
            let read = Bind::parse(&bind.value()).unwrap();
            prop_assert_eq!(bind.value().len(), 32);
            prop_assert_eq!((read.secret, read.hand_overs, read.since), (bind.secret, bind.hand_overs, bind.since));
        }

        #[test]
        fn other_texts_are_no_bind_cookie(value in "[ -~]{0,40}") {
            if let Some(read) = Bind::parse(&value) {
                prop_assert_eq!(read.value(), value, "one spelling only");
            }
        }
    }
}
