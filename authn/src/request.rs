//! One request as the proxy passes it on.

use std::net::IpAddr;

use http::header::{ACCEPT, ORIGIN, USER_AGENT};
use http::{HeaderMap, Method, request::Parts};
use portcullis_config::{Cookie, Namespace};
use portcullis_gate::{Audience, cookie_values};
use portcullis_handover::Bind;
use portcullis_keys::{CredentialKeys, CredentialKind, Handle};

use crate::query::Query;

/// What is asked of the sign-in service. `x-forwarded-for`, `x-forwarded-host` and `x-request-id` are the
/// proxy's word: nobody else reaches this service.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) method: Method,
    /// The path, as canonical as the proxy sends it.
    pub(crate) path: String,
    pub(crate) query: Query,
    pub(crate) request_id: String,
    /// The public port that the browser used, as far as the proxy says it.
    pub(crate) port: Option<u16>,
    pub(crate) client_address: Option<IpAddr>,
    headers: HeaderMap,
}

/// What the browser's cookies say on the sign-in host.
#[derive(Clone, Debug)]
pub(crate) enum CredentialCookie {
    /// There is none.
    None,
    /// One that we made for this host.
    Handle(Handle),
    /// One that we did not make, or more than one.
    Rejected,
}

impl Asked {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { method, uri, headers, .. } = parts;
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let port = text("x-forwarded-host").rsplit_once(':').and_then(|(_host, port)| port.parse().ok());
        let client_address = text("x-forwarded-for").rsplit(',').next().and_then(|ip| ip.trim().parse().ok());
        Self {
            path: uri.path().to_owned(),
            query: Query::parse(uri.query().unwrap_or_default()),
            request_id: text("x-request-id").chars().filter(char::is_ascii_graphic).take(64).collect(),
            port,
            client_address,
            method,
            headers,
        }
    }

    pub(crate) fn credential(&self, keys: &CredentialKeys, host: &str, cookie: &Cookie) -> CredentialCookie {
        let mut values = cookie_values(&self.headers, &cookie.name);
        let Some(text) = values.next() else {
            return CredentialCookie::None;
        };
        // Two cookies of our name: somebody else may have set one of them.
        if values.next().is_some() {
            return CredentialCookie::Rejected;
        }
        match keys.verify(CredentialKind::Session, text, host) {
            Ok(handle) => CredentialCookie::Handle(handle),
            Err(_forged) => CredentialCookie::Rejected,
        }
    }

    /// The browser's bind cookie; none if it is not one of ours or not the only one.
    pub(crate) fn bind(&self, cookie: &Cookie) -> Option<Bind> {
        let mut values = cookie_values(&self.headers, &cookie.bind_name);
        let value = values.next()?;
        if values.next().is_some() { None } else { Bind::parse(std::str::from_utf8(value).ok()?) }
    }

    /// Whether a page of `origin` itself sent this: `Origin` where there is one, else `Sec-Fetch-Site`.
    /// Browsers send at least one of them with every POST; a request with neither is not believed.
    pub(crate) fn is_same_origin(&self, origin: &str) -> bool {
        match self.header(ORIGIN.as_str()) {
            Some(sent) => sent.eq_ignore_ascii_case(origin),
            None => self.header("sec-fetch-site") == Some("same-origin"),
        }
    }

    pub(crate) fn caller<'a>(&'a self, host: &'a str, namespace: Namespace) -> portcullis_reply::Caller<'a> {
        portcullis_reply::Caller {
            audience: self.audience(),
            accept: self.header(ACCEPT.as_str()),
            user_agent: self.header(USER_AGENT.as_str()),
            host,
            request_id: &self.request_id,
            namespace,
        }
    }

    fn wants_json(&self) -> bool {
        self.header(ACCEPT.as_str())
            .is_some_and(|accept| accept.contains("application/json") && !accept.contains("text/html"))
    }

    /// On the sign-in host everybody is a browser, except who says otherwise.
    fn audience(&self) -> Audience {
        if self.wants_json() { Audience::Script } else { Audience::Navigation }
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}
