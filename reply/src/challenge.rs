//! The answer to a request that a sign-in could get permitted.

use std::borrow::Cow;

use bytes::Bytes;
use http::{Response, StatusCode};
use portcullis_gate::Audience;

use crate::caller::Format;
use crate::look::Policy;
use crate::notice::{More, Notice};
use crate::page::{Action, KeepFragmentPage};
use crate::{Caller, forward, grpc, response};

/// The query parameter in which a browser brings the fragment of its URL, see [`Fragment::Kept`].
pub const FRAGMENT_PARAMETER: &str = "portcullis_fragment";

/// What becomes of the part of the URL that browsers do not send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fragment {
    /// It is lost.
    Dropped,
    /// The answer is a page whose script asks once more for the same URL, with the fragment percent-encoded
    /// in the query parameter [`FRAGMENT_PARAMETER`] at the query's end; without a fragment it goes to the
    /// sign-in at once, and without scripts a link does.
    ///
    /// The proxy, on a challenged navigation whose query has that parameter, takes it out of the query
    /// (only there: the parameter never reaches an upstream on such a request, since it is not permitted yet),
    /// decodes it once, puts `#` and what it said behind the return path (the sealed `ReturnPath` may
    /// hold a fragment; what does not fit in or is unsafe there is left out), and answers with [`Fragment::Dropped`].
    Kept,
}

/// Sends a browser to `sign_in_url`; tells everybody else where it is.
///
/// A navigation gets 302 (or, with [`Fragment::Kept`], a small page); gRPC status 16; all others 401 with a
/// `WWW-Authenticate` field and a document that names the URL. A form that a person sent gets 401 and a page:
/// its content would be lost on the way through a sign-in.
#[must_use]
pub fn challenge(caller: &Caller<'_>, sign_in_url: &str, fragment: Fragment) -> Response<Bytes> {
    match (caller.audience, fragment) {
        (Audience::Navigation, Fragment::Dropped) => forward::redirect(caller, sign_in_url),
        (Audience::Navigation, Fragment::Kept) => {
            let page = KeepFragmentPage::new(caller, sign_in_url).text();
            // 200, not 401: nothing is refused yet, and some browsers do not run pages with an error status.
            response::html(caller, StatusCode::OK, Policy::Script, page)
        }
        (Audience::Script | Audience::Grpc | Audience::WebSocket | Audience::Preflight | Audience::Unsafe, _) => {
            unauthorized(caller, sign_in_url)
        }
    }
}

fn unauthorized(caller: &Caller<'_>, sign_in_url: &str) -> Response<Bytes> {
    let detail = match caller.format() {
        Format::Html => "What you sent was not passed on, because nobody is signed in any more.",
        Format::Problem | Format::Kubernetes | Format::Grpc => "This address needs a signed-in user.",
    };
    Notice {
        status: StatusCode::UNAUTHORIZED,
        grpc: grpc::Status::Unauthenticated,
        kind: "sign-in-required",
        label: "Sign-in required",
        title: "Sign in to go on".into(),
        detail: detail.into(),
        advice: Some("Sign in in a new tab, come back to this one, and send the form again.".into()),
        more: More {
            sign_in_url: Some(sign_in_url),
            actions: vec![Action::NewTab { text: "Sign in in a new tab", url: Cow::Borrowed(sign_in_url) }],
            ..More::default()
        },
    }
    .answer(caller)
}
