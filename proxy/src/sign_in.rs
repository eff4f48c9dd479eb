//! The route host's legs of a sign-in (design §5, steps 1 and 6): the sealed request that sends a browser to
//! the sign-in host, and the bind cookie that only this browser can bring back.

use http::HeaderMap;
use http::header::REFERER;
use portcullis_config::Cookie;
use portcullis_gate::{Audience, RequestView, cookie_values};
use portcullis_handover::{Attempt, Bind, MAX_HAND_OVERS, ReturnPath, SignInRequest};
use portcullis_identity::Needs;
use portcullis_reply::{FRAGMENT_PARAMETER, Fragment};
use url::Url;

use crate::published::origin;
use crate::traffic::Context;

/// What a sign-in is for.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    /// What the session must meet.
    pub(crate) needs: Needs,
    /// Where the browser goes in the end.
    pub(crate) return_path: ReturnPath,
    /// Hand-overs that are known to have been made, beside the cookie's count.
    pub(crate) least_attempt: u8,
}

/// A sign-in that begins, or a loop that ends.
#[derive(Debug)]
pub(crate) enum Begun {
    /// Go there.
    Go {
        /// The sign-in host's page with the sealed request.
        url: String,
        /// The bind cookie's new value; `None`: the browser has one.
        bind: Option<Bind>,
    },
    /// Too many hand-overs in a minute.
    Loop {
        /// The bind cookie with its count at zero, for the person who tries again.
        bind: Bind,
    },
}

/// Begins a sign-in.
pub(crate) fn begin(context: &Context, view: &RequestView<'_>, headers: &HeaderMap, wish: Wish) -> Begun {
    let shared = &context.shared;
    let (bind, new) = match bind_of(headers, &context.published.config.sign_in.cookie) {
        Some(bind) => (bind, false),
        None => (Bind::random(&*shared.random), true),
    };
    let counted = match bind.attempt(shared.now()) {
        Attempt::Begin(count) => count.max(wish.least_attempt),
        Attempt::Loop => MAX_HAND_OVERS,
    };
    if counted >= MAX_HAND_OVERS {
        return Begun::Loop { bind: bind.restarted() };
    }
    let url = request_url(context, view, &bind.digest(), (wish, counted, Account::Present));
    Begun::Go { url, bind: new.then_some(bind) }
}

/// Begins a sign-in in which the person chooses the account; a person clicks for it, so nothing is counted.
pub(crate) fn other_account(context: &Context, view: &RequestView<'_>, headers: &HeaderMap, wish: Wish) -> Begun {
    let (bind, new) = match bind_of(headers, &context.published.config.sign_in.cookie) {
        Some(bind) => (bind, false),
        None => (Bind::random(&*context.shared.random), true),
    };
    let url = request_url(context, view, &bind.digest(), (wish, 0, Account::Another));
    Begun::Go { url, bind: new.then_some(bind) }
}

/// The address of a sign-in for a program on the person's own machine.
pub(crate) fn programmatic(context: &Context, view: &RequestView<'_>, back_to: &Url) -> String {
    let shared = &context.shared;
    let request = SignInRequest {
        host: view.host().to_owned(),
        return_path: ReturnPath::root(),
        needs: Needs::default(),
        // No browser has been here: the program opens one, and the credential goes to the program.
        bind: [0; 32],
        issued: shared.now(),
        attempt: 0,
        fresh_account: false,
        programmatic: Some(back_to.to_string()),
    };
    sealed_url(context, view, &request)
}

/// The bind cookie; `None` if there is none of ours or more than one.
pub(crate) fn bind_of(headers: &HeaderMap, cookie: &Cookie) -> Option<Bind> {
    let mut values = cookie_values(headers, &cookie.bind_name);
    let value = values.next()?;
    if values.next().is_some() { None } else { Bind::parse(std::str::from_utf8(value).ok()?) }
}

/// Where a browser goes after a sign-in that this request asked for, and what becomes of a fragment: here, if
/// it was loading a page; a script or form goes back to its page, whose own address is no page to show.
pub(crate) fn return_path(view: &RequestView<'_>, headers: &HeaderMap, keep_fragment: bool) -> (ReturnPath, Fragment) {
    if view.audience() == Audience::Navigation {
        let asked = view.path_and_query();
        // The second time around: the page of the first has put the fragment at the query's end.
        if let Some((path, encoded)) = asked.split_once(FRAGMENT_PARAMETER)
            && let (Some(path), Some(encoded)) = (path.strip_suffix(['?', '&']), encoded.strip_prefix('='))
        {
            let whole = with_fragment(path, encoded).unwrap_or_else(|| ReturnPath::or_root(path));
            return (whole, Fragment::Dropped);
        }
        let fragment = if keep_fragment { Fragment::Kept } else { Fragment::Dropped };
        return (ReturnPath::or_root(&asked), fragment);
    }
    let page = headers.get(REFERER).and_then(|value| Url::parse(value.to_str().ok()?).ok());
    let path = match page.filter(|page| page.scheme() == "https" && page.host_str() == Some(view.host())) {
        Some(page) => {
            ReturnPath::or_root(page.as_str().get(page.origin().ascii_serialization().len()..).unwrap_or("/"))
        }
        None => ReturnPath::root(),
    };
    (path, Fragment::Dropped)
}

/// A path with the fragment that a query parameter carried; `None` if it does not fit in or is unsafe there.
fn with_fragment(path: &str, encoded: &str) -> Option<ReturnPath> {
    let pair = format!("f={encoded}");
    let (_, fragment) = url::form_urlencoded::parse(pair.as_bytes()).next()?;
    ReturnPath::new(format!("{path}#{fragment}")).ok()
}

/// A page of the sign-in host, on the port the client uses.
pub(crate) fn sign_in_page(context: &Context, view: &RequestView<'_>, page: &str) -> String {
    let sign_in = &context.published.config.sign_in;
    format!("{}{}{page}", origin(&sign_in.host, view.port()), sign_in.namespace.path_prefix())
}

/// Whose account a sign-in is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Account {
    Present,
    Another,
}

fn request_url(context: &Context, view: &RequestView<'_>, bind: &[u8; 32], wish: (Wish, u8, Account)) -> String {
    let (Wish { needs, return_path, least_attempt: _ }, attempt, account) = wish;
    let request = SignInRequest {
        host: view.host().to_owned(),
        return_path,
        needs,
        bind: *bind,
        issued: context.shared.now(),
        attempt,
        fresh_account: account == Account::Another,
        programmatic: None,
    };
    sealed_url(context, view, &request)
}

fn sealed_url(context: &Context, view: &RequestView<'_>, request: &SignInRequest) -> String {
    let shared = &context.shared;
    let sealed =
        request.seal(&context.published.keys.handover, &context.published.config.sign_in.host, &*shared.random);
    format!("{}?r={sealed}", sign_in_page(context, view, "sign_in"))
}
