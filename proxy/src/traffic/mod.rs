//! Pingora's hooks, each handed to the file that knows it. Nothing is decided here.

mod again;
mod answer;
mod both_ways;
mod carry;
mod connection;
mod context;
mod failure;
mod judge;
mod request_headers;
mod respond;
mod response_headers;
mod tunnel;
mod way;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use pingora_core::connectors::TransportConnector;
use pingora_core::modules::http::HttpModules;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_core::{Error, Result};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};

pub(crate) use again::still;
pub(crate) use context::Context;
use context::Passage;
pub(crate) use respond::{Begin, begun_answer, loop_page};

use crate::shared::Shared;

/// How long what is left of a request's body is read away after an early answer.
const DRAIN: Duration = Duration::from_secs(5);

/// The proxy as Pingora sees it.
pub(crate) struct Traffic {
    shared: Arc<Shared>,
    /// Makes the connections that the engine does not see.
    connector: TransportConnector,
}

impl Traffic {
    /// Traffic through `shared`.
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, connector: TransportConnector::new(None) }
    }
}

#[async_trait]
impl ProxyHttp for Traffic {
    /// Boxed: the engine moves it from place to place, and its future has room for it in each of them.
    type CTX = Box<Context>;

    fn new_ctx(&self) -> Box<Context> {
        Box::new(Context::new(&self.shared))
    }

    /// None: the default adds a disabled compressor to every request.
    fn init_downstream_modules(&self, _: &mut HttpModules) {}

    async fn early_request_filter(&self, session: &mut Session, context: &mut Box<Context>) -> Result<()> {
        context.exchange.head_read();
        context.exchange.peer.head.head_read();
        // The exchange watches head, pauses and the body's progress, over both protocols alike.
        session.set_read_timeout(None);
        session.set_write_timeout(Some(context.published.config.limits.client_write));
        session.set_total_drain_timeout(Some(DRAIN));
        // Without it a second request during the first turns the first answer into a 400.
        session.set_pipelining_enabled(true);
        if session.get_keepalive().is_some() {
            // Without an end of Pingora's own: the next exchange begins at once, and its head has a deadline.
            session.set_keepalive(Some(0));
        }
        Ok(())
    }

    async fn request_filter(&self, session: &mut Session, context: &mut Box<Context>) -> Result<bool> {
        if respond::answer_or_pass(session, context).await? {
            return Ok(true);
        }
        if context.is_upgrade() {
            Box::pin(tunnel::carry(&self.connector, session, context)).await?;
            return Ok(true);
        }
        if context.is_carried() {
            Box::pin(carry::carry(&self.connector, session, context)).await?;
            return Ok(true);
        }
        Ok(false)
    }

    async fn upstream_peer(&self, _: &mut Session, context: &mut Box<Context>) -> Result<Box<HttpPeer>> {
        way::peer(context).await
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        context: &mut Box<Context>,
    ) -> Result<()> {
        request_headers::prepare(session, request, context)
    }

    async fn connected_to_upstream(
        &self,
        _: &mut Session,
        _: bool,
        _: &HttpPeer,
        _: std::os::unix::io::RawFd,
        _: Option<&pingora_core::protocols::Digest>,
        context: &mut Box<Context>,
    ) -> Result<()> {
        way::connected(context);
        Ok(())
    }

    async fn request_body_filter(
        &self,
        _: &mut Session,
        body: &mut Option<Bytes>,
        end: bool,
        context: &mut Box<Context>,
    ) -> Result<()> {
        again::received(context, body.as_deref().unwrap_or_default(), end)
    }

    async fn upstream_response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        context: &mut Box<Context>,
    ) -> Result<()> {
        response_headers::prepare(session, response, context)
    }

    fn upstream_response_body_filter(
        &self,
        _: &mut Session,
        body: &mut Option<Bytes>,
        _: bool,
        context: &mut Box<Context>,
    ) -> Result<Option<Duration>> {
        again::sent(context, body.as_ref())?;
        Ok(None)
    }

    fn fail_to_connect(
        &self,
        _: &mut Session,
        _: &HttpPeer,
        context: &mut Box<Context>,
        error: Box<Error>,
    ) -> Box<Error> {
        way::not_connected(context, error)
    }

    fn error_while_proxy(
        &self,
        _: &HttpPeer,
        session: &mut Session,
        error: Box<Error>,
        context: &mut Box<Context>,
        reused: bool,
    ) -> Box<Error> {
        way::broke_off(session, context, error, (reused, !session.as_ref().retry_buffer_truncated()))
    }

    async fn fail_to_proxy(&self, session: &mut Session, error: &Error, context: &mut Box<Context>) -> FailToProxy {
        failure::answer(session, error, context).await
    }

    async fn logging(&self, session: &mut Session, _: Option<&Error>, context: &mut Box<Context>) {
        // The event itself is told when the context goes, which also happens where this hook is not called.
        if context.record.status.is_none() {
            context.record.status = session.response_written().map(|response| response.status);
        }
        if let Passage::Route(to) = &mut context.passage {
            to.registration = None;
        }
    }

    /// Pingora's own summary has the query in it.
    fn request_summary(&self, session: &Session, _: &Box<Context>) -> String {
        format!("{} {}", session.req_header().method, session.req_header().uri.path())
    }

    /// The access event says what became of the request; a second line would only be a second truth.
    fn suppress_error_log(&self, _: &Session, _: &Box<Context>, _: &Error) -> bool {
        true
    }

    fn suppress_proxy_warn_log(&self, _: &Session, _: &Box<Context>, _: &Error, _: ProxyWarnLogContext) -> bool {
        true
    }
}
