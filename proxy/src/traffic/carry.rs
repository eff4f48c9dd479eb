//! Requests to upstreams in the clear, by ourselves. Pingora's own way is made for caches and modules too: two
//! halves that hand tasks to each other. One loop does, and takes three fifths of the time.

use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use futures_util::FutureExt;
use http::{Method, Version, header};
use pingora_core::connectors::TransportConnector;
use pingora_core::protocols::http::HttpTask;
use pingora_core::{Error, ErrorSource, ErrorType, Result};
use pingora_http::ResponseHeader;
use pingora_proxy::Session;

use super::connection::{Connection, is_bodiless};
use super::{Context, again, request_headers, response_headers, way};
use crate::exchange::Exchange;

/// The most that is kept of a body, for a second try.
const KEPT_BYTES: usize = 64 * 1024;

/// The most pieces that are kept.
const KEPT_PIECES: usize = 16;

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
                retire(context);
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

/// Has the next requests look for a connection that answers.
fn retire(context: &mut Context) {
    if let Some(chosen) = context.routed().and_then(|to| to.chosen.as_ref()) {
        chosen.endpoint.streams.retire();
    }
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
    let (mut upstream, reused) = match Connection::waiting(chosen) {
        Some(waiting) => (waiting, true),
        None => match Box::pin(Connection::open(connector, chosen)).await {
            Ok(opened) => opened,
            Err(mut error) => {
                error.as_up();
                return Err(way::not_connected(context, error));
            }
        },
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
        Err(error) => {
            if (error.esource(), error.etype()) == (&ErrorSource::Upstream, &ErrorType::WriteTimedout) {
                retire(context);
            }
            Err(way::broke_off(session, context, error, (reused, !kept.is_in_part)))
        }
    }
}

/// How much of a request its upstream has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sent {
    /// All of it: its connection may serve another one.
    Whole,
    /// It would not read the rest.
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
    let waits = upstream.version() == Version::HTTP_2 && request.remove_header(&header::EXPECT).is_some();
    upstream.send_head(request, kept.is_none()).await?;
    // What an upstream says over HTTP/2 before its answer does not come through.
    if waits && !session.is_http2() {
        session.downstream_session.write_continue_response().await?;
    }
    let (sent, mut answered) = match kept {
        Some(kept) => send_body(upstream, session, context, kept).await?,
        None => (Sent::Whole, false),
    };
    while !answered {
        // Cancel-safe: what was read of either side lies in its session.
        let task = tokio::select! {
            biased;
            task = upstream.read() => task?,
            // Nothing comes any more but the end of the client.
            gone = session.downstream_session.read_body_or_idle(true) => return Err(client_gone(gone)),
        };
        answered = deliver(task, upstream, session, context).await?;
    }
    Ok(sent)
}

/// Sends the body up, and meanwhile the answer down; whether it was all of the answer. One that is there before the end
/// of the body does not stop it: the rest is part of a request that was permitted. What the upstream does not want to read is
/// read all the same until it has answered: it may say why, and the client listens when it is done.
async fn send_body(
    upstream: &mut Connection,
    session: &mut Session,
    context: &mut Context,
    kept: &mut Kept,
) -> Result<(Sent, bool)> {
    let mut ended = session.as_mut().is_body_done();
    let mut sent = Sent::Whole;
    let mut answered = false;
    // Of an earlier try.
    for piece in &kept.pieces {
        sent = send(upstream, session, context, (piece.clone(), false), &mut answered).await?;
        if sent == Sent::InPart {
            break;
        }
    }
    if ended && sent == Sent::Whole {
        sent = send(upstream, session, context, (Bytes::new(), true), &mut answered).await?;
    }
    while !ended && (sent == Sent::Whole || !answered) {
        // Either may be first: a side that is always ready leaves the other its share. Cancel-safe as above.
        tokio::select! {
            task = upstream.read(), if !answered => answered = deliver(task?, upstream, session, context).await?,
            piece = session.downstream_session.read_request_body() => {
                let piece = piece.map_err(|error| error.into_down())?;
                ended = piece.is_none() || session.as_mut().is_body_done();
                let piece = piece.unwrap_or_default();
                again::received(context, &piece, ended)?;
                if sent == Sent::Whole {
                    kept.keep(&piece);
                    sent = send(upstream, session, context, (piece, ended), &mut answered).await?;
                }
            }
        }
    }
    Ok((sent, answered))
}

/// Sends a piece of the body, and whether it is the last, unless the client goes meanwhile. What comes of the answer while it
/// waits goes down: an upstream may have to be rid of that before it reads on.
async fn send(
    upstream: &mut Connection,
    session: &mut Session,
    context: &mut Context,
    (piece, ended): (Bytes, bool),
    answered: &mut bool,
) -> Result<Sent> {
    let (up, mut down) = upstream.ways();
    let mut sending = pin!(up.send(piece, ended));
    let outcome = loop {
        let gone = async {
            match session.downstream_session.watch_h2_stream_close() {
                Some(closed) => closed.await,
                // Over HTTP/1.1 it says so behind what it has sent, and that is not read before this is.
                None => std::future::pending().await,
            }
        };
        let task = async {
            match &mut down {
                Some(down) if !*answered => down.read().await,
                _ => std::future::pending().await,
            }
        };
        let mut task = tokio::select! {
            biased;
            outcome = &mut sending => break outcome,
            gone = gone => return Err(client_gone(gone)),
            task = task => task?,
        };
        pass(&mut task, session, context)?;
        *answered = session.downstream_session.response_duplex_vec(vec![task]).await?;
    };
    match outcome {
        Ok(()) => Ok(Sent::Whole),
        Err(error) if *error.etype() == ErrorType::WriteTimedout => Err(error.into_up()),
        // Its answer, or how its connection ends, says more than this error.
        Err(_) => Ok(Sent::InPart),
    }
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
    is_in_part: bool,
}

impl Kept {
    fn keep(&mut self, piece: &Bytes) {
        self.bytes = self.bytes.saturating_add(piece.len());
        // Each piece holds on to the room that it was read into, however small it is.
        self.is_in_part |= self.bytes > KEPT_BYTES || self.pieces.len() == KEPT_PIECES;
        if self.is_in_part {
            self.pieces = Vec::new();
        } else if !piece.is_empty() {
            self.pieces.push(piece.clone());
        }
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
        HttpTask::Trailer(_) => again::sent(context, None)?,
        HttpTask::UpgradedBody(..) | HttpTask::Done | HttpTask::Failed(_) => {}
    }
    Ok(())
}

/// A body without a length goes in chunks: the client's connection stays.
fn frame(head: &mut ResponseHeader, method: &Method) -> Result<()> {
    head.set_version(Version::HTTP_11);
    let framed = |name| head.headers.contains_key(name);
    if is_bodiless(head, method) || framed(header::CONTENT_LENGTH) || framed(header::TRANSFER_ENCODING) {
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
