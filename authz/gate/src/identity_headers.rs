//! The headers that tell an upstream who asks: which names are ours alone, and what is put there.

use std::borrow::Cow;

use http::{HeaderName, HeaderValue};
use portcullis_config::{Assertion, IssuerFormat, Namespace};
use portcullis_identity::{ClaimRef, Session};

use crate::assertion::base_values;

/// The most bytes a claim header's value may have. A list is cut behind its last whole member, anything else
/// that is longer is sent empty: upstreams commonly refuse heads beyond 8 KiB.
pub const MAX_CLAIM_HEADER_BYTES: usize = 4096;

/// Whether a request header's name is one of ours in any spelling: either namespace's prefix, in any case,
/// with every character that is neither letter nor digit for `-`, and repeated. Servers behind us may read all of
/// these as one name (RFC 3875 §4.1.18 names `-`; its imitators turn whatever fits no variable into `_`), so none
/// of them passes, on any route.
#[must_use]
pub fn is_ours(name: &[u8]) -> bool {
    let prefixes = [Namespace::Portcullis, Namespace::Pomerium].map(Namespace::header_prefix);
    prefixes.into_iter().any(|prefix| begins_alike(name, prefix))
}

/// The names by which other proxies and platforms tell an application who asks, by their first letter; one that ends
/// in `-` stands for all that begin so. An application that was behind one of them may still believe them.
const OF_OTHERS: [(u8, &[&str]); 4] = [
    (b'c', &["cf-access-"]),
    (b'r', &["remote-user", "remote-groups", "remote-group", "remote-name", "remote-email"]),
    (b't', &["tailscale-user-", "teleport-jwt-assertion"]),
    (
        b'x',
        &[
            "x-amzn-oidc-",
            "x-auth-request-",
            "x-authenticated-",
            "x-authentik-",
            "x-client-cert",
            "x-forwarded-access-token",
            "x-forwarded-client-cert",
            "x-forwarded-email",
            "x-forwarded-groups",
            "x-forwarded-preferred-username",
            "x-forwarded-user",
            "x-goog-authenticated-user-",
            "x-goog-iap-",
            "x-ms-client-principal",
            "x-ms-client-principal-",
            "x-ms-token-",
            "x-remote-email",
            "x-remote-extra-",
            "x-remote-group",
            "x-remote-groups",
            "x-remote-name",
            "x-remote-user",
            "x-ssl-client-",
            "x-vouch-",
            "x-webauth-",
        ],
    ),
];

/// Whether a request header's name, in any spelling, is one by which other proxies and platforms tell who asks. From
/// a client it is a claim that nobody has checked: it passes on no route unless the route itself sets it.
#[must_use]
pub fn is_of_others(name: &[u8]) -> bool {
    let Some(first) = name.first().map(u8::to_ascii_lowercase) else { return false };
    let known = OF_OTHERS.iter().find(|(letter, _)| *letter == first).map_or(&[][..], |(_, names)| names);
    known.iter().any(|known| match known.ends_with('-') {
        true => begins_alike(name, known),
        false => is_alike(name, known.as_bytes()),
    })
}

/// The identity headers of one generation.
#[derive(Clone, Debug)]
pub struct IdentityHeaders {
    assertion: HeaderName,
    issuer: IssuerFormat,
    claims: Vec<(String, HeaderName)>,
}

impl IdentityHeaders {
    pub(crate) fn new(namespace: Namespace, assertion: &Assertion) -> Self {
        let Assertion { signing_keys: _, issuer_format, claim_headers } = assertion;
        let name = match namespace {
            Namespace::Portcullis => HeaderName::from_static("x-portcullis-jwt-assertion"),
            Namespace::Pomerium => HeaderName::from_static("x-pomerium-jwt-assertion"),
        };
        Self { assertion: name, issuer: *issuer_format, claims: claim_headers.clone() }
    }

    /// Whether a header of this name is removed from every request: [`is_ours`], or a spelling of a configured
    /// claim header.
    #[must_use]
    pub fn strips(&self, name: &[u8]) -> bool {
        is_ours(name) || self.claims.iter().any(|(_, header)| is_alike(header.as_str().as_bytes(), name))
    }

    /// The name of the header that carries the signed assertion.
    #[must_use]
    pub const fn assertion_name(&self) -> &HeaderName {
        &self.assertion
    }

    /// The `iss` of assertions for a host.
    #[must_use]
    pub fn issuer<'a>(&self, host: &'a str) -> Cow<'a, str> {
        match self.issuer {
            IssuerFormat::HostOnly => Cow::Borrowed(host),
            IssuerFormat::Uri => Cow::Owned(format!("https://{host}/")),
        }
    }

    /// The claims that are passed on, with the header each goes into.
    pub fn claims(&self) -> impl Iterator<Item = (&str, &HeaderName)> {
        self.claims.iter().map(|(claim, header)| (claim.as_str(), header))
    }

    /// The claim headers for a session, one for every configured claim.
    ///
    /// Several values are joined with commas; a claim that is missing gives an empty value, as the reference
    /// has it. Values go as UTF-8; control characters are percent-encoded, and in a list also `,` and `%`, so
    /// that a member cannot pass for two.
    pub fn claim_headers(&self, session: &Session) -> impl Iterator<Item = (&HeaderName, HeaderValue)> {
        self.claims.iter().map(|(claim, header)| (header, claim_value(session, claim)))
    }
}

/// Whether a server behind us may read both as one name: separators alike, runs of them as one, whatever case.
#[must_use]
pub fn is_alike(name: &[u8], other: &[u8]) -> bool {
    spelling(name).eq(spelling(other))
}

/// Whether a server behind us may read a name as one that begins with this prefix, which is spelled as [`spelling`] does.
fn begins_alike(name: &[u8], prefix: &str) -> bool {
    let mut spelled = spelling(name);
    prefix.bytes().all(|byte| spelled.next() == Some(byte))
}

/// A name with separators alike, runs of them as one, in lower case.
fn spelling(name: &[u8]) -> impl Iterator<Item = u8> {
    let mut previous = 0;
    name.iter().filter_map(move |byte| {
        let byte = if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'-' };
        let repeated = byte == b'-' && previous == b'-';
        previous = byte;
        (!repeated).then_some(byte)
    })
}

fn claim_value(session: &Session, claim: &str) -> HeaderValue {
    let text = match base_values(session, claim) {
        Some(base) => join(&base.values, base.list),
        None => {
            let found = session.subject.claims.get(claim);
            let values: Vec<&str> = found.iter().map(ClaimRef::as_text).collect();
            // A list of one is written as one only where it could be taken for two.
            let list = values.len() > 1 || (found.is_list() && values.iter().any(|one| one.contains(',')));
            join(&values, list)
        }
    };
    HeaderValue::from_bytes(text.as_bytes()).unwrap_or_else(|_| HeaderValue::from_static(""))
}

fn join(values: &[&str], list: bool) -> String {
    let mut text = String::new();
    for value in values {
        let whole = text.len();
        if !text.is_empty() {
            text.push(',');
        }
        for character in value.chars() {
            if character.is_ascii_control() || (list && matches!(character, ',' | '%')) {
                text.push_str(&format!("%{:02X}", u32::from(character)));
            } else {
                text.push(character);
            }
        }
        if text.len() > MAX_CLAIM_HEADER_BYTES {
            text.truncate(whole);
            break;
        }
    }
    text
}

#[cfg(test)]
mod tests;
