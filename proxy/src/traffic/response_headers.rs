//! The head that comes back from an upstream.

use http::{HeaderName, HeaderValue, StatusCode, header};
use pingora_core::{Error, ErrorType, Result};
use pingora_http::ResponseHeader;
use pingora_proxy::Session;
use portcullis_config::Cookie;

use super::Context;
use super::context::{Kind, Passage};
use super::{again, way};

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
            forget_our_cookies(response, &context.published.config.sign_in.cookie)?;
        }
        return Ok(());
    }
    context.record.status = Some(response.status);
    if matches!(context.passage, Passage::Route(_)) {
        edit(response, context)?;
        last(session, response, context);
    }
    Ok(())
}

fn edit(response: &mut ResponseHeader, context: &mut Context) -> Result<()> {
    let published = std::sync::Arc::clone(&context.published);
    let sign_in = &published.config.sign_in;
    forget_our_cookies(response, &sign_in.cookie)?;
    // Whoever has a question about a permitted answer needs its id as much as after a refusal.
    response.insert_header(HeaderName::from_static("x-request-id"), context.identify().to_header())?;
    let Some(to) = context.routed() else { return Ok(()) };
    for (name, value) in &to.grant.route.headers.set_response {
        response.insert_header(name.clone(), value.clone())?;
    }
    if to.grant.clear_cookie {
        for cookie in portcullis_reply::clear_session_cookie(&sign_in.cookie) {
            response.append_header(header::SET_COOKIE, cookie)?;
        }
    }
    Ok(())
}

/// An upstream that sets our cookies would choose who its visitors are on this host.
fn forget_our_cookies(response: &mut ResponseHeader, cookie: &Cookie) -> Result<()> {
    let ours = |value: &HeaderValue| {
        let name = name_sent_back(value.as_bytes());
        name.eq_ignore_ascii_case(cookie.name.as_bytes()) || name.eq_ignore_ascii_case(cookie.bind_name.as_bytes())
    };
    if !response.headers.get_all(header::SET_COOKIE).iter().any(ours) {
        return Ok(());
    }
    let kept: Vec<HeaderValue> =
        response.headers.get_all(header::SET_COOKIE).iter().filter(|value| !ours(value)).cloned().collect();
    response.remove_header(&header::SET_COOKIE);
    for value in kept {
        response.append_header(header::SET_COOKIE, value)?;
    }
    Ok(())
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
    let exchange = std::sync::Arc::clone(&context.exchange);
    let head_only = session.req_header().method == http::Method::HEAD;
    let Some(to) = context.routed() else { return };
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
