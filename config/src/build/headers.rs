//! Header edits: names, values and the tokens in them.

use http::{HeaderName, HeaderValue};

use super::Build;
use crate::field::Field;
use crate::model::{Assertion, Namespace};
use crate::report::Fault;
use crate::route::{HeaderEdits, HeaderTemplate, TemplatePart};
use crate::schema::Ordered;

/// What belongs to one connection (RFC 9110, section 7.6.1) or frames the message: never ours to edit.
const OF_THE_CONNECTION: [&str; 9] = [
    "connection",
    "content-length",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
];

/// Tokens by their name behind `pomerium.` or `portcullis.`.
const TOKENS: [&str; 7] = [
    "access_token",
    "id_token",
    "jwt",
    "client_cert_fingerprint",
    "client_cert_san_dns",
    "client_cert_san_email",
    "request.headers[\"NAME\"]",
];

/// The keys of a route that edit headers.
#[derive(Debug)]
pub(crate) struct HeaderKeys {
    /// `set_request_headers`.
    pub(crate) set_request: Ordered<String>,
    /// `remove_request_headers`.
    pub(crate) remove_request: Vec<String>,
    /// `set_response_headers`.
    pub(crate) set_response: Ordered<String>,
    /// `pass_identity_headers`, the route's or the default.
    pub(crate) pass_identity: bool,
}

/// The header edits of a route; `usual` are the response headers that every route gets.
pub(crate) fn edits(
    build: &mut Build<'_>,
    at: &Field<'_>,
    keys: &HeaderKeys,
    usual: &[(HeaderName, HeaderValue)],
    ours: &Ours<'_>,
) -> HeaderEdits {
    let HeaderKeys { set_request, remove_request, set_response, pass_identity } = keys;
    let mut edits = HeaderEdits {
        set_request: Vec::new(),
        remove_request: Vec::new(),
        set_response: response_headers(build, &at.key("set_response_headers"), set_response),
        pass_identity: *pass_identity,
    };
    let map = at.key("set_request_headers");
    for (name, text) in &set_request.0 {
        let at = map.key(name);
        let header = build.report.take(&at, ours.settable(name).map_err(Fault::confidential));
        let template = build.report.take(&at, template(text).map_err(Fault::confidential));
        if let (Some(header), Some(template)) = (header, template) {
            edits.set_request.push((header, template));
        }
    }
    let list = at.key("remove_request_headers");
    for (index, name) in remove_request.iter().enumerate() {
        edits.remove_request.extend(build.report.take(&list.index(index), ours.removable(name)));
    }
    for (name, value) in usual {
        if !edits.set_response.iter().any(|(own, _)| own == name) {
            edits.set_response.push((name.clone(), value.clone()));
        }
    }
    edits
}

/// Response headers with their values.
pub(crate) fn response_headers(
    build: &mut Build<'_>,
    at: &Field<'_>,
    map: &Ordered<String>,
) -> Vec<(HeaderName, HeaderValue)> {
    let mut headers = Vec::new();
    for (name, value) in &map.0 {
        headers.extend(build.report.take(&at.key(name), response_header(name, value)));
    }
    headers
}

/// Which header names are ours: what tells an upstream who asks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ours<'a> {
    namespace: Namespace,
    assertion: &'a Assertion,
}

impl<'a> Ours<'a> {
    /// The names of a namespace, and the configured claim headers.
    pub(crate) const fn new(namespace: Namespace, assertion: &'a Assertion) -> Self {
        Self { namespace, assertion }
    }

    fn settable(&self, name: &str) -> Result<HeaderName, Fault> {
        let header = editable(name)?;
        if self.is_identity(&header) {
            let fault = Fault::new(format!("`{name}` tells the upstream who asks and is set by Portcullis alone"));
            return Err(fault.help("`pass_identity_headers` and `assertion.claim_headers` decide about it"));
        }
        Ok(header)
    }

    fn removable(&self, name: &str) -> Result<HeaderName, Fault> {
        let header = editable(name)?;
        if self.is_identity(&header) {
            let fault = Fault::new(format!("`{name}` is always removed from what clients send"));
            return Err(fault.help("`pass_identity_headers: false` keeps ours from the upstream"));
        }
        Ok(header)
    }

    fn is_identity(&self, header: &HeaderName) -> bool {
        let plain = plain(header);
        plain.starts_with(self.namespace.header_prefix())
            || self.assertion.claim_headers.iter().any(|(_, ours)| self::plain(ours) == plain)
    }
}

/// A header's name as upstreams may read it: `_` and `.` reach some of them as `-`.
pub(crate) fn plain(header: &HeaderName) -> String {
    header.as_str().chars().map(|c| if matches!(c, '_' | '.') { '-' } else { c }).collect()
}

/// A header that an edit may touch at all.
pub(crate) fn editable(name: &str) -> Result<HeaderName, Fault> {
    let header = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_error| Fault::new(format!("`{name}` is not a header name")))?;
    if OF_THE_CONNECTION.contains(&header.as_str()) {
        return Err(Fault::new(format!("`{header}` belongs to the connection and cannot be edited")));
    }
    if header == http::header::HOST {
        let help = "`preserve_host_header`, `host_rewrite` and `host_rewrite_header` decide about it";
        return Err(Fault::new("`Host` cannot be edited as a header").help(help));
    }
    Ok(header)
}

/// A response header with its value.
fn response_header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), Fault> {
    let header = editable(name)?;
    let value =
        HeaderValue::from_str(value).map_err(|_error| Fault::new("holds characters that a header cannot have"))?;
    Ok((header, value))
}

/// A value with its tokens.
fn template(text: &str) -> Result<HeaderTemplate, Fault> {
    if HeaderValue::from_str(text).is_err() {
        return Err(Fault::new("holds characters that a header cannot have"));
    }
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('$') {
        literal.push_str(before);
        if let Some(behind) = behind.strip_prefix('$') {
            literal.push('$');
            rest = behind;
        } else if let Some(behind) = behind.strip_prefix('{') {
            let (token, behind) = behind.split_once('}').ok_or_else(|| Fault::new("a `${` has no `}`"))?;
            if !literal.is_empty() {
                parts.push(TemplatePart::Literal(std::mem::take(&mut literal)));
            }
            parts.push(self::token(token)?);
            rest = behind;
        } else {
            literal.push('$');
            rest = behind;
        }
    }
    literal.push_str(rest);
    if !literal.is_empty() {
        parts.push(TemplatePart::Literal(literal));
    }
    Ok(HeaderTemplate(parts))
}

fn token(text: &str) -> Result<TemplatePart, Fault> {
    let name = text.strip_prefix("pomerium.").or_else(|| text.strip_prefix("portcullis."));
    match name {
        Some("access_token") => Ok(TemplatePart::AccessToken),
        Some("id_token") => Ok(TemplatePart::IdToken),
        Some("jwt") => Ok(TemplatePart::Assertion),
        Some("client_cert_fingerprint") => Ok(TemplatePart::ClientCertificateFingerprint),
        Some("client_cert_san_dns") => Ok(TemplatePart::ClientCertificateDnsNames),
        Some("client_cert_san_email") => Ok(TemplatePart::ClientCertificateEmailAddresses),
        Some(other) => requested_header(other).unwrap_or_else(|| Err(unknown(text, Some(other)))),
        None => Err(unknown(text, None)),
    }
}

/// `request.headers["NAME"]`.
fn requested_header(name: &str) -> Option<Result<TemplatePart, Fault>> {
    let name = name.strip_prefix("request.headers[")?.strip_suffix(']')?;
    let quoted = |quote: char| name.strip_prefix(quote)?.strip_suffix(quote);
    let name = quoted('"').or_else(|| quoted('\''))?;
    let header = HeaderName::from_bytes(name.as_bytes());
    Some(header.map(TemplatePart::RequestHeader).map_err(|_error| Fault::new(format!("`{name}` is not a header name"))))
}

fn unknown(text: &str, name: Option<&str>) -> Fault {
    let fault = Fault::new(format!("unknown token `${{{text}}}`"));
    match name.and_then(|name| portcullis_policy::nearest(name, TOKENS)) {
        Some(meant) => fault.help(format!("did you mean `${{portcullis.{meant}}}`?")),
        None => fault.help(format!("tokens are ${{portcullis.…}} with {}; `$$` is a dollar", TOKENS.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn literal(text: &str) -> TemplatePart {
        TemplatePart::Literal(text.into())
    }

    #[test]
    fn tokens_of_both_names_are_read() {
        for (text, expected) in [
            ("plain", vec![literal("plain")]),
            ("", vec![]),
            ("Bearer ${pomerium.access_token}", vec![literal("Bearer "), TemplatePart::AccessToken]),
            ("${portcullis.jwt}", vec![TemplatePart::Assertion]),
            ("${pomerium.id_token}!", vec![TemplatePart::IdToken, literal("!")]),
            ("a$$b$c", vec![literal("a$b$c")]),
            ("$${x}", vec![literal("${x}")]),
            (
                "${pomerium.request.headers[\"X-Id\"]}",
                vec![TemplatePart::RequestHeader(HeaderName::from_static("x-id"))],
            ),
            ("${pomerium.client_cert_fingerprint}", vec![TemplatePart::ClientCertificateFingerprint]),
            (
                "${pomerium.client_cert_san_dns}${pomerium.client_cert_san_email}",
                vec![TemplatePart::ClientCertificateDnsNames, TemplatePart::ClientCertificateEmailAddresses],
            ),
        ] {
            assert_eq!(template(text).unwrap(), HeaderTemplate(expected), "{text}");
        }
    }

    #[test]
    fn unknown_tokens_and_bad_characters_are_refused() {
        for text in [
            "${jwt}",
            "${pomerium.jvt}",
            "${pomerium.jwt",
            "${}",
            "${pomerium.request.headers[X]}",
            "a\nb",
            "${portcullis.request.headers[\"a b\"]}",
        ] {
            assert!(template(text).is_err(), "{text}");
        }
    }

    #[test]
    fn identity_headers_are_ours_in_every_spelling() {
        let header = HeaderName::from_static("x-department");
        let assertion = Assertion {
            signing_keys: Vec::new(),
            issuer_format: crate::model::IssuerFormat::HostOnly,
            claim_headers: vec![("department".into(), header)],
        };
        let ours = Ours::new(Namespace::Portcullis, &assertion);
        for name in [
            "X-Portcullis-Jwt-Assertion",
            "x_portcullis_claim_email",
            "X.Portcullis-x",
            "X-Department",
            "Host",
            "Connection",
            "a b",
            "",
        ] {
            assert!(ours.settable(name).is_err(), "{name}");
            assert!(ours.removable(name).is_err(), "{name}");
        }
        for name in ["X-Pomerium-Jwt-Assertion", "Authorization", "x-portcullisx", "Cookie"] {
            assert!(ours.settable(name).is_ok(), "{name}");
        }
    }
}
