//! Routes that no request reaches, because an earlier one takes them all. Never quadratic in the routes.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::field::Field;
use crate::report::{Fault, Report};
use crate::route::{Action, Forward, HostPattern, PathPattern, Redirect, RedirectPath, Route};

/// Refuses routes that repeat an earlier one, and warns of those that an earlier one covers.
pub(crate) fn routes(report: &mut Report<'_>, routes: &[Arc<Route>]) {
    let mut hosts: HashMap<(&HostPattern, Option<u16>), Host<'_>> = HashMap::new();
    let list = Field::Root.key("routes");
    for (index, route) in routes.iter().enumerate() {
        let at = list.index(index);
        // A route without a port serves every port, so it hides those with one.
        let any_port = hosts.get(&(&route.host, None)).and_then(|host| host.earlier(&route.path));
        let same_port = hosts.get(&(&route.host, route.port)).and_then(|host| host.earlier(&route.path));
        let earlier = any_port.or(same_port).and_then(|index| routes.get(index));
        if let Some(earlier) = earlier {
            if same_path(&earlier.path, &route.path)
                && earlier.port == route.port
                && same_target(&earlier.action, &route.action)
            {
                let fault = Fault::new(format!("repeats the route on line {}", earlier.line));
                report.fault(&at, fault.help("merge their policies: only the first would ever be asked"));
            } else {
                let message = format!("no request reaches this route: the one on line {} takes them all", earlier.line);
                report.warn(&at, message, Some("put the more specific route first"));
            }
        }
        hosts.entry((&route.host, route.port)).or_default().add(&route.path, index);
    }
}

/// The paths that are taken on one host, each with the first route that takes it.
#[derive(Default)]
struct Host<'a> {
    any: Option<usize>,
    prefixes: HashMap<&'a str, usize>,
    /// The lengths of the prefixes: only texts of these lengths are looked up.
    lengths: BTreeSet<usize>,
    exact: HashMap<&'a str, usize>,
    regexes: HashMap<&'a str, usize>,
}

impl<'a> Host<'a> {
    fn add(&mut self, path: &'a PathPattern, index: usize) {
        match path {
            PathPattern::Any => {
                self.any.get_or_insert(index);
            }
            PathPattern::Prefix(text) => {
                self.lengths.insert(text.len());
                self.prefixes.entry(text).or_insert(index);
            }
            PathPattern::Exact(text) => {
                self.exact.entry(text).or_insert(index);
            }
            PathPattern::Regex(regex) => {
                self.regexes.entry(regex.as_str()).or_insert(index);
            }
        }
    }

    /// The first route that takes everything of `path`, as far as texts can tell.
    fn earlier(&self, path: &PathPattern) -> Option<usize> {
        let found = match path {
            PathPattern::Any => None,
            PathPattern::Prefix(text) => self.prefix_of(text),
            PathPattern::Exact(text) => self.prefix_of(text).into_iter().chain(self.exact.get(&**text).copied()).min(),
            PathPattern::Regex(regex) => self.regexes.get(regex.as_str()).copied(),
        };
        self.any.into_iter().chain(found).min()
    }

    fn prefix_of(&self, text: &str) -> Option<usize> {
        let fronts = self.lengths.range(..=text.len()).filter_map(|length| text.get(..*length));
        fronts.filter_map(|front| self.prefixes.get(front).copied()).min()
    }
}

fn same_path(a: &PathPattern, b: &PathPattern) -> bool {
    match (a, b) {
        (PathPattern::Any, PathPattern::Any) => true,
        (PathPattern::Prefix(a), PathPattern::Prefix(b)) | (PathPattern::Exact(a), PathPattern::Exact(b)) => a == b,
        (PathPattern::Regex(a), PathPattern::Regex(b)) => a.as_str() == b.as_str(),
        _ => false,
    }
}

/// Whether two routes do the same with a request, whoever may: the reference's identity of a route.
fn same_target(a: &Action, b: &Action) -> bool {
    match (a, b) {
        (Action::Forward(a), Action::Forward(b)) => {
            let Forward { upstreams, path: _, host: _, tls: _, health: _ } = &**a;
            *upstreams == b.upstreams
        }
        (Action::Redirect(a), Action::Redirect(b)) => same_redirect(a, b),
        (Action::Respond { status, body }, Action::Respond { status: other, body: text }) => {
            status == other && body == text
        }
        _ => false,
    }
}

fn same_redirect(a: &Redirect, b: &Redirect) -> bool {
    let Redirect { scheme, host, port, path, status, strip_query } = a;
    let same_path = match (path, &b.path) {
        (RedirectPath::Keep, RedirectPath::Keep) => true,
        (RedirectPath::Replace(a), RedirectPath::Replace(b)) | (RedirectPath::Prefix(a), RedirectPath::Prefix(b)) => {
            a == b
        }
        _ => false,
    };
    same_path
        && *scheme == b.scheme
        && *host == b.host
        && *port == b.port
        && *status == b.status
        && *strip_query == b.strip_query
}
