//! The one way from a supposed request to its answer: through the gate that the proxy asks, explained by the program
//! that decided.

use std::fmt;
use std::sync::Arc;

use http::Version;
use portcullis_config::{Config, Route};
use portcullis_gate::{
    Answer, Destination, Malformed, Missing, Presented, RefusalCause, RequestHead, RequestView, TlsFacts, Verdict,
};
use portcullis_identity::{Needs, Principal, ProviderName, Session, SessionKey, Subject, Timestamp};
use portcullis_policy::{Explanation, Facts, Program, Request};

use crate::policy::ask::{Ask, Made};
use crate::policy::site::Site;

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Outcome {
    /// It goes on.
    Permit,
    /// It is refused, and no sign-in would help.
    Deny,
    /// A sign-in could get it permitted.
    Challenge,
    /// Portcullis answers it itself: the sign-in host and its own paths.
    Own,
}

/// Why, beside the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// The policy says so.
    Policy,
    /// A session lacks something, or there is none.
    Lacks(Missing),
    /// No route serves this host and path.
    NoRoute,
    /// The path holds `%2F`, and the route does not keep it.
    EncodedSlash,
    /// The request has no single meaning.
    Malformed(Malformed),
    /// No route is asked for.
    Ours,
}

/// The answer to a request.
#[derive(Clone, Debug)]
pub(crate) struct Judged {
    pub(crate) outcome: Outcome,
    pub(crate) why: Why,
    /// The route that serves it.
    pub(crate) route: Option<Arc<Route>>,
    /// What the route's policy says, rule by rule; `None` if none was asked.
    pub(crate) explanation: Option<Explanation>,
    /// What the route's shadow policy says beside it.
    pub(crate) shadow: Option<OnTrial>,
}

/// What a shadow policy says.
#[derive(Clone, Debug)]
pub(crate) struct OnTrial {
    pub(crate) outcome: Outcome,
    pub(crate) explanation: Explanation,
}

/// Judges a request as the proxy of this configuration would.
pub(crate) fn judge(site: &Site, ask: &Ask) -> Judged {
    let config = site.config();
    site.suppose(&ask.records);
    let head = RequestHead {
        version: Version::HTTP_11,
        method: &ask.method,
        target: ask.target(),
        headers: &ask.headers,
        open: ask.open,
        authority: None,
        tls: TlsFacts { server_name: None, client_certificate: ask.certificate.clone() },
        peer: ask.client_address,
        listener_port: config.listen.public_port,
    };
    let view = match site.gate().read(&head) {
        Ok(view) => view,
        Err(malformed) => return Judged::without_policy(Outcome::Deny, Why::Malformed(malformed), None),
    };
    if view.destination() != Destination::Route {
        return Judged::without_policy(Outcome::Own, Why::Ours, None);
    }
    let anonymous = site.gate().admit(&view, &Presented::Anonymous, ask.now);
    let Some(route) = anonymous.route().cloned() else {
        return Judged::without_policy(Outcome::Deny, Why::NoRoute, None);
    };
    let presented = presented(ask, &route.needs, &config);
    let verdict = site.gate().admit(&view, &presented, ask.now);
    let shadow = site.gate().shadow(&verdict, &view, &presented, ask.now).map(|shadowed| shadowed.shadow);
    let mut judged = explained(&verdict, Arc::clone(&route), &view, ask);
    judged.shadow = route.shadow.as_ref().zip(shadow).map(|(policy, answer)| {
        let explanation = reading(ask, &view, &route).explain(policy, ask.subject.as_ref());
        OnTrial { outcome: answer.into(), explanation }
    });
    judged
}

impl Judged {
    fn without_policy(outcome: Outcome, why: Why, route: Option<Arc<Route>>) -> Self {
        Self { outcome, why, route, explanation: None, shadow: None }
    }

    /// The name of the route.
    pub(crate) fn route_name(&self) -> Option<&str> {
        self.route.as_ref().map(|route| &*route.name)
    }

    /// The words that explain it: the policy's reasons, or the cause that came before any policy.
    pub(crate) fn reasons(&self) -> Vec<&'static str> {
        let of_policy = self.explanation.iter().flat_map(|explanation| explanation.decision.reasons.iter());
        self.why.word().into_iter().chain(of_policy).collect()
    }
}

impl Outcome {
    /// The word that test files and answers write.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Permit => "permit",
            Self::Deny => "deny",
            Self::Challenge => "challenge",
            Self::Own => "own",
        }
    }
}

impl From<Answer> for Outcome {
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::Permit => Self::Permit,
            Answer::Deny => Self::Deny,
            Answer::Challenge => Self::Challenge,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl Why {
    /// What it is in one word, unless the policy's own reasons say it all.
    pub(crate) const fn word(self) -> Option<&'static str> {
        match self {
            Self::Policy | Self::Lacks(Missing::Subject) => None,
            Self::Lacks(Missing::Provider) => Some("needs-other-provider"),
            Self::Lacks(Missing::Fresh) => Some("needs-fresh-sign-in"),
            Self::Lacks(Missing::Acr) => Some("needs-other-acr"),
            Self::NoRoute => Some("no-route"),
            Self::EncodedSlash => Some("encoded-slash"),
            Self::Malformed(_) => Some("malformed"),
            Self::Ours => Some("portcullis-answers"),
        }
    }
}

/// The verdict with the explanation of the decision it came by.
fn explained(verdict: &Verdict, route: Arc<Route>, view: &RequestView<'_>, ask: &Ask) -> Judged {
    let (outcome, why) = match verdict {
        Verdict::Forward(_) => (Outcome::Permit, Why::Policy),
        Verdict::Challenge(challenge) => (Outcome::Challenge, Why::Lacks(challenge.missing)),
        Verdict::Refuse(refusal) => match refusal.cause {
            RefusalCause::EncodedSlash => {
                return Judged::without_policy(Outcome::Deny, Why::EncodedSlash, Some(route));
            }
            RefusalCause::NoRoute => (Outcome::Deny, Why::NoRoute),
            RefusalCause::Forbidden
            | RefusalCause::ClientCertificate(_)
            | RefusalCause::NeedUnmet
            | RefusalCause::Unavailable
            | RefusalCause::RecordsUnknown => (Outcome::Deny, Why::Policy),
        },
    };
    let reading = reading(ask, view, &route);
    let with_subject = reading.explain(&route.policy, ask.subject.as_ref());
    // A session that lacks something does not count: then the gate decided as about nobody.
    let counted = verdict.decision() == Some(&with_subject.decision);
    let explanation = if counted { with_subject } else { reading.explain(&route.policy, None) };
    Judged { outcome, why, route: Some(route), explanation: Some(explanation), shadow: None }
}

/// What a policy reads of a request.
struct Reading<'a> {
    ask: &'a Ask,
    request: Request<'a>,
}

fn reading<'a>(ask: &'a Ask, view: &'a RequestView<'_>, route: &Route) -> Reading<'a> {
    Reading { ask, request: view.policy_request(route.client_trust.as_deref(), ask.now) }
}

impl Reading<'_> {
    fn explain(&self, policy: &Program, subject: Option<&Subject>) -> Explanation {
        let Ask { now, records, .. } = self.ask;
        policy.explain(&Facts { now: *now, request: self.request, subject, records: Some(records) })
    }
}

/// The session of whoever asks. What is not said of it meets what the route needs.
fn presented(ask: &Ask, needs: &Needs, config: &Config) -> Presented {
    let Some(subject) = ask.subject.clone() else { return Presented::Anonymous };
    let Made { provider, acr, authenticated_at, last_used } = ask.made.clone();
    let usual = || needs.providers.first().cloned().or_else(|| Some(config.providers.first()?.name.clone()));
    let provider = provider.map(ProviderName::new).or_else(usual).unwrap_or_else(|| ProviderName::new("supposed"));
    Presented::Session(Arc::new(Session {
        key: SessionKey::from_bytes([0; 32]),
        version: 1,
        principal: Principal { issuer: "https://supposed.invalid".into(), subject: Arc::clone(&subject.user_id) },
        provider,
        provider_session: None,
        subject,
        authenticated_at: authenticated_at.unwrap_or(ask.now),
        acr: acr.or_else(|| needs.acr.first().cloned()),
        last_used: last_used.unwrap_or(ask.now),
        expires_at: Timestamp::MAX,
        idle: config.session.idle,
    }))
}
