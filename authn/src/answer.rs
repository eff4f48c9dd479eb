//! What the sign-in service has to say, before it becomes a page.

use portcullis_handover::Bind;
use portcullis_identity::{DerivedSession, Session, Timestamp};
use portcullis_oidc::{OauthErrorCode, SafeText};

/// An answer: what it is, and which cookies change with it.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) what: What,
    pub(crate) cookies: Vec<CookieChange>,
}

/// A change of the sign-in host's cookies.
#[derive(Clone, Debug)]
pub(crate) enum CookieChange {
    /// The browser's bind cookie.
    Bind(Bind),
    /// The session credential for the sign-in host.
    Session {
        /// Its value.
        credential: Credential,
        /// The session's absolute end.
        expires_at: Timestamp,
    },
    /// No session any more.
    NoSession,
}

/// A minted credential; shown nowhere but in its cookie.
#[derive(Clone)]
pub(crate) struct Credential(pub(crate) String);

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credential(…)")
    }
}

/// What an answer is.
#[derive(Debug)]
pub(crate) enum What {
    /// Go there.
    Redirect(Location),
    /// Choose a provider.
    Choice {
        /// The providers that count, at least two.
        offers: Vec<Offer>,
        /// The host that asks; `None`: the sign-in host itself.
        host: Option<String>,
    },
    /// Shall a program really have the session?
    ConfirmProgram(Box<Asking>),
    /// Shall the session really end?
    ConfirmSignOut(Box<Session>),
    /// It has ended, or there was none.
    SignedOut {
        /// Where the person came from.
        back: Option<String>,
    },
    /// Who you are.
    User(Box<Portrait>),
    /// Nobody is signed in, and somebody must be.
    Challenge {
        /// Where to sign in.
        sign_in: String,
    },
    /// The document about us.
    Discovery(serde_json::Value),
    /// `ping`.
    Pong,
    /// Nothing is here.
    NotFound,
    /// Something is here, for another method.
    WrongMethod,
    /// It did not work.
    Trouble(Trouble),
}

/// Where a browser is sent. Shown without its query: that may hold codes and sealed messages.
pub(crate) struct Location(pub(crate) String);

impl std::fmt::Debug for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.split('?').next().unwrap_or_default())
    }
}

/// Who somebody is to us.
#[derive(Debug)]
pub(crate) struct Portrait {
    /// Their session.
    pub(crate) session: Session,
    /// The programs that they let in; `None`: the broker does not say.
    pub(crate) programs: Option<Vec<DerivedSession>>,
}

/// A program that asks for a session.
#[derive(Debug)]
pub(crate) struct Asking {
    /// Whose session.
    pub(crate) session: Session,
    /// The host it wants to reach.
    pub(crate) host: String,
    /// Where it waits: scheme, host and port.
    pub(crate) program: String,
    /// The sealed request, as new as the page.
    pub(crate) sealed: String,
}

/// A provider on the choice page.
#[derive(Debug)]
pub(crate) struct Offer {
    pub(crate) label: String,
    /// Path and query on the sign-in host.
    pub(crate) href: String,
}

/// What did not work, and where to start again.
#[derive(Debug)]
pub(crate) struct Trouble {
    pub(crate) cause: Cause,
    /// The address that begins anew: the page the person wanted, else our own sign-in.
    pub(crate) again: String,
}

/// Why a sign-in or sign-out did not work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The message of the host that asked cannot be used: changed, too old, or made for somebody else.
    RequestUnusable,
    /// No configured provider can give what is needed.
    NoProvider,
    /// The callback is too old, or not one of ours.
    Stale,
    /// The provider says that the code was used before.
    Spent,
    /// The callback belongs to another browser.
    OtherBrowser,
    /// The provider, or the person there, said no.
    Refused {
        /// The provider's label.
        provider: String,
        /// From the closed set of the standards.
        code: OauthErrorCode,
        /// In the provider's words.
        description: SafeText,
    },
    /// What the provider sent does not prove who signed in.
    Unproven {
        /// The provider's label.
        provider: String,
    },
    /// The person signed in, and not in the way the page needs. To try again would be a loop.
    Unmet {
        /// The provider's label.
        provider: String,
    },
    /// The e-mail address is not verified.
    EmailNotVerified {
        /// The provider's label.
        provider: String,
    },
    /// The claims are too large for a session.
    ClaimsTooLarge {
        /// Their size.
        bytes: usize,
    },
    /// The provider left the groups out, or sent something that is none.
    Groups {
        /// The claim.
        claim: String,
    },
    /// The provider is away.
    ProviderDown {
        /// The provider's label.
        provider: String,
    },
    /// The broker is away.
    BrokerDown,
    /// All of it together took too long.
    TooSlow,
    /// The request's body is too large or did not arrive.
    BadBody,
}

impl Answer {
    pub(crate) const fn new(what: What) -> Self {
        Self { what, cookies: Vec::new() }
    }

    pub(crate) const fn redirect(to: String) -> Self {
        Self::new(What::Redirect(Location(to)))
    }

    pub(crate) const fn trouble(cause: Cause, again: String) -> Self {
        Self::new(What::Trouble(Trouble { cause, again }))
    }

    pub(crate) fn with(mut self, change: CookieChange) -> Self {
        self.cookies.push(change);
        self
    }
}
