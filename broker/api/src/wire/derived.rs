//! Sessions that were made of another one.

use portcullis_identity::{DerivedSession, SessionKey, Timestamp};

use super::convert::{WireError, key, optional_text, required_text};
use super::generated as wire;

/// What a session is to be made of, its key, and the host that it is for.
///
/// # Errors
/// A [`WireError`]; no host is one.
pub fn derive_request(
    request: wire::DeriveRequest,
) -> Result<(SessionKey, SessionKey, std::sync::Arc<str>), WireError> {
    let wire::DeriveRequest { parent, key: bytes, host } = request;
    Ok((key(&parent)?, key(&bytes)?, required_text(host, "host")?))
}

/// The session of a message.
///
/// # Errors
/// A [`WireError`].
pub(crate) fn derived(message: wire::DerivedSession) -> Result<DerivedSession, WireError> {
    let wire::DerivedSession { key: bytes, host, made_at, last_used } = message;
    Ok(DerivedSession {
        key: key(&bytes)?,
        host: optional_text(host, "host")?,
        made_at: Timestamp::from_unix_millis(made_at),
        last_used: Timestamp::from_unix_millis(last_used),
    })
}
