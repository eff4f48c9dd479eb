//! One check of one address: by a GET, by a connection, or by the gRPC health protocol. Every check makes a
//! connection of its own, with the TLS settings of the route, and leaves none behind.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::ops::RangeInclusive;

use bytes::Bytes;
use http::{Uri, header};
use pingora_core::connectors::TransportConnector;
use pingora_core::connectors::http::Connector;
use pingora_core::protocols::http::client::HttpSession;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_core::{Error, ErrorType};
use pingora_http::RequestHeader;
use portcullis_config::{Probe, Scheme, Upstream};
use portcullis_gate::own_name;

use super::health::{Ailment, Health};

/// What we call ourselves in checks.
const USER_AGENT: &str = "portcullis-health-check";

/// The most of a gRPC answer that is read.
const MAX_ANSWER: usize = 1024;

/// `SERVING` of `grpc.health.v1.HealthCheckResponse`, as a message in its frame.
const SERVING: &[u8] = &[0, 0, 0, 0, 2, 0x08, 0x01];

/// The connections of checks.
pub(super) struct Prober {
    http: Connector,
    transport: TransportConnector,
}

impl Prober {
    pub(super) fn new() -> Self {
        Self { http: Connector::new(None), transport: TransportConnector::new(None) }
    }

    /// Checks an address within the check's time.
    pub(super) async fn probe(&self, health: &Health, address: SocketAddr) -> Result<(), Ailment> {
        let asked = self.ask(health, address);
        tokio::time::timeout(health.check.timeout, asked).await.unwrap_or(Err(Ailment::TimedOut))
    }

    async fn ask(&self, health: &Health, address: SocketAddr) -> Result<(), Ailment> {
        let mut peer = health.template.peer(address, false, Some(health.check.timeout));
        // A connection that takes no second stream is not kept.
        peer.options.max_h2_streams = 1;
        let upstream = &health.template.upstream;
        match &health.check.probe {
            Probe::Tcp => self.transport.new_stream(&peer).await.map(drop).map_err(|error| ailment(&error)),
            Probe::Http { host, path, expected } => {
                let mut session = self.connect(&peer).await?;
                let request = request(("GET", path), host.as_deref(), upstream, &session)?;
                get(&mut session, request, expected).await
            }
            Probe::Grpc { service, authority } => {
                let mut session = self.connect(&peer).await?;
                let path = "/grpc.health.v1.Health/Check";
                let request = request(("POST", path), authority.as_deref(), upstream, &session)?;
                call(&mut session, request, service).await
            }
        }
    }

    async fn connect(&self, peer: &HttpPeer) -> Result<HttpSession, Ailment> {
        self.http.get_http_session(peer).await.map(|(session, _)| session).map_err(|error| ailment(&error))
    }
}

fn request(
    (method, path): (&str, &str),
    host: Option<&str>,
    upstream: &Upstream,
    session: &HttpSession,
) -> Result<RequestHeader, Ailment> {
    let host = host.map_or_else(|| own_name(upstream), Cow::Borrowed);
    let build = || {
        let mut request = RequestHeader::build(method, path.as_bytes(), Some(4))?;
        request.insert_header(header::HOST, &*host)?;
        request.insert_header(header::USER_AGENT, USER_AGENT)?;
        if session.as_http2().is_some() {
            let scheme = if upstream.scheme == Scheme::Https { "https" } else { "http" };
            let uri = Uri::builder().scheme(scheme).authority(&*host).path_and_query(path).build();
            request.set_uri(uri.map_err(|_| Error::explain(ErrorType::InvalidHTTPHeader, "authority of a check"))?);
        }
        Ok::<_, Box<Error>>(request)
    };
    build().map_err(|error| ailment(&error))
}

/// A GET; anything but an expected status is an answer too.
async fn get(
    session: &mut HttpSession,
    request: RequestHeader,
    expected: &[RangeInclusive<u16>],
) -> Result<(), Ailment> {
    let exchange = async {
        session.write_request_header(Box::new(request)).await?;
        session.finish_request_body().await?;
        loop {
            session.read_response_header().await?;
            let status = session.response_header().map_or(0, |head| head.status.as_u16());
            // What comes before the answer on HTTP/1.
            if !(100..200).contains(&status) || status == 101 {
                return Ok::<_, Box<Error>>(status);
            }
        }
    };
    let status = exchange.await.map_err(|error| ailment(&error))?;
    session.shutdown().await;
    if expected.iter().any(|range| range.contains(&status)) { Ok(()) } else { Err(Ailment::Answer) }
}

/// `grpc.health.v1.Health/Check`: one message each way.
async fn call(session: &mut HttpSession, mut request: RequestHeader, service: &str) -> Result<(), Ailment> {
    // Without HTTP/2 there is no gRPC.
    if session.as_http2().is_none() {
        return Err(Ailment::BrokeOff);
    }
    let exchange = async {
        request.insert_header(header::CONTENT_TYPE, "application/grpc")?;
        request.insert_header(header::TE, "trailers")?;
        session.write_request_header(Box::new(request)).await?;
        session.write_request_body(question(service), true).await?;
        session.read_response_header().await?;
        let status = session.response_header().map_or(0, |head| head.status.as_u16());
        let mut answer = Vec::new();
        while status == 200 && answer.len() < MAX_ANSWER {
            match session.read_response_body().await? {
                Some(piece) => answer.extend_from_slice(&piece),
                None => break,
            }
        }
        Ok::<_, Box<Error>>(answer)
    };
    let answer = exchange.await.map_err(|error| ailment(&error))?;
    session.shutdown().await;
    // A refusal, an unknown service and `NOT_SERVING` all lack this message.
    if answer == SERVING { Ok(()) } else { Err(Ailment::Answer) }
}

/// `HealthCheckRequest {service}` in its frame; a name has at most 255 bytes.
fn question(service: &str) -> Bytes {
    let mut message = Vec::with_capacity(service.len() + 8);
    if !service.is_empty() {
        // A length up to 255 is a varint of one or two bytes.
        let (low, high) = (service.len() & 0x7f, service.len() >> 7);
        let more = if high > 0 { 0x80 } else { 0 };
        message.push(0x0a);
        message.push(u8::try_from(low | more).unwrap_or_default());
        message.extend(u8::try_from(high).ok().filter(|high| *high > 0));
        message.extend_from_slice(service.as_bytes());
    }
    let mut frame = vec![0];
    frame.extend_from_slice(&u32::try_from(message.len()).unwrap_or_default().to_be_bytes());
    frame.extend_from_slice(&message);
    Bytes::from(frame)
}

fn ailment(error: &Error) -> Ailment {
    let is_late = matches!(
        error.etype(),
        ErrorType::ConnectTimedout
            | ErrorType::TLSHandshakeTimedout
            | ErrorType::ReadTimedout
            | ErrorType::WriteTimedout
    );
    let is_no_connection = matches!(
        error.etype(),
        ErrorType::ConnectRefused
            | ErrorType::ConnectNoRoute
            | ErrorType::ConnectError
            | ErrorType::BindError
            | ErrorType::SocketError
            | ErrorType::TLSHandshakeFailure
            | ErrorType::InvalidCert
            | ErrorType::HandshakeError
    );
    if is_late {
        Ailment::TimedOut
    } else if is_no_connection {
        Ailment::Connect
    } else {
        Ailment::BrokeOff
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_names_its_service_and_none_is_empty() {
        assert_eq!(question("").as_ref(), [0, 0, 0, 0, 0]);
        assert_eq!(question("a.B").as_ref(), [0, 0, 0, 0, 5, 0x0a, 3, b'a', b'.', b'B']);
        let long = question(&"s".repeat(200));
        assert_eq!(long.get(..8).unwrap(), [0, 0, 0, 0, 203, 0x0a, 0xc8, 1]);
        assert_eq!(long.len(), 208);
    }
}
