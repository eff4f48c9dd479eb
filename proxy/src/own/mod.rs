//! The pages of ours on route hosts: below our prefix nothing else is served, and nothing is forwarded.

mod callback;
mod documents;
mod sign_out;
mod user;

use http::{HeaderMap, Method, header};
use pingora_proxy::Session;
use portcullis_gate::{OwnPath, Presented, RequestView};
use portcullis_handover::ReturnPath;
use portcullis_identity::{Needs, Session as SignedIn};
use portcullis_reply::{Fragment, RouteEntry};

use crate::replies::{self, Answer};
use crate::sign_in;
use crate::traffic::{Begin, Context, begun_answer};

/// A request for a page of ours.
pub(crate) type Asked<'a> = (&'a RequestView<'static>, &'a Presented);

/// Answers a page of ours.
pub(crate) async fn answer(path: OwnPath, session: &Session, context: &mut Context, asked: Asked<'_>) -> Answer {
    let (view, _) = asked;
    let method = session.req_header().method.clone();
    let reading = method == Method::GET || method == Method::HEAD;
    let caller = replies::caller(session, context, view);
    match path {
        OwnPath::Ping if reading => portcullis_reply::ping(&caller),
        OwnPath::Jwks if reading => documents::jwks(context, &caller),
        OwnPath::Discovery if reading => documents::discovery(context, &caller, view),
        OwnPath::ApiLogin if reading => documents::api_login(context, &caller, view),
        OwnPath::Callback if reading => callback::answer(session, context, asked).await,
        OwnPath::SignOut => sign_out::answer(session, context, asked).await,
        OwnPath::User => user::answer(session, context, asked).await,
        OwnPath::Routes if reading => match signed_in(session, context, asked) {
            Ok(_) => portal(session, context, asked),
            Err(answer) => *answer,
        },
        OwnPath::Ping
        | OwnPath::Jwks
        | OwnPath::Discovery
        | OwnPath::Callback
        | OwnPath::ApiLogin
        | OwnPath::Routes => portcullis_reply::method_not_allowed(&caller, "GET, HEAD"),
        OwnPath::Unknown => portcullis_reply::not_found(&caller),
    }
}

fn portal(session: &Session, context: &Context, (view, presented): Asked<'_>) -> Answer {
    let entries = context.shared.gate.portal(view, presented, context.shared.now());
    let entries: Vec<RouteEntry<'_>> = entries.iter().map(RouteEntry::from).collect();
    portcullis_reply::routes(&replies::caller(session, context, view), &entries)
}

/// The live session of whoever asks; else the answer that gets one.
fn signed_in(session: &Session, context: &Context, asked: Asked<'_>) -> Result<std::sync::Arc<SignedIn>, Box<Answer>> {
    let (view, presented) = asked;
    let now = context.shared.now();
    match presented {
        Presented::Session(who) if !who.is_over(now) => Ok(std::sync::Arc::clone(who)),
        Presented::Unavailable => {
            Err(Box::new(portcullis_reply::unavailable(&replies::caller(session, context, view), replies::SOON)))
        }
        Presented::Anonymous | Presented::Rejected | Presented::Session(_) => {
            let wish = sign_in::Wish {
                needs: Needs::default(),
                return_path: ReturnPath::or_root(&view.path_and_query()),
                least_attempt: 0,
            };
            let begun = sign_in::begin(context, view, &session.req_header().headers, wish);
            let clear = matches!(presented, Presented::Rejected | Presented::Session(_));
            Err(Box::new(begun_answer(session, context, view, Begin { begun, clear, fragment: Fragment::Dropped })))
        }
    }
}

/// Whether the browser says that a page of this very origin sent the request. Browsers send at least one of
/// the two fields with every POST; a request with neither is not believed.
fn is_same_origin(headers: &HeaderMap, view: &RequestView<'_>) -> bool {
    let own = match view.sent_port() {
        Some(port) => format!("https://{}:{port}", view.host()),
        None => format!("https://{}", view.host()),
    };
    match headers.get(header::ORIGIN) {
        Some(origin) => origin.as_bytes().eq_ignore_ascii_case(own.as_bytes()),
        None => headers.get("sec-fetch-site").is_some_and(|site| site.as_bytes() == b"same-origin"),
    }
}

/// The one value of a query parameter; twice counts as never (RFC 6749 §3.1).
fn parameter(view: &RequestView<'_>, name: &str) -> Option<String> {
    let mut values = url::form_urlencoded::parse(view.query()?.as_bytes()).filter(|(found, _)| found == name);
    let value = values.next()?.1.into_owned();
    if values.next().is_some() { None } else { Some(value) }
}
