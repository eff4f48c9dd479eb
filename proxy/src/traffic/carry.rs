//! Requests without a body to HTTP/1.1 upstreams, by ourselves. Pingora's own way is made for bodies both ways, caches and
//! second tries with a body: two halves that hand tasks to each other. Here nothing goes up but a head, so one loop does:
//! it is most of what passes, and takes three fifths of the time.

use std::sync::Arc;
use std::task::Poll;

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

/// Carries a request to its upstream and the answer back, with second tries where they can do no harm.
///
/// # Errors
/// No upstream answers, the client is gone, or the exchange may not go on.
pub(crate) async fn carry(connector: &TransportConnector, session: &mut Session, context: &mut Context) -> Result<()> {
    let exchange = Arc::clone(&context.exchange);
    loop {
        let outcome = tokio::select! {
            biased;
            () = late(&exchange) => {
                return Err(Error::explain(ErrorType::ReadTimedout, "upstream does not answer").into_up());
            }
            outcome = attempt(connector, session, context) => outcome,
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

async fn attempt(connector: &TransportConnector, session: &mut Session, context: &mut Context) -> Result<()> {
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
    upstream.write_timeout = context.exchange.is_unlimited().then_some(WRITE);
    match exchange(&mut upstream, session, context).await {
        Ok(()) => {
            upstream.respect_keepalive();
            if let Some(stream) = upstream.reuse().await {
                endpoint.idle.leave(stream);
            }
            Ok(())
        }
        Err(error) => Err(way::broke_off(session, context, error, reused)),
    }
}

/// Sends the head up and the answer down.
async fn exchange(upstream: &mut Upstream, session: &mut Session, context: &mut Context) -> Result<()> {
    // The way there may have taken a while.
    again::check(context)?;
    let request = request_headers::made(session, context)?;
    upstream.write_request_header(Box::new(request)).await.map_err(|error| error.into_up())?;
    loop {
        // Cancel-safe: what was read of either side lies in its session.
        let mut task = tokio::select! {
            biased;
            task = upstream.read_response_task() => task.map_err(|error| error.into_up())?,
            gone = session.downstream_session.read_body_or_idle(true) => return Err(client_gone(gone)),
        };
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
        if session.downstream_session.response_duplex_vec(tasks).await? {
            return Ok(());
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

/// Nothing comes after a request without a body but the end of its client.
fn client_gone<T>(gone: Result<T>) -> Box<Error> {
    match gone {
        Err(error) => error.into_down(),
        Ok(_) => Error::explain(ErrorType::ConnectionClosed, "client is gone").into_down(),
    }
}
