//! An upgraded connection's bytes, each way on its own: a side that does not read holds up what is meant for
//! it, and nothing else. Two peers that both write before they read would wait for each other for ever.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use futures_util::FutureExt;
use pingora_core::protocols::Stream;
use pingora_core::protocols::http::v1::client::HttpSession as Upstream;
use pingora_core::protocols::http::{HttpTask, ServerSession};
use pingora_core::{Error, ErrorType, OrErr, Result};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// Bytes read from an upstream at a time.
const BUFFER_BYTES: usize = 16 * 1024;

/// The two sides of a tunnel, and what is on its way between them: one piece each way.
pub(super) struct BothWays<'a> {
    client: &'a mut ServerSession,
    upstream: Stream,
    /// What the upstream sent together with its 101.
    early: Option<Bytes>,
    outgoing: Bytes,
    flushed: bool,
    /// How long one piece may wait for the upstream to read.
    patience: Option<Duration>,
    late: Option<Pin<Box<Sleep>>>,
    buffer: Box<[u8]>,
    /// Which side is asked first, in turn: a busy one leaves the other its share.
    client_first: bool,
}

/// What happened.
#[derive(Debug)]
pub(super) enum Step {
    /// The client sent bytes; `None`: it is done.
    FromClient(Option<Bytes>),
    /// The upstream sent bytes; none: it is done.
    FromUpstream(Bytes),
    /// A piece was delivered.
    Written,
}

impl<'a> BothWays<'a> {
    /// The tunnel behind a 101 that `client` has.
    ///
    /// # Errors
    /// The upstream's, or HTTP where there is none any more.
    pub(super) fn new(client: &'a mut ServerSession, mut upstream: Upstream) -> Result<Self> {
        // What came with the 101 lies in the session: it is handed out at once or is not there.
        let early = match upstream.read_response_task().now_or_never() {
            None => None,
            Some(Ok(HttpTask::UpgradedBody(body, _))) => Some(body.unwrap_or_default()),
            Some(Ok(HttpTask::Done)) => Some(Bytes::new()),
            Some(Ok(HttpTask::Header(..) | HttpTask::Body(..) | HttpTask::Trailer(_) | HttpTask::Failed(_))) => {
                return Err(Error::explain(ErrorType::InvalidHTTPHeader, "HTTP after an upgrade").into_up());
            }
            Some(Err(error)) => return Err(error.into_up()),
        };
        let patience = upstream.write_timeout;
        Ok(Self {
            client,
            upstream: upstream.into_inner(),
            early,
            outgoing: Bytes::new(),
            flushed: true,
            patience,
            late: None,
            buffer: vec![0; BUFFER_BYTES].into_boxed_slice(),
            client_first: true,
        })
    }

    /// Sends `bytes` on to the upstream; nothing more is read from the client until they are delivered.
    pub(super) fn send_upstream(&mut self, bytes: Bytes) {
        self.outgoing = bytes;
        self.flushed = false;
    }

    /// Sends `bytes` on to the client; nothing more is read from the upstream until they are delivered.
    pub(super) fn send_client(&mut self, bytes: Bytes) {
        self.client.send_downstream_proxy_task(HttpTask::UpgradedBody(Some(bytes), false));
    }

    /// The next thing that happens on either side.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Step>> {
        self.client_first = !self.client_first;
        if self.client_first {
            if let Poll::Ready(step) = self.poll_upwards(cx) {
                return Poll::Ready(step);
            }
            self.poll_downwards(cx)
        } else {
            if let Poll::Ready(step) = self.poll_downwards(cx) {
                return Poll::Ready(step);
            }
            self.poll_upwards(cx)
        }
    }

    fn poll_upwards(&mut self, cx: &mut Context<'_>) -> Poll<Result<Step>> {
        if self.flushed {
            // Made anew at each poll: what was read lies in the session until it is handed out.
            return pin!(self.client.read_request_body()).poll(cx).map_ok(Step::FromClient);
        }
        match self.poll_send(cx) {
            Poll::Ready(sent) => {
                self.late = None;
                Poll::Ready(sent.map(|()| Step::Written).map_err(|error| error.into_up()))
            }
            Poll::Pending => {
                let Some(patience) = self.patience else { return Poll::Pending };
                let late = self.late.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
                ready!(late.as_mut().poll(cx));
                Poll::Ready(Err(Error::explain(ErrorType::WriteTimedout, "upstream does not read").into_up()))
            }
        }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        while self.outgoing.has_remaining() {
            let written = Pin::new(&mut self.upstream).poll_write(cx, &self.outgoing);
            let written = ready!(written).or_err(ErrorType::WriteError, "upgraded connection")?;
            if written == 0 {
                return Poll::Ready(Err(Error::explain(ErrorType::WriteError, "upgraded connection is closed")));
            }
            self.outgoing.advance(written);
        }
        ready!(Pin::new(&mut self.upstream).poll_flush(cx)).or_err(ErrorType::WriteError, "upgraded connection")?;
        self.flushed = true;
        Poll::Ready(Ok(()))
    }

    fn poll_downwards(&mut self, cx: &mut Context<'_>) -> Poll<Result<Step>> {
        if self.client.has_pending_downstream_proxy_tasks() {
            // Cancel-safe: the session holds the piece, its position and its deadline between polls.
            return pin!(self.client.write_downstream_proxy_tasks()).poll(cx).map_ok(|_| Step::Written);
        }
        if let Some(early) = self.early.take() {
            return Poll::Ready(Ok(Step::FromUpstream(early)));
        }
        let mut buffer = ReadBuf::new(&mut self.buffer);
        ready!(Pin::new(&mut self.upstream).poll_read(cx, &mut buffer))
            .or_err(ErrorType::ReadError, "upgraded connection")
            .map_err(|error| error.into_up())?;
        Poll::Ready(Ok(Step::FromUpstream(Bytes::copy_from_slice(buffer.filled()))))
    }
}
