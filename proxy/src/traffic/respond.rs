//! What becomes of a judged request: an answer of ours, or a way to an upstream.

use http::{HeaderValue, header};
use pingora_core::Result;
use pingora_proxy::Session;
use portcullis_broker_api::{BrokerError, UpstreamTokens};
use portcullis_config::{Action, Route, TemplatePart};
use portcullis_gate::{
    Audience, Challenge, Grant, Malformed, Refusal, RequestView, Verdict, redirect_location, rewrite_path,
};
use portcullis_handover::ReturnPath;
use portcullis_identity::Timestamp;
use portcullis_reply::{Fragment, LoopFacts};

use super::context::{Body, Kind, Passage, ToRoute, ToSignIn, Tries};
use super::judge::{Judged, judge};
use super::{Context, again, answer, way};
use crate::own;
use crate::replies::{self, Answer};
use crate::sign_in::{self, Begun};

/// A request body up to this many bytes is there in a moment.
const SHORT_BODY: u64 = 64 * 1024;

/// Answers the request, or puts it on its way: `false`.
///
/// # Errors
/// The client is gone.
pub(crate) async fn answer_or_pass(session: &mut Session, context: &mut Context) -> Result<bool> {
    let judged = judge(session, context).await;
    context.identify();
    let answer = match judged {
        Judged::Malformed(cause) => {
            // Where the next request begins is anybody's guess.
            session.set_keepalive(None);
            Some(portcullis_reply::malformed(&replies::stranger(session, context), &cause))
        }
        Judged::SignIn(view) => to_sign_in(session, context, view),
        Judged::Own(path, view, presented) => {
            // Boxed, like every way that few requests take: the state of a request stays small.
            Some(Box::pin(own::answer(path, session, context, (&view, &presented))).await)
        }
        Judged::Route { verdict, view, epoch, now } => match verdict {
            Verdict::Forward(grant) => {
                context.shared.metrics.permitted.inc();
                forward(session, context, (grant, epoch, now), view).await
            }
            Verdict::Challenge(challenge) => Some(challenged(session, context, challenge, &view)),
            Verdict::Refuse(refusal) => {
                context.shared.metrics.decided("refuse");
                Some(refused(session, context, &refusal, &view))
            }
        },
    };
    let Some(answer) = answer else { return Ok(false) };
    Box::pin(answer::write(session, context, answer)).await?;
    Ok(true)
}

/// Puts a request for the sign-in host on its way, unless its prefix asks too often.
fn to_sign_in(session: &mut Session, context: &mut Context, view: RequestView<'static>) -> Option<Answer> {
    let most = context.published.config.limits.sign_ins_per_prefix;
    let address = view.client_address().unwrap_or_else(|| context.exchange.peer.address.ip());
    if !context.shared.sign_ins.admit(address, most, context.shared.now()) {
        return Some(portcullis_reply::too_many_requests(
            &replies::caller(session, context, &view),
            replies::TOO_OFTEN,
        ));
    }
    let body = Some(context.published.config.limits.body_progress).filter(|_| !session.is_body_empty());
    context.exchange.limit(crate::exchange::Deadlines { body, ..Default::default() });
    context.passage = Passage::SignIn(Box::new(ToSignIn { view, chosen: None, tries: Tries::default() }));
    None
}

async fn forward(
    session: &mut Session,
    context: &mut Context,
    (grant, epoch, judged_at): (Grant, u64, Timestamp),
    view: RequestView<'static>,
) -> Option<Answer> {
    if let Some(who) = &grant.session {
        context.shared.sessions.used(&who.key, judged_at);
    }
    let route = &grant.route;
    match &route.action {
        Action::Redirect(redirect) => {
            let location = redirect_location(route, redirect, &view);
            return Some(portcullis_reply::redirect_route(
                &replies::caller(session, context, &view),
                &location,
                redirect.status,
            ));
        }
        Action::Respond { status, body } => {
            return Some(portcullis_reply::fixed(&replies::caller(session, context, &view), *status, body));
        }
        Action::Forward(_) => {}
    }
    let kind = kind_of(session, &view);
    if kind == Kind::Upgrade && !route.exchange.websockets {
        let cause = Malformed::WebSocketHandshake;
        return Some(portcullis_reply::malformed(&replies::caller(session, context, &view), &cause));
    }
    let Ok(path) = rewrite_path(route, &view) else {
        context.record.outcome = crate::access::Outcome::Malformed(Malformed::PathHiddenDots.label());
        return Some(portcullis_reply::malformed(
            &replies::caller(session, context, &view),
            &Malformed::PathHiddenDots,
        ));
    };
    let target = target(session.req_header().raw_path(), &path, view.query());
    let Ok(tokens) = tokens(&grant, context).await else {
        return Some(replies::failure(session, context, replies::Failure::Token));
    };
    // The gate may judge by a newer generation than the one that the request began with.
    let newest = || context.shared.published.load().route(route).cloned();
    let Some(state) = context.published.route(route).cloned().or_else(newest) else {
        // A generation that is two swaps old: the client asks again and meets the newest.
        return Some(replies::failure(session, context, replies::Failure::NoAddress));
    };
    if let Some(upstreams) = &state.upstreams {
        upstreams.requested();
    }
    let body = body_of(session);
    let to = ToRoute {
        grant,
        view,
        state,
        target,
        epoch,
        judged_at,
        kind,
        body,
        tokens,
        chosen: None,
        tries: Tries::default(),
        registration: None,
    };
    context.exchange.limit(way::deadlines(&to, context.published.config.limits.body_progress));
    if body == Body::None && kind == Kind::Plain {
        context.exchange.body_passed(true);
    }
    context.passage = Passage::Route(Box::new(to));
    if kind != Kind::Plain || body == Body::Long {
        again::enter(context);
    }
    None
}

/// The tokens that the route injects, if it injects any.
async fn tokens(grant: &Grant, context: &Context) -> std::result::Result<Option<UpstreamTokens>, BrokerError> {
    match &grant.session {
        Some(who) if injects_tokens(&grant.route) => {
            let tokens = context.shared.sessions.tokens(&who.key, &grant.route.name).await;
            tokens.inspect_err(
                |error| tracing::debug!(%error, request.id = context.id(), "tokens to inject cannot be had"),
            )
        }
        Some(_) | None => Ok(None),
    }
}

fn challenged(session: &Session, context: &mut Context, challenge: Challenge, view: &RequestView<'_>) -> Answer {
    let shared = std::sync::Arc::clone(&context.shared);
    let now = shared.now();
    let landed =
        challenge.session.as_ref().is_some_and(|session| shared.landings.has(session.key, &view.path_and_query(), now));
    let verdict = if landed { Verdict::Challenge(challenge).after_sign_in() } else { Verdict::Challenge(challenge) };
    context.record.decided(&verdict);
    match verdict {
        Verdict::Challenge(challenge) => {
            shared.metrics.decided("challenge");
            let (return_path, fragment) =
                sign_in::return_path(view, &session.req_header().headers, challenge.route.exchange.keep_fragment);
            let begun = sign_in::begin(
                context,
                view,
                &session.req_header().headers,
                sign_in::Wish { needs: challenge.needs, return_path, least_attempt: 0 },
            );
            begun_answer(session, context, view, Begin { begun, clear: challenge.clear_cookie, fragment })
        }
        Verdict::Refuse(refusal) => {
            shared.metrics.decided("refuse");
            refused(session, context, &refusal, view)
        }
        Verdict::Forward(_) => replies::failure(session, context, replies::Failure::Internal),
    }
}

/// A sign-in that begins, and how.
pub(crate) struct Begin {
    /// The address and the cookie, or the end of a loop.
    pub(crate) begun: Begun,
    /// Whether the session cookie goes.
    pub(crate) clear: bool,
    /// What becomes of `#…`.
    pub(crate) fragment: Fragment,
}

/// The answer that sends somebody to sign in.
pub(crate) fn begun_answer(session: &Session, context: &Context, view: &RequestView<'_>, begin: Begin) -> Answer {
    let Begin { begun, clear, fragment } = begin;
    let sign_in = context.published.config.sign_in.clone();
    let mut cookies: Vec<HeaderValue> = Vec::new();
    if clear {
        cookies.extend(portcullis_reply::clear_session_cookie(&sign_in.cookie));
    }
    let mut answer = match begun {
        Begun::Go { url, bind } => {
            context.shared.metrics.sign_in_step("challenge");
            cookies.extend(bind.map(|bind| portcullis_reply::bind_cookie(&sign_in.cookie, &bind.value())));
            portcullis_reply::challenge(&replies::caller(session, context, view), &url, fragment)
        }
        Begun::Loop { bind } => {
            context.shared.metrics.sign_in_step("loop");
            cookies.push(portcullis_reply::bind_cookie(&sign_in.cookie, &bind.value()));
            loop_page(session, context, view, &view.path_and_query())
        }
    };
    for cookie in cookies {
        answer.headers_mut().append(header::SET_COOKIE, cookie);
    }
    answer
}

/// The page that ends a loop; `retry` begins anew.
pub(crate) fn loop_page(session: &Session, context: &Context, view: &RequestView<'_>, retry: &str) -> Answer {
    let facts = LoopFacts { session: None, retry_url: retry, switch_account_url: None };
    portcullis_reply::loop_diagnostic(&replies::caller(session, context, view), &facts)
}

fn refused(session: &Session, context: &Context, refusal: &Refusal, view: &RequestView<'_>) -> Answer {
    let another_account = refusal.session.is_some().then(|| {
        let wish = sign_in::Wish {
            needs: refusal.route.as_ref().map(|route| route.needs.clone()).unwrap_or_default(),
            return_path: ReturnPath::or_root(&view.path_and_query()),
            least_attempt: 0,
        };
        sign_in::other_account(context, view, &session.req_header().headers, wish)
    });
    let (url, bind) = match another_account {
        Some(Begun::Go { url, bind }) => (Some(url), bind),
        Some(Begun::Loop { .. }) | None => (None, None),
    };
    let sign_in = context.published.config.sign_in.clone();
    let mut answer = portcullis_reply::refuse(&replies::caller(session, context, view), refusal, url.as_deref());
    if refusal.clear_cookie {
        for cookie in portcullis_reply::clear_session_cookie(&sign_in.cookie) {
            answer.headers_mut().append(header::SET_COOKIE, cookie);
        }
    }
    if let Some(bind) = bind {
        answer.headers_mut().append(header::SET_COOKIE, portcullis_reply::bind_cookie(&sign_in.cookie, &bind.value()));
    }
    answer
}

fn kind_of(session: &Session, view: &RequestView<'_>) -> Kind {
    match view.audience() {
        Audience::WebSocket => Kind::Upgrade,
        Audience::Grpc => Kind::Grpc,
        Audience::Navigation | Audience::Script | Audience::Preflight | Audience::Unsafe => {
            let accept =
                session.req_header().headers.get(header::ACCEPT).map(HeaderValue::as_bytes).unwrap_or_default();
            if accept.starts_with(b"text/event-stream") { Kind::Events } else { Kind::Plain }
        }
    }
}

/// The target as it is sent, where it is not what came: the query is never ours to change.
fn target(came: &[u8], path: &str, query: Option<&str>) -> Option<String> {
    let rest = came.strip_prefix(path.as_bytes());
    let same = match query {
        None => rest == Some(b""),
        Some(query) => rest.and_then(|rest| rest.strip_prefix(b"?")) == Some(query.as_bytes()),
    };
    if same {
        return None;
    }
    let mut target = path.to_owned();
    if let Some(query) = query {
        target.push('?');
        target.push_str(query);
    }
    Some(target)
}

fn body_of(session: &mut Session) -> Body {
    if session.is_body_empty() {
        return Body::None;
    }
    let length = session.req_header().headers.get(header::CONTENT_LENGTH);
    match length.and_then(|value| value.to_str().ok()?.parse::<u64>().ok()) {
        Some(..=SHORT_BODY) => Body::Short,
        Some(_) | None => Body::Long,
    }
}

fn injects_tokens(route: &Route) -> bool {
    let token = |part: &TemplatePart| matches!(part, TemplatePart::AccessToken | TemplatePart::IdToken);
    route.headers.set_request.iter().any(|(_, template)| template.0.iter().any(token))
}
