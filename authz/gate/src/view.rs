//! A request as everything behind the gate sees it: parsed once, canonical, unambiguous.

use std::borrow::Cow;
use std::net::IpAddr;

use http::header::HOST;
use http::{Method, Version};
use portcullis_config::{ClientTrust, Limits, SignIn};
use portcullis_identity::Timestamp;
use portcullis_policy::{McpTool, Request};

use crate::client_address::client_address;
use crate::table::RouteTable;
use crate::{
    Audience, CanonicalHost, CanonicalPath, ClientRules, Destination, Malformed, PresentedCertificate, RequestHead,
    framing, upgrade,
};

/// The parsed head of a request. What it says is what was judged, and what is to be sent.
#[derive(Clone, Debug)]
pub struct RequestView<'a> {
    method: Cow<'a, Method>,
    host: Cow<'a, str>,
    sent_port: Option<u16>,
    listener_port: u16,
    path: CanonicalPath<'a>,
    query: Option<Cow<'a, str>>,
    client_address: Option<IpAddr>,
    client_certificate: PresentedCertificate,
    audience: Audience,
    has_body: bool,
    destination: Destination,
}

/// The parts of a request target.
struct Target<'a> {
    authority: Option<(CanonicalHost<'a>, u16)>,
    path: CanonicalPath<'a>,
    query: Option<&'a str>,
}

impl<'a> RequestView<'a> {
    /// Reads a head under these limits, names and routes. [`Gate::read`](crate::Gate::read) does it with those of
    /// the newest generation. Nothing is allocated for a head that is canonical already.
    ///
    /// # Errors
    /// The first cause for which the head has no single meaning.
    pub(crate) fn read(
        head: &RequestHead<'a>,
        limits: &Limits,
        sign_in: &SignIn,
        table: &RouteTable,
        clients: &ClientRules,
    ) -> Result<Self, Malformed> {
        framing::check(head, limits)?;
        let target = Target::parse(head)?;
        let host = host(head, target.authority)?;
        check_server_name(head, &host, clients)?;
        let websocket = upgrade::is_websocket(head)?;
        let client_address = client_address(head.peer, head.headers, &limits.trusted_proxies)?;
        let sent_port = host.port();
        let destination = Destination::of(host.name(), &target.path, sign_in, table);
        Ok(Self {
            method: Cow::Borrowed(head.method),
            host: host.into_name(),
            sent_port,
            listener_port: head.listener_port,
            path: target.path,
            query: target.query.map(Cow::Borrowed),
            client_address,
            client_certificate: head.tls.client_certificate.clone(),
            audience: Audience::of(head.method, head.headers, websocket),
            has_body: head.open || framing::has_body(head.headers),
            destination,
        })
    }

    /// The same view, borrowing nothing: for streams, which outlive the head. Allocates.
    #[must_use]
    pub fn into_owned(self) -> RequestView<'static> {
        let Self {
            method,
            host,
            sent_port,
            listener_port,
            path,
            query,
            client_address,
            client_certificate,
            audience,
            has_body,
            destination,
        } = self;
        RequestView {
            method: Cow::Owned(method.into_owned()),
            host: Cow::Owned(host.into_owned()),
            sent_port,
            listener_port,
            path: path.into_owned(),
            query: query.map(|query| Cow::Owned(query.into_owned())),
            client_address,
            client_certificate,
            audience,
            has_body,
            destination,
        }
    }

    /// The method.
    #[must_use]
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// The canonical host, without port.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port the request means: as sent, else the listener's.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.sent_port.unwrap_or(self.listener_port)
    }

    /// The port as it was sent beside the host: what belongs behind the host in a URL for the same client.
    #[must_use]
    pub const fn sent_port(&self) -> Option<u16> {
        self.sent_port
    }

    /// The canonical path, to be sent.
    #[must_use]
    pub fn path(&self) -> &str {
        self.path.to_send()
    }

    /// The canonical path with all its spellings.
    #[must_use]
    pub const fn canonical_path(&self) -> &CanonicalPath<'a> {
        &self.path
    }

    /// The path as policies see it: decoded, without query.
    #[must_use]
    pub fn decoded_path(&self) -> &str {
        self.path.decoded()
    }

    /// The query as it was sent, without the question mark; `Some("")` after a bare one.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    /// Path and query as they are sent when no rewrite applies; also where a sign-in returns to.
    #[must_use]
    pub fn path_and_query(&self) -> Cow<'_, str> {
        match &self.query {
            None => Cow::Borrowed(self.path()),
            Some(query) => Cow::Owned(format!("{}?{query}", self.path())),
        }
    }

    /// The client's address, the peer's or what trusted proxies say; `None` where there is none.
    #[must_use]
    pub const fn client_address(&self) -> Option<IpAddr> {
        self.client_address
    }

    /// The client's certificate.
    #[must_use]
    pub const fn client_certificate(&self) -> &PresentedCertificate {
        &self.client_certificate
    }

    /// Who asks.
    #[must_use]
    pub const fn audience(&self) -> Audience {
        self.audience
    }

    /// The request as policies see it at this instant, on a route where client certificates are validated by this.
    #[must_use]
    pub fn policy_request(&self, trust: Option<&ClientTrust>, now: Timestamp) -> Request<'_> {
        Request {
            method: self.method().as_str(),
            host: self.host(),
            path: self.decoded_path(),
            client_address: self.client_address(),
            cors_preflight: self.audience() == Audience::Preflight,
            client_certificate: self.client_certificate.facts(trust, now),
            mcp_tool: self.mcp_tool(),
        }
    }

    /// The tool that it calls. A `tools/call` is a JSON-RPC message in a body, which nobody reads here: only a request
    /// of a method that usually brings none, and that brings none, is known to call no tool.
    #[must_use]
    pub fn mcp_tool(&self) -> McpTool<'static> {
        let bodiless = [Method::GET, Method::HEAD, Method::OPTIONS, Method::DELETE];
        if bodiless.contains(self.method()) && !self.has_body { McpTool::None } else { McpTool::Unread }
    }

    /// Where the request goes.
    #[must_use]
    pub const fn destination(&self) -> Destination {
        self.destination
    }
}

impl<'a> Target<'a> {
    fn parse(head: &RequestHead<'a>) -> Result<Self, Malformed> {
        let target = head.target;
        if *head.method == Method::CONNECT {
            return Err(Malformed::Connect);
        }
        if *head.method == Method::TRACE {
            return Err(Malformed::Trace);
        }
        if target == "*" && *head.method == Method::OPTIONS {
            return Ok(Self { authority: None, path: CanonicalPath::asterisk(), query: None });
        }
        if target.starts_with('/') {
            return Self::with_path(None, target);
        }
        let (scheme, rest) = target.split_once("://").ok_or(Malformed::Target)?;
        let default_port = match scheme {
            _ if head.version == Version::HTTP_2 => return Err(Malformed::Target),
            _ if scheme.eq_ignore_ascii_case("https") => 443,
            _ if scheme.eq_ignore_ascii_case("http") => 80,
            _ => return Err(Malformed::Target),
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(end).ok_or(Malformed::Target)?;
        Self::with_path(Some((CanonicalHost::parse(authority)?, default_port)), path)
    }

    fn with_path(authority: Option<(CanonicalHost<'a>, u16)>, text: &'a str) -> Result<Self, Malformed> {
        let (path, query) = match memchr::memchr(b'?', text.as_bytes()).and_then(|end| text.split_at_checked(end)) {
            Some((path, query)) => (path, query.get(1..)),
            None => (text, None),
        };
        let forbidden = |found, byte: u8| found | (byte <= b' ') | (byte == 0x7f) | (byte == b'#');
        if query.is_some_and(|query| query.bytes().fold(false, forbidden)) {
            return Err(Malformed::Query);
        }
        // Only an absolute-form target gets here with an empty path (RFC 9110 §4.2.3).
        let path = if path.is_empty() { "/" } else { path };
        Ok(Self { authority, path: CanonicalPath::parse(path)?, query })
    }
}

/// The one host that `Host`, `:authority` and an absolute-form target agree on.
fn host<'a>(head: &RequestHead<'a>, target: Option<(CanonicalHost<'a>, u16)>) -> Result<CanonicalHost<'a>, Malformed> {
    let mut fields = head.headers.get_all(HOST).iter();
    let field = fields.next();
    if fields.next().is_some() {
        return Err(Malformed::HostRepeated);
    }
    let field = field.map(|value| value.to_str().map_err(|_| Malformed::Host)).transpose()?;
    let field = field.map(CanonicalHost::parse).transpose()?;
    let authority = head.authority.map(CanonicalHost::parse).transpose()?.map(|authority| (authority, 443));
    let named = match (authority, target) {
        (Some((one, port)), Some((other, _))) if !one.agrees(&other, port) => return Err(Malformed::HostDisagrees),
        (authority, target) => authority.or(target),
    };
    match (named, field) {
        (Some((named, port)), Some(field)) if !named.agrees(&field, port) => Err(Malformed::HostDisagrees),
        // RFC 9112 §3.2: HTTP/1.1 must send `Host` even beside an absolute-form target.
        (Some((named, _)), None) if head.version == Version::HTTP_2 => Ok(named),
        (_, Some(field)) => Ok(field),
        (_, None) => Err(Malformed::HostMissing),
    }
}

/// The place where a connection made for one host is kept from serving another: where the host that was named
/// in the handshake and the host of the request ask for different client certificates, the request is
/// misdirected. Whether a certificate is valid is the route's affair; this is about the client having been asked.
fn check_server_name(head: &RequestHead<'_>, host: &CanonicalHost<'_>, clients: &ClientRules) -> Result<(), Malformed> {
    let Some(server_name) = head.tls.server_name else { return Ok(()) };
    if server_name == host.name() {
        return Ok(());
    }
    let server_name = CanonicalHost::parse(server_name).map_err(|_| Malformed::Misdirected)?;
    if clients.are_alike(server_name.name(), host.name()) { Ok(()) } else { Err(Malformed::Misdirected) }
}

#[cfg(test)]
mod tests;
