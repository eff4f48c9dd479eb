//! Pages: what each template is filled with. Everything is escaped by the templates' engine; the only texts
//! that are not are our own stylesheet, script and mark.

use std::borrow::Cow;

use askama::Template;
use portcullis_gate::Audience;
use portcullis_identity::{DerivedSession, Session, Subject, Timestamp};

use crate::look::{SCRIPT, STYLE};
use crate::notice::{More, Notice};
use crate::user::{END_PARAMETER, Sites};
use crate::{Caller, ProgramForm, ProviderChoice, RouteEntry, SignOutForm, moment, user};

/// What every page has around its content.
#[derive(Debug)]
struct Frame<'a> {
    title: &'a str,
    host: &'a str,
    request_id: &'a str,
    style: &'static str,
}

impl<'a> Frame<'a> {
    const fn new(caller: &Caller<'a>, title: &'a str) -> Self {
        Self { title, host: caller.host, request_id: caller.request_id, style: STYLE }
    }
}

/// Who is signed in, as a page shows it.
#[derive(Clone, Debug)]
pub(crate) struct Account<'a> {
    /// The name, else the address, else the provider's id.
    pub(crate) name: &'a str,
    /// A second line, if there is something to say that the first does not.
    pub(crate) address: Option<&'a str>,
    pub(crate) provider: &'a str,
    pub(crate) initial: String,
}

impl<'a> Account<'a> {
    pub(crate) fn of(session: &'a Session) -> Self {
        let Subject { user_id, email, name, .. } = &session.subject;
        let texts = [&**name, &**email, &**user_id, &*session.principal.subject];
        let mut said = texts.into_iter().filter(|text| !text.trim().is_empty());
        let name = said.next().unwrap_or("Somebody");
        let address = Some(&**email).filter(|email| !email.is_empty() && *email != name);
        let initial = name.chars().find(|letter| letter.is_alphanumeric());
        let initial = initial.map_or_else(|| "?".into(), |letter| letter.to_uppercase().to_string());
        Self { name, address, provider: session.provider.as_str(), initial }
    }
}

/// What a person can do next.
#[derive(Clone, Debug)]
pub(crate) enum Action<'a> {
    /// Follow a link.
    Link { text: &'static str, url: Cow<'a, str> },
    /// Follow a link in a new tab.
    NewTab { text: &'static str, url: Cow<'a, str> },
    /// Send a form.
    Post { text: &'static str, url: Cow<'a, str>, fields: Vec<(&'a str, &'a str)> },
}

impl Action<'_> {
    /// Loads the same address again, where that is what the person did: what a form sent would be lost.
    pub(crate) fn again(caller: &Caller<'_>) -> Vec<Self> {
        let link = Self::Link { text: "Try again", url: Cow::Borrowed("") };
        if caller.audience == Audience::Navigation { vec![link] } else { Vec::new() }
    }
}

/// Everything that is told in one page.
#[derive(Debug, Template)]
#[template(path = "notice.html")]
pub(crate) struct NoticePage<'a> {
    frame: Frame<'a>,
    status: u16,
    label: &'static str,
    detail: &'a str,
    advice: Option<&'a str>,
    more: &'a More<'a>,
}

impl<'a> NoticePage<'a> {
    pub(crate) fn new(caller: &Caller<'a>, notice: &'a Notice<'a>) -> Self {
        Self {
            frame: Frame::new(caller, &notice.title),
            status: notice.status.as_u16(),
            label: notice.label,
            detail: &notice.detail,
            advice: notice.advice.as_deref(),
            more: &notice.more,
        }
    }
}

/// The choice of providers.
#[derive(Debug, Template)]
#[template(path = "choice.html")]
pub(crate) struct ChoicePage<'a> {
    frame: Frame<'a>,
    for_host: &'a str,
    providers: &'a [ProviderChoice<'a>],
}

impl<'a> ChoicePage<'a> {
    pub(crate) const fn new(caller: &Caller<'a>, for_host: &'a str, providers: &'a [ProviderChoice<'a>]) -> Self {
        Self { frame: Frame::new(caller, "Sign in"), for_host, providers }
    }
}

/// The page that keeps a fragment.
#[derive(Debug, Template)]
#[template(path = "keep_fragment.html")]
pub(crate) struct KeepFragmentPage<'a> {
    frame: Frame<'a>,
    sign_in_url: &'a str,
    script: &'static str,
}

impl<'a> KeepFragmentPage<'a> {
    pub(crate) const fn new(caller: &Caller<'a>, sign_in_url: &'a str) -> Self {
        Self { frame: Frame::new(caller, "Taking you to the sign-in"), sign_in_url, script: SCRIPT }
    }
}

/// Asks whether to sign out.
#[derive(Debug, Template)]
#[template(path = "sign_out.html")]
pub(crate) struct SignOutPage<'a> {
    frame: Frame<'a>,
    account: Option<Account<'a>>,
    form: &'a SignOutForm<'a>,
}

impl<'a> SignOutPage<'a> {
    pub(crate) fn new(caller: &Caller<'a>, session: Option<&'a Session>, form: &'a SignOutForm<'a>) -> Self {
        Self { frame: Frame::new(caller, "Sign out?"), account: session.map(Account::of), form }
    }
}

/// Asks whether a program may have a session.
#[derive(Debug, Template)]
#[template(path = "program.html")]
pub(crate) struct ProgramPage<'a> {
    frame: Frame<'a>,
    account: Account<'a>,
    form: &'a ProgramForm<'a>,
}

impl<'a> ProgramPage<'a> {
    pub(crate) fn new(caller: &Caller<'a>, session: &'a Session, form: &'a ProgramForm<'a>) -> Self {
        Self { frame: Frame::new(caller, "Let a program in as you?"), account: Account::of(session), form }
    }
}

/// Says that it is done.
#[derive(Debug, Template)]
#[template(path = "signed_out.html")]
pub(crate) struct SignedOutPage<'a> {
    frame: Frame<'a>,
    again_url: Option<&'a str>,
}

impl<'a> SignedOutPage<'a> {
    pub(crate) const fn new(caller: &Caller<'a>, again_url: Option<&'a str>) -> Self {
        Self { frame: Frame::new(caller, "You are signed out"), again_url }
    }
}

/// Who the caller is to us.
#[derive(Debug, Template)]
#[template(path = "user.html")]
pub(crate) struct UserPage<'a> {
    frame: Frame<'a>,
    account: Account<'a>,
    times: Vec<Moment>,
    facts: Vec<(&'static str, String)>,
    groups: Vec<&'a str>,
    claims: Vec<(&'a str, Vec<&'a str>)>,
    /// `None`: nobody knows them now.
    programs: Option<Vec<ProgramEntry<'a>>>,
    sign_out: String,
    routes: Option<String>,
}

/// A program that has a session of its own.
#[derive(Debug)]
struct ProgramEntry<'a> {
    host: &'a str,
    session: String,
    /// Where the form goes that ends it.
    end: String,
    times: [Moment; 2],
}

/// An instant on a page.
#[derive(Debug)]
struct Moment {
    label: &'static str,
    stamp: String,
    words: String,
    distance: String,
}

impl<'a> UserPage<'a> {
    pub(crate) fn new(
        caller: &Caller<'a>,
        session: &'a Session,
        programs: Option<&'a [DerivedSession]>,
        now: Timestamp,
        sites: Sites,
    ) -> Self {
        let moment = |label, instant| Moment::new(label, instant, now);
        let program = |program| ProgramEntry::new(caller, program, now);
        let mut facts = vec![
            ("Provider", session.provider.to_string()),
            ("Issuer", session.principal.issuer.to_string()),
            ("Subject", session.principal.subject.to_string()),
            ("Session", session.key.to_string()),
        ];
        let idle = session.idle.and_then(|idle| moment::span(idle.as_secs()));
        facts.extend(idle.map(|idle| ("Ends after a pause of", idle)));
        facts.extend(session.acr.as_ref().map(|class| ("Authentication class", class.to_string())));
        Self {
            frame: Frame::new(caller, "Your session"),
            account: Account::of(session),
            times: vec![moment("Signed in", session.authenticated_at), moment("Session ends", session.expires_at)],
            facts,
            groups: session.subject.groups.iter().flat_map(|groups| groups.iter()).map(|group| &*group.id).collect(),
            claims: user::shown_claims(session),
            programs: programs.map(|programs| programs.iter().map(program).collect()),
            sign_out: caller.own_path("sign_out"),
            routes: (sites == Sites::Listed).then(|| caller.own_path("routes")),
        }
    }
}

impl<'a> ProgramEntry<'a> {
    fn new(caller: &Caller<'_>, program: &'a DerivedSession, now: Timestamp) -> Self {
        let DerivedSession { key, host, made_at, last_used } = program;
        Self {
            host: host.as_deref().unwrap_or("a site that is not known"),
            session: key.to_string(),
            end: format!("{}?{END_PARAMETER}={key}", caller.own_path("user")),
            times: [Moment::new("Let in", *made_at, now), Moment::new("last used", *last_used, now)],
        }
    }
}

impl Moment {
    fn new(label: &'static str, instant: Timestamp, now: Timestamp) -> Self {
        Self {
            label,
            stamp: moment::rfc3339(instant),
            words: moment::words(instant),
            distance: moment::distance(instant, now),
        }
    }
}

/// What the caller may reach.
#[derive(Debug, Template)]
#[template(path = "routes.html")]
pub(crate) struct RoutesPage<'a> {
    frame: Frame<'a>,
    entries: &'a [RouteEntry<'a>],
    user: String,
}

impl<'a> RoutesPage<'a> {
    pub(crate) fn new(caller: &Caller<'a>, entries: &'a [RouteEntry<'a>]) -> Self {
        Self { frame: Frame::new(caller, "Your sites"), entries, user: caller.own_path("user") }
    }
}

/// The finished text of a page.
macro_rules! pages {
    ($($page:ident),*) => {$(
        impl $page<'_> {
            pub(crate) fn text(&self) -> String {
                // The only cause of an error is a formatter that fails, and a `String` never does.
                self.render().unwrap_or_default()
            }
        }
    )*};
}

pages!(NoticePage, ChoicePage, KeepFragmentPage, ProgramPage, SignOutPage, SignedOutPage, UserPage, RoutesPage);
