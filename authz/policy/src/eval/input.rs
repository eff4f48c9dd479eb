//! One line of input, checked field by field.

use std::collections::BTreeMap;
use std::net::IpAddr;

use portcullis_identity::{Claims, Clock, Record, Records, Subject, Timestamp};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::subject::{self, SubjectLine};
use super::{Text, path};
use crate::{ClientCertificate, Facts, Leaf, McpTool, Request};

/// A line as it is written. Absent and null mean the default.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Line<'a> {
    id: Option<String>,
    now: Option<String>,
    policy: Option<String>,
    route: Option<String>,
    request: Option<RequestLine>,
    #[serde(borrow)]
    subject: Option<SubjectLine<'a>>,
    #[serde(borrow)]
    records: Option<Vec<RecordLine<'a>>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RequestLine {
    method: Option<String>,
    host: Option<String>,
    path: Option<String>,
    headers: Option<BTreeMap<String, Option<String>>>,
    client_address: Option<String>,
    client_certificate: Option<CertificateLine>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct CertificateLine {
    presented: Option<bool>,
    pem: Option<String>,
    valid: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RecordLine<'a> {
    #[serde(rename = "type")]
    kind: Option<String>,
    id: Option<String>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

/// Only the id of a line, whatever else it holds.
#[derive(Deserialize)]
struct Identified {
    id: Option<String>,
}

/// The id of a line that is refused, if it has one.
pub(super) fn id_of(text: &str) -> String {
    serde_json::from_str::<Identified>(text).ok().and_then(|line| line.id).unwrap_or_default()
}

impl Line<'_> {
    pub(super) fn id(&self) -> &str {
        self.id.as_deref().unwrap_or_default()
    }
}

/// A line ready to be decided.
pub(super) struct Case {
    now: Timestamp,
    policy: String,
    is_route: bool,
    method: String,
    host: String,
    path: String,
    client_address: Option<IpAddr>,
    cors_preflight: bool,
    certificate: Certificate,
    subject: Option<Subject>,
    records: Records,
}

struct Certificate {
    presented: bool,
    valid: bool,
    leaf: Option<Leaf>,
}

impl Case {
    /// # Errors
    /// What is wrong with the line, beginning with the field.
    pub(super) fn read(line: Line<'_>, clock: &dyn Clock) -> Result<Self, String> {
        let Line { id: _, now, policy, route, request, subject, records } = line;
        let (policy, is_route) = match (policy, route) {
            (Some(policy), None) => (policy, false),
            (None, Some(route)) => (route, true),
            (None, None) => return Err("one of `policy` and `route` is needed".to_owned()),
            (Some(_), Some(_)) => return Err("`policy` and `route` exclude each other".to_owned()),
        };
        let exact = match now {
            Some(text) => subject::instant("now", &text)?,
            None => jiff::Timestamp::from_millisecond(clock.now().unix_millis()).map_err(|error| error.to_string())?,
        };
        let RequestLine { method, host, path, headers, client_address, client_certificate } =
            request.unwrap_or_default();
        let method = method.unwrap_or_else(|| "GET".to_owned());
        let client_address = client_address.map(|text| address(&text)).transpose()?;
        let subject = subject.map(|subject| subject.read(exact)).transpose()?.flatten();
        Ok(Self {
            now: Timestamp::from_unix_millis(exact.as_millisecond()),
            policy,
            is_route,
            cors_preflight: is_preflight(&method, &headers.unwrap_or_default()),
            method,
            host: host.unwrap_or_default(),
            path: path::decoded(path.as_deref().unwrap_or("/")),
            client_address,
            certificate: Certificate::read(client_certificate.unwrap_or_default())?,
            subject,
            records: self::records(records)?,
        })
    }

    pub(super) fn text(&self) -> Text<'_> {
        if self.is_route { Text::Route(&self.policy) } else { Text::Policy(&self.policy) }
    }

    pub(super) fn facts(&self) -> Facts<'_> {
        let Certificate { presented, valid, leaf } = &self.certificate;
        let request = Request {
            method: &self.method,
            host: &self.host,
            path: &self.path,
            client_address: self.client_address,
            cors_preflight: self.cors_preflight,
            client_certificate: ClientCertificate { presented: *presented, valid: *valid, leaf: leaf.as_ref() },
            mcp_tool: McpTool::None,
        };
        Facts { now: self.now, request, subject: self.subject.as_ref(), records: Some(&self.records) }
    }
}

impl Certificate {
    fn read(line: CertificateLine) -> Result<Self, String> {
        let CertificateLine { presented, pem, valid } = line;
        let leaf = pem.filter(|pem| !pem.trim().is_empty()).map(|pem| Leaf::from_pem(&pem)).transpose();
        let leaf = leaf.map_err(|error| format!("request.client_certificate.pem: {error}"))?;
        let given = leaf.is_some();
        Ok(Self { presented: presented.unwrap_or(given), valid: valid.unwrap_or(false), leaf })
    }
}

fn address(text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|_| format!("request.client_address: `{text}` is no IP address"))
}

/// A CORS preflight as the Fetch standard has it; header names compare without case.
fn is_preflight(method: &str, headers: &BTreeMap<String, Option<String>>) -> bool {
    let has = |wanted: &str| {
        let mut named = headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
        named.any(|(_, value)| value.as_ref().is_some_and(|value| !value.is_empty()))
    };
    method == "OPTIONS" && has("origin") && has("access-control-request-method")
}

pub(super) fn records(lines: Option<Vec<RecordLine<'_>>>) -> Result<Records, String> {
    lines.unwrap_or_default().into_iter().map(record).collect()
}

fn record(line: RecordLine<'_>) -> Result<Record, String> {
    let RecordLine { kind, id, data } = line;
    let data = claims("records.data", data)?;
    Ok(Record { kind: kind.unwrap_or_default().into(), id: id.unwrap_or_default().into(), data })
}

/// Claims or fields as a line gives them; the line's own bound is theirs.
pub(super) fn claims(field: &str, raw: Option<&RawValue>) -> Result<Claims, String> {
    let Some(raw) = raw else { return Ok(Claims::default()) };
    Claims::from_trusted_json(raw.get()).map_err(|error| format!("{field}: {error}"))
}
