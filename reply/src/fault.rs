//! Answers to requests that cannot be read, and to upstreams that do not answer.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use http::header::ALLOW;
use http::{HeaderValue, Response, StatusCode};
use portcullis_gate::Malformed;

use crate::notice::{More, Notice};
use crate::page::Action;
use crate::{Caller, grpc};

/// Why no answer came from the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UpstreamFailure {
    /// No connection: refused, unreachable, unresolved, or its TLS is not what the route asks for. 502.
    ConnectFailed,
    /// It broke off, or its answer cannot be read. 502.
    BadAnswer,
    /// It took longer than the route allows. 504.
    TimedOut,
    /// Every upstream of the route is unhealthy or at its limit. 503.
    Unavailable,
    /// What the upstream needs (an access token) cannot be had now. 503.
    TokenUnavailable,
}

/// Answers a head that has no single meaning: 400, or what the cause's own status is.
#[must_use]
pub fn malformed(caller: &Caller<'_>, cause: &Malformed) -> Response<Bytes> {
    let (status, title) = match cause {
        Malformed::Misdirected => (StatusCode::MISDIRECTED_REQUEST, "This connection belongs to another site"),
        Malformed::TooManyFields | Malformed::HeadTooLarge => {
            (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "Your browser sent too much at once")
        }
        Malformed::Expectation => (StatusCode::EXPECTATION_FAILED, "This request expects what we cannot do"),
        Malformed::Connect => (StatusCode::METHOD_NOT_ALLOWED, "Tunnels are not offered here"),
        Malformed::Trace => (StatusCode::METHOD_NOT_ALLOWED, "TRACE is not offered here"),
        Malformed::HostMissing
        | Malformed::HostRepeated
        | Malformed::Host
        | Malformed::HostDisagrees
        | Malformed::Target
        | Malformed::PathEncoding
        | Malformed::PathCharacter
        | Malformed::PathHiddenDots
        | Malformed::PathParameters
        | Malformed::PathAboveRoot
        | Malformed::Query
        | Malformed::FieldValue
        | Malformed::ContentLength
        | Malformed::ContentLengthRepeated
        | Malformed::LengthAndEncoding
        | Malformed::TransferEncoding
        | Malformed::ConnectionField
        | Malformed::WebSocketHandshake
        | Malformed::ForwardedAddress => (StatusCode::BAD_REQUEST, "This request can’t be understood"),
    };
    let advice = match status {
        StatusCode::MISDIRECTED_REQUEST => "Load the page again; your browser will open a new connection.",
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => "Delete the cookies of this site, then try again.",
        _ => "Check the address for typing errors. If a program made the request, tell its makers.",
    };
    let cause = cause.to_string();
    let mut answer = bad_request(status, title, &cause, advice).answer(caller);
    if status == StatusCode::METHOD_NOT_ALLOWED {
        // RFC 9110 15.5.6: a 405 names what is allowed; of a tunnel or an echo, nothing.
        answer.headers_mut().insert(ALLOW, HeaderValue::from_static(""));
    }
    answer
}

pub(crate) fn encoded_slash(caller: &Caller<'_>) -> Response<Bytes> {
    let advice = "Check the address for typing errors. If a program made the request, tell its makers.";
    let cause = "the path holds an encoded slash";
    bad_request(StatusCode::BAD_REQUEST, "This request can’t be understood", cause, advice).answer(caller)
}

fn bad_request<'a>(status: StatusCode, title: &'static str, cause: &str, advice: &'static str) -> Notice<'a> {
    let mut letters = cause.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    Notice {
        status,
        grpc: grpc::Status::InvalidArgument,
        kind: "malformed-request",
        label: "Bad request",
        title: title.into(),
        detail: format!("{first}{}.", letters.as_str()).into(),
        advice: Some(advice.into()),
        more: More::default(),
    }
}

/// Answers in the place of an upstream that did not.
#[must_use]
pub fn upstream_failure(caller: &Caller<'_>, failure: UpstreamFailure) -> Response<Bytes> {
    let (status, grpc, kind, title, detail) = match failure {
        UpstreamFailure::ConnectFailed => (
            StatusCode::BAD_GATEWAY,
            grpc::Status::Unavailable,
            "upstream-unreachable",
            "This site can’t be reached",
            "You are let in, but the service behind this address does not accept connections.",
        ),
        UpstreamFailure::BadAnswer => (
            StatusCode::BAD_GATEWAY,
            grpc::Status::Unavailable,
            "upstream-broken-answer",
            "This site broke off its answer",
            "You are let in, but the service behind this address did not give a whole answer.",
        ),
        UpstreamFailure::TimedOut => (
            StatusCode::GATEWAY_TIMEOUT,
            grpc::Status::DeadlineExceeded,
            "upstream-timed-out",
            "This site takes too long to answer",
            "You are let in, but the service behind this address did not answer in time.",
        ),
        UpstreamFailure::Unavailable => (
            StatusCode::SERVICE_UNAVAILABLE,
            grpc::Status::Unavailable,
            "upstream-unavailable",
            "This site is not available right now",
            "You are let in, but the service behind this address is down or has too much to do.",
        ),
        UpstreamFailure::TokenUnavailable => (
            StatusCode::SERVICE_UNAVAILABLE,
            grpc::Status::Unavailable,
            "token-unavailable",
            "This site can’t be opened for you right now",
            "You are let in, but what the service behind this address needs to know you is not at hand.",
        ),
    };
    let retry_after = (status == StatusCode::SERVICE_UNAVAILABLE).then_some(Duration::from_secs(5));
    Notice {
        status,
        grpc,
        kind,
        label: "Service problem",
        title: title.into(),
        detail: detail.into(),
        advice: Some("Wait a moment before you try again. If it stays like this, tell whoever runs this site.".into()),
        more: More { retry_after, actions: Action::again(caller), ..More::default() },
    }
    .answer(caller)
}

/// Answers who asks too often: 429.
#[must_use]
pub fn too_many_requests(caller: &Caller<'_>, retry_after: Duration) -> Response<Bytes> {
    Notice {
        status: StatusCode::TOO_MANY_REQUESTS,
        grpc: grpc::Status::ResourceExhausted,
        kind: "too-many-requests",
        label: "Slow down",
        title: "Too many requests".into(),
        detail: "There were more requests from your network than we take in such a time.".into(),
        advice: Some("Wait a minute before you try again.".into()),
        more: More { retry_after: Some(retry_after), actions: Action::again(caller), ..More::default() },
    }
    .answer(caller)
}

/// A path of ours that is nothing: 404.
#[must_use]
pub fn not_found(caller: &Caller<'_>) -> Response<Bytes> {
    Notice {
        status: StatusCode::NOT_FOUND,
        grpc: grpc::Status::NotFound,
        kind: "not-found",
        label: "Not found",
        title: "There is nothing here".into(),
        detail: "This address is not one of Portcullis’s pages.".into(),
        advice: None,
        more: More {
            actions: vec![Action::Link { text: "Go to the start page", url: Cow::Borrowed("/") }],
            ..More::default()
        },
    }
    .answer(caller)
}

/// A page of ours does not take this method: 405. `allow` is the value of `Allow`.
#[must_use]
pub fn method_not_allowed(caller: &Caller<'_>, allow: &'static str) -> Response<Bytes> {
    let mut answer = Notice {
        status: StatusCode::METHOD_NOT_ALLOWED,
        grpc: grpc::Status::Unimplemented,
        kind: "method-not-allowed",
        label: "Bad request",
        title: "This can’t be done here".into(),
        detail: "This address does not take requests of this kind.".into(),
        advice: None,
        more: More::default(),
    }
    .answer(caller);
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
    answer
}

/// Something of ours that this answer needs does not answer: 503.
#[must_use]
pub fn unavailable(caller: &Caller<'_>, retry_after: Duration) -> Response<Bytes> {
    Notice {
        status: StatusCode::SERVICE_UNAVAILABLE,
        grpc: grpc::Status::Unavailable,
        kind: "unavailable",
        label: "Temporarily unavailable",
        title: "Signing in does not work right now".into(),
        detail: "A part of the sign-in service does not answer. Sites you are signed in to go on working.".into(),
        advice: Some("Wait a moment before you try again.".into()),
        more: More { retry_after: Some(retry_after), actions: Action::again(caller), ..More::default() },
    }
    .answer(caller)
}

/// A failure of ours: 500. The log knows more, by the request id.
#[must_use]
pub fn internal(caller: &Caller<'_>) -> Response<Bytes> {
    Notice {
        status: StatusCode::INTERNAL_SERVER_ERROR,
        grpc: grpc::Status::Internal,
        kind: "internal",
        label: "Something broke",
        title: "Something went wrong on our side".into(),
        detail: "This request could not be answered because of a fault in the proxy, not in what you did.".into(),
        advice: Some("If it stays like this, tell whoever runs this site and quote the request id.".into()),
        more: More { actions: Action::again(caller), ..More::default() },
    }
    .answer(caller)
}
