//! What a client is told when a request could not be carried through.

use http::StatusCode;
use pingora_core::{Error, ErrorSource, ErrorType};
use pingora_proxy::{FailToProxy, Session};

use super::again::REVOKED;
use super::way::NO_ADDRESS;
use super::{Context, answer};
use crate::replies::{self, Failure};

/// Answers, if anything can still be answered.
pub(crate) async fn answer(session: &mut Session, error: &Error, context: &mut Context) -> FailToProxy {
    let failure = failure_of(error);
    tracing::debug!(error.kind = error.etype().as_str(), request.id = context.id(), "request was not carried through");
    if let Some(failure) = failure {
        context.record.upstream_failure = Some(failure.label());
        context.shared.metrics.upstream_failed(failure.label());
    }
    let silent = is_answered(session);
    let (Some(failure), false) = (failure, silent) else {
        return FailToProxy { error_code: 0, can_reuse_downstream: false };
    };
    let response = replies::failure(session, context, failure);
    let error_code = response.status().as_u16();
    // The client may be gone as well, and then there is nobody to tell.
    drop(answer::write(session, context, response).await);
    FailToProxy { error_code, can_reuse_downstream: false }
}

/// Whether the client has the head of its answer. One that only says that there will be an answer is none.
pub(super) fn is_answered(session: &Session) -> bool {
    session
        .response_written()
        .is_some_and(|head| !head.status.is_informational() || head.status == StatusCode::SWITCHING_PROTOCOLS)
}

/// What failed; `None` if the client itself went away or was cut off.
fn failure_of(error: &Error) -> Option<Failure> {
    use ErrorType::{
        ConnectError, ConnectNoRoute, ConnectProxyFailure, ConnectRefused, ConnectTimedout, HTTPStatus, InvalidCert,
        ReadTimedout, TLSHandshakeFailure, TLSHandshakeTimedout, WriteTimedout,
    };
    match (error.esource(), error.etype()) {
        (_, kind) if *kind == REVOKED => None,
        (_, HTTPStatus(_)) => Some(Failure::Internal),
        (ErrorSource::Downstream, _) => None,
        (ErrorSource::Upstream, kind) if *kind == NO_ADDRESS => Some(Failure::NoAddress),
        (ErrorSource::Upstream, ConnectRefused | ConnectNoRoute | ConnectError | ConnectProxyFailure) => {
            Some(Failure::Connect)
        }
        (ErrorSource::Upstream, TLSHandshakeFailure | InvalidCert) => Some(Failure::Tls),
        (ErrorSource::Upstream, ConnectTimedout | TLSHandshakeTimedout | ReadTimedout | WriteTimedout) => {
            Some(Failure::TimedOut)
        }
        (ErrorSource::Upstream, _) => Some(Failure::BrokeOff),
        (ErrorSource::Internal | ErrorSource::Unset, _) => Some(Failure::Internal),
    }
}
