//! What a person sees on the way through a sign-in.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use portcullis_identity::Session;

use crate::look::Policy;
use crate::notice::{More, Notice};
use crate::page::{Account, Action, ChoicePage};
use crate::{Caller, grpc, response};

/// One provider of the choice page.
#[derive(Clone, Copy, Debug)]
pub struct ProviderChoice<'a> {
    /// What people call it.
    pub label: &'a str,
    /// Where the sign-in with it begins.
    pub url: &'a str,
}

/// Why a sign-in came to nothing, as far as the person may know. The log knows more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SignInFailure {
    /// It took longer than ten minutes.
    Expired,
    /// It was begun in another browser, or this one lost its cookie.
    OtherBrowser,
    /// A link of ours that was changed, cut off, or made for something else.
    LinkInvalid,
    /// The hand-over was used before: back button, or a second tab.
    AlreadyUsed,
    /// The person or the provider said no (`access_denied`).
    RefusedByProvider,
    /// The provider reported an error, or its answer does not hold.
    ProviderAnswer,
    /// `email_verified` is not true, and this provider's configuration asks for it.
    EmailUnverified,
    /// The provider says more about the person than a session may carry.
    TooManyClaims,
    /// The provider only refers to the groups instead of naming them, or names them in a way nobody can read.
    GroupsLeftOut,
    /// The person signed in just now, and not recently or strongly enough for the site.
    NotEnough,
    /// No provider of the configuration may sign people in here.
    NoProvider,
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
    let (status, kind, title, detail) = failure.words();
    let actions = retry_url.map(|url| Action::Link { text: "Start again", url: Cow::Borrowed(url) });
    Notice {
        status,
        grpc: if status == StatusCode::FORBIDDEN {
            grpc::Status::PermissionDenied
        } else {
            grpc::Status::InvalidArgument
        },
        kind,
        label: "Sign-in not completed",
        title: title.into(),
        detail: detail.into(),
        advice: retry_url.is_none().then(|| "Go back to the site you wanted to open and start from there.".into()),
        more: More { actions: actions.into_iter().collect(), ..More::default() },
    }
    .answer(caller)
}

/// Tells that the provider said no, with its own `words`: a stranger's text, shown as such and as text only.
#[must_use]
pub fn sign_in_refused(caller: &Caller<'_>, provider: &str, words: &str, retry_url: Option<&str>) -> Response<Bytes> {
    let (status, kind, title, detail) = SignInFailure::RefusedByProvider.words();
    let actions = retry_url.map(|url| Action::Link { text: "Start again", url: Cow::Borrowed(url) });
    let said = (!words.is_empty()).then(|| ("It said", words.to_owned()));
    Notice {
        status,
        grpc: grpc::Status::PermissionDenied,
        kind,
        label: "Sign-in not completed",
        title: title.into(),
        detail: detail.into(),
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
        advice: Some("Wait a minute, then try again.".into()),
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

impl SignInFailure {
    const fn words(self) -> (StatusCode, &'static str, &'static str, &'static str) {
        match self {
            Self::Expired => (
                StatusCode::BAD_REQUEST,
                "sign-in-expired",
                "This sign-in took too long",
                "For your safety a sign-in must be completed within ten minutes.",
            ),
            Self::OtherBrowser => (
                StatusCode::BAD_REQUEST,
                "sign-in-other-browser",
                "This sign-in belongs to another browser",
                "It was begun elsewhere, or this browser did not keep our cookie. It can only be completed there.",
            ),
            Self::LinkInvalid => (
                StatusCode::BAD_REQUEST,
                "sign-in-link-invalid",
                "This link does not work",
                "It is incomplete, out of date, or was made for another site.",
            ),
            Self::AlreadyUsed => (
                StatusCode::BAD_REQUEST,
                "sign-in-already-used",
                "This sign-in was used already",
                "Each one works once. You may be signed in by now.",
            ),
            Self::RefusedByProvider => (
                StatusCode::FORBIDDEN,
                "sign-in-refused",
                "Your provider did not sign you in",
                "The sign-in was cancelled, or your provider does not let you use it here.",
            ),
            Self::ProviderAnswer => (
                StatusCode::BAD_GATEWAY,
                "sign-in-provider-answer",
                "Your provider’s answer can’t be used",
                "What your provider sent back did not pass our checks, so nobody was signed in.",
            ),
            Self::EmailUnverified => (
                StatusCode::FORBIDDEN,
                "sign-in-email-unverified",
                "Your e-mail address is not verified",
                "Your provider has not confirmed that the address is yours. Verify it there, then sign in again.",
            ),
            Self::TooManyClaims => (
                StatusCode::FORBIDDEN,
                "sign-in-too-many-claims",
                "Your account carries too much information",
                "Your provider tells more about you than a session can hold, usually because of very many groups.",
            ),
            Self::GroupsLeftOut => (
                StatusCode::FORBIDDEN,
                "sign-in-groups-left-out",
                "Your groups are not known",
                "Your provider did not say which groups you are in, usually because there are too many to list. Access \
                 here depends on them. Whoever runs this site can have the provider send fewer.",
            ),
            Self::NotEnough => (
                StatusCode::FORBIDDEN,
                "sign-in-not-enough",
                "This sign-in is not enough for the site",
                "You signed in, but the site asks for a more recent or a stronger sign-in than your provider gave. We \
                 stopped instead of sending your browser in circles.",
            ),
            Self::NoProvider => (
                StatusCode::FORBIDDEN,
                "sign-in-no-provider",
                "There is no way to sign in here",
                "Nobody has set up the provider that this site asks for.",
            ),
        }
    }
}
