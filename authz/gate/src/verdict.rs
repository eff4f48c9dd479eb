//! What comes of a request: forwarded, challenged or refused, and with what in hand.

use std::sync::Arc;

use portcullis_config::{Generation, Route};
use portcullis_identity::{Needs, Session};
use portcullis_policy::Decision;

use crate::{CertificateFault, IdentityHeaders};

/// What the request presented, after the credential was checked and its session looked up.
#[derive(Clone, Debug)]
pub enum Presented {
    /// No credential.
    Anonymous,
    /// A credential, and the session it names. Whether the session is over is for [`Gate::admit`](crate::Gate::admit) to say.
    Session(Arc<Session>),
    /// A credential that is forged, doubled, or names no session.
    Rejected,
    /// A credential whose session cannot be looked up now: the replica is stale or the broker does not answer.
    Unavailable,
}

/// The answer of the gate.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// The request goes on.
    Forward(Grant),
    /// The request is not permitted yet; a sign-in could change that.
    Challenge(Challenge),
    /// The request is refused, and no sign-in would help.
    Refuse(Refusal),
}

/// What a verdict comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// The request passes.
    Permit,
    /// It is refused, and no sign-in would help.
    Deny,
    /// A sign-in could get it permitted.
    Challenge,
}

/// What a route's shadow policy says beside the live one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shadowed {
    /// What the live policy's verdict came to.
    pub live: Answer,
    /// What the shadow policy's would come to.
    pub shadow: Answer,
    /// Why the shadow policy says so.
    pub decision: Decision,
}

/// A permitted request. Streams keep it; it holds no snapshot.
#[derive(Clone, Debug)]
pub struct Grant {
    /// The route that serves the request.
    pub route: Arc<Route>,
    /// On whose behalf; `None`: nobody's, and no identity header is set.
    pub session: Option<Arc<Session>>,
    /// Whether the answer deletes our cookie, which names nothing any more.
    pub clear_cookie: bool,
    /// Why.
    pub decision: Decision,
    /// The generation that decided.
    pub generation: Generation,
    /// Which headers are ours and which are set, in that generation.
    pub identity: Arc<IdentityHeaders>,
}

/// A request that a sign-in could get permitted.
#[derive(Clone, Debug)]
pub struct Challenge {
    /// The route that was asked for.
    pub route: Arc<Route>,
    /// What the new session must meet.
    pub needs: Needs,
    /// What the present one lacks.
    pub missing: Missing,
    /// The present session, live but not enough; `None` if there is none.
    pub session: Option<Arc<Session>>,
    /// Whether the answer deletes our cookie, which names nothing any more.
    pub clear_cookie: bool,
    /// Why.
    pub decision: Decision,
    /// The generation that decided.
    pub generation: Generation,
}

/// What a request lacks that a sign-in could give.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Missing {
    /// Anybody signed in.
    Subject,
    /// A session of another provider.
    Provider,
    /// A session with a more recent proof of who asks, or one that has not been idle as long.
    Fresh,
    /// A session of another authentication context class.
    Acr,
}

/// A request that is refused.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// Why, coarsely.
    pub cause: RefusalCause,
    /// The route that was asked for; `None` if no route serves it.
    pub route: Option<Arc<Route>>,
    /// Who asked, if they are signed in.
    pub session: Option<Arc<Session>>,
    /// Why, in detail; `None` if nothing was decided.
    pub decision: Option<Decision>,
    /// Whether the answer deletes our cookie, which names nothing any more.
    pub clear_cookie: bool,
    /// The generation that decided.
    pub generation: Generation,
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RefusalCause {
    /// No route serves this host and path.
    NoRoute,
    /// The path holds `%2F`, and the route does not keep it: malformed for this route.
    EncodedSlash,
    /// The policy forbids it, or nothing allows it.
    Forbidden,
    /// The policy forbids it for want of a valid client certificate.
    ClientCertificate(CertificateFault),
    /// A sign-in was just made for what is missing, and it is missing still: asking again would be a loop.
    NeedUnmet,
    /// Whether it is permitted hangs on a session that cannot be looked up now.
    Unavailable,
    /// Whether it is permitted hangs on external data that is not known now.
    RecordsUnknown,
}

impl Verdict {
    /// The route that was found.
    #[must_use]
    pub const fn route(&self) -> Option<&Arc<Route>> {
        match self {
            Self::Forward(grant) => Some(&grant.route),
            Self::Challenge(challenge) => Some(&challenge.route),
            Self::Refuse(refusal) => refusal.route.as_ref(),
        }
    }

    /// The decision, if it came to one.
    #[must_use]
    pub const fn decision(&self) -> Option<&Decision> {
        match self {
            Self::Forward(grant) => Some(&grant.decision),
            Self::Challenge(challenge) => Some(&challenge.decision),
            Self::Refuse(refusal) => refusal.decision.as_ref(),
        }
    }

    /// The live session of whoever asks.
    #[must_use]
    pub const fn session(&self) -> Option<&Arc<Session>> {
        match self {
            Self::Forward(grant) => grant.session.as_ref(),
            Self::Challenge(challenge) => challenge.session.as_ref(),
            Self::Refuse(refusal) => refusal.session.as_ref(),
        }
    }

    /// Whether the answer deletes our cookie.
    #[must_use]
    pub const fn clears_cookie(&self) -> bool {
        match self {
            Self::Forward(grant) => grant.clear_cookie,
            Self::Challenge(challenge) => challenge.clear_cookie,
            Self::Refuse(refusal) => refusal.clear_cookie,
        }
    }

    /// The generation that decided.
    #[must_use]
    pub const fn generation(&self) -> Generation {
        match self {
            Self::Forward(grant) => grant.generation,
            Self::Challenge(challenge) => challenge.generation,
            Self::Refuse(refusal) => refusal.generation,
        }
    }

    /// What it comes to, in a word.
    #[must_use]
    pub const fn answer(&self) -> Answer {
        match self {
            Self::Forward(_) => Answer::Permit,
            Self::Challenge(_) => Answer::Challenge,
            Self::Refuse(_) => Answer::Deny,
        }
    }

    /// The same verdict for a request whose session was made a moment ago for exactly this route: the same
    /// need again is a refusal (design §3), so that a provider that ignores `max_age` or `acr_values` cannot
    /// send anybody in circles.
    #[must_use]
    pub fn after_sign_in(self) -> Self {
        match self {
            Self::Challenge(challenge) if challenge.session.is_some() => Self::Refuse(challenge.into_refusal()),
            other @ (Self::Forward(_) | Self::Challenge(_) | Self::Refuse(_)) => other,
        }
    }
}

impl Challenge {
    /// The refusal that takes this challenge's place where asking again would be a loop.
    #[must_use]
    pub fn into_refusal(self) -> Refusal {
        let Self { route, needs: _, missing: _, session, clear_cookie, decision, generation } = self;
        let cause = RefusalCause::NeedUnmet;
        Refusal { cause, route: Some(route), session, decision: Some(decision), clear_cookie, generation }
    }
}

impl Answer {
    /// One word for metrics and records, from a closed set.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Permit => "permit",
            Self::Deny => "deny",
            Self::Challenge => "challenge",
        }
    }
}

impl Shadowed {
    /// Whether the two policies answer differently; reasons alone make no difference.
    #[must_use]
    pub fn differs(&self) -> bool {
        self.live != self.shadow
    }
}

impl RefusalCause {
    /// One word for metrics and events, from a closed set.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::NoRoute => "no_route",
            Self::EncodedSlash => "encoded_slash",
            Self::Forbidden => "forbidden",
            Self::ClientCertificate(_) => "client_certificate",
            Self::NeedUnmet => "need_unmet",
            Self::Unavailable => "unavailable",
            Self::RecordsUnknown => "records_unknown",
        }
    }
}
