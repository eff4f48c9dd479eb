//! Judging again what is under way: by an epoch compared with each chunk, and by the registry for silence.

use std::sync::Arc;

use bytes::Bytes;
use pingora_core::{Error, ErrorType, Result};
use portcullis_broker_api::Resolved;
use portcullis_config::{Action, Route};
use portcullis_gate::{Grant, Presented, RequestView, Verdict, rewrite_path};
use portcullis_identity::SessionKey;

use super::Context;
use super::context::{Kind, ToRoute};
use crate::exchange::{Cut, Standing};
use crate::shared::Shared;

/// The error that ends an exchange whose permission is gone.
pub(crate) const REVOKED: ErrorType = ErrorType::Custom("Revoked");

/// Compares the epoch and judges again if it moved.
///
/// # Errors
/// The permission is gone; no further byte may pass.
pub(crate) fn check(context: &mut Context) -> Result<()> {
    let epoch = context.shared.epoch();
    if context.routed().is_none_or(|to| to.epoch == epoch) {
        return Ok(());
    }
    let shared = Arc::clone(&context.shared);
    let exchange = Arc::clone(&context.exchange);
    let Some(to) = context.routed() else { return Ok(()) };
    let key = to.grant.session.as_ref().map(|session| session.key);
    let presented = match key.map(|key| shared.sessions.resolve(&key, shared.now())) {
        None => Presented::Anonymous,
        Some(Resolved::Session(session)) => Presented::Session(session),
        Some(Resolved::Absent) => Presented::Rejected,
        Some(Resolved::Stale) => Presented::Unavailable,
        // Not at hand, and this place cannot wait: the follower asks, and cuts if the answer is no.
        Some(Resolved::Missing) => {
            let standing = standing(to, &exchange);
            if shared.follower.doubt(Arc::new(standing)) {
                to.epoch = epoch;
                return Ok(());
            }
            Presented::Unavailable
        }
    };
    match still(&shared, &to.view, key, &to.grant.route, &presented) {
        Some(grant) => {
            to.grant = grant;
            to.epoch = epoch;
            Ok(())
        }
        None => {
            exchange.cut(Cut::Revoked);
            Err(Error::explain(REVOKED, "permission is gone"))
        }
    }
}

/// The grant under which an exchange goes on; `None` if it may not.
///
/// It goes on if the same route still forwards it, or another one would to the same place, on behalf of the
/// same session; where a route is open to everybody, losing the session changes nothing.
pub(crate) fn still(
    shared: &Shared,
    view: &RequestView<'_>,
    key: Option<SessionKey>,
    route: &Route,
    presented: &Presented,
) -> Option<Grant> {
    match shared.gate.admit(view, presented, shared.now()) {
        Verdict::Forward(grant) if leads_on(route, &grant.route, view) => {
            let same = grant.session.as_ref().map(|session| session.key) == key;
            (same || grant.route.policy.is_public()).then_some(grant)
        }
        Verdict::Forward(_) | Verdict::Challenge(_) | Verdict::Refuse(_) => None,
    }
}

/// Whether `new` is the route that an exchange began by: the same name, or another name for the same place.
fn leads_on(old: &Route, new: &Route, view: &RequestView<'_>) -> bool {
    if old.name == new.name {
        return true;
    }
    match (&old.action, &new.action) {
        (Action::Forward(one), Action::Forward(other)) => {
            let path = |route| rewrite_path(route, view).ok();
            one.upstreams == other.upstreams && path(old) == path(new)
        }
        (Action::Forward(_) | Action::Redirect(_) | Action::Respond { .. }, _) => false,
    }
}

/// What the registry keeps of an exchange.
pub(crate) fn standing(to: &ToRoute, exchange: &Arc<crate::exchange::Exchange>) -> Standing {
    Standing {
        exchange: Arc::clone(exchange),
        view: to.view.clone(),
        session: to.grant.session.as_ref().map(|session| session.key),
        route: Arc::clone(&to.grant.route),
    }
}

/// Enters the exchange into the registry, once, and sees to it that it ends with its session, however often its other
/// deadlines are set.
pub(crate) fn enter(context: &mut Context) {
    let shared = Arc::clone(&context.shared);
    let exchange = Arc::clone(&context.exchange);
    let Some(to) = context.routed() else { return };
    if to.registration.is_none() {
        to.registration = Some(shared.registry.enter(standing(to, &exchange)));
    }
    if let Some(session) = &to.grant.session {
        // No event tells that a session's time is over, or that a proof of who asks is too old for the route.
        let too_old = to.grant.route.needs.max_age.map(|age| session.authenticated_at.saturating_add(age));
        let end = too_old.into_iter().chain([session.expires_at]).min().unwrap_or(session.expires_at);
        exchange.end_within(end.since(shared.now()));
    }
}

/// Notes bytes on their way to the client.
///
/// # Errors
/// The permission is gone; they may not pass.
pub(crate) fn sent(context: &mut Context, body: Option<&Bytes>) -> Result<()> {
    context.sent += u64::try_from(body.map_or(0, Bytes::len)).unwrap_or(u64::MAX);
    context.exchange.active();
    check(context)?;
    used(context, Passing::ToClient);
    Ok(())
}

/// Notes bytes of the request's body on their way to the upstream; `ended` when nothing comes after them.
///
/// # Errors
/// The permission is gone; they may not pass.
pub(crate) fn received(context: &mut Context, body: &[u8], ended: bool) -> Result<()> {
    context.received += u64::try_from(body.len()).unwrap_or(u64::MAX);
    context.exchange.body_passed(ended);
    check(context)?;
    if !body.is_empty() {
        used(context, Passing::ToUpstream);
    }
    Ok(())
}

/// An exchange that lasts is a use of its session as long as the client sends, or receives what it asked for:
/// what an event stream or a WebSocket pushes proves nobody's presence.
pub(crate) fn used(context: &mut Context, by: Passing) {
    if context.routed().is_none_or(|to| to.registration.is_none()) {
        return;
    }
    let shared = Arc::clone(&context.shared);
    let Some(to) = context.routed() else { return };
    let counts = by == Passing::ToUpstream || to.kind == Kind::Plain;
    if let (Some(_), Some(session), true) = (&to.registration, &to.grant.session, counts) {
        shared.sessions.used(&session.key, shared.now());
    }
}

/// Which way bytes pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Passing {
    /// From the client.
    ToUpstream,
    /// From the upstream.
    ToClient,
}
