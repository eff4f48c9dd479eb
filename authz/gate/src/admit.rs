//! The gate itself: the newest generation, and the one decision of a request.

use std::sync::Arc;

use arc_swap::ArcSwap;
use portcullis_config::{EncodedSlashes, Route};
use portcullis_identity::{Needs, Records, Session, Timestamp};
use portcullis_policy::{Decision, Effect, Facts, McpTool, Program, Reason, Request, Ternary};

use crate::table::RouteTable;
use crate::{
    Answer, CanonicalPath, Challenge, Grant, Malformed, Missing, PortalEntry, Presented, RecordSource, Refusal,
    RefusalCause, RequestHead, RequestView, Shadowed, Snapshot, Verdict, portal,
};

/// Holds the newest [`Snapshot`] and answers by it. Shared by reference between all workers.
#[derive(Debug)]
pub struct Gate {
    snapshot: ArcSwap<Snapshot>,
    records: Option<Arc<dyn RecordSource>>,
}

impl Gate {
    /// A gate that answers by this generation, and to which external data is unknown.
    #[must_use]
    pub fn new(snapshot: Snapshot) -> Self {
        Self { snapshot: ArcSwap::from_pointee(snapshot), records: None }
    }

    /// The same gate, with external data from `source`.
    #[must_use]
    pub fn with_records(self, source: Arc<dyn RecordSource>) -> Self {
        Self { records: Some(source), ..self }
    }

    /// Answers by this generation from now on. Requests that are being judged finish with the one before.
    pub fn publish(&self, snapshot: Snapshot) {
        self.snapshot.store(Arc::new(snapshot));
    }

    /// The newest generation, for the control plane; requests are answered by [`Gate::admit`] alone, so that
    /// none of them mixes two generations.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Parses a request's head, once, under the newest limits and names.
    ///
    /// # Errors
    /// The first cause for which the head has no single meaning.
    pub fn read<'a>(&self, head: &RequestHead<'a>) -> Result<RequestView<'a>, Malformed> {
        let snapshot = self.snapshot.load();
        let (limits, sign_in) = (&snapshot.config().limits, &snapshot.config().sign_in);
        RequestView::read(head, limits, sign_in, snapshot.table(), snapshot.client_rules())
    }

    /// Finds the route and decides, by one generation: the table of design §3. No lock, no allocation, no I/O.
    ///
    /// Called for requests whose destination is a route; again for open streams whose session changed.
    #[must_use]
    pub fn admit(&self, view: &RequestView<'_>, presented: &Presented, now: Timestamp) -> Verdict {
        let snapshot = self.snapshot.load();
        let generation = snapshot.generation();
        let (standing, clear_cookie) = Standing::of(presented, now);
        let session = standing.live().cloned();
        let Some(route) = snapshot.table().find(view.host(), view.port(), view.canonical_path()) else {
            let cause = RefusalCause::NoRoute;
            return Verdict::Refuse(Refusal { cause, route: None, session, decision: None, clear_cookie, generation });
        };
        let route = Arc::clone(route);
        if view.canonical_path().has_encoded_slash() && route.exchange.encoded_slashes == EncodedSlashes::Refuse {
            let cause = RefusalCause::EncodedSlash;
            let route = Some(route);
            return Verdict::Refuse(Refusal { cause, route, session, decision: None, clear_cookie, generation });
        }
        let records = self.records_for(&route.policy);
        let asked = Asked { view, standing: &standing, now, records: records.as_deref() };
        let Judgement { outcome, decision } = asked.of(&route, &route.policy, snapshot.table());
        match outcome {
            Outcome::Forward => {
                let identity = Arc::clone(snapshot.identity_headers());
                Verdict::Forward(Grant { route, session, clear_cookie, decision, generation, identity })
            }
            Outcome::ForwardAnonymously => {
                let identity = Arc::clone(snapshot.identity_headers());
                Verdict::Forward(Grant { route, session: None, clear_cookie, decision, generation, identity })
            }
            Outcome::Challenge { missing, needs } => {
                Verdict::Challenge(Challenge { route, needs, missing, session, clear_cookie, decision, generation })
            }
            Outcome::Refuse(cause) => {
                let trust = route.client_trust.as_deref();
                let cause = match view.client_certificate().fault(trust, now) {
                    Some(fault) if is_about_the_certificate(&decision) => RefusalCause::ClientCertificate(fault),
                    Some(_) | None => cause,
                };
                let (route, decision) = (Some(route), Some(decision));
                Verdict::Refuse(Refusal { cause, route, session, decision, clear_cookie, generation })
            }
        }
    }

    /// What the route's shadow policy says to a request whose verdict is known: the same route, needs and readings of
    /// the path. `None` if there is nothing to compare: no shadow policy, no decision, a session that cannot be looked
    /// up, or a generation that is gone. Never acted upon. No lock, no allocation, no I/O.
    #[must_use]
    pub fn shadow(
        &self,
        verdict: &Verdict,
        view: &RequestView<'_>,
        presented: &Presented,
        now: Timestamp,
    ) -> Option<Shadowed> {
        let (route, _) = (verdict.route()?, verdict.decision()?);
        let policy = route.shadow.as_deref()?;
        let snapshot = self.snapshot.load();
        let (standing, _) = Standing::of(presented, now);
        if snapshot.generation() != verdict.generation() || matches!(standing, Standing::Unavailable) {
            return None;
        }
        let records = self.records_for(policy);
        let asked = Asked { view, standing: &standing, now, records: records.as_deref() };
        let Judgement { outcome, decision } = asked.of(route, policy, snapshot.table());
        Some(Shadowed { live: verdict.answer(), shadow: outcome.answer(), decision })
    }

    /// The routes that this caller may reach, by the real decision, in file order; at most
    /// [`MAX_PORTAL_ENTRIES`](crate::MAX_PORTAL_ENTRIES). For `/.portcullis/routes`; allocates.
    #[must_use]
    pub fn portal(&self, view: &RequestView<'_>, presented: &Presented, now: Timestamp) -> Vec<PortalEntry> {
        let records = self.records();
        let asked = Asked { view, standing: &Standing::of(presented, now).0, now, records: records.as_deref() };
        portal::reachable(&self.snapshot.load(), &asked)
    }

    /// All external data as it is now; `None`: unknown. For the control plane: requests are answered by [`Gate::admit`].
    #[must_use]
    pub fn records(&self) -> Option<Arc<Records>> {
        self.records.as_ref()?.records()
    }

    /// The external data that a verdict just given has looked at; `None`: none, or it was unknown.
    #[must_use]
    pub fn records_read(&self, verdict: &Verdict) -> Option<Arc<Records>> {
        let route = verdict.route()?;
        let mut policies = std::iter::once(&route.policy).chain(&route.shadow);
        if policies.any(|policy| policy.reads_records()) { self.records() } else { None }
    }

    /// External data, if this policy looks at any: one set for all readings of a request.
    fn records_for(&self, policy: &Program) -> Option<Arc<Records>> {
        if policy.reads_records() { self.records() } else { None }
    }
}

/// What was presented, as far as it counts at this instant.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Standing<'p> {
    Nobody,
    Live(&'p Arc<Session>),
    Unavailable,
}

impl<'p> Standing<'p> {
    /// The standing, and whether the cookie that was presented is good for nothing any more.
    pub(crate) fn of(presented: &'p Presented, now: Timestamp) -> (Self, bool) {
        match presented {
            Presented::Anonymous => (Self::Nobody, false),
            Presented::Rejected => (Self::Nobody, true),
            Presented::Unavailable => (Self::Unavailable, false),
            Presented::Session(session) if session.is_over(now) => (Self::Nobody, true),
            Presented::Session(session) => (Self::Live(session), false),
        }
    }

    const fn live(&self) -> Option<&'p Arc<Session>> {
        match self {
            Self::Live(session) => Some(session),
            Self::Nobody | Self::Unavailable => None,
        }
    }
}

/// One request of one caller, as any policy of its route is asked.
pub(crate) struct Asked<'a> {
    pub(crate) view: &'a RequestView<'a>,
    standing: &'a Standing<'a>,
    pub(crate) now: Timestamp,
    records: Option<&'a Records>,
}

impl Asked<'_> {
    /// What `policy` says on `route`, to the stricter of the path's readings: a server behind us may cut
    /// `;parameters` off or not, and neither reading may get more than the other.
    fn of(&self, route: &Arc<Route>, policy: &Program, table: &RouteTable) -> Judgement {
        let Self { view, standing: _, now, records: _ } = self;
        let request = view.policy_request(route.client_trust.as_deref(), *now);
        let mut judgement = self.judge((route, policy), &request);
        if let Some(bare) = view.canonical_path().without_parameters() {
            let found = |bare: &CanonicalPath<'_>| table.find(view.host(), view.port(), bare);
            match bare.ok().filter(|bare| found(bare).is_some_and(|found| Arc::ptr_eq(found, route))) {
                Some(bare) => {
                    let request = Request { path: bare.decoded(), ..request };
                    judgement = judgement.stricter(self.judge((route, policy), &request));
                }
                None => judgement.outcome = Outcome::Refuse(RefusalCause::Forbidden),
            }
        }
        judgement
    }

    /// One decision of a route's policy, live or on trial: the table of design §3.
    pub(crate) fn judge(&self, (route, policy): (&Route, &Program), request: &Request<'_>) -> Judgement {
        let Self { view: _, standing, now, records } = *self;
        let lacks_records = records.is_none() && policy.reads_records();
        let decide = |session: Option<&Session>| {
            let subject = session.map(|session| &session.subject);
            let mut decision = policy.decide(&Facts { now, request: *request, subject, records });
            // What is unknown of the request itself or of external data, no sign-in tells.
            let blind = request.mcp_tool == McpTool::Unread || lacks_records;
            if decision.challenge && blind && !policy.asks_who() {
                decision.challenge = false;
            }
            decision
        };
        let judgement = match standing {
            Standing::Live(session) => match Lack::of(route, session, now) {
                None => judge_subject(decide(Some(session))),
                // Another subject may come of the sign-in, so this one's rights say nothing.
                Some(lack @ (Lack::OtherProvider | Lack::Pause)) => judge_nobody(decide(None), Some(lack), route),
                // The same subject comes of it: if that one is refused anyway, the sign-in is spared.
                Some(lack @ (Lack::Age | Lack::Class)) => match decide(Some(session)) {
                    decision if decision.effect == Effect::Permit => judge_nobody(decide(None), Some(lack), route),
                    decision => judge_subject(decision),
                },
            },
            Standing::Nobody => judge_nobody(decide(None), None, route),
            Standing::Unavailable => match judge_nobody(decide(None), None, route) {
                Judgement { outcome: Outcome::Challenge { .. }, decision } => {
                    Judgement { outcome: Outcome::Refuse(RefusalCause::Unavailable), decision }
                }
                judgement => judgement,
            },
        };
        if lacks_records { judgement.for_want_of_records() } else { judgement }
    }
}

/// What one route says to one request.
pub(crate) struct Judgement {
    pub(crate) outcome: Outcome,
    pub(crate) decision: Decision,
}

impl Judgement {
    /// Of a policy that reads external data, which is not known: a refusal that it may change says so.
    fn for_want_of_records(self) -> Self {
        let Self { outcome, decision } = &self;
        let is_open = decision.deny != Ternary::True && decision.allow != Ternary::False;
        let hangs_on_them = is_open && decision.reasons.contains(Reason::RecordUnauthorized);
        if hangs_on_them && matches!(outcome, Outcome::Refuse(RefusalCause::Forbidden)) {
            return Self { outcome: Outcome::Refuse(RefusalCause::RecordsUnknown), ..self };
        }
        self
    }

    fn stricter(self, other: Self) -> Self {
        if other.outcome.strictness() > self.outcome.strictness() { other } else { self }
    }
}

impl Outcome {
    const fn strictness(&self) -> u8 {
        match self {
            Self::Forward => 0,
            Self::ForwardAnonymously => 1,
            Self::Challenge { .. } => 2,
            // What is certain is told before what external data might still change.
            Self::Refuse(RefusalCause::RecordsUnknown) => 3,
            Self::Refuse(_) => 4,
        }
    }

    const fn answer(&self) -> Answer {
        match self {
            Self::Forward | Self::ForwardAnonymously => Answer::Permit,
            Self::Challenge { .. } => Answer::Challenge,
            Self::Refuse(_) => Answer::Deny,
        }
    }
}

/// The three ways of a verdict, before anything is put into its hands.
pub(crate) enum Outcome {
    Forward,
    /// The session does not count on this route, and the route does not ask for one.
    ForwardAnonymously,
    Challenge {
        missing: Missing,
        needs: Needs,
    },
    Refuse(RefusalCause),
}

/// A decision about a session that meets every need. What is unknown about it is unknown about its devices,
/// and no sign-in tells more of them.
fn judge_subject(decision: Decision) -> Judgement {
    let outcome = match decision.effect {
        Effect::Permit => Outcome::Forward,
        Effect::Deny => Outcome::Refuse(RefusalCause::Forbidden),
    };
    Judgement { outcome, decision }
}

/// Whether a rule denies for want of a valid client certificate.
fn is_about_the_certificate(decision: &Decision) -> bool {
    let about = [Reason::ClientCertificateRequired, Reason::InvalidClientCertificate];
    decision.deny == Ternary::True && about.into_iter().any(|reason| decision.reasons.contains(reason))
}

/// A decision without a subject.
fn judge_nobody(decision: Decision, lack: Option<Lack>, route: &Route) -> Judgement {
    let outcome = match decision.effect {
        Effect::Permit => Outcome::ForwardAnonymously,
        Effect::Deny if decision.challenge => {
            let missing = lack.map_or(Missing::Subject, Lack::missing);
            Outcome::Challenge { missing, needs: Lack::needs(lack, route) }
        }
        Effect::Deny => Outcome::Refuse(RefusalCause::Forbidden),
    };
    Judgement { outcome, decision }
}

/// Why a live session does not count on a route.
#[derive(Clone, Copy, Debug)]
enum Lack {
    /// It was made at a provider that does not count here.
    OtherProvider,
    /// It was not used for longer than the route allows.
    Pause,
    /// Its person authenticated too long ago.
    Age,
    /// It is of another authentication context class.
    Class,
}

impl Lack {
    fn of(route: &Route, session: &Session, now: Timestamp) -> Option<Self> {
        let Needs { providers, max_age, acr } = &route.needs;
        if !providers.is_empty() && !providers.contains(&session.provider) {
            return Some(Self::OtherProvider);
        }
        if route.idle.is_some_and(|idle| now.since(session.last_used) >= idle) {
            return Some(Self::Pause);
        }
        if max_age.is_some_and(|age| now.since(session.authenticated_at) >= age) {
            return Some(Self::Age);
        }
        let class = acr.is_empty() || session.acr.as_ref().is_some_and(|given| acr.contains(given));
        if class { None } else { Some(Self::Class) }
    }

    const fn missing(self) -> Missing {
        match self {
            Self::OtherProvider => Missing::Provider,
            Self::Pause | Self::Age => Missing::Fresh,
            Self::Class => Missing::Acr,
        }
    }

    /// What the new session must meet. After a pause the person must authenticate anew: a session that is only
    /// handed over again would end the pause without anybody being there.
    fn needs(lack: Option<Self>, route: &Route) -> Needs {
        let mut needs = route.needs.clone();
        if let Some(Self::Pause) = lack {
            needs.max_age = needs.max_age.into_iter().chain(route.idle).min();
        }
        needs
    }
}

#[cfg(test)]
mod tests;
