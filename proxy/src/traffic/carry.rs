//! Requests to upstreams in the clear, by ourselves. Pingora's own way is made for caches and modules too: two
//! halves that hand tasks to each other. One loop does, and takes three fifths of the time.

use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use futures_util::FutureExt;
use http::{Method, StatusCode, Version, header};
use pingora_core::connectors::TransportConnector;
use pingora_core::protocols::http::HttpTask;
use pingora_core::{Error, ErrorType, Result};
use pingora_http::ResponseHeader;
use pingora_proxy::Session;

use super::connection::Connection;
use super::{Context, again, request_headers, response_headers, way};
use crate::exchange::Exchange;

/// The most that is kept of a body, for a second try.
const KEPT_BYTES: usize = 64 * 1024;

/// Carries a request to its upstream and the answer back, with second tries where they can do no harm.
///
/// # Errors
/// No upstream answers, the client is gone, or the exchange may not go on.
pub(crate) async fn carry(connector: &TransportConnector, session: &mut Session, context: &mut Context) -> Result<()> {
    let exchange = Arc::clone(&context.exchange);
    let mut kept = Kept::default();
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
    let (mut upstream, reused) = match Box::pin(Connection::open(connector, chosen)).await {
        Ok(opened) => opened,
        Err(mut error) => {
            error.as_up();
            return Err(way::not_connected(context, error));
        }
    };
    way::connected(context);
    let has_body = !session.as_mut().is_body_empty();
    // Whatever else has no deadline of its own: a body that nobody reads, and heads of exchanges that may last for ever.
    if has_body || context.exchange.is_unlimited() {
        upstream.bound_writes();
    }
    match exchange(&mut upstream, session, context, has_body.then_some(&mut *kept)).await {
        Ok(Sent::Whole) => {
            upstream.leave(&endpoint).await;
            Ok(())
        }
        Ok(Sent::InPart) => Ok(()),
        Err(error) => Err(way::broke_off(session, context, error, (reused, kept.is_whole()))),
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
    upstream: &mut Connection,
    session: &mut Session,
    context: &mut Context,
    kept: Option<&mut Kept>,
) -> Result<Sent> {
    // The way there may have taken a while.
    again::check(context)?;
    let mut request = request_headers::made(session, context, upstream.version())?;
    let has_length = request.headers.contains_key(header::CONTENT_LENGTH);
    if kept.is_some() && !has_length && upstream.version() == Version::HTTP_11 {
        request.insert_header(header::TRANSFER_ENCODING, "chunked")?;
    }
    upstream.send_head(request, kept.is_none()).await?;
    let (sent, mut answered) = match kept {
        Some(kept) => send_body(upstream, session, context, kept).await?,
        None => (Sent::Whole, false),
    };
    while !answered {
        // Cancel-safe: what was read of either side lies in its session.
        let task = tokio::select! {
            biased;
            task = upstream.read() => task?,
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
    upstream: &mut Connection,
    session: &mut Session,
    context: &mut Context,
    kept: &mut Kept,
) -> Result<(Sent, bool)> {
    // Of an earlier try.
    let mut ended = session.as_mut().is_body_done();
    for piece in &kept.pieces {
        if upstream.send_body(piece.clone(), false).await.is_err() {
            return Ok((Sent::InPart, false));
        }
    }
    if ended && upstream.send_body(Bytes::new(), true).await.is_err() {
        return Ok((Sent::InPart, false));
    }
    let mut answered = false;
    while !ended {
        // Either may be first: a side that is always ready leaves the other its share. Cancel-safe as above.
        tokio::select! {
            task = upstream.read(), if !answered => {
                answered = deliver(task?, upstream, session, context).await?;
            }
            piece = session.downstream_session.read_request_body() => {
                let piece = piece.map_err(|error| error.into_down())?;
                ended = piece.is_none() || session.as_mut().is_body_done();
                let piece = piece.unwrap_or_default();
                again::received(context, &piece, ended)?;
                kept.keep(&piece);
                // An upstream that reads no more may have said why: its answer says more than this error.
                if upstream.send_body(piece, ended).await.is_err() {
                    return Ok((Sent::InPart, answered));
                }
            }
        }
    }
    Ok((Sent::Whole, answered))
}

/// Hands on what has come of the answer; whether that was the last of it.
async fn deliver(
    mut task: HttpTask,
    upstream: &mut Connection,
    session: &mut Session,
    context: &mut Context,
) -> Result<bool> {
    pass(&mut task, session, context)?;
    let with_more = matches!(task, HttpTask::Header(_, false));
    let mut tasks = vec![task];
    // A head and what came with it are written at once.
    if with_more && let Some(body) = upstream.read().now_or_never() {
        tasks.push(match body {
            Ok(mut task) => {
                pass(&mut task, session, context)?;
                task
            }
            Err(error) => HttpTask::Failed(error),
        });
    }
    session.downstream_session.response_duplex_vec(tasks).await
}

/// What was sent of a body, for a second try, as long as it is all of it.
#[derive(Debug, Default)]
struct Kept {
    pieces: Vec<Bytes>,
    bytes: usize,
}

impl Kept {
    fn keep(&mut self, piece: &Bytes) {
        self.bytes = self.bytes.saturating_add(piece.len());
        if !self.is_whole() {
            self.pieces.clear();
        } else if !piece.is_empty() {
            self.pieces.push(piece.clone());
        }
    }

    const fn is_whole(&self) -> bool {
        self.bytes <= KEPT_BYTES
    }
}

/// Judges again what is on its way to the client, and makes it what the client gets.
fn pass(task: &mut HttpTask, session: &Session, context: &mut Context) -> Result<()> {
    match task {
        HttpTask::Header(head, _) => {
            response_headers::prepare(session, head, context)?;
            if !session.is_http2() {
                frame(head, &session.req_header().method)?;
            }
            if !head.status.is_informational() {
                context.exchange.answered();
            }
        }
        HttpTask::Body(body, _) => again::sent(context, body.as_ref())?,
        HttpTask::UpgradedBody(..) | HttpTask::Trailer(_) | HttpTask::Done | HttpTask::Failed(_) => {}
    }
    Ok(())
}

/// A body without a length goes in chunks: the client's connection stays.
fn frame(head: &mut ResponseHeader, method: &Method) -> Result<()> {
    head.set_version(Version::HTTP_11);
    let bodiless = *method == Method::HEAD
        || head.status.is_informational()
        || matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let framed = |name| head.headers.contains_key(name);
    if bodiless || framed(header::CONTENT_LENGTH) || framed(header::TRANSFER_ENCODING) {
        return Ok(());
    }
    head.insert_header(header::TRANSFER_ENCODING, "chunked")
}

/// Nothing comes after a request but the end of its client.
fn client_gone<T>(gone: Result<T>) -> Box<Error> {
    match gone {
        Err(error) => error.into_down(),
        Ok(_) => Error::explain(ErrorType::ConnectionClosed, "client is gone").into_down(),
    }
}
