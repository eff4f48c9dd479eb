//! What the edge hands over: the head of a request as it was read, nothing believed yet.

use std::net::IpAddr;

use http::{HeaderMap, Method, Version};

use crate::PresentedCertificate;

/// The head of a request as it came, borrowed from whoever read it.
#[derive(Clone, Debug)]
pub struct RequestHead<'a> {
    /// The protocol the client speaks.
    pub version: Version,
    /// The method.
    pub method: &'a Method,
    /// The request target as it was sent: HTTP/1's second word, HTTP/2's `:path`. A target that is not UTF-8
    /// never gets here: its reader answers with [`Malformed::Target`](crate::Malformed::Target).
    pub target: &'a str,
    /// Every header field, pseudo-headers apart.
    pub headers: &'a HeaderMap,
    /// Whether more of an HTTP/2 stream follows the head, whatever its fields say; on HTTP/1 they alone tell.
    pub open: bool,
    /// HTTP/2's `:authority`; `None` on HTTP/1.
    pub authority: Option<&'a str>,
    /// What the TLS handshake told.
    pub tls: TlsFacts<'a>,
    /// The other end of the connection, after the PROXY protocol; `None` on a Unix socket.
    pub peer: Option<IpAddr>,
    /// The port a host without one means: the listener's public port (443 behind a port mapping).
    pub listener_port: u16,
}

/// What the TLS handshake told.
#[derive(Clone, Debug, Default)]
pub struct TlsFacts<'a> {
    /// The server name the client asked for (RFC 6066 §3), as sent.
    pub server_name: Option<&'a str>,
    /// The client's certificate.
    pub client_certificate: PresentedCertificate,
}
