//! What one request has of a connection to its upstream: all of it over HTTP/1.1, a stream over HTTP/2.

use bytes::Bytes;
use futures_util::FutureExt;
use h2::SendStream;
use http::header::CONTENT_LENGTH;
use http::{Method, StatusCode, Version};
use pingora_core::connectors::TransportConnector;
use pingora_core::connectors::http::v2::handshake;
use pingora_core::protocols::http::HttpTask;
use pingora_core::protocols::http::v1::client::HttpSession as Http1;
use pingora_core::protocols::http::v2::client::Http2Session as Http2;
use pingora_core::protocols::http::v2::write_body;
use pingora_core::{Error, ErrorType, Result};
use pingora_http::{RequestHeader, ResponseHeader};
use portcullis_config::Scheme;
use tokio::time::timeout;

use crate::upstream::{Chosen, Endpoint, WRITE, h2_settings};

/// A connection, or the part of it that is a request's own.
pub(super) enum Connection {
    /// HTTP/1.1.
    Whole(Http1),
    /// HTTP/2.
    Stream(Stream),
}

/// A stream of HTTP/2.
pub(super) struct Stream {
    http: Http2,
    /// The way up, from the head on.
    body: Option<SendStream<Bytes>>,
    next: Next,
}

/// The way up.
pub(super) enum Up<'a> {
    Whole(&'a mut Http1),
    Stream(Option<&'a mut SendStream<Bytes>>),
}

/// The way down.
pub(super) struct Down<'a>(&'a mut Http2, &'a mut Next);

/// The part of an HTTP/2 answer that comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Head,
    Body,
    Trailers,
    Nothing,
}

impl Connection {
    /// The one that has waited for the shortest time.
    pub(super) fn waiting(chosen: &Chosen) -> Option<Self> {
        let is_whole = chosen.template.upstream.scheme != Scheme::H2c;
        is_whole.then(|| chosen.endpoint.idle.take())?.map(|stream| Self::Whole(Http1::new(stream)))
    }

    /// A part of one that others use too, or a new one; whether it was there before.
    ///
    /// # Errors
    /// None can be made.
    pub(super) async fn open(connector: &TransportConnector, chosen: &Chosen) -> Result<(Self, bool)> {
        let Chosen { endpoint, template } = chosen;
        let is_shared = template.upstream.scheme == Scheme::H2c;
        if is_shared && let Some(stream) = endpoint.streams.begin().await {
            return Ok((Self::stream(stream), true));
        }
        let peer = template.peer(endpoint.address, false, None);
        let stream = connector.new_stream(&peer).await?;
        if !is_shared {
            return Ok((Self::Whole(Http1::new(stream)), false));
        }
        let connection = handshake(stream, h2_settings(&peer)).await?;
        let stream = endpoint.streams.begin_on(connection).await?;
        let refused = || Error::explain(ErrorType::H2Error, "upstream allows no stream");
        Ok((Self::stream(stream.ok_or_else(refused)?), false))
    }

    fn stream(http: Http2) -> Self {
        Self::Stream(Stream { http, body: None, next: Next::Head })
    }

    /// Bounds each write over HTTP/1.1; over HTTP/2 they are bounded always.
    pub(super) fn bound_writes(&mut self) {
        if let Self::Whole(connection) = self {
            connection.write_timeout = Some(WRITE);
        }
    }

    /// Which version of HTTP a head must be made for.
    pub(super) const fn version(&self) -> Version {
        match self {
            Self::Whole(_) => Version::HTTP_11,
            Self::Stream(_) => Version::HTTP_2,
        }
    }

    /// Sends the head; `ended` if nothing comes after it.
    ///
    /// # Errors
    /// It cannot be sent.
    pub(super) async fn send_head(&mut self, head: RequestHeader, ended: bool) -> Result<()> {
        let sent = match self {
            Self::Whole(connection) => connection.write_request_header(Box::new(head)).await.map(drop),
            Self::Stream(Stream { http, body, .. }) => {
                http.write_request_header(Box::new(head), ended).map(|()| *body = http.take_request_body_writer())
            }
        };
        sent.map_err(|error| error.into_up())
    }

    /// Its two ways, where they can be gone at once: over HTTP/1.1 nothing is read of an answer while a piece of a body waits.
    pub(super) const fn ways(&mut self) -> (Up<'_>, Option<Down<'_>>) {
        match self {
            Self::Whole(connection) => (Up::Whole(connection), None),
            Self::Stream(Stream { http, body, next }) => (Up::Stream(body.as_mut()), Some(Down(http, next))),
        }
    }

    /// What comes next of the answer. Cancel-safe: what was read lies in the connection until it is handed out.
    ///
    /// # Errors
    /// The connection broke, or what came is no answer.
    pub(super) async fn read(&mut self) -> Result<HttpTask> {
        match self {
            Self::Whole(connection) => connection.read_response_task().await.map_err(|error| error.into_up()),
            Self::Stream(Stream { http, next, .. }) => Down(http, next).read().await,
        }
    }

    /// Leaves the connection for the next request, after a whole exchange.
    pub(super) async fn leave(self, endpoint: &Endpoint) {
        match self {
            Self::Whole(mut connection) => {
                connection.respect_keepalive();
                if let Some(stream) = connection.reuse().await {
                    endpoint.idle.leave(stream);
                }
            }
            // A stream ends with itself, but the end of an answer with a length may come on its own.
            Self::Stream(Stream { mut http, mut next, .. }) => {
                while next != Next::Nothing && matches!(read(&mut http, &mut next).now_or_never(), Some(Ok(_))) {}
            }
        }
    }
}

impl Up<'_> {
    /// Sends a piece of the body, which may be empty; `ended` if it is the last.
    ///
    /// # Errors
    /// The upstream reads no more.
    pub(super) async fn send(self, piece: Bytes, ended: bool) -> Result<()> {
        match self {
            Self::Whole(connection) => {
                if !piece.is_empty() {
                    connection.write_body(&piece).await?;
                }
                if ended {
                    // Pingora bounds any write but this one.
                    let finished = timeout(WRITE, connection.finish_body()).await;
                    finished.map_err(|_| Error::explain(ErrorType::WriteTimedout, "end of a body"))??;
                }
                Ok(())
            }
            // Nothing is sent for nothing.
            Self::Stream(_) if piece.is_empty() && !ended => Ok(()),
            Self::Stream(Some(body)) => write_body(body, piece, ended, Some(WRITE)).await,
            Self::Stream(None) => Err(Error::explain(ErrorType::InternalError, "a body before its head")),
        }
    }
}

impl Down<'_> {
    /// What comes next of the answer. Cancel-safe: what was read lies in the stream until it is handed out.
    ///
    /// # Errors
    /// The stream broke, or what came is no answer.
    pub(super) async fn read(&mut self) -> Result<HttpTask> {
        read(self.0, self.1).await.map_err(|mut error| {
            // Pingora would ask again by HTTP/1.1, which was not agreed upon; whether the request was looked at, nobody knows.
            if matches!(error.etype(), ErrorType::InvalidH2 | ErrorType::H2Downgrade) {
                error.set_retry(false);
            }
            error.into_up()
        })
    }
}

async fn read(stream: &mut Http2, next: &mut Next) -> Result<HttpTask> {
    loop {
        match *next {
            Next::Head => {
                stream.read_response_header().await?;
                let ended = stream.check_response_end_or_error()?;
                *next = if ended { Next::Nothing } else { Next::Body };
                let head = stream.response_header().cloned();
                let head = head.ok_or_else(|| Error::explain(ErrorType::H2Error, "answer without a head"))?;
                if ended && stream.request_header().is_none_or(|request| promises_body(&head, &request.method)) {
                    return Err(Error::explain(ErrorType::H2Error, "answer ends before the body that it promises"));
                }
                return Ok(HttpTask::Header(Box::new(head), ended));
            }
            Next::Body => match stream.read_response_body().await? {
                Some(body) => {
                    let ended = stream.check_response_end_or_error()?;
                    if ended {
                        *next = Next::Nothing;
                    }
                    if ended || !body.is_empty() {
                        return Ok(HttpTask::Body(Some(body), ended));
                    }
                }
                None => *next = Next::Trailers,
            },
            Next::Trailers => {
                let trailers = stream.read_trailers().await?;
                *next = Next::Nothing;
                if let Some(trailers) = trailers {
                    return Ok(HttpTask::Trailer(Some(Box::new(trailers))));
                }
            }
            Next::Nothing => return Ok(HttpTask::Done),
        }
    }
}

/// Whether a head that is all of an answer says that there is more: the library does not look (RFC 9113 §8.1.1).
fn promises_body(head: &ResponseHeader, method: &Method) -> bool {
    let length = head.headers.get(CONTENT_LENGTH);
    !is_bodiless(head, method) && length.is_some_and(|length| length.as_bytes().iter().any(|digit| *digit != b'0'))
}

/// Whether an answer with this head has no body, whatever its fields say (RFC 9112 §6.3).
pub(super) fn is_bodiless(head: &ResponseHeader, method: &Method) -> bool {
    *method == Method::HEAD
        || head.status.is_informational()
        || matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}
