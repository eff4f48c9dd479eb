//! The parts all our answers share.

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, RETRY_AFTER,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};

use crate::Caller;
use crate::look::{Policy, content_security_policy};

/// An answer with nothing but the shared headers.
pub(crate) fn empty(caller: &Caller<'_>, status: StatusCode) -> Response<Bytes> {
    with_body(caller, status, None, Bytes::new())
}

/// An answer of some media type.
pub(crate) fn typed(caller: &Caller<'_>, status: StatusCode, kind: &'static str, body: String) -> Response<Bytes> {
    with_body(caller, status, Some(kind), Bytes::from(body))
}

/// A page. Its policy says what it may do.
pub(crate) fn html(caller: &Caller<'_>, status: StatusCode, policy: Policy, page: String) -> Response<Bytes> {
    let mut response = typed(caller, status, "text/html; charset=utf-8", page);
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, content_security_policy(policy));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert("cross-origin-opener-policy", HeaderValue::from_static("same-origin"));
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
    if policy == Policy::Form {
        // Under `no-referrer` a browser sends `Origin: null` with the form, and the check that a POST comes
        // from our own page would fail. This policy tells the origin to our own host alone.
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    }
    response
}

/// Marks an answer that stands in an upstream's place.
pub(crate) fn intercepted(caller: &Caller<'_>, response: &mut Response<Bytes>) {
    let name = format!("{}intercepted-response", caller.namespace.header_prefix());
    if let Ok(name) = HeaderName::try_from(name) {
        response.headers_mut().insert(name, HeaderValue::from_static("true"));
    }
}

/// When to come again, in whole seconds, at least one.
pub(crate) fn retry_after(headers: &mut HeaderMap, after: std::time::Duration) {
    headers.insert(RETRY_AFTER, HeaderValue::from(after.as_secs().max(1)));
}

fn with_body(caller: &Caller<'_>, status: StatusCode, kind: Option<&'static str>, body: Bytes) -> Response<Bytes> {
    let length = HeaderValue::from(body.len());
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    if let Some(kind) = kind {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    }
    headers.insert(CONTENT_LENGTH, length);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Ok(id) = HeaderValue::from_str(caller.request_id) {
        headers.insert("x-request-id", id);
    }
    response
}
