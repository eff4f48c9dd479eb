//! The plain-HTTP listener: answers every well-formed request for a host of ours with the same address under `https`,
//! and nothing else. A small server of its own, so that no request in the clear can reach a route. Other hosts are
//! not sent anywhere: whoever can make a cache or a browser ask us for one must not choose where that leads.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use portcullis_gate::{CanonicalHost, Gate};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::accept::Gatekeeper;

/// The most bytes a request's head may have here: it carries only an address.
const HEAD_BYTES: usize = 8 * 1024;

/// How long a connection without TLS may last in all.
const LIFETIME: Duration = Duration::from_secs(30);

/// Serves redirects on `listener` until `stop`.
pub(crate) async fn serve(
    listener: TcpListener,
    door: Arc<Gatekeeper>,
    (gate, public_port): (Arc<Gate>, u16),
    stop: CancellationToken,
) {
    let tasks = TaskTracker::new();
    loop {
        // Cancel-safe: an accept that was not polled to its end has taken no connection.
        let (socket, address) = tokio::select! {
            () = stop.cancelled() => break,
            accepted = door.next(&listener) => accepted,
        };
        let Some(place) = door.admit(address) else { continue };
        let head_deadline = door.limits().head;
        let gate = Arc::clone(&gate);
        tasks.spawn(async move {
            // What a client does with its connection is its own affair: an error here has no reader.
            drop(tokio::time::timeout(LIFETIME, answer(socket, (&gate, public_port), head_deadline)).await);
            drop(place);
        });
    }
    tasks.close();
    drop(tokio::time::timeout(LIFETIME, tasks.wait()).await);
}

async fn answer(
    socket: TcpStream,
    (gate, public_port): (&Gate, u16),
    head_deadline: Duration,
) -> Result<(), hyper::Error> {
    hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head_deadline)
        .max_buf_size(HEAD_BYTES)
        .keep_alive(false)
        .serve_connection(
            TokioIo::new(socket),
            service_fn(move |request| {
                let response = redirect(&request, gate, public_port);
                async move { Ok::<_, std::convert::Infallible>(response) }
            }),
        )
        .await
}

fn redirect(request: &Request<Incoming>, gate: &Gate, public_port: u16) -> Response<Empty<Bytes>> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next().and_then(|host| host.to_str().ok()), hosts.next()) else {
        return bare(StatusCode::BAD_REQUEST);
    };
    let Ok(host) = CanonicalHost::parse(host) else { return bare(StatusCode::BAD_REQUEST) };
    if !gate.snapshot().serves(&host) {
        return bare(StatusCode::MISDIRECTED_REQUEST);
    }
    let target = request.uri().path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let Some(location) = location(host.name(), target, public_port) else { return bare(StatusCode::BAD_REQUEST) };
    // GET and HEAD may be cached as moved; others must keep method and body, which 308 says.
    let status = match *request.method() {
        Method::GET | Method::HEAD => StatusCode::MOVED_PERMANENTLY,
        _ => StatusCode::PERMANENT_REDIRECT,
    };
    let mut response = bare(status);
    response.headers_mut().insert(header::LOCATION, location);
    response
}

/// The address of a canonical host under `https`; `None` if `target` is no path.
fn location(host: &str, target: &str, public_port: u16) -> Option<HeaderValue> {
    if !target.starts_with('/') {
        return None;
    }
    let location = match public_port {
        443 => format!("https://{host}{target}"),
        port => format!("https://{host}:{port}{target}"),
    };
    HeaderValue::try_from(location).ok()
}

fn bare(status: StatusCode) -> Response<Empty<Bytes>> {
    let mut response = Response::new(Empty::new());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_location_keeps_host_path_and_query_and_takes_the_public_port() {
        let text = |value: Option<HeaderValue>| value.map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(text(location("wiki.test", "/a?b=c", 443)).as_deref(), Some("https://wiki.test/a?b=c"));
        assert_eq!(text(location("wiki.test", "/", 8443)).as_deref(), Some("https://wiki.test:8443/"));
        assert_eq!(text(location("[::1]", "/", 443)).as_deref(), Some("https://[::1]/"));
        assert_eq!(location("wiki.test", "*", 443), None);
    }
}
