//! A gate with any number of routes, a replica with any number of sessions, and requests that meet them.

use std::hint::black_box;
use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method, Version, header};
use portcullis_broker_api::{BrokerClient, Endpoint, Replica, ReplicaBounds, Resolved};
use portcullis_config::{Config, Cookie, Namespace, PathPattern, Route};
use portcullis_gate::{
    About, Assertions, Found, Gate, IdentityHeaders, Presented, RequestHead, RequestView, Snapshot, TlsFacts, Verdict,
    find,
};
use portcullis_identity::{Session, SessionKey, Timestamp};
use portcullis_keys::{AssertionKeys, CredentialKeys, CredentialKind, Handle, KeyRing, ServiceRole, SystemRandom};

use crate::{policies, sample};

/// The instant of every request here.
pub const NOW: Timestamp = sample::NOW;

/// How the routes of a table differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Each has a host of its own.
    ExactHost,
    /// Each has a wildcard of its own.
    WildcardHost,
    /// One host, a prefix each.
    Prefix,
    /// One host, a path each.
    Path,
    /// One host, an expression each.
    Regex,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::ExactHost, Self::WildcardHost, Self::Prefix, Self::Path, Self::Regex];

    /// Its name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ExactHost => "exact_host",
            Self::WildcardHost => "wildcard_host",
            Self::Prefix => "prefix",
            Self::Path => "path",
            Self::Regex => "regex",
        }
    }

    /// Host pattern and path pattern of a route.
    fn pattern(self, number: usize) -> (String, PathPattern) {
        let one_host = "wiki.corp.test".to_owned();
        match self {
            Self::ExactHost => (format!("host-{number:05}.corp.test"), PathPattern::Any),
            Self::WildcardHost => (format!("*.sub-{number:05}.corp.test"), PathPattern::Any),
            Self::Prefix => (one_host, sample::prefix(&format!("/app-{number:05}/"))),
            Self::Path => (one_host, PathPattern::Exact(format!("/page-{number:05}/view").into())),
            Self::Regex => {
                let expression = regex::Regex::new(&format!("^(?:/re-{number:05}/[a-z]+/[0-9]+)$"));
                (one_host, PathPattern::Regex(Arc::new(expression.expect("an expression"))))
            }
        }
    }

    /// Host and path of a request that meets a route.
    fn target(self, number: usize) -> (String, String) {
        let one_host = "wiki.corp.test".to_owned();
        match self {
            Self::ExactHost => (format!("host-{number:05}.corp.test"), "/page/view".to_owned()),
            Self::WildcardHost => (format!("team.sub-{number:05}.corp.test"), "/page/view".to_owned()),
            Self::Prefix => (one_host, format!("/app-{number:05}/view")),
            Self::Path => (one_host, format!("/page-{number:05}/view")),
            Self::Regex => (one_host, format!("/re-{number:05}/view/7")),
        }
    }
}

/// A configuration with as many routes of a kind, of one policy.
#[must_use]
pub fn config(kind: Kind, routes: usize) -> Arc<Config> {
    let policy = policies::compiled(policies::TEN);
    let route = |number| {
        let (host, path) = kind.pattern(number);
        Route { line: number, ..sample::route(&host, path, &policy) }
    };
    Arc::new(sample::config((0..routes).map(route).collect()))
}

/// A request that waits to be judged.
#[derive(Debug)]
struct Waiting {
    target: String,
    headers: HeaderMap,
    handle: Handle,
}

/// Everything that one request meets before it is forwarded.
#[derive(Debug)]
pub struct Scene {
    gate: Gate,
    replica: Arc<Replica>,
    credentials: CredentialKeys,
    cookie: Cookie,
    signing: AssertionKeys,
    assertions: Assertions,
    identity: Arc<IdentityHeaders>,
    requests: Vec<Waiting>,
}

/// How many requests wait: enough that no two of them in a row meet the same route or session.
pub const REQUESTS: usize = 64;

impl Scene {
    /// A scene of as many routes and sessions.
    #[must_use]
    pub fn new(kind: Kind, routes: usize, sessions: usize) -> Self {
        let config = config(kind, routes);
        let ring = KeyRing::generate(&SystemRandom).0;
        let credentials = ring.credential().expect("a whole ring");
        let (replica, handles) = replica(sessions);
        let cookie = sample::sign_in(Namespace::Portcullis).cookie;
        let request = |number: usize| {
            let (host, target) = kind.target(number * (routes / REQUESTS).max(1) % routes);
            let handle = handles.get(number % handles.len()).expect("a handle").clone();
            let credential = credentials.mint(CredentialKind::Session, &handle, &host);
            Waiting { target, headers: headers(&host, &format!("theme=dark; {}={credential}", cookie.name)), handle }
        };
        let snapshot = Snapshot::build(&config, None).expect("a snapshot");
        let scene = Self {
            identity: Arc::clone(snapshot.identity_headers()),
            gate: Gate::new(snapshot),
            requests: (0..REQUESTS).map(request).collect(),
            replica,
            cookie,
            signing: AssertionKeys::from_ring(&ring).expect("a whole ring"),
            credentials,
            assertions: Assertions::default(),
        };
        // Once through everything: what a thread or an expression makes at its first use is made then.
        assert!((0..REQUESTS).all(|number| scene.passes(number)), "every request passes");
        scene
    }

    /// Reads a request's head, finds its credential, resolves its session and has it judged: whether it passes.
    #[must_use]
    pub fn passes(&self, number: usize) -> bool {
        let view = self.read(number);
        matches!(self.judge(number, &view), Verdict::Forward(_))
    }

    /// The parsed head of a request.
    #[must_use]
    pub fn read(&self, number: usize) -> RequestView<'_> {
        let waiting = self.waiting(number);
        let head = RequestHead {
            version: Version::HTTP_11,
            method: &Method::GET,
            target: &waiting.target,
            headers: &waiting.headers,
            open: false,
            authority: None,
            tls: TlsFacts { server_name: Some("wiki.corp.test"), ..TlsFacts::default() },
            peer: Some([192, 0, 2, 7].into()),
            listener_port: 443,
        };
        self.gate.read(&head).expect("a head with one meaning")
    }

    /// Finds the credential of a request that was read, resolves its session in the replica and admits it.
    #[must_use]
    pub fn judge(&self, number: usize, view: &RequestView<'_>) -> Verdict {
        let presented = match self.find(number, view) {
            Found::Credential(key) => match self.replica.resolve(&key, NOW) {
                Resolved::Session(session) => Presented::Session(session),
                Resolved::Absent => Presented::Rejected,
                Resolved::Missing | Resolved::Stale => Presented::Unavailable,
            },
            Found::Nothing => Presented::Anonymous,
            Found::Rejected => Presented::Rejected,
        };
        self.admit(view, &presented)
    }

    /// Looks for the credential of a request: one MAC, and the digest of its handle.
    #[must_use]
    pub fn find(&self, number: usize, view: &RequestView<'_>) -> Found {
        find(&self.waiting(number).headers, view.host(), &self.credentials, &self.cookie)
    }

    /// The decision alone.
    #[must_use]
    pub fn admit(&self, view: &RequestView<'_>, presented: &Presented) -> Verdict {
        self.gate.admit(view, black_box(presented), NOW)
    }

    /// The key of the session that a request presents.
    #[must_use]
    pub fn key(&self, number: usize) -> SessionKey {
        self.waiting(number).handle.key()
    }

    /// Whether the replica holds a session.
    #[must_use]
    pub fn resolve(&self, key: &SessionKey) -> Resolved {
        self.replica.resolve(key, NOW)
    }

    /// The signed assertion about a session: signed once, kept from then on.
    #[must_use]
    pub fn assertion(&self, session: &Session) -> HeaderValue {
        self.assertion_from(&self.assertions, session)
    }

    /// The signed assertion about a session, signed now.
    #[must_use]
    pub fn fresh_assertion(&self, session: &Session) -> HeaderValue {
        self.assertion_from(&Assertions::default(), session)
    }

    fn assertion_from(&self, kept: &Assertions, session: &Session) -> HeaderValue {
        let host = "wiki.corp.test";
        let about = About { identity: &self.identity, session, host, generation: [7; 32], now: NOW };
        kept.signed(about, &self.signing, &SystemRandom, || ())
    }

    fn waiting(&self, number: usize) -> &Waiting {
        self.requests.get(number % REQUESTS).expect("one of the requests")
    }
}

/// A replica that holds as many sessions, and the handles of some of them.
fn replica(sessions: usize) -> (Arc<Replica>, Vec<Handle>) {
    // The client is never called: a channel only wants to be made where a runtime is.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let _inside = runtime.enter();
    let client = BrokerClient::connect_lazy(Endpoint::Unix("/nowhere".into()), ServiceRole::Proxy);
    let max_staleness = std::time::Duration::from_secs(365 * 24 * 3600);
    let replica = Replica::new(client, ReplicaBounds { max_bytes: usize::MAX, max_staleness });
    // Only those that are asked for are somebody in full.
    let (blank, subject) = (sample::session("nobody@corp.test", "{}"), policies::subject());
    let mut handles = Vec::new();
    for number in 0..sessions {
        let mut bytes = [0; 16];
        bytes.iter_mut().zip(number.to_le_bytes()).for_each(|(to, byte)| *to = byte);
        let handle = Handle::from_bytes(bytes);
        let mut held = Session { key: handle.key(), ..blank.clone() };
        if number % (sessions / REQUESTS).max(1) == 0 {
            held.subject = subject.clone();
            handles.push(handle);
        }
        replica.put(held);
    }
    (replica, handles)
}

/// The header fields of a browser.
fn headers(host: &str, cookie: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, text) in [
        (header::HOST, host),
        (header::COOKIE, cookie),
        (header::ACCEPT, "text/html,application/xhtml+xml,*/*;q=0.8"),
        (header::ACCEPT_LANGUAGE, "en"),
        (header::ACCEPT_ENCODING, "gzip, br"),
        (header::USER_AGENT, "Mozilla/5.0 (X11; Linux x86_64)"),
    ] {
        headers.insert(name, HeaderValue::from_str(text).expect("a value"));
    }
    headers
}

/// A session of `email`, whose subject is the one of [`policies::subject`].
#[must_use]
pub fn session(email: &str) -> Session {
    let blank = sample::session(email, "{}");
    Session { subject: policies::subject(), ..blank }
}
