//! Where a request goes: to the sign-in host, to a page of ours on a route's host, or to a route.

use portcullis_config::{Namespace, SignIn};

use crate::CanonicalPath;
use crate::table::RouteTable;

/// Where a request goes, by canonical host and path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Destination {
    /// The sign-in host: authn answers, whatever the path.
    SignInHost,
    /// A path of ours; the proxy answers, before any route.
    Own(OwnPath),
    /// A route, or none.
    Route,
}

/// The paths of ours on every host that a route serves; a host that none serves has only [`OwnPath::Ping`] and
/// [`OwnPath::Unknown`], because whoever owns such a name could take a sign-in for it. Beside these nothing of
/// ours is served on the public listener, and nothing below our prefixes is ever forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OwnPath {
    /// `callback`: takes the hand-over.
    Callback,
    /// `sign_out`.
    SignOut,
    /// `routes` (and `api/v1/routes`): what the caller may reach.
    Routes,
    /// `user`, and the prefix itself: who the caller is.
    User,
    /// `api/v1/login`: programmatic sign-in.
    ApiLogin,
    /// `jwks.json`: the keys of the assertion.
    Jwks,
    /// The well-known prefix itself: where everything is.
    Discovery,
    /// `/ping` (with the reference's names also `/healthz`), on every host, the sign-in host too.
    Ping,
    /// Below one of our prefixes, but nothing, or on a host that no route serves: not found.
    Unknown,
}

impl Destination {
    pub(crate) fn of(host: &str, path: &CanonicalPath<'_>, sign_in: &SignIn, table: &RouteTable) -> Self {
        let path = path.to_match();
        if is_ping(path, sign_in.namespace) {
            return Self::Own(OwnPath::Ping);
        }
        if *host == *sign_in.host {
            return Self::SignInHost;
        }
        match own_path(path, sign_in.namespace) {
            None => Self::Route,
            Some(own) if table.knows(host) => Self::Own(own),
            Some(_) => Self::Own(OwnPath::Unknown),
        }
    }
}

fn is_ping(path: &str, namespace: Namespace) -> bool {
    match namespace {
        Namespace::Portcullis => path == "/ping",
        Namespace::Pomerium => matches!(path, "/ping" | "/healthz"),
    }
}

fn own_path(path: &str, namespace: Namespace) -> Option<OwnPath> {
    if let Some(rest) = below(path, namespace.path_prefix()) {
        return Some(match rest.strip_suffix('/').unwrap_or(rest) {
            "callback" => OwnPath::Callback,
            "sign_out" => OwnPath::SignOut,
            "routes" | "api/v1/routes" => OwnPath::Routes,
            "user" | "" => OwnPath::User,
            "api/v1/login" => OwnPath::ApiLogin,
            _ => OwnPath::Unknown,
        });
    }
    below(path, namespace.well_known_prefix()).map(|rest| match rest {
        "jwks.json" => OwnPath::Jwks,
        "" => OwnPath::Discovery,
        _ => OwnPath::Unknown,
    })
}

/// What follows `prefix` (which ends with a slash). An encoded slash counts as one here: a server behind us
/// that decodes it must not be able to show a page under our name.
fn below<'a>(path: &'a str, prefix: &str) -> Option<&'a str> {
    let rest = path.strip_prefix(prefix.strip_suffix('/').unwrap_or(prefix))?;
    if rest.is_empty() {
        return Some(rest);
    }
    if rest.starts_with("%2F") { Some(rest) } else { rest.strip_prefix('/') }
}

#[cfg(test)]
pub(crate) mod tests;
