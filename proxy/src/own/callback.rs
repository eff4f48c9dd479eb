//! Step 6 of a sign-in: the hand-over is opened, bound, redeemed once, and becomes this host's cookie.

use http::{HeaderValue, Method, header};
use pingora_proxy::Session;
use portcullis_broker_api::RedeemError;
use portcullis_gate::{Presented, RequestHead, RequestView, TlsFacts, Verdict};
use portcullis_handover::{Bind, HandOver, ReturnPath};
use portcullis_identity::Needs;
use portcullis_keys::CredentialKind;
use portcullis_reply::Fragment;

use super::{Asked, parameter};
use crate::replies::{self, Answer};
use crate::sign_in::{self, bind_of};
use crate::traffic::{Begin, Context, begun_answer, loop_page};

/// Answers the callback.
pub(crate) async fn answer(session: &Session, context: &mut Context, asked: Asked<'_>) -> Answer {
    let (view, presented) = asked;
    let shared = std::sync::Arc::clone(&context.shared);
    let now = shared.now();
    let headers = &session.req_header().headers;
    let bind = bind_of(headers, &context.published.config.sign_in.cookie);
    let sealed = parameter(view, "h").unwrap_or_default();
    let hand_over = match HandOver::open(&sealed, &context.published.keys.handover, view.host(), now) {
        Ok(hand_over) => hand_over,
        Err(error) => {
            tracing::debug!(%error, request.id = context.id(), "hand-over does not open");
            return again(session, context, view, Failed { bind, step: "not_opened", ..Failed::default() });
        }
    };
    let attempt = hand_over.attempt.saturating_add(1);
    let path = hand_over.return_path.clone();
    let Some(bound) = bind.clone().filter(|bind| bind.matches(&hand_over.bind)) else {
        if matches!(presented, Presented::Session(_)) {
            // Several first tabs at once each brought a bind cookie and one was kept. Another tab has signed in since:
            // this one needs no hand-over, only its address.
            shared.metrics.sign_in_step("late");
            let mut answer =
                portcullis_reply::redirect(&replies::caller(session, context, view), &own_url(view, path.as_str()));
            if let Some(bind) = bind {
                // Counted all the same: a route that this session does not satisfy would send us back here.
                let sign_in = context.published.config.sign_in.clone();
                let counted = bind.completed(attempt, now).value();
                answer
                    .headers_mut()
                    .append(header::SET_COOKIE, portcullis_reply::bind_cookie(&sign_in.cookie, &counted));
            }
            return answer;
        }
        // Another browser's hand-over, or a browser that keeps no cookies.
        return again(session, context, view, Failed { attempt, path: Some(path), step: "bind_mismatch", bind: None });
    };
    match shared.sessions.redeem(hand_over.id, hand_over.until(), &hand_over.handle.key()).await {
        Ok(who) => {
            context.record.session = Some(std::sync::Arc::clone(&who));
            shared.metrics.sign_in_step("redeemed");
            shared.landings.note(who.key, path.as_str(), now);
            let credential =
                context.published.keys.credential.mint(CredentialKind::Session, &hand_over.handle, view.host());
            let sign_in = context.published.config.sign_in.clone();
            let mut answer =
                portcullis_reply::redirect(&replies::caller(session, context, view), &own_url(view, path.as_str()));
            let cookies = [
                portcullis_reply::session_cookie(&sign_in.cookie, &credential, who.expires_at, now),
                portcullis_reply::bind_cookie(&sign_in.cookie, &bound.completed(hand_over.attempt, now).value()),
            ];
            for cookie in cookies {
                answer.headers_mut().append(header::SET_COOKIE, cookie);
            }
            answer
        }
        Err(RedeemError::AlreadyRedeemed) if matches!(presented, Presented::Session(_)) => {
            // The same address once more, in a browser that has its session: sent on.
            shared.metrics.sign_in_step("late");
            portcullis_reply::redirect(&replies::caller(session, context, view), &own_url(view, path.as_str()))
        }
        Err(error @ (RedeemError::AlreadyRedeemed | RedeemError::NoSession)) => {
            tracing::debug!(%error, request.id = context.id(), "hand-over is not redeemed");
            again(session, context, view, Failed { attempt, path: Some(path), step: "not_redeemed", bind: Some(bound) })
        }
        Err(RedeemError::Unavailable(error)) => {
            tracing::warn!(%error, request.id = context.id(), "hand-over cannot be redeemed");
            shared.metrics.sign_in_step("unavailable");
            portcullis_reply::unavailable(&replies::caller(session, context, view), replies::SOON)
        }
    }
}

/// A hand-over that failed.
#[derive(Default)]
struct Failed {
    /// Hand-overs made so far.
    attempt: u8,
    /// Where it led; `None` if nobody knows.
    path: Option<ReturnPath>,
    /// What failed, for metrics.
    step: &'static str,
    /// The browser's bind cookie.
    bind: Option<Bind>,
}

/// A failed check starts again at step 1, counted so that it cannot go on for ever.
fn again(session: &Session, context: &Context, view: &RequestView<'_>, failed: Failed) -> Answer {
    let Failed { attempt, path, step, bind } = failed;
    let shared = std::sync::Arc::clone(&context.shared);
    shared.metrics.sign_in_step(step);
    if path.is_none() && bind.is_none() {
        // Neither a count nor a cookie to keep one in: a browser without cookies would go round for ever.
        return loop_page(session, context, view, &own_url(view, "/"));
    }
    let path = path.unwrap_or_else(ReturnPath::root);
    let now = shared.now();
    let Some(needs) = needs_of(context, view, path.as_str()) else {
        // Nothing to sign in for there: the page itself says what it is.
        return portcullis_reply::redirect(&replies::caller(session, context, view), &own_url(view, path.as_str()));
    };
    let counted = bind.map(|bind| bind.completed(attempt, now));
    let headers = session.req_header().headers.clone();
    let wish = sign_in::Wish { needs, return_path: path, least_attempt: attempt };
    let begun = sign_in::begin(context, view, &headers, wish);
    let mut answer = begun_answer(session, context, view, Begin { begun, clear: false, fragment: Fragment::Dropped });
    if let (Some(bind), false) = (counted, answer.headers().contains_key(header::SET_COOKIE)) {
        let sign_in = context.published.config.sign_in.clone();
        answer.headers_mut().append(header::SET_COOKIE, portcullis_reply::bind_cookie(&sign_in.cookie, &bind.value()));
    }
    answer
}

/// What a sign-in for `path` must meet; `None` if a sign-in gives nothing there.
fn needs_of(context: &Context, view: &RequestView<'_>, path: &str) -> Option<Needs> {
    let shared = &context.shared;
    let path = path.split('#').next().unwrap_or_default();
    let host = match view.sent_port() {
        Some(port) => format!("{}:{port}", view.host()),
        None => view.host().to_owned(),
    };
    let mut headers = http::HeaderMap::new();
    headers.insert(header::HOST, HeaderValue::try_from(host).ok()?);
    let head = RequestHead {
        version: http::Version::HTTP_11,
        method: &Method::GET,
        target: path,
        headers: &headers,
        open: false,
        authority: None,
        tls: TlsFacts { server_name: context.exchange.peer.server_name.as_deref(), ..TlsFacts::default() },
        peer: Some(context.exchange.peer.address.ip()),
        listener_port: context.published.config.listen.public_port,
    };
    let target = shared.gate.read(&head).ok()?;
    match target.destination() {
        portcullis_gate::Destination::Route => match shared.gate.admit(&target, &Presented::Anonymous, shared.now()) {
            Verdict::Challenge(challenge) => Some(challenge.needs),
            Verdict::Forward(_) | Verdict::Refuse(_) => None,
        },
        // A page of ours that wants somebody signed in.
        portcullis_gate::Destination::Own(_) => Some(Needs::default()),
        portcullis_gate::Destination::SignInHost => None,
    }
}

fn own_url(view: &RequestView<'_>, path: &str) -> String {
    match view.sent_port() {
        Some(port) => format!("https://{}:{port}{path}", view.host()),
        None => format!("https://{}{path}", view.host()),
    }
}
