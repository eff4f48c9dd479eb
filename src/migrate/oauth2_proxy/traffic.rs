//! Upstreams and open paths of oauth2-proxy's own file.

use super::classic::File;
use super::plan::{PublicPath, Target, Upstream, UpstreamPath};
use crate::migrate::tree::{Member, Tree};
use crate::migrate::values;

/// One route for each upstream; the path of its URL is where it is mounted.
pub(super) fn upstreams(scope: &mut File<'_>, member: &Member) {
    let flag = |key: &str, usual: bool| scope.given(key).and_then(Tree::as_boolean).unwrap_or(usual);
    let (preserve_host, websockets) = (flag("pass_host_header", true), flag("proxy_websockets", true));
    let skip_verify = flag("ssl_upstream_insecure_skip_verify", false);
    let timeout = scope.given("upstream_timeout").and_then(values::duration);
    for entry in member.value.items() {
        let text = entry.scalar().unwrap_or_default();
        let Some((scheme, rest)) = text.split_once("://") else {
            scope.lost(member, &format!("`{text}` is no URL"), "to: http://HOST:PORT");
            continue;
        };
        let (authority, path) = rest.find('/').and_then(|at| rest.split_at_checked(at)).unwrap_or((rest, ""));
        let (target, path) = match scheme {
            "http" | "https" => (Target::Url(format!("{scheme}://{authority}")), path),
            "static" => (Target::Status(authority.parse().unwrap_or(200)), path),
            _ => {
                scope.lost(member, &format!("`{scheme}` upstreams are not spoken to"), "a web server on loopback");
                continue;
            }
        };
        scope.around.upstreams.push(Upstream {
            path: UpstreamPath::of(path),
            preserve_host,
            websockets,
            skip_verify: skip_verify && scheme == "https",
            timeout: timeout.clone(),
            rewrite: None,
            remarks: entry.clone(),
            target,
        });
    }
}

/// `GET=^/path`, `^/path`; `!=` opens everything else, which no order of routes can say.
pub(super) fn skip_auth(scope: &mut File<'_>, member: &Member) {
    for text in member.value.strings_whole() {
        let (method, regex) = match text.split_once('=') {
            Some((method, regex)) if method.trim_end_matches('!').chars().all(|c| c.is_ascii_alphabetic()) => {
                (method, regex)
            }
            _ => ("", text.as_str()),
        };
        if method.ends_with('!') {
            scope.lost(
                member,
                &format!("`{text}`: what an expression does not match cannot be opened"),
                "a route of its own",
            );
            continue;
        }
        let method = (!method.is_empty()).then(|| method.to_ascii_uppercase());
        scope.around.public.push(PublicPath { method, regex: regex.to_owned() });
    }
}
