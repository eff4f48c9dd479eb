//! The head that goes to an upstream: first everything that is ours to say is removed, in any spelling; then
//! we say it.

use http::header::{self, HeaderName, HeaderValue};
use http::request::Parts;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, Uri, Version};
use pingora_core::{Error, ErrorType, Result};
use pingora_http::RequestHeader;
use pingora_proxy::Session;
use portcullis_config::{Action, HostRewrite, TemplatePart};
use portcullis_gate::{
    About, CookieEdit, RequestView, is_alike, is_of_others, is_ours, upstream_cookies, upstream_host,
};
use portcullis_policy::Leaf;

use super::Context;
use super::context::{Kind, Passage, ToRoute};
use crate::edge::Peer;
use crate::request_id::RequestId;
use crate::shared::{Keys, Shared};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// About as many fields as we add: room is made for them once.
const TOLD: usize = 8;

/// Fields about one hop (RFC 9110 §7.6.1), and credentials for a proxy: they end here, as `Connection` and `Upgrade` do
/// unless the request is an upgrade.
const HOP: [&str; 8] = [
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "http2-settings",
    "proxy-authorization",
    "proxy-authenticate",
];

/// Fields by which a proxy tells of its client: ours to say, so nobody else's word passes.
const FORWARDING: [&str; 8] = [
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-server",
    "x-real-ip",
    "x-request-id",
];

/// Fields by which some servers take another path or method than the one that was sent, and judged.
const OVERRIDING: [&str; 5] =
    ["x-original-url", "x-rewrite-url", "x-http-method-override", "x-http-method", "x-method-override"];

/// Makes the upstream's head of the client's. Names of fields go in their usual spelling, whatever the client's was.
///
/// # Errors
/// A value that is no header, which ends the request.
pub(crate) fn prepare(session: &Session, request: &mut RequestHeader, context: &mut Context) -> Result<()> {
    let request_id = context.identify();
    let mut head = parts(request);
    let made = make(session, &mut head, context, request_id);
    *request = RequestHeader::from(head);
    made
}

/// The upstream's head of a request that goes to it in the clear without the engine's help, over `version` of HTTP.
///
/// # Errors
/// A value that is no header, which ends the request.
pub(crate) fn made(session: &Session, context: &mut Context, version: Version) -> Result<RequestHeader> {
    let request_id = context.identify();
    let sent = session.req_header();
    let mut head = http::Request::new(()).into_parts().0;
    head.method = sent.method.clone();
    head.uri = sent.uri.clone();
    head.version = version;
    head.headers = sent.headers.clone();
    if let Some(authority) = sent.uri.authority() {
        // What HTTP/2 calls the host.
        head.headers.insert(header::HOST, text(authority.as_str().to_owned())?);
    }
    forget_nominated(&mut head.headers);
    make(session, &mut head, context, request_id)?;
    if version == Version::HTTP_2 {
        name_authority(&mut head)?;
    }
    Ok(RequestHeader::from(head))
}

/// What HTTP/1.1 calls the host is part of the target in HTTP/2 (RFC 9113 §8.3.1).
fn name_authority(head: &mut Parts) -> Result<()> {
    let wrong = |error| Error::because(ErrorType::InvalidHTTPHeader, "target of a request", error);
    let host = head.headers.remove(header::HOST);
    let host = host.ok_or_else(|| Error::explain(ErrorType::InvalidHTTPHeader, "request without a host"))?;
    let mut uri = std::mem::take(&mut head.uri).into_parts();
    uri.scheme = Some(Scheme::HTTP);
    uri.authority = Some(Authority::try_from(host.as_bytes()).map_err(http::Error::from).map_err(wrong)?);
    uri.path_and_query.get_or_insert(PathAndQuery::from_static("/"));
    head.uri = Uri::from_parts(uri).map_err(http::Error::from).map_err(wrong)?;
    Ok(())
}

/// Removes what `Connection` names: it is meant for us (RFC 9110 §7.6.1).
fn forget_nominated(headers: &mut HeaderMap) {
    let tokens = |value: &HeaderValue| -> Vec<HeaderName> {
        let tokens = value.as_bytes().split(|byte| *byte == b',');
        tokens.filter_map(|token| HeaderName::from_bytes(token.trim_ascii()).ok()).collect()
    };
    let nominated: Vec<HeaderName> = headers.get_all(header::CONNECTION).iter().flat_map(tokens).collect();
    for name in nominated {
        headers.remove(name);
    }
}

/// The head in plain parts, taken out: the engine's own setters keep a second map, of spellings, beside every field.
fn parts(request: &mut RequestHeader) -> Parts {
    let blank = RequestHeader::from(http::Request::new(()).into_parts().0);
    Parts::from(std::mem::replace(request, blank))
}

fn make(session: &Session, head: &mut Parts, context: &mut Context, request_id: RequestId) -> Result<()> {
    let Context { shared, published, exchange, passage, .. } = context;
    // What the client's end is called is the same for each of its requests.
    let client = &exchange.peer;
    match passage {
        Passage::Route(to) => {
            let identity = &to.grant.identity;
            strip(&mut head.headers, to.kind == Kind::Upgrade, |name| identity.strips(name));
            match upstream_cookies(&head.headers, &published.config.sign_in.cookie) {
                CookieEdit::Keep => {}
                CookieEdit::Remove => drop(head.headers.remove(header::COOKIE)),
                CookieEdit::Set(value) => drop(head.headers.insert(header::COOKIE, value)),
            }
            tell_client(&mut head.headers, &to.view, client, request_id)?;
            to_upstream(session, head, to, shared, &published.keys)
        }
        Passage::SignIn(to) => {
            strip(&mut head.headers, false, is_ours);
            tell_client(&mut head.headers, &to.view, client, request_id)?;
            aim(head, text(to.view.host().to_owned())?, Some(&to.view.path_and_query()))
        }
        Passage::None => Err(Error::explain(ErrorType::InternalError, "request has no way")),
    }
}

fn to_upstream(session: &Session, head: &mut Parts, to: &ToRoute, shared: &Shared, keys: &Keys) -> Result<()> {
    let route = &to.grant.route;
    let Action::Forward(forward) = &route.action else {
        return Err(Error::explain(ErrorType::InternalError, "route forwards nowhere"));
    };
    let edits = &route.headers;
    for name in &edits.remove_request {
        head.headers.remove(name);
    }
    if edits.pass_identity {
        tell_identity(&mut head.headers, to, shared, keys);
    }
    for (name, template) in &edits.set_request {
        let value = fill(&template.0, to, (shared, keys), &session.req_header().headers)?;
        head.headers.insert(name.clone(), value);
    }
    if to.kind == Kind::Grpc && head.version == Version::HTTP_2 {
        head.headers.insert(header::TE, HeaderValue::from_static("trailers"));
    }
    let template = to.chosen.as_ref().map(|chosen| &chosen.template);
    let template = template.ok_or_else(|| Error::explain(ErrorType::InternalError, "no upstream was chosen"))?;
    let host = match forward.host {
        HostRewrite::Upstream => template.host.clone(),
        HostRewrite::Preserve | HostRewrite::Fixed(_) | HostRewrite::Header(_) => {
            text(upstream_host(forward, &template.upstream, &to.view, &session.req_header().headers).into_owned())?
        }
    };
    aim(head, host, to.target.as_deref())
}

/// Removes what must not pass.
fn strip(headers: &mut HeaderMap, upgrade: bool, ours: impl Fn(&[u8]) -> bool) {
    let doomed: Vec<HeaderName> =
        headers.keys().filter(|name| is_doomed(name.as_str(), upgrade, &ours)).cloned().collect();
    for name in doomed {
        headers.remove(name);
    }
}

fn is_doomed(name: &str, upgrade: bool, ours: &impl Fn(&[u8]) -> bool) -> bool {
    let hop = match name {
        "connection" | "upgrade" => !upgrade,
        name => HOP.contains(&name),
    };
    // Whatever is alike begins alike.
    let alike = |fields: &[&str]| fields.iter().any(|field| is_alike(name.as_bytes(), field.as_bytes()));
    let told = match name.as_bytes().first() {
        Some(b'f' | b'x') => alike(&FORWARDING) || alike(&OVERRIDING),
        Some(_) | None => false,
    };
    hop || told || is_of_others(name.as_bytes()) || ours(name.as_bytes())
}

/// Who the client is.
fn tell_client(headers: &mut HeaderMap, view: &RequestView<'_>, client: &Peer, request_id: RequestId) -> Result<()> {
    headers.reserve(TOLD);
    if let Some(address) = view.client_address() {
        let value =
            if address == client.address.ip() { client.forwarded_for.clone() } else { text(address.to_string())? };
        headers.insert(X_FORWARDED_FOR, value);
    }
    headers.insert(X_FORWARDED_HOST, forwarded_host(headers.get(header::HOST), view)?);
    headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static("https"));
    headers.insert(X_REQUEST_ID, request_id.to_header());
    Ok(())
}

/// The host that was asked for, with the port if one was sent; the client's own words where they are canonical.
fn forwarded_host(sent: Option<&HeaderValue>, view: &RequestView<'_>) -> Result<HeaderValue> {
    let host = view.host();
    let rest = sent.and_then(|sent| sent.as_bytes().strip_prefix(host.as_bytes()));
    match (sent, rest, view.sent_port()) {
        (Some(sent), Some(b""), None) => Ok(sent.clone()),
        (Some(sent), Some([b':', b'1'..=b'9', ..]), Some(_)) => Ok(sent.clone()),
        (_, _, Some(port)) => text(format!("{host}:{port}")),
        (_, _, None) => text(host.to_owned()),
    }
}

fn text(text: String) -> Result<HeaderValue> {
    HeaderValue::try_from(text).map_err(|error| Error::because(ErrorType::InternalError, "header value", error))
}

/// Who asks.
fn tell_identity(headers: &mut HeaderMap, to: &ToRoute, shared: &Shared, keys: &Keys) {
    let Some(session) = &to.grant.session else { return };
    let identity = &to.grant.identity;
    headers.insert(identity.assertion_name().clone(), assertion(to, shared, keys));
    for (name, value) in identity.claim_headers(session) {
        headers.insert(name.clone(), value);
    }
}

fn assertion(to: &ToRoute, shared: &Shared, keys: &Keys) -> HeaderValue {
    let Some(session) = &to.grant.session else { return HeaderValue::from_static("") };
    let about = About {
        identity: &to.grant.identity,
        session,
        host: to.view.host(),
        generation: to.grant.generation.0,
        now: to.judged_at,
    };
    let fresh = || shared.metrics.assertions_signed.inc();
    keys.assertions.signed(about, &keys.assertion, &*shared.random, fresh)
}

/// A template's value; what is missing is empty.
fn fill(
    parts: &[TemplatePart],
    to: &ToRoute,
    (shared, keys): (&Shared, &Keys),
    sent: &HeaderMap,
) -> Result<HeaderValue> {
    let mut bytes = Vec::new();
    for part in parts {
        match part {
            TemplatePart::Literal(text) => bytes.extend_from_slice(text.as_bytes()),
            TemplatePart::Assertion => bytes.extend_from_slice(assertion(to, shared, keys).as_bytes()),
            TemplatePart::AccessToken => {
                let token = to.tokens.as_ref().and_then(|tokens| tokens.access_token.as_ref());
                bytes.extend_from_slice(token.map(|token| token.expose().as_bytes()).unwrap_or_default());
            }
            TemplatePart::IdToken => {
                let token = to.tokens.as_ref().and_then(|tokens| tokens.id_token.as_ref());
                bytes.extend_from_slice(token.map(|token| token.expose().as_bytes()).unwrap_or_default());
            }
            TemplatePart::RequestHeader(name) => {
                // Our own names are nobody's to send, here as elsewhere.
                let value = sent.get(name).filter(|_| !to.grant.identity.strips(name.as_str().as_bytes()));
                let value = value.filter(|_| !matches!(*name, header::COOKIE));
                bytes.extend_from_slice(value.map(HeaderValue::as_bytes).unwrap_or_default());
            }
            TemplatePart::ClientCertificateFingerprint => {
                let leaf = to.view.client_certificate().leaf();
                let digits = |leaf: &Leaf| leaf.fingerprint().map(|byte| format!("{byte:02x}")).concat();
                bytes.extend_from_slice(leaf.map(digits).unwrap_or_default().as_bytes());
            }
            TemplatePart::ClientCertificateDnsNames => bytes.extend(names(to, shared, Leaf::dns_names)),
            TemplatePart::ClientCertificateEmailAddresses => bytes.extend(names(to, shared, Leaf::email_addresses)),
        }
    }
    HeaderValue::from_bytes(&bytes)
        .map(|mut value| {
            value.set_sensitive(true);
            value
        })
        .map_err(|error| Error::because(ErrorType::InternalError, "header template", error))
}

/// Names of the client's certificate with commas between. Whoever makes a certificate chooses its names: those of one
/// that is not valid are nobody's, and what would read as two names, or as no header, is left out.
fn names(to: &ToRoute, shared: &Shared, of: fn(&Leaf) -> &[Box<str>]) -> Vec<u8> {
    let certificate = to.view.client_certificate();
    let valid = certificate.fault(to.grant.route.client_trust.as_deref(), shared.now()).is_none();
    let leaf = certificate.leaf().filter(|_| valid);
    let plain = |name: &&str| name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',');
    let names: Vec<&str> = leaf.map(of).unwrap_or_default().iter().map(|name| &**name).filter(plain).collect();
    names.join(",").into_bytes()
}

/// Path, query and host as they are sent: what was judged. No `target`: the one that came.
fn aim(head: &mut Parts, host: HeaderValue, target: Option<&str>) -> Result<()> {
    let came = head.uri.path_and_query().filter(|came| target.is_none_or(|target| came.as_str() == target));
    head.uri = match (came, target) {
        // Without an authority, should there have been one: `Host` alone says where.
        (Some(came), _) => Uri::from(came.clone()),
        (None, Some(target)) => {
            Uri::try_from(target).map_err(|error| Error::because(ErrorType::InternalError, "request target", error))?
        }
        (None, None) => return Err(Error::explain(ErrorType::InternalError, "request has no target")),
    };
    head.headers.insert(header::HOST, host);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ours_to_say_goes_and_the_rest_stays() {
        let doomed = |name: &str, upgrade| is_doomed(name, upgrade, &is_ours);
        let always = HOP.iter().chain(&FORWARDING).chain(&OVERRIDING);
        for name in always.chain(&["x_forwarded_for", "x-portcullis-user", "x.real..ip"]) {
            assert!(doomed(name, false) && doomed(name, true), "{name}");
        }
        for name in ["connection", "upgrade"] {
            assert!(doomed(name, false) && !doomed(name, true), "{name}");
        }
        for name in ["accept", "cookie", "x-forwarded-format", "forwarder", "keep", "x-request-ident"] {
            assert!(!doomed(name, false), "{name}");
        }
    }
}
