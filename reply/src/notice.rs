//! One thing to tell a caller, in whichever form they read.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use http::header::WWW_AUTHENTICATE;
use http::{HeaderValue, Response, StatusCode};
use serde_json::{Map, Value, json};

use crate::caller::Format;
use crate::look::Policy;
use crate::page::{Account, Action, NoticePage};
use crate::{Caller, grpc, response};

/// What happened and what to do, in words for whoever asked. Internal causes are not in here.
#[derive(Clone, Debug)]
pub(crate) struct Notice<'a> {
    pub(crate) status: StatusCode,
    pub(crate) grpc: grpc::Status,
    /// Names the problem for programs: `urn:portcullis:problem:…`.
    pub(crate) kind: &'static str,
    /// A few words above the title: what sort of thing this is.
    pub(crate) label: &'static str,
    pub(crate) title: Cow<'a, str>,
    pub(crate) detail: Cow<'a, str>,
    /// What the person can do.
    pub(crate) advice: Option<Cow<'a, str>>,
    pub(crate) more: More<'a>,
}

/// What only some notices have.
#[derive(Clone, Debug, Default)]
pub(crate) struct More<'a> {
    /// Where a sign-in begins; programs are told.
    pub(crate) sign_in_url: Option<&'a str>,
    pub(crate) retry_after: Option<Duration>,
    /// Who is signed in.
    pub(crate) account: Option<Account<'a>>,
    /// Why, in sentences.
    pub(crate) reasons: Vec<&'static str>,
    /// Why, in the words of the policy; for operators.
    pub(crate) details: Vec<&'static str>,
    pub(crate) actions: Vec<Action<'a>>,
    /// Further facts, in pairs of name and value.
    pub(crate) facts: Vec<(&'static str, String)>,
}

impl Notice<'_> {
    pub(crate) fn answer(self, caller: &Caller<'_>) -> Response<Bytes> {
        let mut answer = match caller.format() {
            Format::Grpc => grpc::trailers_only(caller, self.grpc, &self.sentence(caller)),
            Format::Problem => self.problem(caller),
            Format::Kubernetes => self.kubernetes(caller),
            Format::Html => self.page(caller),
        };
        response::intercepted(caller, &mut answer);
        if let Some(after) = self.more.retry_after {
            response::retry_after(answer.headers_mut(), after);
        }
        // RFC 9110 15.5.2: a 401 names a way to authenticate. Ours is a page, not a scheme browsers know.
        if answer.status() == StatusCode::UNAUTHORIZED {
            answer.headers_mut().insert(WWW_AUTHENTICATE, self.www_authenticate());
        }
        answer
    }

    fn page(&self, caller: &Caller<'_>) -> Response<Bytes> {
        let forms = self.more.actions.iter().any(|action| matches!(action, Action::Post { .. }));
        let policy = if forms { Policy::Form } else { Policy::Plain };
        response::html(caller, self.status, policy, NoticePage::new(caller, self).text())
    }

    fn problem(&self, caller: &Caller<'_>) -> Response<Bytes> {
        let mut members = Map::new();
        members.insert("type".into(), json!(format!("urn:portcullis:problem:{}", self.kind)));
        members.insert("title".into(), json!(self.title));
        members.insert("status".into(), json!(self.status.as_u16()));
        members.insert("detail".into(), json!(self.detail));
        members.insert("request_id".into(), json!(caller.request_id));
        let more = &self.more;
        if let Some(url) = more.sign_in_url {
            members.insert("sign_in_url".into(), json!(url));
        }
        if let Some(after) = more.retry_after {
            members.insert("retry_after_seconds".into(), json!(after.as_secs().max(1)));
        }
        if !more.reasons.is_empty() {
            members.insert("reasons".into(), json!(more.reasons));
        }
        if !more.details.is_empty() {
            members.insert("policy_reasons".into(), json!(more.details));
        }
        response::typed(caller, self.status, "application/problem+json", Value::Object(members).to_string())
    }

    /// `metav1.Status`, whose `message` kubectl shows.
    fn kubernetes(&self, caller: &Caller<'_>) -> Response<Bytes> {
        let reason = match self.status {
            StatusCode::UNAUTHORIZED => "Unauthorized",
            StatusCode::FORBIDDEN => "Forbidden",
            StatusCode::NOT_FOUND => "NotFound",
            StatusCode::BAD_REQUEST => "BadRequest",
            StatusCode::TOO_MANY_REQUESTS => "TooManyRequests",
            StatusCode::SERVICE_UNAVAILABLE => "ServiceUnavailable",
            StatusCode::GATEWAY_TIMEOUT => "Timeout",
            _ => "Unknown",
        };
        let status = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.sentence(caller),
            "reason": reason,
            "code": self.status.as_u16(),
        });
        response::typed(caller, self.status, "application/json", status.to_string())
    }

    /// Everything a caller without a page needs, in one line.
    fn sentence(&self, caller: &Caller<'_>) -> String {
        let sign_in = self.more.sign_in_url.map(|url| format!(" Sign in at {url}")).unwrap_or_default();
        format!("{}: {}{sign_in} (request {})", self.title, self.detail, caller.request_id)
    }

    fn www_authenticate(&self) -> HeaderValue {
        // A quoted string (RFC 9110 5.6.4); a URL of ours holds neither quotes nor backslashes.
        let url = self.more.sign_in_url.filter(|url| !url.contains(['"', '\\']));
        let named = url.and_then(|url| HeaderValue::try_from(format!("Portcullis sign_in=\"{url}\"")).ok());
        named.unwrap_or(HeaderValue::from_static("Portcullis"))
    }
}
