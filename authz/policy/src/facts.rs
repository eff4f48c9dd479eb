//! What a decision may look at, borrowed from whoever asks.

use std::net::IpAddr;

use portcullis_identity::{Records, Subject, Timestamp};

use crate::Leaf;

/// Everything one decision looks at.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The instant of the decision.
    pub now: Timestamp,
    /// What is asked for.
    pub request: Request<'a>,
    /// Who asks; `None`: nobody is signed in, or the session is over.
    pub subject: Option<&'a Subject>,
    /// External data, for the `record` criterion: all there is, so that an absence is final. `None`: nobody holds it
    /// now, and what it says is unknown.
    pub records: Option<&'a Records>,
}

/// What is asked for, and from where.
#[derive(Clone, Copy, Debug, Default)]
pub struct Request<'a> {
    /// The method, as sent.
    pub method: &'a str,
    /// The canonical host.
    pub host: &'a str,
    /// The canonical path, decoded, without the query.
    pub path: &'a str,
    /// Who connects, behind trusted proxies; `None` over a Unix socket.
    pub client_address: Option<IpAddr>,
    /// `OPTIONS` with a non-empty `Origin` and `Access-Control-Request-Method`.
    pub cors_preflight: bool,
    /// The client certificate, or that there is none.
    pub client_certificate: ClientCertificate<'a>,
    /// The tool that it calls.
    pub mcp_tool: McpTool<'a>,
}

/// The tool that an MCP `tools/call` names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum McpTool<'a> {
    /// The request calls none.
    #[default]
    None,
    /// This one.
    Named(&'a str),
    /// The request may call one, and nobody has read which.
    Unread,
}

/// What the TLS handshake says of the client. The default is a client that presented nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct ClientCertificate<'a> {
    /// Whether there was one.
    pub presented: bool,
    /// Whether it passed validation against the route's client CA; true also where none is configured.
    pub valid: bool,
    /// The certificate itself.
    pub leaf: Option<&'a Leaf>,
}
