//! The answer to a refusal of the gate.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use portcullis_gate::{CertificateFault, Refusal, RefusalCause};

use crate::notice::{More, Notice};
use crate::page::{Account, Action};
use crate::{Caller, fault, grpc, reason};

/// The most sentences of why.
const MAX_REASONS: usize = 4;

/// How soon the broker or another proxy is likely back.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Answers a refusal. `switch_account_url` begins a sign-in that lets the person choose another account
/// (`fresh_account` of the sealed request); it is offered where another account could help.
///
/// 403 for what the policy forbids, 404 where no route serves the host and path, 400 for an encoded slash,
/// 503 where a session or external data cannot be looked up, 495 for want of a valid client certificate.
/// `X-…-Intercepted-Response: true` marks all of them.
#[must_use]
pub fn refuse(caller: &Caller<'_>, refusal: &Refusal, switch_account_url: Option<&str>) -> Response<Bytes> {
    match refusal.cause {
        RefusalCause::NoRoute => no_route(caller),
        RefusalCause::EncodedSlash => fault::encoded_slash(caller),
        RefusalCause::Unavailable => unknown(caller, Words::SESSION_UNKNOWN),
        RefusalCause::RecordsUnknown => unknown(caller, Words::RECORDS_UNKNOWN),
        RefusalCause::ClientCertificate(fault) => certificate_wanted(caller, fault),
        RefusalCause::Forbidden => denied(caller, refusal, switch_account_url, Words::FORBIDDEN),
        RefusalCause::NeedUnmet => denied(caller, refusal, switch_account_url, Words::NEED_UNMET),
    }
}

/// The words of a refusal.
struct Words {
    kind: &'static str,
    title: &'static str,
    detail: &'static str,
}

impl Words {
    const FORBIDDEN: Self = Self {
        kind: "forbidden",
        title: "You don’t have access",
        detail: "This page is protected, and its rules do not let you in.",
    };
    const NEED_UNMET: Self = Self {
        kind: "sign-in-not-sufficient",
        title: "Your sign-in is not enough for this page",
        detail: "You have just signed in, but not in the way this page asks for: with another provider, more \
                 recently, or with a stronger method.",
    };
    const SESSION_UNKNOWN: Self = Self {
        kind: "session-unavailable",
        title: "Your session can’t be checked right now",
        detail: "The service that keeps track of who is signed in does not answer. You have not been signed out.",
    };
    const RECORDS_UNKNOWN: Self = Self {
        kind: "records-unavailable",
        title: "Your access can’t be checked right now",
        detail: "The rules of this page look something up that is not available at the moment.",
    };
}

fn denied(
    caller: &Caller<'_>,
    refusal: &Refusal,
    switch_account_url: Option<&str>,
    Words { kind, title, detail }: Words,
) -> Response<Bytes> {
    let account = refusal.session.as_deref().map(Account::of);
    let words: Vec<&'static str> = refusal.decision.iter().flat_map(|decision| decision.reasons.iter()).collect();
    let mut reasons: Vec<&'static str> = Vec::new();
    for sentence in words.iter().filter_map(|word| reason::sentence(word)) {
        if !reasons.contains(&sentence) && reasons.len() < MAX_REASONS {
            reasons.push(sentence);
        }
    }
    let shows_details = refusal.route.as_ref().is_some_and(|route| route.exchange.show_error_details);
    let mut actions = Vec::new();
    if let Some(url) = switch_account_url {
        let text = if account.is_some() { "Use another account" } else { "Sign in" };
        actions.push(Action::Link { text, url: Cow::Borrowed(url) });
    }
    if account.is_some() {
        actions.push(Action::Post { text: "Sign out", url: caller.own_path("sign_out").into(), fields: Vec::new() });
    }
    Notice {
        status: StatusCode::FORBIDDEN,
        grpc: grpc::Status::PermissionDenied,
        kind,
        label: "Access denied",
        title: title.into(),
        detail: detail.into(),
        advice: Some(
            "If you think you should have access, ask whoever runs this site and quote the request id.".into(),
        ),
        more: More {
            account,
            reasons,
            details: if shows_details { words } else { Vec::new() },
            actions,
            ..More::default()
        },
    }
    .answer(caller)
}

/// A sign-in would not help, and neither would another account.
fn certificate_wanted(caller: &Caller<'_>, fault: CertificateFault) -> Response<Bytes> {
    let (kind, title, detail) = match fault {
        CertificateFault::Missing => (
            "client-certificate-missing",
            "This site asks for a client certificate",
            "Your browser sent none, and nobody is let in here without one.",
        ),
        CertificateFault::Expired => (
            "client-certificate-expired",
            "Your client certificate has expired",
            "The certificate that your browser sent is past its time.",
        ),
        CertificateFault::NotYetValid => (
            "client-certificate-not-yet-valid",
            "Your client certificate is not valid yet",
            "The certificate that your browser sent is before its time.",
        ),
        CertificateFault::Revoked => (
            "client-certificate-revoked",
            "Your client certificate was revoked",
            "Whoever issued the certificate that your browser sent has called it back.",
        ),
        CertificateFault::UnknownIssuer
        | CertificateFault::TooDeep
        | CertificateFault::Name
        | CertificateFault::Purpose
        | CertificateFault::Broken => (
            "client-certificate-not-accepted",
            "Your client certificate is not accepted here",
            "The certificate that your browser sent is not one of those this site believes.",
        ),
    };
    Notice {
        // As nginx and the reference have it: a handshake's failure told after the handshake.
        status: StatusCode::from_u16(495).unwrap_or(StatusCode::FORBIDDEN),
        grpc: grpc::Status::PermissionDenied,
        kind,
        label: "Client certificate",
        title: title.into(),
        detail: detail.into(),
        advice: Some(
            "Install the certificate that whoever runs this site gave you, close every window of your browser, and \
             try again. Quote the request id when you ask for help."
                .into(),
        ),
        more: More { actions: Action::again(caller), ..More::default() },
    }
    .answer(caller)
}

fn no_route(caller: &Caller<'_>) -> Response<Bytes> {
    Notice {
        status: StatusCode::NOT_FOUND,
        grpc: grpc::Status::NotFound,
        kind: "no-route",
        label: "Not found",
        title: "There is nothing here".into(),
        detail: "No site is set up at this address.".into(),
        advice: Some("Check the address for typing errors. If you followed a link, it may be out of date.".into()),
        more: More::default(),
    }
    .answer(caller)
}

fn unknown(caller: &Caller<'_>, Words { kind, title, detail }: Words) -> Response<Bytes> {
    Notice {
        status: StatusCode::SERVICE_UNAVAILABLE,
        grpc: grpc::Status::Unavailable,
        kind,
        label: "Temporarily unavailable",
        title: title.into(),
        detail: detail.into(),
        advice: Some("Wait a moment before you try again.".into()),
        more: More { retry_after: Some(RETRY_AFTER), actions: Action::again(caller), ..More::default() },
    }
    .answer(caller)
}
