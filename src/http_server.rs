//! The small HTTP/1.1 server behind the telemetry listener and the admin socket. Never faces users.

use std::convert::Infallible;
use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// From the first byte of a request's head to its last.
const HEAD_DEADLINE: Duration = Duration::from_secs(10);
/// Connections at one time; further ones wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 64;

/// What a handler answers.
pub(crate) type Answer = Response<Full<Bytes>>;

/// An answer with a content type; never stored by a cache.
pub(crate) fn answer(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    answer.headers_mut().insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    answer
}

/// A JSON answer.
pub(crate) fn json(status: StatusCode, value: &serde_json::Value) -> Answer {
    answer(status, "application/json", format!("{value:#}\n"))
}

/// Serves `handler` on a TCP listener until `stop`.
pub(crate) async fn serve_tcp<H, F>(listener: TcpListener, handler: H, stop: CancellationToken)
where
    H: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    serve(stop, || async { listener.accept().await.map(|(stream, _peer)| stream) }, handler).await;
}

/// Serves `handler` on a Unix socket until `stop`. Who may connect is the file's mode.
pub(crate) async fn serve_unix<H, F>(listener: UnixListener, handler: H, stop: CancellationToken)
where
    H: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    serve(stop, || async { listener.accept().await.map(|(stream, _peer)| stream) }, handler).await;
}

async fn serve<A, AF, S, H, F>(stop: CancellationToken, accept: A, handler: H)
where
    A: Fn() -> AF,
    AF: Future<Output = std::io::Result<S>>,
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    H: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    let connections = TaskTracker::new();
    let places = std::sync::Arc::new(tokio::sync::Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(place) = std::sync::Arc::clone(&places).acquire_owned().await else { break };
        // Cancel safe: `accept` keeps nothing between polls.
        let stream = tokio::select! {
            accepted = accept() => accepted,
            () = stop.cancelled() => break,
        };
        let stream = match stream {
            Ok(stream) => stream,
            Err(error) => {
                tracing::warn!(error = %error, "accept did not succeed");
                // Out of descriptors: give the process a moment to close some.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (handler, stop) = (handler.clone(), stop.clone());
        connections.spawn(async move {
            serve_connection(stream, handler, stop).await;
            drop(place);
        });
    }
    connections.close();
    connections.wait().await;
}

async fn serve_connection<S, H, F>(stream: S, handler: H, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    H: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    let service = service_fn(move |request| {
        let answer = handler(request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_DEADLINE);
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error = %error, "connection ended early");
    }
}
