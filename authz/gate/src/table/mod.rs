//! Which route serves a host and path: first match in file order, at a cost that does not grow with the file.

mod glob;
mod paths;

use std::collections::HashMap;
use std::sync::Arc;

use portcullis_config::{HostPattern, Route};

use crate::{BuildError, CanonicalHost, CanonicalPath};
use glob::Glob;
use paths::PathIndex;

/// The routes of one generation, indexed.
///
/// Exact hosts come before patterns, as in the reference: a host that is written out is served by its own
/// routes only. If none of them has the path the answer is "no route", even if a pattern would match. (A host
/// all of whose routes name other ports than the request's does not count as written out.) Among patterns, and
/// among the routes of one host, the first in the file wins.
#[derive(Debug)]
pub(crate) struct RouteTable {
    routes: Vec<Arc<Route>>,
    exact: HashMap<Arc<str>, PathIndex>,
    /// Patterns `*.corp.test`, by `.corp.test`; `*` alone by the empty text.
    suffixes: HashMap<Box<str>, PathIndex>,
    /// Every other pattern; tried one after the other.
    globs: Vec<(Glob, PathIndex)>,
}

impl RouteTable {
    pub(crate) fn build(routes: Vec<Arc<Route>>) -> Result<Self, BuildError> {
        let mut table = Self { routes, exact: HashMap::new(), suffixes: HashMap::new(), globs: Vec::new() };
        let routes = std::mem::take(&mut table.routes);
        for (index, route) in routes.iter().enumerate() {
            let index = u32::try_from(index).map_err(|_| BuildError::TooManyRoutes)?;
            table.index_for(route)?.add(route, index)?;
        }
        table.routes = routes;
        Ok(table)
    }

    /// The path index of a route's host.
    fn index_for(&mut self, route: &Arc<Route>) -> Result<&mut PathIndex, BuildError> {
        let pattern = match &route.host {
            HostPattern::Exact(host) => {
                let canonical = CanonicalHost::parse(host).is_ok_and(|parsed| parsed.name() == &**host);
                if !canonical {
                    return Err(BuildError::HostNotCanonical { route: Arc::clone(&route.name) });
                }
                return Ok(self.exact.entry(Arc::clone(host)).or_default());
            }
            HostPattern::Wildcard(pattern) => pattern,
        };
        match pattern.strip_prefix('*') {
            Some(suffix) if !suffix.contains('*') && (suffix.is_empty() || suffix.starts_with('.')) => {
                Ok(self.suffixes.entry(suffix.into()).or_default())
            }
            _ => {
                let position = self.globs.iter().position(|(glob, _)| glob.is(pattern));
                let position = position.unwrap_or_else(|| {
                    self.globs.push((Glob::new(pattern), PathIndex::default()));
                    self.globs.len().saturating_sub(1)
                });
                let index = self.globs.get_mut(position).map(|(_, index)| index);
                index.ok_or(BuildError::TooManyRoutes)
            }
        }
    }

    /// The first route in file order that serves this request.
    pub(crate) fn find(&self, host: &str, port: u16, path: &CanonicalPath<'_>) -> Option<&Arc<Route>> {
        let path = path.to_match();
        if let Some(index) = self.exact.get(host).filter(|index| index.serves(port)) {
            return self.route(index.first(path, port, None));
        }
        let mut best = None;
        let mut consider = |index: &PathIndex| best = index.first(path, port, best);
        for (at, _) in host.match_indices('.') {
            if let Some(index) = host.get(at..).and_then(|suffix| self.suffixes.get(suffix)) {
                consider(index);
            }
        }
        if let Some(index) = self.suffixes.get("") {
            consider(index);
        }
        for (_, index) in self.globs.iter().filter(|(glob, _)| glob.matches(host)) {
            consider(index);
        }
        self.route(best)
    }

    /// Whether any route serves this host, on whatever port and path.
    pub(crate) fn knows(&self, host: &str) -> bool {
        let suffix = |at: usize| host.get(at..).is_some_and(|suffix| self.suffixes.contains_key(suffix));
        self.exact.contains_key(host)
            || self.suffixes.contains_key("")
            || host.match_indices('.').any(|(at, _)| suffix(at))
            || self.globs.iter().any(|(glob, _)| glob.matches(host))
    }

    /// Every route, in file order.
    pub(crate) fn routes(&self) -> &[Arc<Route>] {
        &self.routes
    }

    fn route(&self, index: Option<u32>) -> Option<&Arc<Route>> {
        self.routes.get(usize::try_from(index?).ok()?)
    }
}

#[cfg(test)]
mod tests;
