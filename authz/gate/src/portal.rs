//! What a caller may reach: the list behind `/.portcullis/routes`.

use std::sync::Arc;

use portcullis_config::{HostPattern, PathPattern, Route};
use portcullis_policy::{McpTool, Request};

use crate::admit::{Asked, Outcome};
use crate::path::canonical_pattern;
use crate::{CanonicalPath, Snapshot};

/// The most routes a portal lists.
pub const MAX_PORTAL_ENTRIES: usize = 1000;

/// A route that the caller may reach.
#[derive(Clone, Debug)]
pub struct PortalEntry {
    /// The route.
    pub route: Arc<Route>,
    /// Its address, as far as a route tells it: `https://host[:port]/path`.
    pub url: String,
}

/// Every route with a host and path of its own whose front door, a GET of its path, is open to the caller.
pub(crate) fn reachable(snapshot: &Snapshot, asked: &Asked<'_>) -> Vec<PortalEntry> {
    let Asked { view, now, .. } = *asked;
    let door = |route: &Arc<Route>| {
        let HostPattern::Exact(host) = &route.host else { return None };
        let path = match &route.path {
            PathPattern::Any => "/",
            PathPattern::Prefix(path) | PathPattern::Exact(path) => path,
            PathPattern::Regex(_) => return None,
        };
        let path = canonical_pattern(path)?;
        let path = CanonicalPath::parse(&path).ok()?;
        let port = route.port.unwrap_or_else(|| view.port());
        // A route that an earlier one covers is not reached, whatever it says itself.
        let served = snapshot.table().find(host, port, &path).is_some_and(|found| Arc::ptr_eq(found, route));
        let request = Request {
            method: "GET",
            host,
            path: path.decoded(),
            client_address: view.client_address(),
            cors_preflight: false,
            client_certificate: view.client_certificate().facts(route.client_trust.as_deref(), now),
            mcp_tool: McpTool::None,
        };
        let open = served
            && matches!(
                asked.judge((route, &route.policy), &request).outcome,
                Outcome::Forward | Outcome::ForwardAnonymously
            );
        let sent_port = route.port.or_else(|| view.sent_port()).map(|port| format!(":{port}")).unwrap_or_default();
        open.then(|| PortalEntry {
            route: Arc::clone(route),
            url: format!("https://{host}{sent_port}{}", path.to_send()),
        })
    };
    snapshot.routes().iter().filter_map(door).take(MAX_PORTAL_ENTRIES).collect()
}
