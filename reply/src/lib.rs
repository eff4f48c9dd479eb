//! Everything a caller sees that is ours: redirects, pages, problem documents, gRPC statuses, cookies.
//!
//! This is the only crate that knows status codes and HTML. Its functions take what happened and a
//! [`Caller`], and give a whole [`http::Response`]: a page for a person, a problem document (RFC 9457) for a
//! program, a trailers-only status for gRPC. Every answer is `no-store`, carries the request id, and says
//! nothing that the person in front of it may not know. It never decides anything and never reads a request.
//!
//! Pages have no external resource and no script, save the one of [`challenge`] that keeps a URL's fragment;
//! their policy (CSP) names the digest of the one stylesheet. They work from phone to desktop, in light and
//! dark, by keyboard.
//!
//! ```
//! use portcullis_config::Namespace;
//! use portcullis_gate::Audience;
//! use portcullis_reply::{Caller, Fragment, challenge};
//!
//! let browser = Caller {
//!     audience: Audience::Navigation,
//!     accept: Some("text/html"),
//!     user_agent: None,
//!     host: "wiki.corp.test",
//!     request_id: "4f1d",
//!     namespace: Namespace::Portcullis,
//! };
//! let sign_in = "https://auth.corp.test/.portcullis/sign_in?r=x";
//! assert_eq!(challenge(&browser, sign_in, Fragment::Dropped).status(), 302);
//! let script = Caller { audience: Audience::Script, ..browser };
//! assert_eq!(challenge(&script, sign_in, Fragment::Dropped).status(), 401);
//! ```

mod caller;
mod challenge;
mod cookie;
mod fault;
mod forward;
mod grpc;
mod look;
mod moment;
mod notice;
mod page;
mod portal;
mod program;
mod reason;
mod refuse;
mod response;
mod sign_in;
mod sign_in_failure;
mod sign_out;
mod user;

pub use caller::Caller;
pub use challenge::{FRAGMENT_PARAMETER, Fragment, challenge};
pub use cookie::{bind_cookie, clear_session_cookie, session_cookie};
pub use fault::{
    UpstreamFailure, internal, malformed, method_not_allowed, not_found, too_many_requests, unavailable,
    upstream_failure,
};
pub use forward::{document, fixed, ping, redirect, redirect_route, see_other, text};
pub use portal::{RouteEntry, routes};
pub use program::{ProgramForm, program_confirm};
pub use refuse::refuse;
pub use sign_in::{
    LoopFacts, ProviderChoice, loop_diagnostic, provider_unavailable, sign_in_choice, sign_in_failed, sign_in_refused,
};
pub use sign_in_failure::SignInFailure;
pub use sign_out::{SignOutForm, sign_out_confirm, signed_out};
pub use user::{END_PARAMETER, Sites, user};
