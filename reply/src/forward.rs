//! Answers without a page: redirects, fixed texts, documents.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, LOCATION};
use http::{HeaderValue, Response, StatusCode};

use crate::{Caller, fault, response};

/// Sends the browser on with 302, from a GET.
#[must_use]
pub fn redirect(caller: &Caller<'_>, location: &str) -> Response<Bytes> {
    redirect_route(caller, location, StatusCode::FOUND)
}

/// Sends the browser on with 303, from a POST: what it sent does not travel along (RFC 9700 4.12).
#[must_use]
pub fn see_other(caller: &Caller<'_>, location: &str) -> Response<Bytes> {
    redirect_route(caller, location, StatusCode::SEE_OTHER)
}

/// A redirect with a status of the configuration's choosing. A location that no header can carry is a
/// failure of ours, and answered as one.
#[must_use]
pub fn redirect_route(caller: &Caller<'_>, location: &str, status: StatusCode) -> Response<Bytes> {
    let Ok(location) = HeaderValue::from_str(location) else { return fault::internal(caller) };
    let mut answer = response::empty(caller, status);
    answer.headers_mut().insert(LOCATION, location);
    answer
}

/// The fixed answer of a route with `response`.
#[must_use]
pub fn fixed(caller: &Caller<'_>, status: StatusCode, body: &str) -> Response<Bytes> {
    response::typed(caller, status, "text/plain; charset=utf-8", body.to_owned())
}

/// A text of ours, such as the URL of a programmatic sign-in.
#[must_use]
pub fn text(caller: &Caller<'_>, body: &str) -> Response<Bytes> {
    fixed(caller, StatusCode::OK, body)
}

/// A JSON document of ours: keys of the assertion, discovery.
#[must_use]
pub fn document(caller: &Caller<'_>, json: String) -> Response<Bytes> {
    let mut answer = response::typed(caller, StatusCode::OK, "application/json", json);
    // Public facts, read by programs of any origin.
    answer.headers_mut().insert("access-control-allow-origin", HeaderValue::from_static("*"));
    answer
}

/// The answer to `/ping`.
#[must_use]
pub fn ping(caller: &Caller<'_>) -> Response<Bytes> {
    let mut answer = fixed(caller, StatusCode::OK, "OK\n");
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    answer
}
