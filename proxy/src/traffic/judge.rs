//! The five lines of a request: read, find, resolve, admit, and what comes of it.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, Method, header};
use pingora_proxy::Session;
use portcullis_gate::{
    Audience, Destination, Found, Malformed, OwnPath, Presented, RequestHead, RequestView, Shadowed, TlsFacts, Verdict,
    find,
};
use portcullis_identity::Timestamp;

use super::Context;
use crate::access::Outcome;

/// Bytes of a path that an access event or a decision keeps; the rest becomes an ellipsis. Hosts are bounded by
/// their grammar, and so many events wait for a slow log at a time that heads of full length would be felt.
const PATH_KEPT_BYTES: usize = 2 * 1024;

/// Bytes of a method that they keep.
const METHOD_KEPT_BYTES: usize = 64;

/// The most names a `Connection` field may have.
const NOMINATIONS: usize = 9;

/// Fields that `Connection` may not take away.
const KEPT: [&[u8]; 4] = [b"host", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto"];

/// What is to be done with a request.
pub(crate) enum Judged {
    /// Its head has no single meaning.
    Malformed(Malformed),
    /// The sign-in host answers.
    SignIn(RequestView<'static>),
    /// A page of ours on a route's host.
    Own(OwnPath, RequestView<'static>, Presented),
    /// A route's verdict, and the epoch and the instant it was judged in.
    Route { verdict: Verdict, view: RequestView<'static>, epoch: u64, now: Timestamp },
}

/// Judges the request of `session`. Waits at most for one fetch of a session that is not at hand.
pub(crate) async fn judge(session: &Session, context: &mut Context) -> Judged {
    let header = session.req_header();
    context.version = header.version;
    context.record.method = Some(named(&header.method));
    let head = match head_of(session, context) {
        Ok(head) => head,
        Err(cause) => return malformed(context, cause),
    };
    let view = match context.shared.gate.read(&head) {
        Ok(view) => view,
        Err(cause) => return malformed(context, cause),
    };
    // Read before anything is looked up: a change in between is seen at the first chunk.
    let epoch = context.shared.epoch();
    let destination = view.destination();
    if destination == Destination::SignInHost {
        let view = view.into_owned();
        note(context, &view);
        context.record.outcome = Outcome::SignIn;
        return Judged::SignIn(view);
    }
    let now = context.shared.now();
    let presented = match find(
        &header.headers,
        view.host(),
        &context.published.keys.credential,
        &context.published.config.sign_in.cookie,
    ) {
        Found::Nothing => Presented::Anonymous,
        Found::Rejected => Presented::Rejected,
        Found::Credential(key) => context.shared.present(key, now).await,
    };
    match destination {
        Destination::Own(path) => {
            let view = view.into_owned();
            note(context, &view);
            context.record.outcome = Outcome::Own;
            if let Presented::Session(session) = &presented {
                context.record.session = Some(Arc::clone(session));
            }
            Judged::Own(path, view, presented)
        }
        Destination::Route | Destination::SignInHost => {
            let gate = &context.shared.gate;
            let verdict = gate.admit(&view, &presented, now);
            let shadow = gate.shadow(&verdict, &view, &presented, now).filter(Shadowed::differs);
            let records = gate.records_read(&verdict).map(|records| Arc::downgrade(&records));
            let view = view.into_owned();
            note(context, &view);
            context.record.judged_at = Some(now);
            context.record.shadow = shadow.map(Box::new);
            context.record.records = records;
            context.record.decided(&verdict);
            Judged::Route { verdict, view, epoch, now }
        }
    }
}

/// The head of the request as the gate reads it.
fn head_of<'a>(session: &'a Session, context: &'a Context) -> Result<RequestHead<'a>, Malformed> {
    let header = session.req_header();
    let peer = &context.exchange.peer;
    if is_length_and_encoding(session) {
        return Err(Malformed::LengthAndEncoding);
    }
    if nominates_what_it_may_not(&header.headers) {
        return Err(Malformed::ConnectionField);
    }
    Ok(RequestHead {
        version: header.version,
        method: &header.method,
        target: std::str::from_utf8(header.raw_path()).map_err(|_| Malformed::Target)?,
        headers: &header.headers,
        open: session.as_http2().is_some_and(|stream| !stream.is_body_empty()),
        authority: header.uri.authority().filter(|_| session.is_http2()).map(http::uri::Authority::as_str),
        tls: TlsFacts { server_name: peer.server_name.as_deref(), client_certificate: peer.client_certificate.clone() },
        peer: Some(peer.address.ip()),
        listener_port: context.published.config.listen.public_port,
    })
}

/// Pingora removes `Content-Length` beside `Transfer-Encoding` before anybody else sees it (RFC 9112 §6.3
/// allows that); only the raw head still tells.
fn is_length_and_encoding(session: &Session) -> bool {
    let headers: &HeaderMap = &session.req_header().headers;
    if !headers.contains_key(header::TRANSFER_ENCODING) {
        return false;
    }
    session.as_http1().is_some_and(|http1| {
        let raw = http1.get_headers_raw_bytes();
        raw.split(|byte| *byte == b'\n').skip(1).any(|line| {
            line.split(|byte| *byte == b':').next().is_some_and(|name| name.eq_ignore_ascii_case(b"content-length"))
        })
    })
}

/// Whether `Connection` names what Pingora lets nobody name: it would close the connection without an answer.
fn nominates_what_it_may_not(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(header::CONNECTION).into_iter();
    let tokens = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    let mut count = 0_usize;
    tokens.filter(|token| !token.is_empty()).any(|token| {
        count += 1;
        let kept = KEPT.iter().any(|name| token.eq_ignore_ascii_case(name));
        count > NOMINATIONS || kept || HeaderName::from_bytes(token).is_err() || token.contains(&b'"')
    })
}

/// The path as events and decisions keep it.
fn shortened(path: &str) -> String {
    if path.len() <= PATH_KEPT_BYTES {
        return path.to_owned();
    }
    let end = (0..=PATH_KEPT_BYTES).rev().find(|end| path.is_char_boundary(*end)).unwrap_or_default();
    format!("{}…", path.get(..end).unwrap_or_default())
}

/// The method as events and decisions keep it: any token is one, of any length.
fn named(method: &Method) -> Method {
    match method.as_str().get(..METHOD_KEPT_BYTES) {
        None => method.clone(),
        Some(start) => Method::from_bytes(format!("{start}...").as_bytes()).unwrap_or_default(),
    }
}

fn malformed(context: &mut Context, cause: Malformed) -> Judged {
    context.record.outcome = Outcome::Malformed(cause.label());
    context.shared.metrics.malformed(cause.label());
    Judged::Malformed(cause)
}

fn note(context: &mut Context, view: &RequestView<'_>) {
    view.host().clone_into(&mut context.record.host);
    context.record.path = shortened(view.path());
    context.record.client = view.client_address();
    context.record.preflight = view.audience() == Audience::Preflight;
    context.record.mcp_tool = view.mcp_tool();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_events_keep_of_a_request_is_bounded() {
        assert_eq!(shortened("/a/b"), "/a/b");
        assert_eq!(shortened(&"a".repeat(PATH_KEPT_BYTES)), "a".repeat(PATH_KEPT_BYTES));
        let long = shortened(&format!("/{}", "é".repeat(PATH_KEPT_BYTES)));
        assert!(long.len() <= PATH_KEPT_BYTES + '…'.len_utf8() && long.ends_with("é…"), "{}", long.len());
        assert_eq!(named(&Method::DELETE), Method::DELETE);
        let long = named(&Method::from_bytes("M".repeat(30_000).as_bytes()).unwrap());
        assert_eq!(long.as_str().len(), METHOD_KEPT_BYTES + 3);
    }
}
