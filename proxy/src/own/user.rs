//! The user page on a route's host: the session, and the programs that its person let in, each ended by a same-origin
//! POST. Only what was made of the asker's own session is shown or ended: a program sees no siblings.

use http::Method;
use pingora_proxy::Session;
use portcullis_identity::{DerivedSession, Session as SignedIn};
use portcullis_reply::{END_PARAMETER, Sites};

use super::{Asked, is_same_origin, parameter, signed_in};
use crate::replies::{self, Answer};
use crate::traffic::Context;

/// Answers `user`.
pub(crate) async fn answer(session: &Session, context: &Context, asked: Asked<'_>) -> Answer {
    let (view, _) = asked;
    let ends = parameter(view, END_PARAMETER);
    match (&session.req_header().method, ends) {
        (&Method::GET | &Method::HEAD, _) => page(session, context, asked).await,
        (&Method::POST, Some(id)) => end(session, context, asked, &id).await,
        _ => portcullis_reply::method_not_allowed(&replies::caller(session, context, view), "GET, HEAD"),
    }
}

async fn page(session: &Session, context: &Context, asked: Asked<'_>) -> Answer {
    let (view, _) = asked;
    let who = match signed_in(session, context, asked) {
        Ok(who) => who,
        Err(answer) => return *answer,
    };
    let programs = programs(context, &who).await;
    let caller = replies::caller(session, context, view);
    portcullis_reply::user(&caller, &who, programs.as_deref(), context.shared.now(), Sites::Listed)
}

/// Ends the session that the page shows as `id`.
async fn end(session: &Session, context: &Context, asked: Asked<'_>, id: &str) -> Answer {
    let (view, _) = asked;
    if !is_same_origin(&session.req_header().headers, view) {
        context.shared.metrics.sign_in_step("program_end_foreign");
        // Any site can send a form here: the person sees the page, and decides there.
        return page(session, context, asked).await;
    }
    let who = match signed_in(session, context, asked) {
        Ok(who) => who,
        Err(answer) => return *answer,
    };
    let unavailable = || portcullis_reply::unavailable(&replies::caller(session, context, view), replies::SOON);
    let Some(programs) = programs(context, &who).await else { return unavailable() };
    // What is not there is over, or was never theirs: the page says what there is.
    if let Some(program) = programs.iter().find(|program| program.key.to_string() == id) {
        if let Err(error) = context.shared.sessions.end(&program.key).await {
            tracing::warn!(%error, request.id = context.id(), "session of a program cannot be ended");
            return unavailable();
        }
        context.shared.metrics.sign_in_step("program_ended");
    }
    portcullis_reply::see_other(&replies::caller(session, context, view), view.path())
}

/// The programs of `who`; `None`: the broker does not say.
async fn programs(context: &Context, who: &SignedIn) -> Option<Vec<DerivedSession>> {
    match context.shared.sessions.list_derived(&who.key).await {
        Ok(programs) => Some(programs),
        Err(error) => {
            tracing::warn!(%error, request.id = context.id(), "programs of a session are not known");
            None
        }
    }
}
