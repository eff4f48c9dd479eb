//! The HTTP/1.1 server under the provider and the applications: loopback, bounded bodies, stops when dropped.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION};
use http::{Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

/// From the first byte of a request's head to its last.
const HEAD_DEADLINE: Duration = Duration::from_secs(10);
/// The most bytes of a form.
const MAX_FORM_BYTES: usize = 64 * 1024;

/// A body that may be a stream.
pub(crate) type Body = UnsyncBoxBody<Bytes, Infallible>;
/// What a site answers.
pub(crate) type Answer = Response<Body>;

/// Something that answers requests.
pub(crate) trait Site: Send + Sync + 'static {
    /// Answers one request; errors are answers too.
    fn answer(self: Arc<Self>, request: Request<Incoming>) -> impl Future<Output = Answer> + Send;
}

/// A listening site; dropping it closes the listener and every connection.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    _stop: DropGuard,
}

impl Server {
    /// Binds `address` (port 0: any).
    pub(crate) async fn bind(address: SocketAddr) -> io::Result<Bound> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok(Bound { listener, address })
    }

    /// Where it listens.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }
}

/// A bound listener that nobody answers on yet: its port is known before its site is made.
#[derive(Debug)]
pub(crate) struct Bound {
    listener: TcpListener,
    address: SocketAddr,
}

impl Bound {
    /// The listener's address.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Starts to answer.
    pub(crate) fn serve<S: Site>(self, site: Arc<S>) -> Server {
        let Self { listener, address } = self;
        let stop = CancellationToken::new();
        let token = stop.clone();
        tokio::spawn(async move {
            // Cancel-safe: an accept that is dropped leaves the connection in the kernel's queue.
            while let Some(accepted) = token.run_until_cancelled(listener.accept()).await {
                match accepted {
                    Ok((stream, _peer)) => {
                        tokio::spawn(converse(stream, Arc::clone(&site), token.clone()));
                    }
                    Err(error) => {
                        tracing::warn!(%error, "accept failed");
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                }
            }
        });
        Server { address, _stop: stop.drop_guard() }
    }
}

async fn converse<S: Site>(stream: tokio::net::TcpStream, site: Arc<S>, stop: CancellationToken) {
    // Refused only on a connection that is gone already, which the next line finds out too.
    let _gone = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let site = Arc::clone(&site);
        async move { Ok::<_, Infallible>(site.answer(request).await) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_DEADLINE)
        .serve_connection(TokioIo::new(stream), service);
    if let Some(Err(error)) = stop.run_until_cancelled(connection).await {
        tracing::debug!(%error, "connection ended early");
    }
}

/// An answer with a body and a content type, never stored by a cache.
pub(crate) fn answer(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()).boxed_unsync());
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// An HTML page under a policy that lets it load its own style sheet and script and nothing else.
///
/// There is no `form-action`: Chromium applies it to the redirects after a form too, and a sign-in form
/// always ends in one to another origin.
pub(crate) fn page(status: StatusCode, html: String) -> Answer {
    const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
                          img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'";
    let mut page = answer(status, "text/html; charset=utf-8", html);
    page.headers_mut().insert("content-security-policy", HeaderValue::from_static(POLICY));
    page.headers_mut().insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    page
}

/// A JSON document.
pub(crate) fn json(status: StatusCode, value: &serde_json::Value) -> Answer {
    answer(status, "application/json", value.to_string())
}

/// A 303 to `location`; a location that is no header value is a 500.
pub(crate) fn see_other(location: &str) -> Answer {
    let mut redirect = answer(StatusCode::SEE_OTHER, "text/plain; charset=utf-8", "");
    set(&mut redirect, LOCATION, location);
    redirect
}

/// Adds a header; a value that is none turns the answer into a 500, because half an answer would mislead.
pub(crate) fn set(answer: &mut Answer, name: HeaderName, value: &str) {
    match HeaderValue::from_str(value) {
        Ok(value) => {
            answer.headers_mut().append(name, value);
        }
        Err(_) => *answer.status_mut() = StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// Why a form could not be read.
#[derive(Debug, thiserror::Error)]
#[error("the body is no form of at most {MAX_FORM_BYTES} bytes")]
pub(crate) struct FormUnreadable;

/// Names and values of a form or a query, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fields(Vec<(String, String)>);

impl Fields {
    /// The fields of an `application/x-www-form-urlencoded` text.
    pub(crate) fn parse(text: &[u8]) -> Self {
        Self(url::form_urlencoded::parse(text).into_owned().collect())
    }

    /// The fields of a request's query.
    pub(crate) fn of_query<B>(request: &Request<B>) -> Self {
        Self::parse(request.uri().query().unwrap_or_default().as_bytes())
    }

    /// The fields of a request's body.
    pub(crate) async fn of_body(request: Request<Incoming>) -> Result<Self, FormUnreadable> {
        let body = Limited::new(request.into_body(), MAX_FORM_BYTES);
        let whole = tokio::time::timeout(HEAD_DEADLINE, body.collect()).await;
        let bytes = whole.map_err(|_| FormUnreadable)?.map_err(|_| FormUnreadable)?.to_bytes();
        Ok(Self::parse(&bytes))
    }

    /// The first value of `name`; empty values count as absent (RFC 6749 3.1).
    pub(crate) fn first(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(found, value)| found == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }

    /// Whether a name occurs twice, which OAuth forbids (RFC 6749 3.1).
    pub(crate) fn repeats(&self) -> bool {
        self.0.iter().enumerate().any(|(at, (name, _))| self.0.iter().skip(at + 1).any(|(other, _)| other == name))
    }
}

/// Text as HTML text or attribute value.
pub(crate) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

/// Bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a String cannot fail.
        let _infallible = write!(text, "{byte:02x}");
    }
    text
}
