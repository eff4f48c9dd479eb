//! What the upstream is asked for: the path after a route's rewrite, judged again, and the host it is told.

use std::borrow::Cow;

use http::HeaderMap;
use portcullis_config::{Action, Forward, HostRewrite, PathRewrite, Route, Scheme, Upstream};

use crate::{CanonicalHost, CanonicalPath, Malformed, RequestView};

/// A rewritten path that must not be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnsafeRewrite {
    /// It does not begin with a slash.
    #[error("the rewritten path does not begin with a slash")]
    NotAbsolute,
    /// It holds a dot segment: the rewrite would lead out of where it points.
    #[error("the rewritten path holds a dot segment")]
    DotSegment,
    /// It holds something no path may hold.
    #[error("the rewritten path is not valid")]
    NotAPath(#[source] Malformed),
}

/// The path the upstream is asked for, without query; borrowed where the route rewrites nothing.
///
/// The result is judged again. Dot segments, which a match can complete (`/p/..x` with `/p/` cut off by an
/// expression), are refused, not resolved; so is whatever no path may hold. A slash doubled at the seam of a
/// prefix is merged.
///
/// # Errors
/// [`UnsafeRewrite`]: the request is not sent.
pub fn rewrite_path<'v>(route: &Route, view: &'v RequestView<'_>) -> Result<Cow<'v, str>, UnsafeRewrite> {
    let Action::Forward(forward) = &route.action else { return Ok(Cow::Borrowed(view.path())) };
    let path = view.canonical_path();
    let rewritten = match &forward.path {
        PathRewrite::Keep => return Ok(Cow::Borrowed(view.path())),
        PathRewrite::Prefix { from, to } => {
            let Some(rest) = behind_prefix(path, from) else { return Ok(Cow::Borrowed(view.path())) };
            format!("{to}{rest}")
        }
        PathRewrite::Regex { pattern, substitution } => {
            match pattern.replace_all(view.path(), &**substitution) {
                // The expression did not match: what was judged is sent.
                Cow::Borrowed(_) => return Ok(Cow::Borrowed(view.path())),
                Cow::Owned(rewritten) => rewritten,
            }
        }
    };
    judge(&rewritten).map(Cow::Owned)
}

/// What follows a prefix that is spelled for matching, in the spelling that is sent.
pub(crate) fn behind_prefix<'p>(path: &'p CanonicalPath<'_>, prefix: &str) -> Option<&'p str> {
    if let Some(rest) = path.to_send().strip_prefix(prefix) {
        return Some(rest);
    }
    let prefix = crate::path::canonical_pattern(prefix)?;
    let behind = path.to_match().strip_prefix(&*prefix)?;
    // Both spellings of a path have the same characters, an escape being one, in the same order.
    let mut rest = path.to_send();
    for _ in 0..characters(&prefix) {
        let length = if rest.starts_with('%') { 3 } else { 1 };
        rest = rest.get(length..)?;
    }
    debug_assert_eq!(characters(rest), characters(behind), "the spellings went out of step");
    Some(rest)
}

fn characters(path: &str) -> usize {
    path.len().saturating_sub(path.matches('%').count().saturating_mul(2))
}

fn judge(rewritten: &str) -> Result<String, UnsafeRewrite> {
    if rewritten.is_empty() {
        return Ok("/".to_owned());
    }
    if !rewritten.starts_with('/') {
        return Err(UnsafeRewrite::NotAbsolute);
    }
    if rewritten.split('/').any(is_dots) {
        return Err(UnsafeRewrite::DotSegment);
    }
    match CanonicalPath::parse(rewritten) {
        Ok(path) => Ok(path.into_owned().to_send().to_owned()),
        Err(Malformed::PathHiddenDots | Malformed::PathAboveRoot) => Err(UnsafeRewrite::DotSegment),
        Err(cause) => Err(UnsafeRewrite::NotAPath(cause)),
    }
}

/// Whether a segment is one or two dots, plain or encoded.
fn is_dots(segment: &str) -> bool {
    let behind_dot = |text: &str| [".", "%2e", "%2E"].into_iter().find_map(|dot| text.strip_prefix(dot).map(str::len));
    let rest = behind_dot(segment).and_then(|rest| segment.get(segment.len().saturating_sub(rest)..));
    rest.is_some_and(|rest| rest.is_empty() || behind_dot(rest) == Some(0))
}

/// The `Host` an upstream is told.
///
/// `host_rewrite_header` counts only if the value is a valid host; else, and where the header is missing, the
/// upstream's own name is sent.
#[must_use]
pub fn upstream_host<'a>(
    forward: &'a Forward,
    upstream: &'a Upstream,
    view: &'a RequestView<'_>,
    headers: &'a HeaderMap,
) -> Cow<'a, str> {
    match &forward.host {
        HostRewrite::Upstream => own_name(upstream),
        HostRewrite::Preserve => with_port(view.host(), view.sent_port()),
        HostRewrite::Fixed(host) => Cow::Borrowed(host),
        HostRewrite::Header(name) => {
            let value = headers.get(name).and_then(|value| value.to_str().ok());
            let valid = value.filter(|value| CanonicalHost::parse(value).is_ok());
            valid.map_or_else(|| own_name(upstream), Cow::Borrowed)
        }
    }
}

/// What an upstream is called in `Host` unless its route says otherwise: its own name, with a port that is not the
/// scheme's.
#[must_use]
pub fn own_name(upstream: &Upstream) -> Cow<'_, str> {
    let Upstream { scheme, host, port, weight: _ } = upstream;
    let default = match scheme {
        Scheme::Http | Scheme::H2c => 80,
        Scheme::Https => 443,
    };
    let port = (*port != default).then_some(*port);
    if host.contains(':') {
        Cow::Owned(with_port(&format!("[{host}]"), port).into_owned())
    } else {
        with_port(host, port)
    }
}

fn with_port(host: &str, port: Option<u16>) -> Cow<'_, str> {
    port.map_or(Cow::Borrowed(host), |port| Cow::Owned(format!("{host}:{port}")))
}

#[cfg(test)]
mod tests;
