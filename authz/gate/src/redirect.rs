//! Where a redirect route sends the caller.

use portcullis_config::{PathPattern, Redirect, RedirectPath, Route};

use crate::RequestView;
use crate::rewrite::behind_prefix;

/// The `Location` of a redirect route's answer: always an absolute URL, so that no path can pass for a host.
///
/// What the redirect does not name is the request's: scheme `https`, host, path, query. The port as it was sent
/// is kept only if neither host nor scheme changes. A path that is given with its own query replaces both.
#[must_use]
pub fn redirect_location(route: &Route, redirect: &Redirect, view: &RequestView<'_>) -> String {
    let Redirect { scheme, host, port, path, status: _, strip_query } = redirect;
    let kept_port = if host.is_none() && scheme.is_none() { view.sent_port() } else { None };
    let mut location =
        format!("{}://{}", scheme.as_deref().unwrap_or("https"), host.as_deref().unwrap_or_else(|| view.host()));
    if let Some(port) = port.or(kept_port) {
        location.push_str(&format!(":{port}"));
    }
    let path_start = location.len();
    match path {
        RedirectPath::Keep => location.push_str(view.path()),
        RedirectPath::Replace(path) => location.push_str(path),
        RedirectPath::Prefix(to) => {
            let from = match &route.path {
                PathPattern::Prefix(prefix) | PathPattern::Exact(prefix) => prefix,
                PathPattern::Any | PathPattern::Regex(_) => "/",
            };
            let rest = behind_prefix(view.canonical_path(), from).unwrap_or_else(|| view.path());
            let doubled = to.ends_with('/') && rest.starts_with('/');
            location.push_str(to.strip_suffix('/').filter(|_| doubled).unwrap_or(to));
            location.push_str(rest);
        }
    }
    if !location.get(path_start..).is_some_and(|path| path.starts_with('/')) {
        location.insert(path_start, '/');
    }
    let replaced = matches!(path, RedirectPath::Replace(path) if path.contains('?'));
    if let Some(query) = view.query().filter(|_| !strip_query && !replaced) {
        location.push('?');
        location.push_str(query);
    }
    location
}
