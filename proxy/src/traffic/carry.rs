//! Requests to HTTP/1.1 upstreams in the clear, by ourselves. Pingora's own way is made for caches and modules too: two
//! halves that hand tasks to each other. One loop does, and takes three fifths of the time.

use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use futures_util::FutureExt;
use http::{Method, StatusCode, Version, header};
use pingora_core::connectors::TransportConnector;
use pingora_core::protocols::http::HttpTask;
use pingora_core::protocols::http::v1::client::HttpSession as Upstream;
use pingora_core::{Error, ErrorType, Result};
use pingora_http::ResponseHeader;
use pingora_proxy::Session;

use super::{Context, again, request_headers, response_headers, way};
use crate::exchange::Exchange;
use crate::upstream::WRITE;

/// The most that is kept of a body, for a second try.
const KEPT_BYTES: usize = 64 * 1024;

/// Carries a request to its upstream and the answer back, with second tries where they can do no harm.
///
/// # Errors
/// No upstream answers, the client is gone, or the exchange may not go on.
pub(crate) async fn carry(connector: &TransportConnector, session: &mut Session, context: &mut Context) -> Result<()> {
    let exchange = Arc::clone(&context.exchange);
    let mut kept = Kept::new(way::is_idempotent(&session.req_header().method));
    loop {
        let outcome = tokio::select! {
            biased;
            () = late(&exchange) => {
                return Err(Error::explain(ErrorType::ReadTimedout, "upstream does not answer").into_up());
            }
            outcome = attempt(connector, session, context, &mut kept) => outcome,
        };
        match outcome {
            Err(error) if error.retry() => {}
            outcome => return outcome,
        }
    }
}

/// Waits until the upstream is late. The exchange itself is polled then, and with it whoever waits.
async fn late(exchange: &Exchange) {
    std::future::poll_fn(|_| if exchange.is_late() { Poll::Ready(()) } else { Poll::Pending }).await;
}

async fn attempt(
    connector: &TransportConnector,
    session: &mut Session,
    context: &mut Context,
    kept: &mut Kept,
) -> Result<()> {
    let to = context.routed().ok_or_else(|| Error::explain(ErrorType::InternalError, "request has no way"))?;
    let chosen = way::choose(to).await?;
    let endpoint = Arc::clone(&chosen.endpoint);
    let (stream, reused) = match endpoint.idle.take() {
        Some(stream) => (stream, true),
        None => {
            let peer = chosen.template.peer(endpoint.address, false, None);
            match Box::pin(connector.new_stream(&peer)).await {
                Ok(stream) => (stream, false),
                Err(mut error) => {
                    error.as_up();
                    return Err(way::not_connected(context, error));
                }
            }
        }
    };
    way::connected(context);
    let mut upstream = Upstream::new(stream);
    let has_body = !session.as_mut().is_body_empty();
    // Whatever else has no deadline of its own: a body that nobody reads, and heads of exchanges that may last for ever.
    upstream.write_timeout = (has_body || context.exchange.is_unlimited()).then_some(WRITE);
    match exchange(&mut upstream, session, context, has_body.then_some(&mut *kept)).await {
        Ok(Sent::Whole) => {
            upstream.respect_keepalive();
            if let Some(stream) = upstream.reuse().await {
                endpoint.idle.leave(stream);
            }
            Ok(())
        }
        Ok(Sent::InPart) => Ok(()),
        Err(error) => Err(way::broke_off(session, context, error, (reused, kept.is_whole))),
    }
}

/// How much of a request its upstream has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sent {
    /// All of it: its connection may serve another one.
    Whole,
    /// It answered, and would not read the rest.
    InPart,
}

/// Sends the request up and the answer down. `kept`: what is kept of the body, if there is one.
async fn exchange(
    upstream: &mut Upstream,
    session: &mut Session,
    context: &mut Context,
    kept: Option<&mut Kept>,
) -> Result<Sent> {
    // The way there may have taken a while.
    again::check(context)?;
    let mut request = request_headers::made(session, context)?;
    if kept.is_some() && !request.headers.contains_key(header::CONTENT_LENGTH) {
        request.insert_header(header::TRANSFER_ENCODING, "chunked")?;
    }
    upstream.write_request_header(Box::new(request)).await.map_err(|error| error.into_up())?;
    let (sent, mut answered) = match kept {
        Some(kept) => send_body(upstream, session, context, kept).await?,
        None => (Sent::Whole, false),
    };
    while !answered {
        // Cancel-safe: what was read of either side lies in its session.
        let task = tokio::select! {
            biased;
            task = upstream.read_response_task() => task.map_err(|error| error.into_up())?,
            // Nothing comes any more but the end of the client. What is left of a body is not looked at here.
            gone = session.downstream_session.read_body_or_idle(true), if sent == Sent::Whole => {
                return Err(client_gone(gone));
            }
        };
        answered = deliver(task, upstream, session, context).await?;
    }
    Ok(sent)
}

/// Sends the body up, and meanwhile the answer down; whether it was all of the answer. One that is there before the end
/// of the body does not stop it: the rest is part of a request that was permitted.
async fn send_body(
    upstream: &mut Upstream,
    session: &mut Session,
    context: &mut Context,
    kept: &mut Kept,
) -> Result<(Sent, bool)> {
    // Of an earlier try.
    for piece in &kept.pieces {
        if upstream.write_body(piece).await.is_err() {
            return Ok((Sent::InPart, false));
        }
    }
    let mut ended = session.as_mut().is_body_done();
    let mut answered = false;
    while !ended {
        // Either may be first: a side that is always ready leaves the other its share. Cancel-safe as above.
        tokio::select! {
            task = upstream.read_response_task(), if !answered => {
                answered = deliver(task.map_err(|error| error.into_up())?, upstream, session, context).await?;
            }
            piece = session.downstream_session.read_request_body() => {
                let piece = piece.map_err(|error| error.into_down())?;
                ended = piece.is_none() || session.as_mut().is_body_done();
                let piece = piece.unwrap_or_default();
                again::received(context, &piece, ended)?;
                kept.keep(&piece);
                // An upstream that reads no more may have said why: its answer says more than this error.
                if !piece.is_empty() && upstream.write_body(&piece).await.is_err() {
                    return Ok((Sent::InPart, answered));
                }
            }
        }
    }
    let finished = upstream.finish_body().await.is_ok();
    Ok((if finished { Sent::Whole } else { Sent::InPart }, answered))
}

/// Hands on what has come of the answer; whether that was the last of it.
async fn deliver(
    mut task: HttpTask,
    upstream: &mut Upstream,
    session: &mut Session,
    context: &mut Context,
) -> Result<bool> {
    pass(&mut task, session, context)?;
    let with_more = matches!(task, HttpTask::Header(_, false));
    let mut tasks = vec![task];
    // A head and what came with it are written at once.
    if with_more && let Some(body) = upstream.read_response_task().now_or_never() {
        tasks.push(match body {
            Ok(mut task) => {
                pass(&mut task, session, context)?;
                task
            }
            Err(error) => HttpTask::Failed(error.into_up()),
        });
    }
    session.downstream_session.response_duplex_vec(tasks).await
}

/// What was sent of a body, for a second try: as long as it is all of it, and there may be one.
#[derive(Debug)]
struct Kept {
    pieces: Vec<Bytes>,
    bytes: usize,
    is_whole: bool,
}

impl Kept {
    fn new(wanted: bool) -> Self {
        Self { pieces: Vec::new(), bytes: 0, is_whole: wanted }
    }

    fn keep(&mut self, piece: &Bytes) {
        self.bytes = self.bytes.saturating_add(piece.len());
        self.is_whole &= self.bytes <= KEPT_BYTES;
        if !self.is_whole {
            self.pieces.clear();
        } else if !piece.is_empty() {
            self.pieces.push(piece.clone());
        }
    }
}

/// Judges again what is on its way to the client, and makes it what the client gets.
fn pass(task: &mut HttpTask, session: &Session, context: &mut Context) -> Result<()> {
    match task {
        HttpTask::Header(head, ended) => {
            response_headers::prepare(session, head, context)?;
            frame(head, *ended, &session.req_header().method)?;
            if !head.status.is_informational() {
                context.exchange.answered();
            }
        }
        HttpTask::Body(body, _) => again::sent(context, body.as_ref())?,
        HttpTask::UpgradedBody(..) | HttpTask::Trailer(_) | HttpTask::Done | HttpTask::Failed(_) => {}
    }
    Ok(())
}

/// A body that lasts until its connection ends goes in chunks: the client's connection stays.
fn frame(head: &mut ResponseHeader, ended: bool, method: &Method) -> Result<()> {
    let bodiless = ended
        || *method == Method::HEAD
        || head.status.is_informational()
        || matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let framed = |name| head.headers.contains_key(name);
    if bodiless || framed(header::CONTENT_LENGTH) || framed(header::TRANSFER_ENCODING) {
        return Ok(());
    }
    head.set_version(Version::HTTP_11);
    head.insert_header(header::TRANSFER_ENCODING, "chunked")
}

/// Nothing comes after a request but the end of its client.
fn client_gone<T>(gone: Result<T>) -> Box<Error> {
    match gone {
        Err(error) => error.into_down(),
        Ok(_) => Error::explain(ErrorType::ConnectionClosed, "client is gone").into_down(),
    }
}
