//! Between wire messages and our own nouns, every field named; a bad value is an error, never a default.

use std::sync::Arc;
use std::time::Duration;

use portcullis_identity::{
    Claims, ClaimsError, Group, Groups, MAX_CLAIMS_BYTES, Principal, ProviderName, SecretText, Session, SessionKey,
    Subject, Timestamp,
};

use super::generated as wire;
use crate::{EndReason, EndSelector, Ended, LogoutHint, NewSession, Profile, RecordError, Tokens};

/// The longest text of a name, an address or an id; claims have their own bound.
const MAX_TEXT_BYTES: usize = 4 * 1024;
/// The longest token.
const MAX_TOKEN_BYTES: usize = 64 * 1024;
/// The most groups of one subject.
const MAX_GROUPS: usize = 4096;

/// Why a message is not of this protocol.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// A field that every such message has is not there.
    #[error("field `{field}` is missing")]
    Missing {
        /// Its name in the protocol.
        field: &'static str,
    },
    /// A field is too long, too short, or not one of its values.
    #[error("field `{field}` is out of range")]
    OutOfRange {
        /// Its name in the protocol.
        field: &'static str,
    },
    /// The claims are too large or not an object.
    #[error("claims of a session")]
    Claims(#[source] ClaimsError),
    /// Something is no record.
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// A session key from 32 bytes.
///
/// # Errors
/// [`WireError::OutOfRange`] for any other length.
pub fn key(bytes: &[u8]) -> Result<SessionKey, WireError> {
    bytes.try_into().map(SessionKey::from_bytes).map_err(|_| WireError::OutOfRange { field: "key" })
}

/// A fixed-size id.
///
/// # Errors
/// [`WireError::OutOfRange`] naming `field` for any other length.
pub fn id<const N: usize>(bytes: &[u8], field: &'static str) -> Result<[u8; N], WireError> {
    bytes.try_into().map_err(|_| WireError::OutOfRange { field })
}

/// The message that asks for a session.
#[must_use]
pub fn create_request(new: &NewSession) -> wire::CreateRequest {
    let message = session_message(new, Timestamp::EPOCH);
    wire::CreateRequest { session: Some(message), tokens: Some(tokens_message(&new.tokens)) }
}

/// The session that a message asks for.
///
/// # Errors
/// Any [`WireError`]; claims are parsed here, so that what is stored can be read.
pub fn new_session(request: wire::CreateRequest) -> Result<NewSession, WireError> {
    let wire::CreateRequest { session: message, tokens: held } = request;
    let message = message.ok_or(WireError::Missing { field: "session" })?;
    let held = tokens(held.ok_or(WireError::Missing { field: "tokens" })?)?;
    let wire::Session {
        key: bytes,
        version: _,
        principal,
        provider,
        provider_session,
        profile,
        claims,
        authenticated_at,
        acr,
        last_used: _,
        expires_at,
        idle,
        // What is made of another session is asked for by `Derive`.
        parent: _,
        host: _,
    } = message;
    if claims.len() > MAX_CLAIMS_BYTES {
        return Err(WireError::Claims(ClaimsError::TooLarge { bytes: claims.len() }));
    }
    Claims::from_json(&claims).map_err(WireError::Claims)?;
    Ok(NewSession {
        key: key(&bytes)?,
        principal: principal_of(principal)?,
        provider: provider_name(&provider)?,
        provider_session: optional_text(provider_session, "provider_session")?,
        profile: profile_of(profile)?,
        claims_json: claims,
        authenticated_at: Timestamp::from_unix_millis(authenticated_at),
        acr: optional_text(acr, "acr")?,
        expires_at: Timestamp::from_unix_millis(expires_at),
        idle: idle.map(Duration::from_millis),
        tokens: held,
    })
}

/// A session as it is stored and sent, without its tokens; the version is the store's to give.
#[must_use]
pub fn session_message(new: &NewSession, last_used: Timestamp) -> wire::Session {
    let NewSession {
        key: digest,
        principal,
        provider,
        provider_session,
        profile,
        claims_json,
        authenticated_at,
        acr,
        expires_at,
        idle,
        tokens: _,
    } = new;
    wire::Session {
        key: digest.as_bytes().to_vec(),
        version: 0,
        principal: Some(principal_message(principal)),
        provider: provider.as_str().to_owned(),
        provider_session: provider_session.as_deref().map(str::to_owned),
        profile: Some(profile_message(profile)),
        claims: claims_json.clone(),
        authenticated_at: authenticated_at.unix_millis(),
        acr: acr.as_deref().map(str::to_owned),
        last_used: last_used.unix_millis(),
        expires_at: expires_at.unix_millis(),
        idle: idle.map(|pause| u64::try_from(pause.as_millis()).unwrap_or(u64::MAX)),
        parent: None,
        host: None,
    }
}

/// The session of a message.
///
/// # Errors
/// Any [`WireError`].
pub fn session(message: wire::Session) -> Result<Session, WireError> {
    let wire::Session {
        key: bytes,
        version,
        principal,
        provider,
        provider_session,
        profile,
        claims,
        authenticated_at,
        acr,
        last_used,
        expires_at,
        idle,
        // What a session may does not depend on them.
        parent: _,
        host: _,
    } = message;
    let Profile { user_id, email, name, groups } = profile_of(profile)?;
    let claims = Claims::from_json(&claims).map_err(WireError::Claims)?;
    Ok(Session {
        key: key(&bytes)?,
        version,
        principal: principal_of(principal)?,
        provider: provider_name(&provider)?,
        provider_session: optional_text(provider_session, "provider_session")?,
        subject: Subject { user_id, email, name, claims, groups, devices: Arc::default() },
        authenticated_at: Timestamp::from_unix_millis(authenticated_at),
        acr: optional_text(acr, "acr")?,
        last_used: Timestamp::from_unix_millis(last_used),
        expires_at: Timestamp::from_unix_millis(expires_at),
        idle: idle.map(Duration::from_millis),
    })
}

/// The tokens of a message.
///
/// # Errors
/// [`WireError::OutOfRange`] for a token of more than 64 KiB.
pub fn tokens(message: wire::Tokens) -> Result<Tokens, WireError> {
    let wire::Tokens { access_token, refresh_token, id_token, expires_at } = message;
    Ok(Tokens {
        access_token: secret(access_token, "access_token")?,
        refresh_token: secret(refresh_token, "refresh_token")?,
        id_token: secret(id_token, "id_token")?,
        expires_at: expires_at.map(Timestamp::from_unix_millis),
    })
}

/// The message of tokens.
#[must_use]
pub fn tokens_message(tokens: &Tokens) -> wire::Tokens {
    let Tokens { access_token, refresh_token, id_token, expires_at } = tokens;
    wire::Tokens {
        access_token: exposed(access_token.as_ref()),
        refresh_token: exposed(refresh_token.as_ref()),
        id_token: exposed(id_token.as_ref()),
        expires_at: expires_at.map(Timestamp::unix_millis),
    }
}

/// The message that ends sessions.
#[must_use]
pub fn end_request(selector: EndSelector, reason: EndReason) -> wire::EndRequest {
    use wire::end_request::Selector;
    let selector = match selector {
        EndSelector::Key(digest) => Selector::Key(digest.as_bytes().to_vec()),
        EndSelector::Principal(principal) => Selector::Principal(principal_message(&principal)),
        EndSelector::ProviderSession { issuer, id } => {
            Selector::ProviderSession(wire::ProviderSession { issuer: (*issuer).to_owned(), id: (*id).to_owned() })
        }
        EndSelector::User(user) => Selector::User((*user).to_owned()),
    };
    wire::EndRequest { reason: reason_message(reason).into(), selector: Some(selector) }
}

/// Which sessions a message ends, and why.
///
/// # Errors
/// A [`WireError`]; an empty user or `sid` is one, for it would select strangers.
pub fn end_selector(request: wire::EndRequest) -> Result<(EndSelector, EndReason), WireError> {
    use wire::end_request::Selector;
    let wire::EndRequest { reason, selector } = request;
    let reason = end_reason(reason)?;
    let selector = match selector.ok_or(WireError::Missing { field: "selector" })? {
        Selector::Key(bytes) => EndSelector::Key(key(&bytes)?),
        Selector::Principal(principal) => EndSelector::Principal(principal_of(Some(principal))?),
        Selector::ProviderSession(wire::ProviderSession { issuer, id }) => {
            EndSelector::ProviderSession { issuer: required_text(issuer, "issuer")?, id: required_text(id, "id")? }
        }
        Selector::User(user) => EndSelector::User(required_text(user, "user")?),
    };
    Ok((selector, reason))
}

/// The reason that a number stands for.
///
/// # Errors
/// [`WireError::OutOfRange`] for 0 and for numbers nobody gave a meaning.
pub fn end_reason(number: i32) -> Result<EndReason, WireError> {
    match wire::EndReason::try_from(number) {
        Ok(wire::EndReason::SignedOut) => Ok(EndReason::SignedOut),
        Ok(wire::EndReason::Provider) => Ok(EndReason::Provider),
        Ok(wire::EndReason::Revoked) => Ok(EndReason::Revoked),
        Ok(wire::EndReason::Replaced) => Ok(EndReason::Replaced),
        Ok(wire::EndReason::Expired) => Ok(EndReason::Expired),
        Ok(wire::EndReason::Unspecified) | Err(_) => Err(WireError::OutOfRange { field: "reason" }),
    }
}

/// The number of a reason.
#[must_use]
pub const fn reason_message(reason: EndReason) -> wire::EndReason {
    match reason {
        EndReason::SignedOut => wire::EndReason::SignedOut,
        EndReason::Provider => wire::EndReason::Provider,
        EndReason::Revoked => wire::EndReason::Revoked,
        EndReason::Replaced => wire::EndReason::Replaced,
        EndReason::Expired => wire::EndReason::Expired,
    }
}

/// One ended session of a message.
///
/// # Errors
/// Any [`WireError`].
pub fn ended(message: wire::Ended) -> Result<Ended, WireError> {
    let wire::Ended { key: bytes, logout } = message;
    let logout = match logout {
        None => None,
        Some(wire::LogoutHint { provider, id_token, access_token }) => Some(LogoutHint {
            provider: provider_name(&provider)?,
            id_token: secret(id_token, "id_token")?,
            access_token: secret(access_token, "access_token")?,
        }),
    };
    Ok(Ended { key: key(&bytes)?, logout })
}

/// The message of an ended session.
#[must_use]
pub fn ended_message(ended: &Ended) -> wire::Ended {
    let Ended { key: digest, logout } = ended;
    let logout = logout.as_ref().map(|LogoutHint { provider, id_token, access_token }| wire::LogoutHint {
        provider: provider.as_str().to_owned(),
        id_token: exposed(id_token.as_ref()),
        access_token: exposed(access_token.as_ref()),
    });
    wire::Ended { key: digest.as_bytes().to_vec(), logout }
}

/// A secret of bounded length.
///
/// # Errors
/// [`WireError::OutOfRange`] beyond 64 KiB.
pub fn secret(text: Option<String>, field: &'static str) -> Result<Option<SecretText>, WireError> {
    match text {
        Some(text) if text.len() > MAX_TOKEN_BYTES => Err(WireError::OutOfRange { field }),
        Some(text) => Ok(Some(SecretText::new(text))),
        None => Ok(None),
    }
}

fn exposed(secret: Option<&SecretText>) -> Option<String> {
    secret.map(|secret| secret.expose().to_owned())
}

fn principal_message(principal: &Principal) -> wire::Principal {
    let Principal { issuer, subject } = principal;
    wire::Principal { issuer: (**issuer).to_owned(), subject: (**subject).to_owned() }
}

fn principal_of(message: Option<wire::Principal>) -> Result<Principal, WireError> {
    let wire::Principal { issuer, subject } = message.ok_or(WireError::Missing { field: "principal" })?;
    Ok(Principal { issuer: required_text(issuer, "issuer")?, subject: required_text(subject, "subject")? })
}

/// Whether a session can carry this.
///
/// # Errors
/// Any [`WireError`].
pub fn check_facts(profile: &Profile, claims_json: &str) -> Result<(), WireError> {
    profile_of(Some(profile_message(profile)))?;
    Claims::from_json(claims_json).map(drop).map_err(WireError::Claims)
}

/// The message of a profile.
#[must_use]
pub fn profile_message(profile: &Profile) -> wire::Profile {
    let Profile { user_id, email, name, groups } = profile;
    let groups = groups
        .as_deref()
        .map(|groups| wire::Groups { group: groups.iter().map(|group| group_message(group)).collect() });
    wire::Profile { user_id: (**user_id).to_owned(), email: (**email).to_owned(), name: (**name).to_owned(), groups }
}

fn group_message(group: &Group) -> wire::Group {
    let Group { id, name, email } = group;
    wire::Group { id: (**id).to_owned(), name: (**name).to_owned(), email: (**email).to_owned() }
}

fn profile_of(message: Option<wire::Profile>) -> Result<Profile, WireError> {
    let wire::Profile { user_id, email, name, groups } = message.ok_or(WireError::Missing { field: "profile" })?;
    let groups = match groups {
        None => None,
        Some(wire::Groups { group }) if group.len() > MAX_GROUPS => {
            return Err(WireError::OutOfRange { field: "groups" });
        }
        Some(wire::Groups { group }) => Some(group.into_iter().map(group_of).collect::<Result<Groups, _>>()?),
    };
    Ok(Profile { user_id: text(user_id, "user_id")?, email: text(email, "email")?, name: text(name, "name")?, groups })
}

fn group_of(message: wire::Group) -> Result<Group, WireError> {
    let wire::Group { id, name, email } = message;
    Ok(Group {
        id: required_text(id, "group.id")?,
        name: text(name, "group.name")?,
        email: text(email, "group.email")?,
    })
}

fn provider_name(name: &str) -> Result<ProviderName, WireError> {
    if name.is_empty() || name.len() > MAX_TEXT_BYTES {
        return Err(WireError::OutOfRange { field: "provider" });
    }
    Ok(ProviderName::new(name))
}

pub(super) fn optional_text(value: Option<String>, field: &'static str) -> Result<Option<Arc<str>>, WireError> {
    value.map(|value| text(value, field)).transpose()
}

pub(super) fn required_text(value: String, field: &'static str) -> Result<Arc<str>, WireError> {
    if value.is_empty() {
        return Err(WireError::OutOfRange { field });
    }
    text(value, field)
}

fn text(value: String, field: &'static str) -> Result<Arc<str>, WireError> {
    if value.len() > MAX_TEXT_BYTES {
        return Err(WireError::OutOfRange { field });
    }
    Ok(value.into())
}
