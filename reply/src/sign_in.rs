//! What a person sees on the way through a sign-in.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use portcullis_identity::Session;

use crate::look::Policy;
use crate::notice::{More, Notice};
use crate::page::{Account, Action, ChoicePage};
use crate::{Caller, SignInFailure, grpc, response};

/// One provider of the choice page.
#[derive(Clone, Copy, Debug)]
pub struct ProviderChoice<'a> {
    /// What people call it.
    pub label: &'a str,
    /// Where the sign-in with it begins.
    pub url: &'a str,
}

/// What is known of a sign-in that goes in circles.
#[derive(Clone, Copy, Debug)]
pub struct LoopFacts<'a> {
    /// Who the last sign-in was, if the browser brought its session back.
    pub session: Option<&'a Session>,
    /// Begins a new sign-in with the count at zero.
    pub retry_url: &'a str,
    /// Begins one that lets the person choose another account.
    pub switch_account_url: Option<&'a str>,
}

/// Lets the person choose a provider. `for_host` is the site they want to go to.
#[must_use]
pub fn sign_in_choice(caller: &Caller<'_>, for_host: &str, providers: &[ProviderChoice<'_>]) -> Response<Bytes> {
    let page = ChoicePage::new(caller, for_host, providers).text();
    response::html(caller, StatusCode::OK, Policy::Plain, page)
}

/// Tells why a sign-in came to nothing. `retry_url` begins a new one.
#[must_use]
pub fn sign_in_failed(caller: &Caller<'_>, failure: SignInFailure, retry_url: Option<&str>) -> Response<Bytes> {
    let status = failure.status();
    let actions = retry_url.map(|url| Action::Link { text: "Start again", url: Cow::Borrowed(url) });
    Notice {
        status,
        grpc: if status == StatusCode::FORBIDDEN {
            grpc::Status::PermissionDenied
        } else {
            grpc::Status::InvalidArgument
        },
        kind: failure.kind(),
        label: "Sign-in not completed",
        title: failure.title().into(),
        detail: failure.detail().into(),
        advice: retry_url.is_none().then(|| "Go back to the site you wanted to open and start from there.".into()),
        more: More { actions: actions.into_iter().collect(), ..More::default() },
    }
    .answer(caller)
}

/// Tells that the provider said no, with its own `words`: a stranger's text, shown as such and as text only.
#[must_use]
pub fn sign_in_refused(caller: &Caller<'_>, provider: &str, words: &str, retry_url: Option<&str>) -> Response<Bytes> {
    let failure = SignInFailure::RefusedByProvider;
    let actions = retry_url.map(|url| Action::Link { text: "Start again", url: Cow::Borrowed(url) });
    let said = (!words.is_empty()).then(|| ("It said", words.to_owned()));
    Notice {
        status: failure.status(),
        grpc: grpc::Status::PermissionDenied,
        kind: failure.kind(),
        label: "Sign-in not completed",
        title: failure.title().into(),
        detail: failure.detail().into(),
        advice: None,
        more: More {
            actions: actions.into_iter().collect(),
            facts: [Some(("Provider", provider.to_owned())), said].into_iter().flatten().collect(),
            ..More::default()
        },
    }
    .answer(caller)
}

/// The provider does not answer: 503. People with a live session do not get here.
#[must_use]
pub fn provider_unavailable(
    caller: &Caller<'_>,
    provider: &str,
    retry_url: Option<&str>,
    retry_after: Duration,
) -> Response<Bytes> {
    let actions = retry_url.map(|url| Action::Link { text: "Try again", url: Cow::Borrowed(url) });
    Notice {
        status: StatusCode::SERVICE_UNAVAILABLE,
        grpc: grpc::Status::Unavailable,
        kind: "provider-unavailable",
        label: "Temporarily unavailable",
        title: format!("{provider} does not answer").into(),
        detail: "New sign-ins have to wait until it is back. If you are signed in already, everything goes on working."
            .into(),
        advice: Some("Wait a minute before you try again.".into()),
        more: More { retry_after: Some(retry_after), actions: actions.into_iter().collect(), ..More::default() },
    }
    .answer(caller)
}

/// Ends a sign-in that goes in circles, and says what is usually behind it.
#[must_use]
pub fn loop_diagnostic(caller: &Caller<'_>, facts: &LoopFacts<'_>) -> Response<Bytes> {
    let LoopFacts { session, retry_url, switch_account_url } = *facts;
    let mut actions = vec![Action::Link { text: "Try once more", url: Cow::Borrowed(retry_url) }];
    actions.extend(switch_account_url.map(|url| Action::Link { text: "Use another account", url: Cow::Borrowed(url) }));
    let reasons = if session.is_some() {
        vec![
            "The site asks for a more recent or stronger sign-in than your provider gives.",
            "The clocks of two servers disagree.",
        ]
    } else {
        vec![
            "Your browser does not keep cookies for this site: private mode, an extension, or a full cookie store.",
            "The site is shown inside another site’s frame, where browsers withhold cookies.",
            "The clocks of two servers disagree.",
        ]
    };
    Notice {
        status: StatusCode::FORBIDDEN,
        grpc: grpc::Status::Unauthenticated,
        kind: "sign-in-loop",
        label: "Sign-in loop",
        title: "Signing in keeps bringing you back here".into(),
        detail: format!(
            "You were signed in twice within a minute, and {} still asks for a sign-in. We stopped instead of sending \
             your browser in circles. Usually it is one of these:",
            if caller.host.is_empty() { "the site" } else { caller.host }
        )
        .into(),
        advice: Some("If it stays like this, tell whoever runs this site and quote the request id.".into()),
        more: More {
            account: session.map(Account::of),
            reasons,
            actions,
            facts: vec![("Session cookie", if session.is_some() { "arrived".into() } else { "did not arrive".into() })],
            ..More::default()
        },
    }
    .answer(caller)
}
