//! From what there is to say to what the browser gets: every word of it is `reply`'s.

use std::time::Duration;

use bytes::Bytes;
use http::header::SET_COOKIE;
use http::{Method, Response};
use portcullis_reply::{Caller, Fragment, ProgramForm, ProviderChoice, SignInFailure, SignOutForm, Sites};

use crate::answer::{Answer, Asking, Cause, CookieChange, Credential, Location, Offer, Portrait, Trouble, What};
use crate::service::Turn;

/// When to come back after something was away.
const RETRY_AFTER: Duration = Duration::from_secs(10);
/// What our pages take, for `Allow`.
const METHODS: &str = "GET, HEAD, POST";

/// The whole answer, cookies included.
pub(crate) fn response<S>(answer: Answer, turn: &Turn<'_, S>) -> Response<Bytes> {
    let Answer { what, cookies } = answer;
    let caller = turn.asked.caller(turn.generation.host(), turn.generation.config.sign_in.namespace);
    let mut response = body(what, &caller, turn);
    for cookie in cookies {
        set(&mut response, cookie, turn);
    }
    if turn.asked.method == Method::HEAD {
        *response.body_mut() = Bytes::new();
    }
    response
}

fn body<S>(what: What, caller: &Caller<'_>, turn: &Turn<'_, S>) -> Response<Bytes> {
    match what {
        What::Redirect(Location(to)) if turn.asked.method == Method::POST => {
            portcullis_reply::see_other(caller, &to) // RFC 9700, 4.12: never let a form travel on
        }
        What::Redirect(Location(to)) => portcullis_reply::redirect(caller, &to),
        What::Choice { offers, host } => {
            choice(caller, &offers, host.as_deref().unwrap_or_else(|| turn.generation.host()))
        }
        What::ConfirmProgram(asking) => {
            let Asking { session, host, program, sealed } = &*asking;
            let (action, refuse) = (turn.generation.path("sign_in"), turn.generation.path("user"));
            let action = format!("{action}?r={sealed}");
            portcullis_reply::program_confirm(
                caller,
                session,
                &ProgramForm { action: &action, host, program, refuse: &refuse },
            )
        }
        What::ConfirmSignOut(session) => {
            let (action, stay) = (turn.generation.path("sign_out"), turn.generation.path("user"));
            let form = SignOutForm { action: &action, fields: &[], stay: &stay };
            portcullis_reply::sign_out_confirm(caller, Some(&session), &form)
        }
        What::SignedOut { back } => {
            let again = back.unwrap_or_else(|| turn.generation.path("sign_in"));
            portcullis_reply::signed_out(caller, Some(&again))
        }
        What::User(portrait) => {
            let Portrait { session, programs } = &*portrait;
            portcullis_reply::user(caller, session, programs.as_deref(), turn.now, Sites::Unlisted)
        }
        What::Challenge { sign_in } => portcullis_reply::challenge(caller, &sign_in, Fragment::Dropped),
        What::Discovery(document) => portcullis_reply::document(caller, document.to_string()),
        What::Pong => portcullis_reply::ping(caller),
        What::NotFound => portcullis_reply::not_found(caller),
        What::WrongMethod => portcullis_reply::method_not_allowed(caller, METHODS),
        What::Trouble(trouble) => trouble_page(caller, &trouble),
    }
}

fn choice(caller: &Caller<'_>, offers: &[Offer], host: &str) -> Response<Bytes> {
    let choices: Vec<_> = offers.iter().map(|Offer { label, href }| ProviderChoice { label, url: href }).collect();
    portcullis_reply::sign_in_choice(caller, host, &choices)
}

fn trouble_page(caller: &Caller<'_>, trouble: &Trouble) -> Response<Bytes> {
    let Trouble { cause, again } = trouble;
    let failed = |failure| portcullis_reply::sign_in_failed(caller, failure, Some(again));
    match cause {
        Cause::RequestUnusable | Cause::BadBody => {
            portcullis_reply::sign_in_failed(caller, SignInFailure::LinkInvalid, None)
        }
        Cause::NoProvider => failed(SignInFailure::NoProvider),
        Cause::Stale => failed(SignInFailure::Expired),
        Cause::Spent => failed(SignInFailure::AlreadyUsed),
        Cause::OtherBrowser => failed(SignInFailure::OtherBrowser),
        Cause::Refused { provider, code, description } => {
            let words = if description.as_str().is_empty() { code.as_str() } else { description.as_str() };
            portcullis_reply::sign_in_refused(caller, provider, words, Some(again))
        }
        Cause::Unproven { provider: _ } => failed(SignInFailure::ProviderAnswer),
        Cause::Unmet { provider: _ } => failed(SignInFailure::NotEnough),
        Cause::EmailNotVerified { provider: _ } => failed(SignInFailure::EmailUnverified),
        Cause::ClaimsTooLarge { bytes: _ } => failed(SignInFailure::TooManyClaims),
        Cause::Groups { claim: _ } => failed(SignInFailure::GroupsLeftOut),
        Cause::ProviderDown { provider } => {
            portcullis_reply::provider_unavailable(caller, provider, Some(again), RETRY_AFTER)
        }
        Cause::BrokerDown | Cause::TooSlow => portcullis_reply::unavailable(caller, RETRY_AFTER),
    }
}

fn set<S>(response: &mut Response<Bytes>, change: CookieChange, turn: &Turn<'_, S>) {
    let cookie = &turn.generation.cookie;
    let headers = response.headers_mut();
    match change {
        CookieChange::Bind(bind) => {
            headers.append(SET_COOKIE, portcullis_reply::bind_cookie(cookie, &bind.value()));
        }
        CookieChange::Session { credential: Credential(credential), expires_at } => {
            headers.append(SET_COOKIE, portcullis_reply::session_cookie(cookie, &credential, expires_at, turn.now));
        }
        CookieChange::NoSession => {
            for field in portcullis_reply::clear_session_cookie(cookie) {
                headers.append(SET_COOKIE, field);
            }
        }
    }
}
