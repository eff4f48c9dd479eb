//! One supposed request: what is asked, by whom, when. The shape is that of `policy eval`, with what only a whole
//! configuration needs beside it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use http::header::HOST;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use portcullis_config::{HostPattern, PathPattern, Route};
use portcullis_gate::PresentedCertificate;
use portcullis_identity::{Records, Subject, Timestamp};
use portcullis_policy::{Leaf, eval};
use serde::Deserialize;
use serde_json::value::RawValue;

/// A request as it is written. Absent and null mean the default.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AskLine {
    /// What an answer calls it.
    pub(crate) id: Option<String>,
    /// RFC 3339; default: the caller's clock.
    pub(crate) now: Option<String>,
    /// What is asked for.
    pub(crate) request: Option<RequestLine>,
    /// Who asks, as in `policy eval`.
    pub(crate) subject: Option<Box<RawValue>>,
    /// External data, as in `policy eval`.
    pub(crate) records: Option<Box<RawValue>>,
    /// How and when the session was made.
    pub(crate) sign_in: Option<SignInLine>,
}

/// What is asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RequestLine {
    /// Default: `GET`.
    pub(crate) method: Option<String>,
    /// The host, with a port if one is sent.
    pub(crate) host: Option<String>,
    /// As sent, with query.
    pub(crate) path: Option<String>,
    /// Names and values.
    pub(crate) headers: Option<BTreeMap<String, Option<String>>>,
    /// Who connects.
    pub(crate) client_address: Option<String>,
    /// What the TLS handshake told.
    pub(crate) client_certificate: Option<CertificateLine>,
    /// What is known of the MCP tool it calls; default: what method and headers tell.
    pub(crate) mcp_tool: Option<McpToolLine>,
}

/// What is known of the MCP tool that a request calls, as a decision record has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum McpToolLine {
    /// It calls none, as far as method and headers allow that to be said.
    None,
    /// It brings a body, or may, that nobody has read: over HTTP/2 no header need say so.
    Unread,
}

/// A client certificate.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CertificateLine {
    presented: Option<bool>,
    pem: Option<String>,
    valid: Option<bool>,
}

/// How and when the session was made. What is absent meets whatever the route needs.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignInLine {
    provider: Option<String>,
    acr: Option<String>,
    authenticated_at: Option<String>,
    last_used: Option<String>,
}

/// A request ready to be judged.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    /// What an answer calls it.
    pub(crate) id: String,
    /// The instant of the decision.
    pub(crate) now: Timestamp,
    pub(crate) method: Method,
    /// Never the name of a header but `Host`.
    pub(crate) host: Option<String>,
    pub(crate) path: Option<String>,
    pub(crate) headers: HeaderMap,
    pub(crate) client_address: Option<IpAddr>,
    pub(crate) certificate: PresentedCertificate,
    /// Whether it goes on after its head, whatever its headers say.
    pub(crate) open: bool,
    /// `None`: nobody, or a session that is over.
    pub(crate) subject: Option<Subject>,
    /// All external data there is.
    pub(crate) records: Arc<Records>,
    pub(crate) made: Made,
}

/// How and when the session was made.
#[derive(Clone, Debug, Default)]
pub(crate) struct Made {
    pub(crate) provider: Option<String>,
    pub(crate) acr: Option<Arc<str>>,
    pub(crate) authenticated_at: Option<Timestamp>,
    pub(crate) last_used: Option<Timestamp>,
}

impl Ask {
    /// Reads what was written; `usual` is the instant of what names none.
    ///
    /// # Errors
    /// What is wrong with it, beginning with the field.
    pub(crate) fn read(line: AskLine, usual: Timestamp) -> Result<Self, String> {
        let AskLine { id, now, request, subject, records, sign_in } = line;
        let now = now.map_or(Ok(usual), |text| eval::instant("now", &text))?;
        let RequestLine { method, host, path, headers, client_address, client_certificate, mcp_tool } =
            request.unwrap_or_default();
        let method = method.as_deref().unwrap_or("GET");
        let method =
            Method::from_bytes(method.as_bytes()).map_err(|_| format!("request.method: `{method}` is none"))?;
        let client_address = client_address.map(|text| address(&text)).transpose()?;
        let subject = subject.map(|raw| eval::subject(raw.get(), now)).transpose()?.flatten();
        let records = records.map(|raw| eval::records(raw.get())).transpose()?.unwrap_or_default();
        let mut ask = Self {
            id: id.unwrap_or_default(),
            now,
            method,
            host: None,
            path,
            headers: self::headers(headers.unwrap_or_default())?,
            client_address,
            certificate: certificate(client_certificate.unwrap_or_default())?,
            open: mcp_tool == Some(McpToolLine::Unread),
            subject,
            records: Arc::new(records),
            made: Made::read(sign_in.unwrap_or_default())?,
        };
        match host {
            Some(host) => ask.set_host(host)?,
            None => ask.host = ask.headers.get(HOST).and_then(|value| value.to_str().ok()).map(str::to_owned),
        }
        Ok(ask)
    }

    /// Asks this host, with a port or without.
    ///
    /// # Errors
    /// If no header can carry it.
    pub(crate) fn set_host(&mut self, host: String) -> Result<(), String> {
        let value = HeaderValue::from_str(&host).map_err(|_| format!("request.host: `{host}` is no host"))?;
        self.headers.insert(HOST, value);
        self.host = Some(host);
        Ok(())
    }

    /// Fills what is not given so that the request knocks at this route's door.
    ///
    /// # Errors
    /// If the route's paths are an expression and no path is given.
    pub(crate) fn knock_at(&mut self, route: &Route) -> Result<(), String> {
        if self.path.is_none() {
            self.path = Some(match &route.path {
                PathPattern::Any => "/".to_owned(),
                PathPattern::Prefix(path) | PathPattern::Exact(path) => path.to_string(),
                PathPattern::Regex(_) => {
                    return Err(format!("route `{}` serves paths by an expression: give a path", route.name));
                }
            });
        }
        if self.host.is_none() {
            let host = match &route.host {
                HostPattern::Exact(host) => host.to_string(),
                HostPattern::Wildcard(pattern) => pattern.replace('*', "any"),
            };
            self.set_host(route.port.map_or_else(|| host.clone(), |port| format!("{host}:{port}")))?;
        }
        Ok(())
    }

    /// The path as sent.
    pub(crate) fn target(&self) -> &str {
        self.path.as_deref().unwrap_or("/")
    }

    /// The request in one line: `GET wiki.corp.test/page`.
    pub(crate) fn line(&self) -> String {
        format!("{} {}{}", self.method, self.host.as_deref().unwrap_or("(no host)"), self.target())
    }

    /// Who asks, in one word.
    pub(crate) fn who(&self) -> &str {
        match &self.subject {
            None => "nobody",
            Some(subject) if !subject.email.is_empty() => &subject.email,
            Some(subject) => &subject.user_id,
        }
    }
}

impl Made {
    fn read(line: SignInLine) -> Result<Self, String> {
        let SignInLine { provider, acr, authenticated_at, last_used } = line;
        let at = |field: &str, text: Option<String>| text.map(|text| eval::instant(field, &text)).transpose();
        Ok(Self {
            provider,
            acr: acr.map(Arc::from),
            authenticated_at: at("sign_in.authenticated_at", authenticated_at)?,
            last_used: at("sign_in.last_used", last_used)?,
        })
    }
}

fn address(text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|_| format!("request.client_address: `{text}` is no IP address"))
}

fn headers(given: BTreeMap<String, Option<String>>) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for (name, value) in given {
        let key = HeaderName::from_bytes(name.as_bytes());
        let key = key.map_err(|_| format!("request.headers: `{name}` is no header name"))?;
        let value = HeaderValue::from_str(&value.unwrap_or_default());
        headers.append(key, value.map_err(|_| format!("request.headers.{name}: no header can carry this value"))?);
    }
    Ok(headers)
}

fn certificate(line: CertificateLine) -> Result<PresentedCertificate, String> {
    let CertificateLine { presented, pem, valid } = line;
    let leaf = pem.filter(|pem| !pem.trim().is_empty()).map(|pem| Leaf::from_pem(&pem)).transpose();
    let leaf = leaf.map_err(|error| format!("request.client_certificate.pem: {error}"))?;
    match (leaf.map(Arc::new), presented, valid.unwrap_or(false)) {
        (None, Some(true), _) => {
            Err("request.client_certificate: `pem` is needed for one that is presented".to_owned())
        }
        (None, _, _) | (Some(_), Some(false), _) => Ok(PresentedCertificate::Absent),
        (Some(leaf), _, true) => Ok(PresentedCertificate::Verified(leaf)),
        (Some(leaf), _, false) => Ok(PresentedCertificate::Unverified(leaf)),
    }
}
