//! The head that goes to an upstream: first everything that is ours to say is removed, in any spelling; then
//! we say it.

use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Version};
use pingora_core::{Error, ErrorType, Result};
use pingora_http::RequestHeader;
use pingora_proxy::Session;
use portcullis_config::{Action, TemplatePart};
use portcullis_gate::{CookieEdit, RequestView, is_alike, is_ours, upstream_cookies, upstream_host};

use super::Context;
use super::context::{Kind, Passage, ToRoute};
use crate::assertions::About;
use crate::shared::Shared;

/// Fields about one hop (RFC 9110 §7.6.1), and credentials for a proxy: they end here.
const HOP: [&str; 8] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
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

/// Makes the upstream's head of the client's.
///
/// # Errors
/// A value that is no header, which ends the request.
pub(crate) fn prepare(session: &Session, request: &mut RequestHeader, context: &mut Context) -> Result<()> {
    let request_id = context.id().to_owned();
    let shared = std::sync::Arc::clone(&context.shared);
    let cookie = context.published.config.sign_in.cookie.clone();
    match &mut context.passage {
        Passage::Route(to) => {
            let identity = std::sync::Arc::clone(&to.grant.identity);
            strip(request, to.kind == Kind::Upgrade, |name| identity.strips(name));
            match upstream_cookies(&request.headers, &cookie) {
                CookieEdit::Keep => {}
                CookieEdit::Remove => drop(request.remove_header(&header::COOKIE)),
                CookieEdit::Set(value) => request.insert_header(header::COOKIE, value)?,
            }
            tell_client(request, &to.view, &request_id)?;
            to_upstream(session, request, to, &shared)
        }
        Passage::SignIn(to) => {
            strip(request, false, is_ours);
            tell_client(request, &to.view, &request_id)?;
            let host = to.view.host().to_owned();
            let target = to.view.path_and_query().into_owned();
            aim(request, &host, &target)
        }
        Passage::None => Err(Error::explain(ErrorType::InternalError, "request has no way")),
    }
}

fn to_upstream(session: &Session, request: &mut RequestHeader, to: &ToRoute, shared: &Shared) -> Result<()> {
    let route = &to.grant.route;
    let Action::Forward(forward) = &route.action else {
        return Err(Error::explain(ErrorType::InternalError, "route forwards nowhere"));
    };
    let edits = &route.headers;
    for name in &edits.remove_request {
        request.remove_header(name);
    }
    if edits.pass_identity {
        tell_identity(request, to, shared)?;
    }
    for (name, template) in &edits.set_request {
        let value = fill(&template.0, to, shared, &session.req_header().headers)?;
        request.insert_header(name.clone(), value)?;
    }
    if to.kind == Kind::Grpc && request.version == Version::HTTP_2 {
        request.insert_header(header::TE, "trailers")?;
    }
    let upstream = to.chosen.as_ref().map(|chosen| &chosen.template.upstream);
    let upstream = upstream.ok_or_else(|| Error::explain(ErrorType::InternalError, "no upstream was chosen"))?;
    let host = upstream_host(forward, upstream, &to.view, &session.req_header().headers);
    aim(request, &host, &to.target)
}

/// Removes what must not pass.
fn strip(request: &mut RequestHeader, upgrade: bool, ours: impl Fn(&[u8]) -> bool) {
    let doomed: Vec<HeaderName> = request
        .headers
        .keys()
        .filter(|name| {
            let text = name.as_str();
            let hop = HOP.contains(&text) && !(upgrade && text == "connection");
            let upgrade_field = text == "upgrade" && !upgrade;
            hop || upgrade_field
                || FORWARDING.iter().chain(&OVERRIDING).any(|field| is_alike(text.as_bytes(), field.as_bytes()))
                || ours(text.as_bytes())
        })
        .cloned()
        .collect();
    for name in doomed {
        request.remove_header(&name);
    }
}

/// Who the client is.
fn tell_client(request: &mut RequestHeader, view: &RequestView<'_>, request_id: &str) -> Result<()> {
    if let Some(address) = view.client_address() {
        request.insert_header("x-forwarded-for", address.to_string())?;
    }
    let host = match view.sent_port() {
        Some(port) => format!("{}:{port}", view.host()),
        None => view.host().to_owned(),
    };
    request.insert_header("x-forwarded-host", host)?;
    request.insert_header("x-forwarded-proto", "https")?;
    request.insert_header("x-request-id", request_id)
}

/// Who asks.
fn tell_identity(request: &mut RequestHeader, to: &ToRoute, shared: &Shared) -> Result<()> {
    let Some(session) = &to.grant.session else { return Ok(()) };
    let identity = &to.grant.identity;
    request.insert_header(identity.assertion_name().clone(), assertion(to, shared))?;
    for (name, value) in identity.claim_headers(session) {
        request.insert_header(name.clone(), value)?;
    }
    Ok(())
}

fn assertion(to: &ToRoute, shared: &Shared) -> HeaderValue {
    let Some(session) = &to.grant.session else { return HeaderValue::from_static("") };
    let about = About {
        identity: &to.grant.identity,
        session,
        host: to.view.host(),
        generation: to.grant.generation.0,
        now: shared.now(),
    };
    shared.assertions.signed(about, &shared.keys.assertion, &*shared.random, || shared.metrics.assertions_signed.inc())
}

/// A template's value; what is missing is empty.
fn fill(parts: &[TemplatePart], to: &ToRoute, shared: &Shared, sent: &HeaderMap) -> Result<HeaderValue> {
    let mut bytes = Vec::new();
    for part in parts {
        match part {
            TemplatePart::Literal(text) => bytes.extend_from_slice(text.as_bytes()),
            TemplatePart::Assertion => bytes.extend_from_slice(assertion(to, shared).as_bytes()),
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
            // No listener asks for client certificates yet.
            TemplatePart::ClientCertificateFingerprint => {}
        }
    }
    HeaderValue::from_bytes(&bytes)
        .map(|mut value| {
            value.set_sensitive(true);
            value
        })
        .map_err(|error| Error::because(ErrorType::InternalError, "header template", error))
}

/// Path, query and host as they are sent: what was judged.
fn aim(request: &mut RequestHeader, host: &str, target: &str) -> Result<()> {
    let uri = http::Uri::try_from(target)
        .map_err(|error| Error::because(ErrorType::InternalError, "request target", error))?;
    request.set_uri(uri);
    request.insert_header(header::HOST, host)
}
