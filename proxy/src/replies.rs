//! What we tell callers, by `reply`: this file only hands over who asks.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, USER_AGENT};
use http::{HeaderName, Response};
use pingora_proxy::Session;
use portcullis_gate::{Audience, RequestView};
use portcullis_reply::{Caller, UpstreamFailure};

use crate::traffic::Context;

/// An answer of ours.
pub(crate) type Answer = Response<Bytes>;

/// When somebody who asks too often may ask again.
pub(crate) const TOO_OFTEN: Duration = Duration::from_secs(60);

/// When somebody whose session cannot be looked up may ask again.
pub(crate) const SOON: Duration = Duration::from_secs(5);

/// Why a request was not carried through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// No address to try.
    NoAddress,
    /// No connection.
    Connect,
    /// A connection, but not to whom it should be.
    Tls,
    /// Too slow.
    TimedOut,
    /// The connection broke, or what came is not HTTP.
    BrokeOff,
    /// The access token that the route injects cannot be had.
    Token,
    /// Our own fault.
    Internal,
}

impl Failure {
    /// One word for metrics and events.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::NoAddress => "no_address",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::TimedOut => "timed_out",
            Self::BrokeOff => "broke_off",
            Self::Token => "token",
            Self::Internal => "internal",
        }
    }
}

/// Who asks, of a request that was read.
pub(crate) fn caller<'a>(session: &'a Session, context: &'a Context, view: &RequestView<'_>) -> Caller<'a> {
    asking(session, context, view.audience())
}

/// Who asks, of a request that was not: a browser, if it says so.
pub(crate) fn stranger<'a>(session: &'a Session, context: &'a Context) -> Caller<'a> {
    let html = once(session, &ACCEPT).is_some_and(|accept| accept.contains("text/html"));
    asking(session, context, if html { Audience::Navigation } else { Audience::Script })
}

/// The answer to a request that was not carried through.
pub(crate) fn failure(session: &Session, context: &Context, failure: Failure) -> Answer {
    let audience = context.view().map(RequestView::audience);
    let caller = audience.map_or_else(|| stranger(session, context), |audience| asking(session, context, audience));
    let failure = match failure {
        Failure::NoAddress | Failure::Connect | Failure::Tls => UpstreamFailure::ConnectFailed,
        Failure::TimedOut => UpstreamFailure::TimedOut,
        Failure::BrokeOff => UpstreamFailure::BadAnswer,
        Failure::Token => UpstreamFailure::TokenUnavailable,
        Failure::Internal => return portcullis_reply::internal(&caller),
    };
    portcullis_reply::upstream_failure(&caller, failure)
}

fn asking<'a>(session: &'a Session, context: &'a Context, audience: Audience) -> Caller<'a> {
    Caller {
        audience,
        accept: once(session, &ACCEPT),
        user_agent: once(session, &USER_AGENT),
        host: &context.record.host,
        request_id: context.id(),
        namespace: context.published.config.sign_in.namespace,
    }
}

/// The value of a field that was sent once and is text.
fn once<'a>(session: &'a Session, name: &HeaderName) -> Option<&'a str> {
    let mut values = session.req_header().headers.get_all(name).into_iter();
    let value = values.next()?.to_str().ok()?;
    if values.next().is_some() { None } else { Some(value) }
}
