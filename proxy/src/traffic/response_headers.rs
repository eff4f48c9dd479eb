//! The head that comes back from an upstream.

use http::response::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use pingora_core::{Error, ErrorType, Result};
use pingora_http::ResponseHeader;
use pingora_proxy::Session;
use portcullis_config::Cookie;

use super::Context;
use super::context::{Kind, Passage};
use super::{again, way};

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A body of at least this many bytes may take a while: its exchange is entered into the registry.
const LONG_BODY: u64 = 1024 * 1024;

/// Checks that the answer may still pass, and makes the client's head of the upstream's.
///
/// # Errors
/// The permission is gone, or the answer is none to this request.
pub(crate) fn prepare(session: &Session, response: &mut ResponseHeader, context: &mut Context) -> Result<()> {
    again::check(context)?;
    context.exchange.active();
    if response.status == StatusCode::SWITCHING_PROTOCOLS {
        if !context.is_upgrade() {
            // RFC 9110 §7.8: never unless the client asked. What follows would be bytes that nobody judges.
            return Err(Error::explain(ErrorType::InvalidHTTPHeader, "an upgrade that was not asked for").into_up());
        }
    } else if response.status.is_informational() {
        // Browsers keep the cookies of a 103, too.
        if matches!(context.passage, Passage::Route(_)) {
            let mut head = parts(response);
            forget_our_cookies(&mut head.headers, &context.published.config.sign_in.cookie);
            *response = ResponseHeader::from(head);
        }
        return Ok(());
    }
    context.record.status = Some(response.status);
    if matches!(context.passage, Passage::Route(_)) {
        edit(response, context);
        last(session, response, context);
    }
    Ok(())
}

fn edit(response: &mut ResponseHeader, context: &mut Context) {
    let request_id = context.identify();
    let Context { published, passage, .. } = context;
    let cookie = &published.config.sign_in.cookie;
    let mut head = parts(response);
    forget_our_cookies(&mut head.headers, cookie);
    // Whoever has a question about a permitted answer needs its id as much as after a refusal.
    head.headers.insert(X_REQUEST_ID, never_indexed(request_id.to_header()));
    if let Passage::Route(to) = passage {
        for (name, value) in &to.grant.route.headers.set_response {
            head.headers.insert(name.clone(), value.clone());
        }
        if to.grant.clear_cookie {
            for cookie in portcullis_reply::clear_session_cookie(cookie) {
                head.headers.append(header::SET_COOKIE, cookie);
            }
        }
    }
    *response = ResponseHeader::from(head);
}

/// The head in plain parts, taken out: the engine's own setters keep a second map, of spellings, beside every field.
fn parts(response: &mut ResponseHeader) -> Parts {
    let blank = ResponseHeader::from(http::Response::new(()).into_parts().0);
    Parts::from(std::mem::replace(response, blank))
}

/// Keeps a value that never comes again out of HTTP/2's table of values that might (RFC 7541 §7.1.3).
fn never_indexed(mut value: HeaderValue) -> HeaderValue {
    value.set_sensitive(true);
    value
}

/// An upstream that sets our cookies would choose who its visitors are on this host.
fn forget_our_cookies(headers: &mut HeaderMap, cookie: &Cookie) {
    let ours = |value: &HeaderValue| {
        let name = name_sent_back(value.as_bytes());
        name.eq_ignore_ascii_case(cookie.name.as_bytes()) || name.eq_ignore_ascii_case(cookie.bind_name.as_bytes())
    };
    if !headers.get_all(header::SET_COOKIE).iter().any(ours) {
        return;
    }
    let kept: Vec<HeaderValue> =
        headers.get_all(header::SET_COOKIE).iter().filter(|value| !ours(value)).cloned().collect();
    headers.remove(header::SET_COOKIE);
    for value in kept {
        headers.append(header::SET_COOKIE, value);
    }
}

/// The name that a server reads when a browser sends a cookie back. One without a name is sent as its bare
/// value (RFC 6265bis §5.8.3): `=a=b` and `a` come back as `a=b` and `a`.
fn name_sent_back(set_cookie: &[u8]) -> &[u8] {
    let pair = set_cookie.split(|byte| *byte == b';').next().unwrap_or_default();
    let mut parts = pair.split(|byte| *byte == b'=').map(<[u8]>::trim_ascii);
    parts.find(|part| !part.is_empty()).unwrap_or_default()
}

/// What lasts is entered into the registry, and keeps only the deadlines of a stream.
fn last(session: &Session, response: &ResponseHeader, context: &mut Context) {
    let body_progress = context.published.config.limits.body_progress;
    let head_only = session.req_header().method == http::Method::HEAD;
    let Context { exchange, passage, .. } = context;
    let Passage::Route(to) = passage else { return };
    let kind = response.headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    if kind.get(..17).is_some_and(|start| start.eq_ignore_ascii_case(b"text/event-stream")) && to.kind == Kind::Plain {
        to.kind = Kind::Events;
        exchange.limit(way::deadlines(to, body_progress));
    }
    let length =
        response.headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let bodiless = head_only || matches!(response.status.as_u16(), 204 | 304);
    let lasts = to.kind != Kind::Plain || (!bodiless && length.is_none_or(|length| length >= LONG_BODY));
    if lasts {
        again::enter(context);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookies_name_is_the_one_that_comes_back() {
        for (line, name) in [
            ("a=1; Path=/", "a"),
            ("a", "a"),
            ("=a=1", "a"),
            (" = a =1;b=2", "a"),
            ("==a=1", "a"),
            ("\ta\t=1", "a"),
            ("b=a=1", "b"),
            ("", ""),
            ("=; a=1", ""),
        ] {
            assert_eq!(name_sent_back(line.as_bytes()), name.as_bytes(), "{line:?}");
        }
    }
}
