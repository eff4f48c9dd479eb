//! WebSocket handshakes and what follows, by ourselves: Pingora ends an upgraded exchange at once when the
//! 101 comes before it has noted the end of the (empty) request body, and a near upstream is that fast.

use std::time::Duration;

use http::{StatusCode, Version, header};
use pingora_core::connectors::TransportConnector;
use pingora_core::protocols::http::HttpTask;
use pingora_core::protocols::http::v1::client::HttpSession as Upstream;
use pingora_core::{Error, ErrorType, Result};
use pingora_http::RequestHeader;
use pingora_proxy::Session;

use super::again::Passing;
use super::both_ways::{BothWays, Step};
use super::{Context, again, failure, request_headers, response_headers, way};

/// The longest an upstream may take to answer a handshake.
const HANDSHAKE: Duration = Duration::from_secs(30);

/// Carries an upgrade from handshake to end; whatever happens, the client has its answer then.
///
/// # Errors
/// The client is gone, or the exchange may not go on.
pub(crate) async fn carry(connector: &TransportConnector, session: &mut Session, context: &mut Context) -> Result<()> {
    match handshake(connector, session, context).await {
        Ok((upstream, answer)) => exchange(session, context, upstream, answer).await,
        Err(error) => {
            failure::answer(session, &error, context).await;
            Ok(())
        }
    }
}

/// Connects, asks, and waits for the head of the answer.
async fn handshake(
    connector: &TransportConnector,
    session: &Session,
    context: &mut Context,
) -> Result<(Upstream, HttpTask)> {
    loop {
        let peer = way::peer(context).await?;
        match connector.new_stream(&*peer).await {
            Ok(stream) => {
                way::connected(context);
                let mut upstream = Upstream::new(stream);
                let request = request(session, context)?;
                upstream.read_timeout = Some(HANDSHAKE);
                upstream.write_timeout = peer.options.write_timeout;
                upstream.write_request_header(Box::new(request)).await.map_err(|error| error.into_up())?;
                let answer = upstream.read_response_task().await.map_err(|error| error.into_up())?;
                // From now on silence is the exchange's to judge.
                upstream.read_timeout = None;
                return Ok((upstream, answer));
            }
            Err(mut error) => {
                error.as_up();
                let error = way::not_connected(context, error);
                if !error.retry() {
                    return Err(error);
                }
            }
        }
    }
}

/// The handshake as it is sent on.
fn request(session: &Session, context: &mut Context) -> Result<RequestHeader> {
    let mut request = request_headers::made(session, context, Version::HTTP_11)?;
    request.insert_header(header::CONNECTION, "Upgrade")?;
    request.insert_header(header::UPGRADE, "websocket")?;
    Ok(request)
}

/// Passes the answer on, and after a 101 everything, both ways, until one side is done.
async fn exchange(
    session: &mut Session,
    context: &mut Context,
    mut upstream: Upstream,
    answer: HttpTask,
) -> Result<()> {
    let mut task = answer;
    loop {
        let upgraded = matches!(&task, HttpTask::Header(head, _) if head.status == StatusCode::SWITCHING_PROTOCOLS);
        let last = task.is_end();
        match &mut task {
            HttpTask::Header(head, _) => response_headers::prepare(session, head, context)?,
            HttpTask::Body(body, _) => again::sent(context, body.as_ref())?,
            HttpTask::UpgradedBody(..) | HttpTask::Trailer(_) | HttpTask::Done | HttpTask::Failed(_) => {}
        }
        if upgraded {
            let HttpTask::Header(head, _) = task else { return Ok(()) };
            session.downstream_session.write_response_header(head).await?;
            return both_ways(session, context, upstream).await;
        }
        session.downstream_session.response_duplex_vec(vec![task]).await?;
        if last {
            return Ok(());
        }
        task = upstream.read_response_task().await.map_err(|error| error.into_up())?;
    }
}

async fn both_ways(session: &mut Session, context: &mut Context, upstream: Upstream) -> Result<()> {
    if !session.downstream_session.was_upgraded() {
        return Err(Error::explain(ErrorType::InvalidHTTPHeader, "an upgrade that was not asked for").into_up());
    }
    let mut both = BothWays::new(&mut session.downstream_session, upstream)?;
    loop {
        match std::future::poll_fn(|cx| both.poll(cx)).await? {
            Step::FromClient(Some(bytes)) => {
                context.received += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                context.exchange.active();
                again::check(context)?;
                again::used(context, Passing::ToUpstream);
                both.send_upstream(bytes);
            }
            Step::FromUpstream(bytes) if !bytes.is_empty() => {
                again::sent(context, Some(&bytes))?;
                both.send_client(bytes);
            }
            Step::Written => {}
            // Either side is done. What the other was owed is written: nothing is read before that.
            Step::FromClient(None) | Step::FromUpstream(_) => return Ok(()),
        }
    }
}
