//! Where permitted requests go, and which host they ask for there.

use std::sync::Arc;

use http::HeaderName;
use url::{Host, Url};

use super::rewrite::{self, RewriteKeys};
use super::upstream_tls::{self, TlsKeys};
use super::{Build, health, host};
use crate::field::Field;
use crate::report::Fault;
use crate::route::{Forward, HostRewrite, PathPattern, Scheme, Upstream};
use crate::schema::{HealthChecks, OneOrMany, UpstreamText};

/// The largest weight of an upstream.
const MAX_WEIGHT: u32 = 65_535;

/// The keys of a route that say how requests travel.
#[derive(Debug)]
pub(crate) struct ForwardKeys {
    pub(crate) to: Option<OneOrMany<UpstreamText>>,
    pub(crate) prefix_rewrite: Option<String>,
    pub(crate) regex_rewrite_pattern: Option<String>,
    pub(crate) regex_rewrite_substitution: Option<String>,
    pub(crate) host: HostKeys,
    pub(crate) tls: TlsKeys,
    pub(crate) health_checks: HealthChecks,
}

/// The keys that say which `Host` the upstream sees.
#[derive(Debug)]
pub(crate) struct HostKeys {
    pub(crate) host_rewrite: Option<String>,
    pub(crate) host_rewrite_header: Option<String>,
    pub(crate) preserve_host_header: bool,
}

impl ForwardKeys {
    /// The keys that the file gives, other than `to`.
    pub(crate) fn given(&self) -> impl Iterator<Item = &'static str> {
        let Self { to: _, prefix_rewrite, regex_rewrite_pattern, regex_rewrite_substitution, host, tls, health_checks } =
            self;
        let HostKeys { host_rewrite, host_rewrite_header, preserve_host_header } = host;
        let keys = [
            ("prefix_rewrite", prefix_rewrite.is_some()),
            ("regex_rewrite_pattern", regex_rewrite_pattern.is_some()),
            ("regex_rewrite_substitution", regex_rewrite_substitution.is_some()),
            ("host_rewrite", host_rewrite.is_some()),
            ("host_rewrite_header", host_rewrite_header.is_some()),
            ("preserve_host_header", *preserve_host_header),
            ("health_checks", !health_checks.0.is_empty()),
        ];
        keys.into_iter().chain(tls.given()).filter_map(|(key, given)| given.then_some(key))
    }
}

/// How a request travels to its upstream.
pub(crate) fn forward(build: &mut Build<'_>, at: &Field<'_>, keys: ForwardKeys, path: &PathPattern) -> Option<Forward> {
    let ForwardKeys { to, prefix_rewrite, regex_rewrite_pattern, regex_rewrite_substitution, host, tls, health_checks } =
        keys;
    let list = at.key("to");
    let to = to.unwrap_or_default();
    if to.0.is_empty() {
        build.report.fault(&list, Fault::new("names no upstream"));
    }
    let mut upstreams = Vec::new();
    let mut base: Option<String> = None;
    for (index, UpstreamText(text)) in to.0.iter().enumerate() {
        let at = list.index(index);
        let Some((upstream, path)) = build.report.take(&at, upstream(text)) else { continue };
        if *base.get_or_insert_with(|| path.clone()) != path {
            build.report.fault(&at, Fault::new("has another path than the first upstream"));
        }
        if upstreams.contains(&upstream) {
            build.report.fault(&at, Fault::new("is given twice").help("give it a weight: `URL,2`"));
        }
        upstreams.push(upstream);
    }
    let base = base.filter(|path| path != "/");
    let rewrites = RewriteKeys { base, prefix_rewrite, regex_rewrite_pattern, regex_rewrite_substitution };
    let path = rewrite::rewrite(build, at, rewrites, path);
    let host = host_rewrite(build, at, host);
    let secure = upstreams.iter().any(|upstream| upstream.scheme == Scheme::Https);
    let tls = upstream_tls::tls(build, at, tls, secure);
    let health = health::checks(build, &at.key("health_checks"), health_checks, &upstreams);
    Some(Forward { upstreams, path: path?, host: host?, tls: tls?, health })
}

/// An upstream and the path of its URL: `http://10.0.0.7:8080/base,3`.
fn upstream(text: &str) -> Result<(Upstream, String), Fault> {
    let (address, weight) = match text.rsplit_once(',') {
        Some((address, weight)) => (address, self::weight(weight)?),
        None => (text, 1),
    };
    let (scheme, rest) = address
        .split_once("://")
        .ok_or_else(|| Fault::new(format!("`{text}` is not a URL")).help("write http://HOST:PORT"))?;
    let (scheme, usual_port) = match scheme {
        "http" => (Scheme::Http, 80),
        "https" => (Scheme::Https, 443),
        "h2c" => (Scheme::H2c, 80),
        "tcp" | "udp" | "ssh" => {
            let fault = Fault::new(format!("`{scheme}` upstreams are not supported"));
            return Err(fault.help("routes carry HTTP, WebSocket and gRPC: http, https and h2c"));
        }
        "http+unix" | "https+unix" => {
            let fault = Fault::new("upstreams on Unix sockets are not supported");
            return Err(fault.help("let the service listen on loopback: http://127.0.0.1:PORT"));
        }
        other => return Err(Fault::new(format!("unknown scheme `{other}`")).help("http, https and h2c are known")),
    };
    // `h2c` is nothing the URL standard knows; as `http` its host is read like any other.
    let url = Url::parse(&format!("http://{rest}")).map_err(|_error| Fault::new(format!("`{text}` is not a URL")))?;
    if url.query().is_some() || url.fragment().is_some() {
        return Err(Fault::new("an upstream has neither query nor fragment"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Fault::new("an upstream has no user in its URL")
            .help("`set_request_headers` can set `Authorization`")
            .confidential());
    }
    let host: Arc<str> = match url.host() {
        Some(Host::Domain(name)) => name.into(),
        Some(Host::Ipv4(address)) => address.to_string().into(),
        Some(Host::Ipv6(address)) => address.to_string().into(),
        None => return Err(Fault::new(format!("`{text}` has no host"))),
    };
    // As `http`, port 80 is left out by the URL standard.
    let (_, written) = host::split_port(rest.split(['/', '?', '#']).next().unwrap_or(rest))?;
    Ok((Upstream { scheme, host, port: written.unwrap_or(usual_port), weight }, url.path().to_owned()))
}

fn weight(text: &str) -> Result<u32, Fault> {
    let weight = text.trim().parse().ok().filter(|weight| (1..=MAX_WEIGHT).contains(weight));
    weight.ok_or_else(|| {
        Fault::new(format!("`{text}` is not a weight")).help(format!("a weight is a number from 1 to {MAX_WEIGHT}"))
    })
}

fn host_rewrite(build: &mut Build<'_>, at: &Field<'_>, keys: HostKeys) -> Option<HostRewrite> {
    let HostKeys { host_rewrite, host_rewrite_header, preserve_host_header } = keys;
    match (preserve_host_header, host_rewrite, host_rewrite_header) {
        (false, None, None) => Some(HostRewrite::Upstream),
        (true, None, None) => Some(HostRewrite::Preserve),
        (false, Some(text), None) => {
            build.report.take(&at.key("host_rewrite"), authority(&text)).map(HostRewrite::Fixed)
        }
        (false, None, Some(name)) => {
            let header = HeaderName::from_bytes(name.as_bytes());
            let header = header.map_err(|_error| Fault::new(format!("`{name}` is not a header name")));
            build.report.take(&at.key("host_rewrite_header"), header).map(HostRewrite::Header)
        }
        (preserved, fixed, _) => {
            let key = if fixed.is_some() { "host_rewrite" } else { "host_rewrite_header" };
            let other = if preserved { "preserve_host_header" } else { "host_rewrite_header" };
            build.report.fault(&at.key(key), Fault::new(format!("contradicts `{other}`")));
            None
        }
    }
}

/// A host with an optional port, as a `Host` header has it.
pub(crate) fn authority(text: &str) -> Result<Arc<str>, Fault> {
    let (name, port) = host::split_port(text)?;
    let name = host::canonical(name)?;
    Ok(port.map_or_else(|| Arc::clone(&name), |port| format!("{name}:{port}").into()))
}
