//! The access event: exactly one per request, however it ended. Never a query, cookie, token or claim.

mod members;

use std::cell::RefCell;
use std::net::IpAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use http::{Method, StatusCode, Version};
use portcullis_config::{Generation, Route};
use portcullis_gate::{Missing, Shadowed, Verdict};
use portcullis_identity::{Records, Session, Timestamp};
use portcullis_policy::{Decision, McpTool};

use crate::edge::Peer;

use members::{Members, member};

/// The tracing target of access events. Such an event has one field, `members`: members of a JSON object, each with a
/// comma before it.
pub const TARGET: &str = "access";

/// What came of a request, in one word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The client went away, or we were told to stop, before anything was decided.
    #[default]
    Aborted,
    /// The head has no single meaning.
    Malformed(&'static str),
    /// A page or document of ours.
    Own,
    /// Answered by the sign-in service.
    SignIn,
    /// Permitted.
    Permitted,
    /// A sign-in is needed.
    Challenged,
    /// Refused.
    Refused(&'static str),
}

impl Outcome {
    /// Every outcome's word.
    pub(crate) const LABELS: [&'static str; 7] = [
        Self::Permitted.label(),
        Self::Challenged.label(),
        Self::Refused("").label(),
        Self::Malformed("").label(),
        Self::Own.label(),
        Self::SignIn.label(),
        Self::Aborted.label(),
    ];

    /// The word.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Aborted => "aborted",
            Self::Malformed(_) => "malformed",
            Self::Own => "own",
            Self::SignIn => "sign_in",
            Self::Permitted => "permit",
            Self::Challenged => "challenge",
            Self::Refused(_) => "refuse",
        }
    }

    /// Why, in one word, where the outcome needs one.
    pub(crate) const fn cause(self) -> &'static str {
        match self {
            Self::Malformed(cause) | Self::Refused(cause) => cause,
            Self::Aborted | Self::Own | Self::SignIn | Self::Permitted | Self::Challenged => "",
        }
    }
}

/// What the access event of a request will say.
#[derive(Debug, Default)]
pub(crate) struct Record {
    pub(crate) method: Option<Method>,
    pub(crate) host: String,
    pub(crate) path: String,
    pub(crate) client: Option<IpAddr>,
    /// Whether the request is a CORS preflight.
    pub(crate) preflight: bool,
    /// What is known of the tool that it calls.
    pub(crate) mcp_tool: McpTool<'static>,
    pub(crate) route: Option<Arc<Route>>,
    pub(crate) outcome: Outcome,
    /// When it was judged.
    pub(crate) judged_at: Option<Timestamp>,
    /// What a session lacked, or that there was none.
    pub(crate) missing: Option<Missing>,
    pub(crate) decision: Option<Decision>,
    /// What the route's shadow policy would have done, where that is something else.
    pub(crate) shadow: Option<Box<Shadowed>>,
    pub(crate) session: Option<Arc<Session>>,
    pub(crate) generation: Option<Generation>,
    /// The external data that was looked at.
    pub(crate) records: Option<Weak<Records>>,
    pub(crate) status: Option<StatusCode>,
    pub(crate) upstream_failure: Option<&'static str>,
}

/// How much passed, and how long it took.
#[derive(Debug)]
pub(crate) struct Measures {
    pub(crate) received: u64,
    pub(crate) sent: u64,
    pub(crate) took: Duration,
    pub(crate) cut: Option<&'static str>,
}

impl Record {
    /// Takes from a verdict what the event says of it.
    pub(crate) fn decided(&mut self, verdict: &Verdict) {
        self.outcome = match verdict {
            Verdict::Forward(_) => Outcome::Permitted,
            Verdict::Challenge(_) => Outcome::Challenged,
            Verdict::Refuse(refusal) => Outcome::Refused(refusal.cause.label()),
        };
        if let Verdict::Challenge(challenge) = verdict {
            self.missing = Some(challenge.missing);
        }
        self.route = verdict.route().cloned();
        self.decision = verdict.decision().copied();
        self.session = verdict.session().cloned();
        self.generation = Some(verdict.generation());
    }

    /// Tells the event.
    pub(crate) fn tell(&self, request_id: &str, peer: &Peer, version: Version, measures: &Measures) {
        tell(|event| {
            event.text(member!("request.id"), request_id);
            event.text(member!("http.request.method"), self.method.as_ref().map_or("", Method::as_str));
            event.text(member!("server.address"), &self.host);
            event.text(member!("url.path"), &self.path);
            event.text(member!("http.route"), self.route.as_ref().map_or("", |route| &*route.name));
            event.text(member!("decision"), self.outcome.label());
            event.text(member!("cause"), self.outcome.cause());
            event.words(member!("reasons"), self.decision.iter().flat_map(|decision| decision.reasons.iter()));
            if let Some(rule) = self.decision.and_then(|decision| decision.rule) {
                event.number(member!("policy.rule"), rule.into());
            }
            event.display(member!("session.key"), self.session.as_ref().map(|session| session.key));
            event.display(member!("generation"), self.generation);
            event.number(member!("http.response.status_code"), self.status.map_or(0, |status| status.as_u16().into()));
            event.text(member!("upstream.failure"), self.upstream_failure.unwrap_or_default());
            event.text(member!("cut"), measures.cut.unwrap_or_default());
            event.number(member!("http.request.body.size"), measures.received);
            event.number(member!("http.response.body.size"), measures.sent);
            event.number(member!("duration_ms"), u64::try_from(measures.took.as_millis()).unwrap_or(u64::MAX));
            match self.client.filter(|client| *client != peer.address.ip()) {
                Some(client) => event.display(member!("client.address"), Some(client)),
                None => event.text(member!("client.address"), peer.forwarded_for.to_str().unwrap_or_default()),
            }
            event.text(member!("network.protocol"), protocol(version));
            event.text(member!("tls.version"), peer.tls_version);
        });
    }
}

/// Tells of a request whose head was refused before it could be read: nothing of it is known.
pub(crate) fn unreadable(peer: &Peer, h2: bool, cause: &'static str, status: u16) {
    tell(|event| {
        event.text(member!("request.id"), "");
        event.text(member!("decision"), "malformed");
        event.text(member!("cause"), cause);
        event.number(member!("http.response.status_code"), status.into());
        event.display(member!("client.address"), Some(peer.address.ip()));
        event.text(member!("network.protocol"), if h2 { "h2" } else { "http/1.1" });
        event.text(member!("tls.version"), peer.tls_version);
    });
}

thread_local! {
    static LINE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Tells an event of the members that `write` writes. One text goes through the subscriber, not twenty fields.
fn tell(write: impl FnOnce(&mut Members<'_>)) {
    if !tracing::enabled!(target: "access", tracing::Level::INFO) {
        return;
    }
    LINE.with_borrow_mut(|line| {
        write(&mut Members::new(line));
        tracing::info!(target: "access", members = line.as_str(), "request");
    });
}

const fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_2 => "h2",
        Version::HTTP_10 => "http/1.0",
        _ => "http/1.1",
    }
}
