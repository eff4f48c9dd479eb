//! The OAuth `state` of one sign-in: all that is known between here and the provider's callback.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use portcullis_handover::Bind;
use portcullis_identity::{ProviderName, Timestamp};
use portcullis_keys::{FlowKeys, Random};

/// How long a person may take at their provider.
pub(crate) const STATE_LIFETIME: Duration = Duration::from_secs(600);
/// How far our own hosts' clocks may be apart.
const LEEWAY: Duration = Duration::from_secs(5);
const VERSION: u8 = 1;

/// A sign-in under way. Sealed for the sign-in host, it travels through browser and provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Flow {
    /// The sealed request of the host that asked; `None`: the sign-in is for the sign-in host itself.
    pub(crate) request: Option<String>,
    /// The provider the browser was sent to.
    pub(crate) provider: ProviderName,
    /// What makes this sign-in's verifier and nonce its own.
    pub(crate) txn: [u8; 16],
    /// SHA-256 of the browser's bind cookie on the sign-in host.
    pub(crate) bind: [u8; 32],
    /// When the browser was sent to the provider.
    pub(crate) issued: Timestamp,
}

/// Whether a state may still be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Age {
    /// It may.
    Current,
    /// It is too old, or from a future that no clock of ours explains.
    Stale,
}

/// The values that tie a callback to one browser and one sign-in.
pub(crate) struct Proofs {
    pub(crate) verifier: String,
    pub(crate) nonce: String,
}

impl Flow {
    pub(crate) fn seal(&self, keys: &FlowKeys, receiver: &str, random: &dyn Random) -> Option<String> {
        let Self { request, provider, txn, bind, issued } = self;
        // The request is base64url of bytes: carried as those bytes, it does not grow twice.
        let request = request.as_deref().map(|text| BASE64_URL_SAFE_NO_PAD.decode(text)).transpose().ok()?;
        let name = provider.as_str().as_bytes();
        let mut plain = vec![VERSION];
        plain.extend_from_slice(&issued.unix_millis().to_be_bytes());
        plain.extend_from_slice(txn);
        plain.extend_from_slice(bind);
        plain.extend_from_slice(&u16::try_from(name.len()).ok()?.to_be_bytes());
        plain.extend_from_slice(name);
        if let Some(request) = request {
            plain.push(1);
            plain.extend_from_slice(&request);
        } else {
            plain.push(0);
        }
        Some(keys.seal(receiver, &plain, random))
    }

    /// What a state says, and whether it is still current; `None` if it is not one of ours.
    pub(crate) fn open(text: &str, keys: &FlowKeys, receiver: &str, now: Timestamp) -> Option<(Self, Age)> {
        let plain = keys.open(receiver, text).ok()?;
        let flow = Self::read(&plain)?;
        let from_future = flow.issued > now.saturating_add(LEEWAY);
        let over = now.since(flow.issued) > STATE_LIFETIME.saturating_add(LEEWAY);
        let age = if from_future || over { Age::Stale } else { Age::Current };
        Some((flow, age))
    }

    fn read(plain: &[u8]) -> Option<Self> {
        let (version, rest) = plain.split_first()?;
        let (issued, rest) = rest.split_first_chunk::<8>()?;
        let (txn, rest) = rest.split_first_chunk::<16>()?;
        let (bind, rest) = rest.split_first_chunk::<32>()?;
        let (length, rest) = rest.split_first_chunk::<2>()?;
        let (name, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        let (has_request, request) = rest.split_first()?;
        let request = match (has_request, request) {
            (0, []) => None,
            (1, bytes) => Some(BASE64_URL_SAFE_NO_PAD.encode(bytes)),
            _ => return None,
        };
        (*version == VERSION).then_some(())?;
        Some(Self {
            request,
            provider: ProviderName::new(std::str::from_utf8(name).ok()?),
            txn: *txn,
            bind: *bind,
            issued: Timestamp::from_unix_millis(i64::from_be_bytes(*issued)),
        })
    }
}

impl Proofs {
    /// For the authorization request: by the key that seals now.
    pub(crate) fn now(keys: &FlowKeys, bind: &Bind, txn: &[u8; 16]) -> Self {
        let value = |label| BASE64_URL_SAFE_NO_PAD.encode(keys.derive(bind.secret(), txn, label));
        Self { verifier: value("verifier"), nonce: value("nonce") }
    }

    /// For the callback: by the key that sealed its state, which may have been replaced since.
    pub(crate) fn of_state(keys: &FlowKeys, state: &str, bind: &Bind, txn: &[u8; 16]) -> Option<Self> {
        let value =
            |label| keys.derive_for(state, bind.secret(), txn, label).map(|bytes| BASE64_URL_SAFE_NO_PAD.encode(bytes));
        Some(Self { verifier: value("verifier")?, nonce: value("nonce")? })
    }
}

#[cfg(test)]
mod tests {
    use portcullis_keys::{KeyRing, SystemRandom};

    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_700_000_000);

    fn flow(request: Option<&str>) -> Flow {
        Flow {
            request: request.map(ToOwned::to_owned),
            provider: ProviderName::new("corp"),
            txn: [7; 16],
            bind: [8; 32],
            issued: NOW,
        }
    }

    #[test]
    fn a_state_survives_the_round_trip_and_says_its_age() {
        let keys = KeyRing::generate(&SystemRandom).0.flow().unwrap();
        for request in [None, Some("c2VhbGVk"), Some("")] {
            let flow = flow(request);
            let state = flow.seal(&keys, "auth.test", &SystemRandom).unwrap();
            let at = |seconds| Flow::open(&state, &keys, "auth.test", NOW.saturating_add(Duration::from_secs(seconds)));
            assert_eq!(at(600), Some((flow.clone(), Age::Current)));
            assert_eq!(at(606), Some((flow.clone(), Age::Stale)));
            let early = NOW.saturating_sub(Duration::from_secs(6));
            assert_eq!(Flow::open(&state, &keys, "auth.test", early), Some((flow, Age::Stale)));
        }
    }

    #[test]
    fn a_state_opens_nowhere_else_and_not_after_a_change() {
        let keys = KeyRing::generate(&SystemRandom).0.flow().unwrap();
        let state = flow(None).seal(&keys, "auth.test", &SystemRandom).unwrap();
        assert!(Flow::open(&state, &keys, "auth.test", NOW).is_some());
        assert!(Flow::open(&state, &keys, "other.test", NOW).is_none());
        let mut changed = state.clone().into_bytes();
        changed[40] ^= 1;
        assert!(Flow::open(&String::from_utf8(changed).unwrap(), &keys, "auth.test", NOW).is_none());
        let others = KeyRing::generate(&SystemRandom).0.flow().unwrap();
        assert!(Flow::open(&state, &others, "auth.test", NOW).is_none());
    }
}
