//! The messages and their sealed form.

use std::fmt;
use std::time::Duration;

use portcullis_identity::{Needs, ProviderName, SessionKey, Timestamp};
use portcullis_keys::{Handle, Random, SealError, SealKeys};
use zeroize::Zeroizing;

use crate::codec::{Flag, Reader, Writer};
use crate::{MAX_RETURN_PATH, ReturnPath};

/// How far the clocks of two of our hosts may be apart.
pub const LEEWAY: Duration = Duration::from_secs(5);

const VERSION: u8 = 1;
/// The longest host name that DNS has (RFC 1035 2.3.4).
const MAX_HOST: usize = 253;
/// A provider's name or a context class.
const MAX_NAME: usize = 512;
const MAX_PROGRAMMATIC: usize = 2048;

/// "Sign this browser in": from a route host to the sign-in host, in `r=`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignInRequest {
    /// The canonical route host that asks.
    pub host: String,
    /// Where on it the browser goes in the end.
    pub return_path: ReturnPath,
    /// What the session must meet.
    pub needs: Needs,
    /// SHA-256 of the browser's bind cookie on `host`.
    pub bind: [u8; 32],
    /// When it was asked.
    pub issued: Timestamp,
    /// The number of hand-overs in a row before this, see [`crate::Bind::attempt`].
    pub attempt: u8,
    /// Let the person choose another account (`prompt=select_account`).
    pub fresh_account: bool,
    /// For a programmatic sign-in: where a local program waits for its credential. The asker has compared it
    /// with the configured hosts.
    pub programmatic: Option<String>,
}

/// "Here is the session": from the sign-in host to the route host, in `h=`. Redeemed once.
#[derive(Clone)]
pub struct HandOver {
    /// The route host it is for, and its receiver.
    pub host: String,
    /// The session's handle.
    pub handle: Handle,
    /// Where on `host` the browser goes now.
    pub return_path: ReturnPath,
    /// SHA-256 of the browser's bind cookie on `host`.
    pub bind: [u8; 32],
    /// What makes it usable once.
    pub id: [u8; 16],
    /// When it was made.
    pub issued: Timestamp,
    /// The number of the request it answers, for [`crate::Bind::completed`].
    pub attempt: u8,
}

/// "End this session everywhere": from a route host to the sign-in host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignOutOrder {
    /// The canonical route host that asks.
    pub host: String,
    /// The session.
    pub session: SessionKey,
    /// Where on `host` the browser goes afterwards; `None`: the signed-out page.
    pub return_to: Option<ReturnPath>,
    /// When it was asked.
    pub issued: Timestamp,
}

/// Why a message is not acted upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandoverError {
    /// Not a sealed message at all, or one of another kind or version.
    #[error("not a message of this kind")]
    Malformed,
    /// Changed, made for another receiver, or sealed with a key that is gone.
    #[error("seal of the message does not match")]
    Forged,
    /// Older than its kind may be.
    #[error("message is {} s old", age.as_secs())]
    Expired {
        /// Its age.
        age: Duration,
    },
    /// Made later than [`LEEWAY`] from now: two clocks disagree.
    #[error("message was made {} s from now", ahead.as_secs())]
    NotYet {
        /// How far ahead.
        ahead: Duration,
    },
}

impl SignInRequest {
    /// How long it opens.
    pub const LIFETIME: Duration = Duration::from_secs(600);

    /// Seals it for the sign-in host.
    #[must_use]
    pub fn seal(&self, keys: &SealKeys, sign_in_host: &str, random: &dyn Random) -> String {
        let Self { host, return_path, needs, bind, issued, attempt, fresh_account, programmatic } = self;
        let Needs { providers, max_age, acr } = needs;
        let age = max_age.map_or(-1, |age| i64::try_from(age.as_secs()).unwrap_or(i64::MAX));
        let plain = Kind::SignInRequest
            .writer(*issued)
            .text(host)
            .text(return_path.as_str())
            .texts(providers.iter().map(ProviderName::as_str))
            .integer(age)
            .texts(acr.iter().map(|class| &**class))
            .bytes(bind)
            .byte(*attempt)
            .flag(Flag(*fresh_account))
            .optional_text(programmatic.as_deref())
            .finish();
        keys.seal(sign_in_host, &plain, random)
    }

    /// Opens it at the sign-in host, at most 10 minutes after it was made.
    ///
    /// # Errors
    /// [`HandoverError`]; nothing of the message is known then.
    pub fn open(sealed: &str, keys: &SealKeys, sign_in_host: &str, now: Timestamp) -> Result<Self, HandoverError> {
        let (issued, plain) = unseal(sealed, keys, sign_in_host, Kind::SignInRequest)?;
        let request = Self::read(issued, &plain).ok_or(HandoverError::Malformed)?;
        judge_age(issued, Self::LIFETIME, now)?;
        Ok(request)
    }

    fn read(issued: Timestamp, plain: &[u8]) -> Option<Self> {
        let mut reader = Kind::body(plain)?;
        let request = Self {
            issued,
            host: reader.text(MAX_HOST)?.to_owned(),
            return_path: ReturnPath::new(reader.text(MAX_RETURN_PATH)?).ok()?,
            needs: Needs {
                providers: reader.texts(MAX_NAME)?.into_iter().map(ProviderName::new).collect(),
                max_age: match reader.integer()? {
                    -1 => None,
                    seconds => Some(Duration::from_secs(u64::try_from(seconds).ok()?)),
                },
                acr: reader.texts(MAX_NAME)?.into(),
            },
            bind: reader.array()?,
            attempt: reader.byte()?,
            fresh_account: reader.flag()?,
            programmatic: reader.optional_text(MAX_PROGRAMMATIC)?.map(str::to_owned),
        };
        reader.end()?;
        Some(request)
    }
}

impl HandOver {
    /// How long it opens.
    pub const LIFETIME: Duration = Duration::from_secs(60);

    /// Seals it for its `host`.
    #[must_use]
    pub fn seal(&self, keys: &SealKeys, random: &dyn Random) -> String {
        let Self { host, handle, return_path, bind, id, issued, attempt } = self;
        let writer = Kind::HandOver.writer(*issued).text(host).bytes(handle.expose()).text(return_path.as_str());
        let plain = Zeroizing::new(writer.bytes(bind).bytes(id).byte(*attempt).finish());
        keys.seal(host, &plain, random)
    }

    /// Opens it at the route host, at most a minute after it was made. The caller compares `bind` with the
    /// browser's cookie and redeems `id` with the broker.
    ///
    /// # Errors
    /// [`HandoverError`]; nothing of the message is known then.
    pub fn open(sealed: &str, keys: &SealKeys, host: &str, now: Timestamp) -> Result<Self, HandoverError> {
        let (issued, plain) = unseal(sealed, keys, host, Kind::HandOver)?;
        let hand_over = Self::read(issued, &plain).ok_or(HandoverError::Malformed)?;
        // The receiver is sealed in beside the text; the text says it again, and both must agree.
        if hand_over.host != host {
            return Err(HandoverError::Forged);
        }
        judge_age(issued, Self::LIFETIME, now)?;
        Ok(hand_over)
    }

    /// When its `id` may be forgotten: it opens nowhere any more.
    #[must_use]
    pub fn until(&self) -> Timestamp {
        self.issued.saturating_add(Self::LIFETIME).saturating_add(LEEWAY).saturating_add(LEEWAY)
    }

    fn read(issued: Timestamp, plain: &[u8]) -> Option<Self> {
        let mut reader = Kind::body(plain)?;
        let hand_over = Self {
            issued,
            host: reader.text(MAX_HOST)?.to_owned(),
            handle: Handle::from_bytes(reader.array()?),
            return_path: ReturnPath::new(reader.text(MAX_RETURN_PATH)?).ok()?,
            bind: reader.array()?,
            id: reader.array()?,
            attempt: reader.byte()?,
        };
        reader.end()?;
        Some(hand_over)
    }
}

impl fmt::Debug for HandOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandOver").field("host", &self.host).field("issued", &self.issued).finish_non_exhaustive()
    }
}

impl SignOutOrder {
    /// How long it opens.
    pub const LIFETIME: Duration = Duration::from_secs(60);

    /// Seals it for the sign-in host.
    #[must_use]
    pub fn seal(&self, keys: &SealKeys, sign_in_host: &str, random: &dyn Random) -> String {
        let Self { host, session, return_to, issued } = self;
        let writer = Kind::SignOutOrder.writer(*issued).text(host).bytes(session.as_bytes());
        let plain = writer.optional_text(return_to.as_ref().map(ReturnPath::as_str)).finish();
        keys.seal(sign_in_host, &plain, random)
    }

    /// Opens it at the sign-in host, at most a minute after it was made.
    ///
    /// # Errors
    /// [`HandoverError`]; nothing of the message is known then.
    pub fn open(sealed: &str, keys: &SealKeys, sign_in_host: &str, now: Timestamp) -> Result<Self, HandoverError> {
        let (issued, plain) = unseal(sealed, keys, sign_in_host, Kind::SignOutOrder)?;
        let order = Self::read(issued, &plain).ok_or(HandoverError::Malformed)?;
        judge_age(issued, Self::LIFETIME, now)?;
        Ok(order)
    }

    fn read(issued: Timestamp, plain: &[u8]) -> Option<Self> {
        let mut reader = Kind::body(plain)?;
        let order = Self {
            issued,
            host: reader.text(MAX_HOST)?.to_owned(),
            session: SessionKey::from_bytes(reader.array()?),
            return_to: match reader.optional_text(MAX_RETURN_PATH)? {
                None => None,
                Some(text) => Some(ReturnPath::new(text).ok()?),
            },
        };
        reader.end()?;
        Some(order)
    }
}

/// Which message it is: two of them have the same receiver and key.
#[derive(Clone, Copy)]
enum Kind {
    SignInRequest,
    HandOver,
    SignOutOrder,
}

impl Kind {
    /// version, kind, `issued`.
    const HEAD: usize = 2 + 8;

    const fn tag(self) -> u8 {
        match self {
            Self::SignInRequest => b'r',
            Self::HandOver => b'h',
            Self::SignOutOrder => b'o',
        }
    }

    fn writer(self, issued: Timestamp) -> Writer {
        Writer::default().byte(VERSION).byte(self.tag()).integer(issued.unix_millis())
    }

    fn issued(self, plain: &[u8]) -> Option<Timestamp> {
        let mut reader = Reader::new(plain);
        let ours = reader.byte()? == VERSION && reader.byte()? == self.tag();
        let issued = Timestamp::from_unix_millis(reader.integer()?);
        ours.then_some(issued)
    }

    fn body(plain: &[u8]) -> Option<Reader<'_>> {
        plain.get(Self::HEAD..).map(Reader::new)
    }
}

/// What is under the seal, and when it was made.
fn unseal(
    sealed: &str,
    keys: &SealKeys,
    receiver: &str,
    kind: Kind,
) -> Result<(Timestamp, Zeroizing<Vec<u8>>), HandoverError> {
    let opened = keys.open(receiver, sealed).map_err(|error| match error {
        SealError::Malformed => HandoverError::Malformed,
        SealError::UnknownKey | SealError::Forged => HandoverError::Forged,
    });
    let plain = Zeroizing::new(opened?);
    let issued = kind.issued(&plain).ok_or(HandoverError::Malformed)?;
    Ok((issued, plain))
}

fn judge_age(issued: Timestamp, lifetime: Duration, now: Timestamp) -> Result<(), HandoverError> {
    let (age, ahead) = (now.since(issued), issued.since(now));
    if ahead > LEEWAY {
        return Err(HandoverError::NotYet { ahead });
    }
    if age > lifetime.saturating_add(LEEWAY) {
        return Err(HandoverError::Expired { age });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
