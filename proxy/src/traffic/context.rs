//! What Pingora carries for us from hook to hook of one request. Its end tells the access event.

use std::net::SocketAddr;
use std::sync::Arc;

use http::{StatusCode, Version};
use portcullis_broker_api::UpstreamTokens;
use portcullis_config::Route;
use portcullis_gate::{Grant, RequestView};
use portcullis_identity::Timestamp;

use crate::access::{Measures, Record};
use crate::decisions::{DecisionRecord, rewrite};
use crate::exchange::{Exchange, Registration};
use crate::published::{Published, RouteState};
use crate::request_id::RequestId;
use crate::shared::Shared;
use crate::upstream::{Chosen, RouteUpstreams};

/// The state of one request.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) shared: Arc<Shared>,
    pub(crate) published: Arc<Published>,
    pub(crate) exchange: Arc<Exchange>,
    pub(crate) record: Record,
    pub(crate) version: Version,
    pub(crate) passage: Passage,
    pub(crate) received: u64,
    pub(crate) sent: u64,
    request_id: Option<RequestId>,
}

/// Where a request that is not answered here goes.
#[derive(Debug, Default)]
pub(crate) enum Passage {
    /// Nowhere: answered here, or not judged yet.
    #[default]
    None,
    /// To the sign-in service.
    SignIn(Box<ToSignIn>),
    /// To an upstream of a route.
    Route(Box<ToRoute>),
}

/// A request for the sign-in host.
#[derive(Debug)]
pub(crate) struct ToSignIn {
    pub(crate) view: RequestView<'static>,
    pub(crate) chosen: Option<Chosen>,
    pub(crate) tries: Tries,
}

/// A permitted request on its way.
#[derive(Debug)]
pub(crate) struct ToRoute {
    pub(crate) grant: Grant,
    pub(crate) view: RequestView<'static>,
    pub(crate) state: Arc<RouteState>,
    /// Path and query as they are sent; `None`: as they came.
    pub(crate) target: Option<String>,
    /// The epoch the grant was judged in.
    pub(crate) epoch: u64,
    /// When it was judged.
    pub(crate) judged_at: Timestamp,
    pub(crate) kind: Kind,
    pub(crate) body: Body,
    pub(crate) tokens: Option<UpstreamTokens>,
    pub(crate) chosen: Option<Chosen>,
    pub(crate) tries: Tries,
    pub(crate) registration: Option<Registration>,
}

/// What kind of exchange a request begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Request and response.
    Plain,
    /// A WebSocket handshake.
    Upgrade,
    /// gRPC, which may stream both ways.
    Grpc,
    /// The client asks for an event stream.
    Events,
}

/// How much of a body a request has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    /// None: its head is all of it.
    None,
    /// A moment's worth.
    Short,
    /// It may take a while: unknown in length, or more than a moment's worth.
    Long,
}

/// Addresses that were tried in vain.
#[derive(Debug, Default)]
pub(crate) struct Tries {
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) retries: u8,
}

impl Context {
    /// The state of the request that the running task serves.
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        Self {
            shared: Arc::clone(shared),
            published: shared.published.load_full(),
            exchange: Exchange::adopt_current().unwrap_or_else(Exchange::detached),
            record: Record::default(),
            version: Version::HTTP_11,
            passage: Passage::None,
            received: 0,
            sent: 0,
            request_id: None,
        }
    }

    /// Gives the request its id, once.
    pub(crate) fn identify(&mut self) -> RequestId {
        *self.request_id.get_or_insert_with(|| self.shared.request_ids.next())
    }

    /// The request's id; empty before [`Context::identify`].
    pub(crate) fn id(&self) -> &str {
        self.request_id.as_ref().map_or("", RequestId::as_str)
    }

    /// Whether the request is a WebSocket handshake on its way.
    pub(crate) fn is_upgrade(&self) -> bool {
        matches!(&self.passage, Passage::Route(to) if to.kind == Kind::Upgrade)
    }

    /// Whether the request goes to its upstream without the engine's help.
    pub(crate) fn is_carried(&self) -> bool {
        matches!(&self.passage, Passage::Route(to) if to.is_carried())
    }

    /// The request's head, once it is on its way.
    pub(crate) fn view(&self) -> Option<&RequestView<'static>> {
        match &self.passage {
            Passage::Route(to) => Some(&to.view),
            Passage::SignIn(to) => Some(&to.view),
            Passage::None => None,
        }
    }

    /// The request on its way to an upstream of a route.
    pub(crate) fn routed(&mut self) -> Option<&mut ToRoute> {
        match &mut self.passage {
            Passage::Route(route) => Some(route),
            Passage::SignIn(_) | Passage::None => None,
        }
    }

    /// Counts a request of a route that was answered here.
    fn count_answered(&self, route: &Route, status: StatusCode) {
        // A generation may have come in between: the gate's newest route is in the newest published one.
        let newest = || self.shared.published.load().route(route).cloned();
        match self.published.route(route).cloned().or_else(newest) {
            Some(state) => state.counters.ended(status),
            None => self.shared.metrics.unrouted.ended(status),
        }
    }

    /// The last reader of the record: it moves into the ring, its texts into the room of older ones.
    fn keep_decision(&mut self) {
        let Self { shared, record, exchange, request_id, .. } = self;
        shared.decisions.keep(|kept| {
            // Whatever is kept of a request is written, so that nothing of an older one stays.
            let DecisionRecord {
                request_id: kept_id,
                at,
                method,
                host,
                path,
                client_address,
                preflight,
                mcp_tool,
                certificate,
                route,
                session,
                outcome,
                cause,
                missing,
                decision,
                shadow,
                generation,
                records,
            } = kept;
            rewrite(kept_id, request_id.as_ref().map_or("", RequestId::as_str));
            *at = record.judged_at.unwrap_or_else(|| shared.now());
            *method = record.method.take();
            rewrite(host, &record.host);
            rewrite(path, &record.path);
            *client_address = record.client;
            *preflight = record.preflight;
            *mcp_tool = record.mcp_tool;
            certificate.clone_from(&exchange.peer.client_certificate);
            *route = record.route.take();
            *session = record.session.take();
            *outcome = record.outcome.label();
            *cause = record.outcome.cause();
            *missing = record.missing;
            *decision = record.decision;
            *shadow = record.shadow.take();
            *generation = record.generation;
            *records = record.records.take();
        });
    }
}

impl ToRoute {
    /// Whether it goes there without the engine's help: see [`carry`](super::carry).
    pub(crate) fn is_carried(&self) -> bool {
        let plain = self.state.upstreams.as_ref().is_some_and(RouteUpstreams::is_plain);
        plain && self.kind != Kind::Upgrade
    }
}

impl Drop for Context {
    /// However the request ended (answered, aborted, panicked, cut), it is told here, once.
    fn drop(&mut self) {
        let took = self.exchange.since_head();
        let cut = self.exchange.why_cut().map(crate::exchange::Cut::label);
        let measures = Measures { received: self.received, sent: self.sent, took, cut };
        self.identify();
        self.record.tell(self.id(), &self.exchange.peer, self.version, &measures);
        self.shared.metrics.request_seconds.observe(took.as_secs_f64());
        let status = self.record.status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        match (&self.passage, &self.record.route) {
            (Passage::Route(to), _) => to.state.counters.ended(status),
            (Passage::None | Passage::SignIn(_), Some(route)) => self.count_answered(route, status),
            (Passage::None | Passage::SignIn(_), None) => self.shared.metrics.unrouted.ended(status),
        }
        if let (Some(shadow), Some(route)) = (&self.record.shadow, &self.record.route) {
            self.shared.metrics.shadow_differed(&route.name, shadow);
        }
        self.keep_decision();
    }
}
