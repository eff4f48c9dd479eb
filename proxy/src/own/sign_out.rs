//! Signing out on a route's host: a confirmation page, or a same-origin POST that ends the session everywhere
//! and sends the browser to the sign-in host, which ends it at the provider.

use http::{Method, header};
use pingora_proxy::Session;
use portcullis_gate::Presented;
use portcullis_handover::SignOutOrder;
use portcullis_reply::SignOutForm;

use super::{Asked, is_same_origin};
use crate::replies::{self, Answer};
use crate::sign_in::{bind_of, sign_in_page};
use crate::traffic::Context;

/// Answers `sign_out`.
pub(crate) async fn answer(session: &Session, context: &Context, asked: Asked<'_>) -> Answer {
    let (view, presented) = asked;
    let request = session.req_header();
    match request.method {
        Method::GET | Method::HEAD => return confirm(session, context, asked),
        Method::POST => {}
        _ => return portcullis_reply::method_not_allowed(&replies::caller(session, context, view), "GET, HEAD, POST"),
    }
    if !is_same_origin(&request.headers, view) {
        context.shared.metrics.sign_in_step("sign_out_foreign");
        // Any site can send a form here: the person decides.
        return confirm(session, context, asked);
    }
    let shared = std::sync::Arc::clone(&context.shared);
    let location = match presented {
        Presented::Session(who) => {
            if let Err(error) = shared.sessions.end(&who.key).await {
                tracing::warn!(%error, request.id = context.id(), "session cannot be ended");
                return portcullis_reply::unavailable(&replies::caller(session, context, view), replies::SOON);
            }
            shared.metrics.sign_in_step("signed_out");
            let order =
                SignOutOrder { host: view.host().to_owned(), session: who.key, return_to: None, issued: shared.now() };
            let sealed =
                order.seal(&context.published.keys.handover, &context.published.config.sign_in.host, &*shared.random);
            format!("{}?o={sealed}", sign_in_page(context, view, "sign_out"))
        }
        Presented::Unavailable => {
            return portcullis_reply::unavailable(&replies::caller(session, context, view), replies::SOON);
        }
        // Nobody here, but perhaps on the sign-in host, which asks and ends what it finds.
        Presented::Anonymous | Presented::Rejected => sign_in_page(context, view, "sign_out"),
    };
    let sign_in = context.published.config.sign_in.clone();
    let mut answer = portcullis_reply::see_other(&replies::caller(session, context, view), &location);
    for cookie in portcullis_reply::clear_session_cookie(&sign_in.cookie) {
        answer.headers_mut().append(header::SET_COOKIE, cookie);
    }
    // Somebody who signs out and in again goes round by their own will: no loop, however often.
    if let Some(bind) = bind_of(&request.headers, &sign_in.cookie) {
        let counted_anew = portcullis_reply::bind_cookie(&sign_in.cookie, &bind.restarted().value());
        answer.headers_mut().append(header::SET_COOKIE, counted_anew);
    }
    answer
}

/// Asks whether to sign out.
fn confirm(session: &Session, context: &Context, (view, presented): Asked<'_>) -> Answer {
    let who = match presented {
        Presented::Session(who) => Some(&**who),
        Presented::Anonymous | Presented::Rejected | Presented::Unavailable => None,
    };
    let form = SignOutForm { action: view.path(), fields: &[], stay: "/" };
    portcullis_reply::sign_out_confirm(&replies::caller(session, context, view), who, &form)
}
