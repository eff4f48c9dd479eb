//! The way to an upstream: which address, with which deadlines, and what a second try may do.

use std::time::Duration;

use http::Method;
use pingora_core::upstreams::peer::{H1UpgradePolicy, HttpPeer};
use pingora_core::{Error, ErrorType, Result, RetryType};
use pingora_proxy::Session;

use super::context::{Body, Kind, Passage, ToRoute};
use super::{Context, failure};
use crate::exchange::{Begins, Deadlines, GRACE};
use crate::upstream::Chosen;

/// Second tries of one request.
const RETRIES: u8 = 2;

/// The upstream's part of a failure that Pingora cannot name: no address to try.
pub(crate) const NO_ADDRESS: ErrorType = ErrorType::Custom("NoUpstreamAddress");

/// The peer for the next try.
///
/// # Errors
/// No address is known, or the request is on no way at all.
pub(crate) async fn peer(context: &mut Context) -> Result<Box<HttpPeer>> {
    let Context { published, passage, .. } = context;
    match passage {
        Passage::Route(to) => route_peer(to).await,
        Passage::SignIn(to) => {
            let (mut peer, chosen) = published
                .authn
                .peer(&to.tries.addresses)
                .await
                .ok_or_else(|| Error::explain(NO_ADDRESS, "sign-in service").into_up())?;
            peer.options.http_upstream_request_policy.h1_upgrade = H1UpgradePolicy::Deny;
            to.chosen = chosen;
            Ok(Box::new(peer))
        }
        Passage::None => Err(Error::explain(ErrorType::InternalError, "request has no way")),
    }
}

async fn route_peer(to: &mut ToRoute) -> Result<Box<HttpPeer>> {
    let upgrade = to.kind == Kind::Upgrade;
    let read = read_deadline(to);
    let chosen = choose(to).await?;
    let mut peer = chosen.template.peer(chosen.endpoint.address, upgrade, read);
    peer.options.http_upstream_request_policy.h1_upgrade =
        if upgrade { H1UpgradePolicy::WebSocketOnly } else { H1UpgradePolicy::Deny };
    Ok(Box::new(peer))
}

/// Chooses the address for the next try.
///
/// # Errors
/// None is known.
pub(crate) async fn choose(to: &mut ToRoute) -> Result<&Chosen> {
    let upstreams =
        to.state.upstreams.as_ref().ok_or_else(|| Error::explain(NO_ADDRESS, "route has no upstream").into_up())?;
    let chosen = match upstreams.choose(&to.tries.addresses) {
        Some(chosen) => chosen,
        None => {
            // Only right after the start, or while a name has never resolved.
            Box::pin(upstreams.first_resolution()).await;
            upstreams.choose(&[]).ok_or_else(|| Error::explain(NO_ADDRESS, "name does not resolve").into_up())?
        }
    };
    Ok(to.chosen.insert(chosen))
}

/// The longest the upstream may be silent. The exchange's own deadlines cut without an answer; this one,
/// which Pingora keeps, gives the client a 504 where nothing was answered yet.
fn read_deadline(to: &ToRoute) -> Option<Duration> {
    let rules = &to.grant.route.exchange;
    match to.kind {
        Kind::Upgrade | Kind::Events => None,
        Kind::Grpc => rules.idle_timeout,
        // While a body goes up the upstream may well be silent for longer than an answer may take.
        Kind::Plain if to.body == Body::Long => rules.idle_timeout,
        Kind::Plain => [rules.timeout, rules.idle_timeout].into_iter().flatten().min(),
    }
}

/// The deadlines of the exchange on its way to a route's upstream.
pub(crate) fn deadlines(to: &ToRoute, body_progress: Duration) -> Deadlines {
    let rules = &to.grant.route.exchange;
    let (total, body) = match to.kind {
        // The reference has a WebSocket lift the timeout; an event stream is as long.
        Kind::Upgrade | Kind::Events => (None, None),
        Kind::Grpc => (rules.timeout, None),
        Kind::Plain => (rules.timeout, Some(body_progress)),
    };
    // What is carried by us is warned before it is cut. Else a little later than Pingora's own, so that its 504 comes first.
    let warned = to.is_carried() && matches!(to.kind, Kind::Plain | Kind::Grpc);
    let later = |limit: Duration| if warned { limit } else { limit.saturating_add(GRACE) };
    let begins = if to.body == Body::Long { Begins::AfterBody } else { Begins::Now };
    Deadlines { total: total.map(later), idle: rules.idle_timeout.map(later), body, begins, warned }
}

/// A connection is there: the address is well.
pub(crate) fn connected(context: &Context) {
    let chosen = match &context.passage {
        Passage::Route(to) => to.chosen.as_ref(),
        Passage::SignIn(to) => to.chosen.as_ref(),
        Passage::None => None,
    };
    if let Some(chosen) = chosen {
        chosen.endpoint.connected();
    }
}

/// No connection: nothing was sent, so any request may be tried elsewhere.
pub(crate) fn not_connected(context: &mut Context, mut error: Box<Error>) -> Box<Error> {
    context.shared.metrics.upstream_failed("connect");
    let (chosen, tries, budget) = match &mut context.passage {
        Passage::Route(to) => (to.chosen.take(), &mut to.tries, to.state.upstreams.as_ref()),
        Passage::SignIn(to) => (to.chosen.take(), &mut to.tries, None),
        Passage::None => return error,
    };
    if let Some(chosen) = chosen {
        chosen.endpoint.failed();
        tries.addresses.push(chosen.endpoint.address);
    }
    let retry = tries.retries < RETRIES && budget.is_none_or(crate::upstream::RouteUpstreams::may_retry);
    if retry {
        tries.retries += 1;
        context.shared.metrics.upstream_retries.inc();
    }
    error.set_retry(retry);
    error
}

/// A connection broke under a request. What may be sent twice (RFC 9110 §9.2.2) is sent again if nothing came back on a
/// connection that was there before (the origin had closed it); anything, if the upstream says that it has not looked at it
/// (RFC 9113 §8.7). `whole`: what was read of the request is at hand.
pub(crate) fn broke_off(
    session: &Session,
    context: &mut Context,
    error: Box<Error>,
    (reused, whole): (bool, bool),
) -> Box<Error> {
    let mut error = error;
    let answered = failure::is_answered(session);
    let idempotent = matches!(
        session.req_header().method,
        Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE | Method::TRACE
    );
    let untouched = *error.etype() == ErrorType::H2Error && matches!(error.retry, RetryType::Decided(true));
    if answered || !whole || !(idempotent || untouched) {
        error.set_retry(false);
    } else {
        error.retry.decide_reuse(reused);
    }
    if error.retry() {
        let retries = match &mut context.passage {
            Passage::Route(to) => Some((&mut to.tries, to.state.upstreams.as_ref())),
            Passage::SignIn(to) => Some((&mut to.tries, None)),
            Passage::None => None,
        };
        let may = retries.is_some_and(|(tries, budget)| {
            let may = tries.retries < RETRIES && budget.is_none_or(crate::upstream::RouteUpstreams::may_retry);
            // The address itself is well: another connection to it may do.
            tries.retries += u8::from(may);
            tries.addresses.clear();
            may
        });
        error.set_retry(may);
        if may {
            context.shared.metrics.upstream_retries.inc();
        }
    }
    error
}
