//! Sealing of what is at rest: a value opens only with a key of the ring, as its kind, under its own id.

use std::fmt::Write as _;
use std::sync::Arc;

use arc_swap::ArcSwap;
use portcullis_broker_api::wire::{WireError, generated as proto};
use portcullis_broker_api::{LogoutHint, NewRecord, NewSession, Tokens, wire};
use portcullis_identity::{SessionKey, Timestamp};
use portcullis_keys::{KeyId, Random, SealError, SealKeys};
use prost::Message;

use crate::records::Row;
use crate::storage::{Kind, OpenError};

/// The form of a sealed record's text.
const FORMAT: u8 = 1;

/// The `store` keys with the randomness they need.
#[derive(Debug)]
pub(crate) struct Vault {
    keys: ArcSwap<SealKeys>,
    random: Arc<dyn Random>,
}

/// Why a sealed record gave nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VaultError {
    /// The key ring lost the key.
    #[error("sealed with key `{0}`, which the key ring does not hold")]
    UnknownKey(KeyId),
    /// The seal is broken.
    #[error("sealed record of kind `{kind}` does not open")]
    Sealed {
        kind: &'static str,
        #[source]
        source: SealError,
    },
    /// The text is of another form.
    #[error("record of kind `{kind}` is malformed")]
    Malformed { kind: &'static str },
    /// The message is not of our protocol.
    #[error(transparent)]
    Wire(#[from] WireError),
}

impl Vault {
    pub(crate) fn new(keys: SealKeys, random: Arc<dyn Random>) -> Self {
        Self { keys: ArcSwap::from_pointee(keys), random }
    }

    /// Seals and opens with these from now on.
    pub(crate) fn set_keys(&self, keys: SealKeys) {
        self.keys.store(Arc::new(keys));
    }

    /// The keys that seal and open now.
    pub(crate) fn keys(&self) -> Arc<SealKeys> {
        self.keys.load_full()
    }

    pub(crate) fn seal_session(&self, new: &NewSession, last_used: Timestamp) -> Vec<u8> {
        self.seal(Kind::Session, new.key.as_bytes(), &wire::session_message(new, last_used))
    }

    /// A session that was opened before, with what has changed.
    pub(crate) fn reseal_session(&self, key: &SessionKey, session: &proto::Session) -> Vec<u8> {
        self.seal(Kind::Session, key.as_bytes(), session)
    }

    pub(crate) fn seal_tokens(&self, key: &SessionKey, tokens: &Tokens) -> Vec<u8> {
        self.seal(Kind::Tokens, key.as_bytes(), &wire::tokens_message(tokens))
    }

    pub(crate) fn seal_farewell(&self, key: &SessionKey, hint: &LogoutHint) -> Vec<u8> {
        let ended = portcullis_broker_api::Ended { key: *key, logout: Some(hint.clone()) };
        self.seal(Kind::Farewell, key.as_bytes(), &wire::ended_message(&ended))
    }

    /// A session as proxies get it, version and last use apart.
    pub(crate) fn open_session(&self, key: &SessionKey, sealed: &[u8]) -> Result<proto::Session, VaultError> {
        self.open(Kind::Session, key.as_bytes(), sealed)
    }

    pub(crate) fn open_tokens(&self, key: &SessionKey, sealed: &[u8]) -> Result<Tokens, VaultError> {
        Ok(wire::tokens(self.open(Kind::Tokens, key.as_bytes(), sealed)?)?)
    }

    pub(crate) fn open_farewell(&self, key: &SessionKey, sealed: &[u8]) -> Result<Option<LogoutHint>, VaultError> {
        Ok(wire::ended(self.open(Kind::Farewell, key.as_bytes(), sealed)?)?.logout)
    }

    /// A row that no record has.
    pub(crate) fn fresh_row(&self) -> Row {
        let mut row = Row::default();
        self.random.fill(&mut row);
        row
    }

    pub(crate) fn seal_record(&self, row: &Row, record: &NewRecord) -> Vec<u8> {
        self.seal(Kind::Record, row, &wire::record_message(record))
    }

    pub(crate) fn open_record(&self, row: &Row, sealed: &[u8]) -> Result<NewRecord, VaultError> {
        let malformed = |_| VaultError::Malformed { kind: Kind::Record.name() };
        wire::record(self.open(Kind::Record, row, sealed)?).map_err(malformed)
    }

    /// The key that seals now.
    pub(crate) fn sealing(&self) -> Option<KeyId> {
        self.keys.load().ids().next()
    }

    /// Whether the key that seals now has sealed this.
    pub(crate) fn is_newest(&self, sealed: &[u8]) -> bool {
        SealKeys::key_of_bytes(sealed).is_some_and(|id| self.sealing() == Some(id))
    }

    fn seal(&self, kind: Kind, key: &[u8], message: &impl Message) -> Vec<u8> {
        let mut plain = Vec::with_capacity(1 + message.encoded_len());
        plain.push(FORMAT);
        plain.append(&mut message.encode_to_vec());
        self.keys.load().seal_bytes(&receiver(kind, key), &plain, &*self.random)
    }

    fn open<M: Message + Default>(&self, kind: Kind, key: &[u8], sealed: &[u8]) -> Result<M, VaultError> {
        let malformed = || VaultError::Malformed { kind: kind.name() };
        let plain = self.keys.load().open_bytes(&receiver(kind, key), sealed).map_err(|source| {
            match (source, SealKeys::key_of_bytes(sealed)) {
                (SealError::UnknownKey, Some(id)) => VaultError::UnknownKey(id),
                _ => VaultError::Sealed { kind: kind.name(), source },
            }
        })?;
        let Some((&FORMAT, message)) = plain.split_first() else { return Err(malformed()) };
        M::decode(message).map_err(|_| malformed())
    }
}

impl From<VaultError> for OpenError {
    fn from(error: VaultError) -> Self {
        match error {
            VaultError::UnknownKey(key) => Self::UnknownKey { key },
            VaultError::Sealed { kind, source } => Self::Unsealable { kind, source },
            VaultError::Malformed { kind } => Self::Storage(crate::storage::StorageError::Malformed { kind }),
            VaultError::Wire(_) => Self::Storage(crate::storage::StorageError::Malformed { kind: "session" }),
        }
    }
}

/// What a record is sealed for: moved to another key or kind, it does not open.
fn receiver(kind: Kind, key: &[u8]) -> String {
    let mut text = String::with_capacity(80);
    text.push_str(kind.name());
    text.push('/');
    for byte in key {
        // Writing to a string cannot fail.
        let _infallible = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use portcullis_identity::ProviderName;
    use portcullis_keys::{KeyRing, SystemRandom};

    use super::*;

    #[test]
    fn a_record_opens_under_its_own_key_and_kind_and_nowhere_else() {
        let ring = KeyRing::generate(&SystemRandom).0;
        let vault = Vault::new(ring.store().unwrap(), Arc::new(SystemRandom));
        let (own, other) = (SessionKey::from_bytes([1; 32]), SessionKey::from_bytes([2; 32]));
        let hint = LogoutHint { provider: ProviderName::new("corp"), id_token: None, access_token: None };
        let mut sealed = vault.seal_farewell(&own, &hint);
        assert_eq!(vault.open_farewell(&own, &sealed).unwrap(), Some(hint));
        assert!(matches!(vault.open_farewell(&other, &sealed), Err(VaultError::Sealed { .. })));
        assert!(matches!(vault.open_tokens(&own, &sealed), Err(VaultError::Sealed { .. })));
        *sealed.last_mut().unwrap() ^= 1;
        assert!(matches!(vault.open_farewell(&own, &sealed), Err(VaultError::Sealed { .. })));
        assert!(matches!(vault.open_farewell(&own, b""), Err(VaultError::Sealed { .. })));
    }
}
