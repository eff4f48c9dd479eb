//! Who the caller is to us: a page, and the same as JSON.

use bytes::Bytes;
use http::{Response, StatusCode};
use portcullis_identity::{ClaimRef, DerivedSession, Session, Subject, Timestamp};
use serde_json::{Value, json};

use crate::caller::Format;
use crate::look::Policy;
use crate::page::UserPage;
use crate::{Caller, moment, response};

/// Claims that speak of a token and not of a person; the page and the document leave them out.
const OF_TOKENS: [&str; 9] = ["iss", "aud", "exp", "iat", "nbf", "jti", "nonce", "at_hash", "c_hash"];

/// Whether the host of the page has a list of sites: hosts of routes have, the sign-in host has not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sites {
    /// The page links to it.
    Listed,
    /// There is none to link to.
    Unlisted,
}

/// The query parameter by which a POST to the user page names the session of a program that it ends.
pub const END_PARAMETER: &str = "end";

/// Shows the session and what was made of it: as a page to a person, as JSON to a program. `programs` is `None` where
/// nobody knows them now.
#[must_use]
pub fn user(
    caller: &Caller<'_>,
    session: &Session,
    programs: Option<&[DerivedSession]>,
    now: Timestamp,
    sites: Sites,
) -> Response<Bytes> {
    match caller.format() {
        Format::Html => {
            let page = UserPage::new(caller, session, programs, now, sites);
            response::html(caller, StatusCode::OK, Policy::Form, page.text())
        }
        Format::Problem | Format::Kubernetes | Format::Grpc => {
            response::typed(caller, StatusCode::OK, "application/json", document(session, programs).to_string())
        }
    }
}

/// The claims that are shown, by name: name and values, as text.
pub(crate) fn shown_claims(session: &Session) -> Vec<(&str, Vec<&str>)> {
    let claims = session.subject.claims.iter().filter(|(name, _)| !OF_TOKENS.contains(name));
    let texts = claims.map(|(name, values)| (name, values.iter().map(ClaimRef::as_text).collect()));
    let mut shown: Vec<(&str, Vec<&str>)> = texts.collect();
    shown.sort_by_key(|(name, _)| *name);
    shown
}

fn document(session: &Session, programs: Option<&[DerivedSession]>) -> Value {
    let Session {
        key,
        version: _,
        principal,
        provider,
        provider_session: _,
        subject,
        authenticated_at,
        acr,
        last_used: _,
        expires_at,
        idle,
    } = session;
    let Subject { user_id, email, name, claims, groups, devices: _ } = subject;
    let mut claims = claims.to_json();
    claims.retain(|name, _| !OF_TOKENS.contains(&name.as_str()));
    let groups: Option<Vec<&str>> = groups.as_ref().map(|groups| groups.iter().map(|group| &*group.id).collect());
    let programs: Option<Vec<Value>> = programs.map(|programs| programs.iter().map(program).collect());
    json!({
        "sub": &*principal.subject,
        "issuer": &*principal.issuer,
        "provider": provider.as_str(),
        "user": &**user_id,
        "email": &**email,
        "name": &**name,
        "groups": groups,
        "claims": claims,
        "session": key.to_string(),
        "authenticated_at": moment::rfc3339(*authenticated_at),
        "expires_at": moment::rfc3339(*expires_at),
        "idle_seconds": idle.map(|idle| idle.as_secs()),
        "acr": acr.as_deref(),
        "programs": programs,
    })
}

fn program(program: &DerivedSession) -> Value {
    let DerivedSession { key, host, made_at, last_used } = program;
    json!({
        "session": key.to_string(),
        "host": host.as_deref(),
        "made_at": moment::rfc3339(*made_at),
        "last_used": moment::rfc3339(*last_used),
    })
}
