//! What upstreams are told of who asks: the assertion's keys and the claim headers.

use std::collections::BTreeSet;

use http::HeaderName;
use portcullis_identity::SecretText;

use super::{Build, headers};
use crate::field::Field;
use crate::model::{Assertion, IssuerFormat, Namespace};
use crate::pem;
use crate::report::Fault;
use crate::schema::{AssertionSection, ClaimHeaders, IssuerFormatName};

/// Headers that clients need for themselves, in lower case: as claim headers they would be taken from every request.
pub const HEADERS_OF_CLIENTS: [&str; 16] = [
    "accept",
    "authorization",
    "content-type",
    "cookie",
    "forwarded",
    "origin",
    "range",
    "referer",
    "user-agent",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-forwarded-server",
    "x-real-ip",
    "x-request-id",
];

/// The assertion's keys and the claim headers.
pub(crate) fn assertion(build: &mut Build<'_>, section: AssertionSection, namespace: Namespace) -> Assertion {
    let AssertionSection { signing_keys, issuer_format, claim_headers } = section;
    let at = Field::Root.key("assertion");
    let list = at.key("signing_keys");
    let mut keys = Vec::new();
    for (index, reference) in signing_keys.iter().enumerate() {
        let at = list.index(index);
        let Some(found) = build.secret_text(&at, reference) else { continue };
        let text = pem::unwrap_base64(&found.text);
        let usable = pem::p256_key(&text).map_err(|error| Fault::new(format!("{} {error}", found.origin.display())));
        if build.report.take(&at, usable).is_some() {
            keys.push(SecretText::new(text));
        }
    }
    let issuer_format = match issuer_format {
        IssuerFormatName::HostOnly => IssuerFormat::HostOnly,
        IssuerFormatName::Uri => IssuerFormat::Uri,
    };
    let claim_headers = self::claim_headers(build, &at.key("claim_headers"), claim_headers, namespace);
    Assertion { signing_keys: keys, issuer_format, claim_headers }
}

fn claim_headers(
    build: &mut Build<'_>,
    at: &Field<'_>,
    given: ClaimHeaders,
    namespace: Namespace,
) -> Vec<(String, HeaderName)> {
    let mut headers = Vec::new();
    let mut seen = BTreeSet::new();
    match given {
        ClaimHeaders::Claims(claims) => {
            for (index, claim) in claims.into_iter().enumerate() {
                let header = usable(&usual_header(&claim, namespace), &claim, namespace, &mut seen);
                headers.extend(build.report.take(&at.index(index), header).map(|header| (claim, header)));
            }
        }
        ClaimHeaders::Named(map) => {
            for (header, claim) in map {
                let name = usable(&header, &claim, namespace, &mut seen);
                headers.extend(build.report.take(&at.key(&header), name).map(|header| (claim, header)));
            }
        }
    }
    headers
}

fn usable(header: &str, claim: &str, namespace: Namespace, seen: &mut BTreeSet<String>) -> Result<HeaderName, Fault> {
    if claim.is_empty() {
        return Err(Fault::new("names no claim"));
    }
    let name = headers::editable(header)?;
    let plain = headers::plain(&name);
    if HEADERS_OF_CLIENTS.contains(&plain.as_str()) {
        return Err(Fault::new(format!("`{header}` is the client's own: as a claim header it would be lost")));
    }
    if plain == format!("{}jwt-assertion", namespace.header_prefix()) {
        return Err(Fault::new(format!("`{header}` carries the assertion")));
    }
    if seen.insert(plain) { Ok(name) } else { Err(Fault::new(format!("`{header}` is given twice"))) }
}

/// `x-portcullis-claim-` and the claim's name, with `-` for what a header name cannot have.
fn usual_header(claim: &str, namespace: Namespace) -> String {
    let fit = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let name: String = claim.chars().map(fit).collect();
    format!("{}claim-{name}", namespace.header_prefix())
}
