//! An upstream that tells what it received, streams on command, and echoes upgraded connections.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

type Body = BoxBody<Bytes, Infallible>;

/// What one request looked like when it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) target: String,
    pub(crate) host: String,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: usize,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        self.headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    pub(crate) received: Arc<Mutex<Vec<Received>>>,
    pub(crate) body_bytes: Arc<AtomicUsize>,
    /// Sends a chunk to every open `/sse`.
    pub(crate) streams: Arc<Mutex<Vec<mpsc::Sender<Bytes>>>>,
    /// Whether it tells checks that it is ill.
    pub(crate) ill: Arc<AtomicBool>,
    /// Checks so far, by `/healthz` or gRPC; connections, where somebody counts them.
    pub(crate) checks: watch::Sender<usize>,
}

impl Upstream {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream = Self::at(listener.local_addr().unwrap());
        let own = upstream.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(own.clone().serve(socket));
            }
        });
        upstream
    }

    pub(crate) fn at(address: SocketAddr) -> Self {
        Self {
            address,
            received: Arc::default(),
            body_bytes: Arc::default(),
            streams: Arc::default(),
            ill: Arc::default(),
            checks: watch::Sender::new(0),
        }
    }

    /// Waits until `count` more checks have come.
    pub(crate) async fn checked(&self, count: usize) {
        let mut checks = self.checks.subscribe();
        let wanted = *checks.borrow_and_update() + count;
        let came = checks.wait_for(|now| *now >= wanted);
        drop(tokio::time::timeout(crate::client::PATIENCE, came).await.expect("no check came").unwrap());
    }

    /// Well, or ill, from now on; returns when a check has found it out and counted it.
    pub(crate) async fn falls(&self, ill: bool, successes: usize) {
        self.ill.store(ill, Ordering::SeqCst);
        // One that was under way, as many as it takes, and one that begins only after the last was counted.
        self.checked(successes + 2).await;
    }

    pub(crate) async fn serve<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(self, socket: S) {
        let service = service_fn(move |request| {
            let own = self.clone();
            async move { Ok::<_, Infallible>(own.answer(request).await) }
        });
        let builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
        drop(builder.serve_connection_with_upgrades(TokioIo::new(socket), service).await);
    }

    pub(crate) fn last(&self) -> Received {
        self.received.lock().unwrap().last().cloned().expect("upstream received nothing")
    }

    pub(crate) fn count(&self) -> usize {
        self.received.lock().unwrap().len()
    }

    async fn answer(self, mut request: Request<Incoming>) -> Response<Body> {
        let path = request.uri().path().to_owned();
        if path == "/never" {
            std::future::pending::<()>().await;
        }
        let seen = Received {
            target: request.uri().path_and_query().map(ToString::to_string).unwrap_or_default(),
            host: request
                .headers()
                .get(header::HOST)
                .and_then(|host| host.to_str().ok().map(str::to_owned))
                .or_else(|| request.uri().authority().map(ToString::to_string))
                .unwrap_or_default(),
            headers: request.headers().clone(),
            body: 0,
        };
        if path == "/healthz" || path.starts_with("/grpc.health.v1.Health/") {
            return self.health(&path);
        }
        let upgrade = request.headers().contains_key(header::UPGRADE);
        self.received.lock().unwrap().push(seen);
        if matches!(&*path, "/ws" | "/talks" | "/both") && upgrade {
            tokio::spawn(upgraded(path, hyper::upgrade::on(&mut request)));
            let mut response = Response::new(full(""));
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
            response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("websocket"));
            return response;
        }
        if path == "/sse" || path == "/stream" {
            let (sender, mut chunks) = mpsc::channel(8);
            self.streams.lock().unwrap().push(sender);
            let stream = futures_util::stream::poll_fn(move |cx| {
                chunks.poll_recv(cx).map(|chunk| chunk.map(|chunk| Ok(Frame::data(chunk))))
            });
            let mut response = Response::new(BodyExt::boxed(StreamBody::new(stream)));
            let kind = if path == "/sse" { "text/event-stream" } else { "application/octet-stream" };
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
            return response;
        }
        let mut total = 0;
        let mut body = request.into_body();
        while let Some(Ok(frame)) = body.frame().await {
            let length = frame.data_ref().map_or(0, Bytes::len);
            total += length;
            self.body_bytes.fetch_add(length, Ordering::SeqCst);
        }
        let count = self.received.lock().unwrap().len();
        self.received.lock().unwrap()[count - 1].body = total;
        let mut response = Response::new(full("hello"));
        response.headers_mut().insert("x-from", HeaderValue::from_static("upstream"));
        response
            .headers_mut()
            .append(header::SET_COOKIE, HeaderValue::from_static("__Host-portcullis=evil; Path=/; Secure"));
        response.headers_mut().append(header::SET_COOKIE, HeaderValue::from_static("app=1"));
        response
    }
}

impl Upstream {
    /// The answer to a check.
    fn health(&self, path: &str) -> Response<Body> {
        let ill = self.ill.load(Ordering::SeqCst);
        self.checks.send_modify(|checks| *checks += 1);
        if path == "/healthz" {
            let mut response = Response::new(full("how it goes"));
            *response.status_mut() = if ill { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
            return response;
        }
        // SERVING and NOT_SERVING.
        let message: &[u8] = if ill { &[0, 0, 0, 0, 2, 8, 2] } else { &[0, 0, 0, 0, 2, 8, 1] };
        let mut trailers = http::HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        let frames = [Ok(Frame::data(Bytes::from_static(message))), Ok(Frame::trailers(trailers))];
        let mut response = Response::new(BodyExt::boxed(StreamBody::new(futures_util::stream::iter(frames))));
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        response
    }
}

/// What an upgraded connection does: `/talks` writes a flood and then reads one, `/both` does both at once, and
/// any other echoes.
async fn upgraded(path: String, on: hyper::upgrade::OnUpgrade) {
    let mut io = TokioIo::new(on.await.unwrap());
    match &*path {
        "/talks" => {
            io.write_all(&flood()).await.unwrap();
            swallow(&mut io).await;
        }
        "/both" => {
            let (mut read, mut write) = tokio::io::split(io);
            let talks = async { write.write_all(&flood()).await.unwrap() };
            tokio::join!(talks, swallow(&mut read));
        }
        _ => {
            let mut buffer = [0; 1024];
            while let Ok(read @ 1..) = io.read(&mut buffer).await {
                io.write_all(&buffer[..read]).await.unwrap();
            }
        }
    }
}

/// More than all buffers between two sockets hold.
pub(crate) const FLOOD: usize = 48 * 1024 * 1024;

fn flood() -> Vec<u8> {
    vec![b'u'; FLOOD]
}

/// Reads a whole flood.
pub(crate) async fn swallow(io: &mut (impl AsyncRead + Unpin)) {
    let mut buffer = vec![0; 64 * 1024];
    let mut total = 0;
    while total < FLOOD {
        let read = io.read(&mut buffer).await.unwrap();
        assert_ne!(read, 0, "closed after {total} bytes");
        total += read;
    }
}

fn full(text: &'static str) -> Body {
    Full::new(Bytes::from_static(text.as_bytes())).boxed()
}
