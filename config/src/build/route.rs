//! Routes: which requests, who may, and what happens to them.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use portcullis_identity::{Needs, ProviderName};
use portcullis_policy::Program;

use super::client_trust::Clients;
use super::headers::{HeaderKeys, Ours};
use super::path::{self, PathKeys};
use super::upstream::{ForwardKeys, HostKeys};
use super::upstream_tls::TlsKeys;
use super::{Build, action, headers, host, upstream};
use crate::digest::Digester;
use crate::field::Field;
use crate::report::Fault;
use crate::route::{Action, EncodedSlashes, ExchangeRules, HostPattern, PathPattern, Route};
use crate::schema::{
    EncodedSlashesName, OneOrMany, PemText, Period, ReadByPolicy, RedirectEntry, ResponseEntry, RouteEntry,
    RouteSession, UpstreamsSection,
};

/// The longest name of a route.
const MAX_NAME: usize = 256;

/// What a route is built among.
#[derive(Debug)]
pub(crate) struct Surroundings<'a> {
    /// The port that users type.
    pub(crate) public_port: u16,
    /// Which header names are ours.
    pub(crate) ours: Ours<'a>,
    /// Defaults.
    pub(crate) upstreams: &'a UpstreamsSection,
    /// Response headers of every route.
    pub(crate) response_headers: &'a [(HeaderName, HeaderValue)],
    /// The names of `providers`, whether or not the rest of them is right.
    pub(crate) providers: &'a [String],
    /// What clients' certificates must meet.
    pub(crate) clients: &'a Clients,
}

/// A route as it stands in the file, with what was found out about it already.
#[derive(Debug)]
pub(crate) struct Draft {
    /// Where it stands in the list.
    pub(crate) index: usize,
    /// What serde read.
    pub(crate) entry: RouteEntry,
    /// Who may.
    pub(crate) policy: Arc<Program>,
    /// The policy on trial.
    pub(crate) shadow: Option<Arc<Program>>,
    /// Digest of the entry's text.
    pub(crate) digest: [u8; 32],
}

/// The routes, each with a name of its own.
pub(crate) fn routes(build: &mut Build<'_>, drafts: Vec<Draft>, around: &Surroundings<'_>) -> Vec<Route> {
    let list = Field::Root.key("routes");
    let mut names: HashMap<Arc<str>, usize> = HashMap::new();
    let mut routes = Vec::with_capacity(drafts.len());
    for draft in drafts {
        let at = list.index(draft.index);
        let given = draft.entry.name.is_some();
        let Some(mut route) = route(build, &at, draft, around) else { continue };
        if let Some(line) = names.get(&route.name) {
            if given {
                let fault = Fault::new(format!("the name `{}` is taken by the route on line {line}", route.name));
                build.report.fault(&at.key("name"), fault);
            }
            let mut number = 2_usize;
            while names.contains_key(&numbered(&route.name, number)) {
                number = number.saturating_add(1);
            }
            route.name = numbered(&route.name, number);
        }
        names.insert(Arc::clone(&route.name), route.line);
        routes.push(route);
    }
    routes
}

fn numbered(name: &str, number: usize) -> Arc<str> {
    format!("{name}#{number}").into()
}

/// The flat entry, sorted into what belongs together.
struct Sorted {
    name: Option<String>,
    description: Option<String>,
    from: String,
    paths: PathKeys,
    action: ActionKeys,
    headers: HeaderKeys,
    exchange: ExchangeKeys,
    client_roots: (Option<PemText>, Option<PathBuf>),
    providers: OneOrMany<String>,
    session: RouteSession,
}

struct ActionKeys {
    forward: ForwardKeys,
    redirect: Option<RedirectEntry>,
    response: Option<ResponseEntry>,
}

#[expect(clippy::struct_excessive_bools, reason = "the keys of the file, as they are")]
struct ExchangeKeys {
    timeout: Option<Period>,
    idle_timeout: Option<Period>,
    allow_websockets: bool,
    cors_allow_preflight: bool,
    encoded_slashes: EncodedSlashesName,
    keep_fragment: bool,
    show_error_details: bool,
}

#[expect(clippy::too_many_lines, reason = "a list of every key and where it belongs, without a decision in it")]
fn sort(entry: RouteEntry, usual: &UpstreamsSection) -> Sorted {
    let RouteEntry {
        name,
        description,
        from,
        to,
        health_checks,
        redirect,
        response,
        prefix,
        path,
        regex,
        prefix_rewrite,
        regex_rewrite_pattern,
        regex_rewrite_substitution,
        host_rewrite,
        host_rewrite_header,
        preserve_host_header,
        set_request_headers,
        remove_request_headers,
        set_response_headers,
        timeout,
        idle_timeout,
        allow_websockets,
        pass_identity_headers,
        cors_allow_preflight,
        allow_public_unauthenticated_access: ReadByPolicy,
        allow_any_authenticated_user: ReadByPolicy,
        allowed_users: ReadByPolicy,
        allowed_domains: ReadByPolicy,
        allowed_idp_claims: ReadByPolicy,
        policy: ReadByPolicy,
        shadow_policy: ReadByPolicy,
        providers,
        session,
        tls_skip_verify,
        tls_server_name,
        tls_upstream_server_name,
        tls_custom_ca,
        tls_custom_ca_file,
        tls_client_cert,
        tls_client_cert_file,
        tls_client_key,
        tls_client_key_file,
        tls_downstream_client_ca,
        tls_downstream_client_ca_file,
        encoded_slashes,
        keep_fragment,
        show_error_details,
    } = entry;
    let host = HostKeys { host_rewrite, host_rewrite_header, preserve_host_header };
    let tls = TlsKeys {
        skip_verify: tls_skip_verify,
        server_name: tls_server_name,
        upstream_server_name: tls_upstream_server_name,
        custom_ca: tls_custom_ca,
        custom_ca_file: tls_custom_ca_file,
        client_cert: tls_client_cert,
        client_cert_file: tls_client_cert_file,
        client_key: tls_client_key,
        client_key_file: tls_client_key_file,
    };
    let forward =
        ForwardKeys { to, prefix_rewrite, regex_rewrite_pattern, regex_rewrite_substitution, host, tls, health_checks };
    Sorted {
        name,
        description,
        from,
        paths: PathKeys { prefix, path, regex },
        action: ActionKeys { forward, redirect, response },
        headers: HeaderKeys {
            set_request: set_request_headers,
            remove_request: remove_request_headers,
            set_response: set_response_headers,
            pass_identity: pass_identity_headers.unwrap_or(usual.pass_identity_headers),
        },
        exchange: ExchangeKeys {
            timeout,
            idle_timeout,
            allow_websockets,
            cors_allow_preflight,
            encoded_slashes,
            keep_fragment,
            show_error_details,
        },
        client_roots: (tls_downstream_client_ca, tls_downstream_client_ca_file),
        providers,
        session,
    }
}

fn route(build: &mut Build<'_>, at: &Field<'_>, draft: Draft, around: &Surroundings<'_>) -> Option<Route> {
    let Draft { index: _, entry, policy, shadow, digest } = draft;
    let Sorted { name, description, from, paths, action, headers, exchange, client_roots, providers, session } =
        sort(entry, around.upstreams);
    let target = build.report.take(&at.key("from"), host::from(&from));
    let path = path::pattern(build, at, paths);
    let headers = headers::edits(build, at, &headers, around.response_headers, &around.ours);
    let exchange = self::exchange(&exchange, around.upstreams);
    let client_trust = around.clients.of_route(build, at, client_roots);
    let (needs, idle) = needs(build, at, providers, session, around);
    let name_given = name.map(|name| build.report.take(&at.key("name"), route_name(name)));
    // With a wrong path, the rest is still looked at.
    let action = self::action(build, at, action, path.as_ref().unwrap_or(&PathPattern::Any))?;
    let (host::From { host, port }, path) = (target?, path?);
    let name = match name_given {
        Some(name) => name?,
        None => usual_name(&host, port, &path),
    };
    let mut route = Route {
        name: name.into(),
        description: description.map(Into::into),
        digest,
        line: build.report.line_of(at),
        host,
        // Every port serves what names the public one, as with no port at all.
        port: port.filter(|port| *port != around.public_port),
        path,
        action,
        policy,
        shadow,
        client_trust,
        needs,
        idle,
        headers,
        exchange,
    };
    route.digest = route_digest(&route, around);
    Some(route)
}

fn route_name(name: String) -> Result<String, Fault> {
    if name.trim().is_empty() || name.len() > MAX_NAME || name.chars().any(char::is_control) {
        return Err(Fault::new(format!("a name has 1 to {MAX_NAME} bytes and no control characters")));
    }
    Ok(name)
}

/// `wiki.corp.test/app`: the host, the port if there is one, and the path.
fn usual_name(host: &HostPattern, port: Option<u16>, path: &PathPattern) -> String {
    let (HostPattern::Exact(host) | HostPattern::Wildcard(host)) = host;
    let port = port.map(|port| format!(":{port}")).unwrap_or_default();
    match path {
        PathPattern::Any => format!("{host}{port}"),
        PathPattern::Prefix(text) | PathPattern::Exact(text) => format!("{host}{port}{text}"),
        PathPattern::Regex(regex) => format!("{host}{port}~{}", path::shown(regex)),
    }
}

fn action(build: &mut Build<'_>, at: &Field<'_>, keys: ActionKeys, path: &PathPattern) -> Option<Action> {
    let ActionKeys { forward, redirect, response } = keys;
    match (forward.to.is_some(), redirect, response) {
        (true, None, None) => {
            upstream::forward(build, at, forward, path).map(|forward| Action::Forward(Arc::new(forward)))
        }
        (false, Some(redirect), None) => {
            idle_keys(build, at, &forward);
            action::redirect(build, &at.key("redirect"), redirect, path)
        }
        (false, None, Some(response)) => {
            idle_keys(build, at, &forward);
            action::response(build, &at.key("response"), response)
        }
        (false, None, None) => {
            let fault = Fault::new("a route needs `to`, `redirect` or `response`");
            build.report.fault(at, fault);
            None
        }
        (to, redirect, _) => {
            let key = if redirect.is_some() { "redirect" } else { "response" };
            let other = if to { "to" } else { "response" };
            build.report.fault(&at.key(key), Fault::new(format!("contradicts `{other}`")));
            None
        }
    }
}

/// Keys that say how to forward, on a route that does not.
fn idle_keys(build: &mut Build<'_>, at: &Field<'_>, keys: &ForwardKeys) {
    for key in keys.given() {
        build.report.fault(&at.key(key), Fault::new("has no meaning on a route without `to`"));
    }
}

fn exchange(keys: &ExchangeKeys, usual: &UpstreamsSection) -> ExchangeRules {
    let ExchangeKeys {
        timeout,
        idle_timeout,
        allow_websockets,
        cors_allow_preflight,
        encoded_slashes,
        keep_fragment,
        show_error_details,
    } = keys;
    // As in the reference: a WebSocket is not cut by a default, only by what the route itself says.
    let limit = |given: Option<Period>, usual: Period| -> Option<Duration> {
        match given {
            Some(period) => period.limit(),
            None if *allow_websockets => None,
            None => usual.limit(),
        }
    };
    ExchangeRules {
        timeout: limit(*timeout, usual.timeout),
        idle_timeout: limit(*idle_timeout, usual.idle_timeout),
        websockets: *allow_websockets,
        cors_preflight: *cors_allow_preflight,
        encoded_slashes: match encoded_slashes {
            EncodedSlashesName::Refuse => EncodedSlashes::Refuse,
            EncodedSlashesName::Keep => EncodedSlashes::Keep,
        },
        keep_fragment: *keep_fragment,
        show_error_details: *show_error_details,
    }
}

fn needs(
    build: &mut Build<'_>,
    at: &Field<'_>,
    providers: OneOrMany<String>,
    session: RouteSession,
    around: &Surroundings<'_>,
) -> (Needs, Option<Duration>) {
    let list = at.key("providers");
    for (index, name) in providers.0.iter().enumerate() {
        if !around.providers.contains(name) {
            let fault = Fault::new(format!("unknown provider `{name}`"));
            let fault = match portcullis_policy::nearest(name, around.providers.iter().map(String::as_str)) {
                Some(meant) => fault.help(format!("did you mean `{meant}`?")),
                None => fault.help("name one of `providers`"),
            };
            build.report.fault(&list.index(index), fault);
        }
    }
    let RouteSession { max_age, idle, acr } = session;
    let at = at.key("session");
    for (key, period) in [("max_age", max_age), ("idle", idle)] {
        if period.is_some_and(|period| period.0.is_zero()) {
            build
                .report
                .fault(&at.key(key), Fault::new("must be longer than 0").help("leave the key out for no limit"));
        }
    }
    let needs = Needs {
        providers: providers.0.into_iter().map(ProviderName::new).collect(),
        max_age: max_age.map(|period| period.0),
        acr: acr.0.into_iter().map(Arc::from).collect(),
    };
    (needs, idle.map(|period| period.0))
}

/// Everything a route says and everything it was resolved with: its text, what the defaults added, the
/// program, the files of its TLS.
fn route_digest(route: &Route, around: &Surroundings<'_>) -> [u8; 32] {
    let mut digest = Digester::new();
    digest
        .part(route.name.as_bytes())
        .part(&route.digest)
        .part(&route.policy.digest())
        .part(&around.public_port.to_be_bytes());
    if let Some(shadow) = &route.shadow {
        digest.part(b"shadow").part(&shadow.digest());
    }
    if let Action::Forward(forward) = &route.action {
        digest.part(&forward.tls.digest);
    }
    let ExchangeRules { timeout, idle_timeout, .. } = &route.exchange;
    for limit in [timeout, idle_timeout] {
        digest.part(&limit.map_or(u128::MAX, |limit| limit.as_millis()).to_be_bytes());
    }
    digest.part(route.client_trust.as_ref().map(|trust| trust.digest).unwrap_or_default().as_slice());
    digest.part(&[u8::from(route.headers.pass_identity)]);
    for (name, value) in &route.headers.set_response {
        digest.part(name.as_str().as_bytes()).part(value.as_bytes());
    }
    digest.finish()
}
