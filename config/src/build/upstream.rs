//! Where permitted requests go: upstreams, rewrites, TLS.

use std::path::PathBuf;
use std::sync::Arc;

use http::HeaderName;
use regex::Regex;
use url::{Host, Url};

use super::reference::Found;
use super::{Build, host};
use crate::digest::Digester;
use crate::field::Field;
use crate::pem;
use crate::report::Fault;
use crate::route::{Forward, HostRewrite, PathPattern, PathRewrite, Scheme, Upstream, UpstreamTls};
use crate::schema::{OneOrMany, PemText, Reference, UpstreamText};

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
}

/// The keys that say which `Host` the upstream sees.
#[derive(Debug)]
pub(crate) struct HostKeys {
    pub(crate) host_rewrite: Option<String>,
    pub(crate) host_rewrite_header: Option<String>,
    pub(crate) preserve_host_header: bool,
}

/// The keys of TLS to the upstream.
#[derive(Debug)]
pub(crate) struct TlsKeys {
    pub(crate) skip_verify: bool,
    pub(crate) server_name: Option<String>,
    pub(crate) upstream_server_name: Option<String>,
    pub(crate) custom_ca: Option<PemText>,
    pub(crate) custom_ca_file: Option<PathBuf>,
    pub(crate) client_cert: Option<PemText>,
    pub(crate) client_cert_file: Option<PathBuf>,
    pub(crate) client_key: Option<Reference>,
    pub(crate) client_key_file: Option<PathBuf>,
}

impl ForwardKeys {
    /// The keys that the file gives, other than `to`.
    pub(crate) fn given(&self) -> impl Iterator<Item = &'static str> {
        let Self { to: _, prefix_rewrite, regex_rewrite_pattern, regex_rewrite_substitution, host, tls } = self;
        let HostKeys { host_rewrite, host_rewrite_header, preserve_host_header } = host;
        let keys = [
            ("prefix_rewrite", prefix_rewrite.is_some()),
            ("regex_rewrite_pattern", regex_rewrite_pattern.is_some()),
            ("regex_rewrite_substitution", regex_rewrite_substitution.is_some()),
            ("host_rewrite", host_rewrite.is_some()),
            ("host_rewrite_header", host_rewrite_header.is_some()),
            ("preserve_host_header", *preserve_host_header),
        ];
        keys.into_iter().chain(tls.given()).filter_map(|(key, given)| given.then_some(key))
    }
}

impl TlsKeys {
    fn given(&self) -> [(&'static str, bool); 9] {
        let Self {
            skip_verify,
            server_name,
            upstream_server_name,
            custom_ca,
            custom_ca_file,
            client_cert,
            client_cert_file,
            client_key,
            client_key_file,
        } = self;
        [
            ("tls_skip_verify", *skip_verify),
            ("tls_server_name", server_name.is_some()),
            ("tls_upstream_server_name", upstream_server_name.is_some()),
            ("tls_custom_ca", custom_ca.is_some()),
            ("tls_custom_ca_file", custom_ca_file.is_some()),
            ("tls_client_cert", client_cert.is_some()),
            ("tls_client_cert_file", client_cert_file.is_some()),
            ("tls_client_key", client_key.is_some()),
            ("tls_client_key_file", client_key_file.is_some()),
        ]
    }
}

/// How a request travels to its upstream.
pub(crate) fn forward(build: &mut Build<'_>, at: &Field<'_>, keys: ForwardKeys, path: &PathPattern) -> Option<Forward> {
    let ForwardKeys { to, prefix_rewrite, regex_rewrite_pattern, regex_rewrite_substitution, host, tls } = keys;
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
    let rewrites = Rewrites { base, prefix_rewrite, regex_rewrite_pattern, regex_rewrite_substitution };
    let path = rewrite(build, at, rewrites, path);
    let host = host_rewrite(build, at, host);
    let secure = upstreams.iter().any(|upstream| upstream.scheme == Scheme::Https);
    let tls = self::tls(build, at, tls, secure);
    Some(Forward { upstreams, path: path?, host: host?, tls: tls? })
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
        return Err(Fault::new("an upstream has no user in its URL").help("`set_request_headers` can set `Authorization`").confidential());
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
    weight.ok_or_else(|| Fault::new(format!("`{text}` is not a weight")).help(format!("a weight is a number from 1 to {MAX_WEIGHT}")))
}

/// What the file says of the path.
struct Rewrites {
    base: Option<String>,
    prefix_rewrite: Option<String>,
    regex_rewrite_pattern: Option<String>,
    regex_rewrite_substitution: Option<String>,
}

fn rewrite(build: &mut Build<'_>, at: &Field<'_>, rewrites: Rewrites, path: &PathPattern) -> Option<PathRewrite> {
    let Rewrites { base, prefix_rewrite, regex_rewrite_pattern, regex_rewrite_substitution } = rewrites;
    let (key, prefix) = match (base, prefix_rewrite) {
        (Some(_), Some(_)) => {
            build.report.fault(&at.key("prefix_rewrite"), Fault::new("contradicts the path in `to`"));
            return None;
        }
        (Some(base), None) => ("to", Some(base)),
        (None, prefix) => ("prefix_rewrite", prefix),
    };
    let regex = match (regex_rewrite_pattern, regex_rewrite_substitution) {
        (Some(pattern), Some(substitution)) => Some((pattern, substitution)),
        (None, None) => None,
        (Some(_), None) => {
            build.report.fault(&at.key("regex_rewrite_pattern"), Fault::new("needs `regex_rewrite_substitution`"));
            return None;
        }
        (None, Some(_)) => {
            build.report.fault(&at.key("regex_rewrite_substitution"), Fault::new("needs `regex_rewrite_pattern`"));
            return None;
        }
    };
    match (prefix, regex) {
        (Some(_), Some(_)) => {
            build.report.fault(&at.key("regex_rewrite_pattern"), Fault::new(format!("contradicts `{key}`")));
            None
        }
        (Some(to), None) => build.report.take(&at.key(key), prefix_rewrite_of(to, path)),
        (None, Some((pattern, substitution))) => {
            let regex = build.report.take(&at.key("regex_rewrite_pattern"), expression(&pattern, &pattern))?;
            let at = at.key("regex_rewrite_substitution");
            let substitution = build.report.take(&at, self::substitution(&substitution, &regex))?;
            Some(PathRewrite::Regex { pattern: Arc::new(regex), substitution: substitution.into() })
        }
        (None, None) => Some(PathRewrite::Keep),
    }
}

fn prefix_rewrite_of(to: String, path: &PathPattern) -> Result<PathRewrite, Fault> {
    absolute_path(&to)?;
    let from: Arc<str> = match path {
        PathPattern::Any => "/".into(),
        PathPattern::Prefix(text) | PathPattern::Exact(text) => Arc::clone(text),
        PathPattern::Regex(_) => {
            return Err(Fault::new("a route with `regex` has no prefix to replace").help("use `regex_rewrite_pattern`"));
        }
    };
    // `/` replaced by `/base` would turn `/x` into `/basex`.
    let to = if from.ends_with('/') && !to.ends_with('/') { format!("{to}/") } else { to };
    Ok(PathRewrite::Prefix { from, to: to.into() })
}

/// A path that begins with a slash and stays where it is.
pub(crate) fn absolute_path(text: &str) -> Result<(), Fault> {
    if !text.starts_with('/') {
        return Err(Fault::new(format!("`{text}` is not a path")).help("a path begins with `/`"));
    }
    let path = text.split(['?', '#']).next().unwrap_or(text);
    if path.split('/').any(|segment| matches!(segment, "." | "..")) || path.contains('\\') {
        return Err(Fault::new(format!("`{text}` has dot segments or backslashes")));
    }
    if text.chars().any(|c| c.is_ascii_control() || c == ' ') {
        return Err(Fault::new("holds characters that a path cannot have"));
    }
    Ok(())
}

/// An expression of bounded size; `shown` is what the user wrote.
pub(crate) fn expression(pattern: &str, shown: &str) -> Result<Regex, Fault> {
    // The pattern alone must be one: what surrounds it must not complete it.
    let alone = regex::RegexBuilder::new(shown).size_limit(1 << 20).build();
    let built = alone.and_then(|_| regex::RegexBuilder::new(pattern).size_limit(1 << 20).build());
    built.map_err(|error| {
        let text = error.to_string();
        let cause = text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
        Fault::new(format!("`{shown}` is not a regular expression: {cause}"))
    })
}

/// `\1` as the reference writes it, or `$1`, as the `regex` crate reads it; groups that are not there are refused.
fn substitution(text: &str, regex: &Regex) -> Result<String, Fault> {
    let mut out = String::new();
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        if !matches!(c, '\\' | '$') {
            out.push(c);
            continue;
        }
        match rest.peek().copied() {
            Some('\\') if c == '\\' => {
                rest.next();
                out.push('\\');
            }
            Some('$') if c == '$' => {
                rest.next();
                out.push_str("$$");
            }
            Some('{') if c == '$' => out.push('$'),
            Some(digit) if digit.is_ascii_digit() => {
                rest.next();
                let group = digit.to_digit(10).and_then(|group| usize::try_from(group).ok()).unwrap_or(0);
                if group >= regex.captures_len() {
                    return Err(Fault::new(format!("group {group} is not in the pattern")));
                }
                out.push_str(&format!("${{{group}}}"));
            }
            _ if c == '$' => out.push_str("$$"),
            _ => return Err(Fault::new("a `\\` stands before a digit or another `\\`")),
        }
    }
    Ok(out)
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
fn authority(text: &str) -> Result<Arc<str>, Fault> {
    let (name, port) = host::split_port(text)?;
    let name = host::canonical(name)?;
    Ok(port.map_or_else(|| Arc::clone(&name), |port| format!("{name}:{port}").into()))
}

fn tls(build: &mut Build<'_>, at: &Field<'_>, keys: TlsKeys, secure: bool) -> Option<UpstreamTls> {
    if !secure && let Some((key, _)) = keys.given().into_iter().find(|(_, given)| *given) {
        build.report.warn(&at.key(key), "has no effect: no upstream speaks https", None);
    }
    let TlsKeys {
        skip_verify,
        server_name,
        upstream_server_name,
        custom_ca,
        custom_ca_file,
        client_cert,
        client_cert_file,
        client_key,
        client_key_file,
    } = keys;
    let ca_key = if custom_ca_file.is_some() { "tls_custom_ca_file" } else { "tls_custom_ca" };
    let ca = one_of(build, at, ["tls_custom_ca", "tls_custom_ca_file"], (custom_ca, custom_ca_file))?;
    let certificate = one_of(build, at, ["tls_client_cert", "tls_client_cert_file"], (client_cert, client_cert_file))?;
    let key = client_key.map(PemText::Reference);
    let key = one_of(build, at, ["tls_client_key", "tls_client_key_file"], (key, client_key_file))?;
    if skip_verify && ca.is_some() {
        build.report.fault(&at.key(ca_key), Fault::new("contradicts `tls_skip_verify`"));
    } else if skip_verify && secure {
        let help = "`tls_custom_ca_file` believes a private CA, `tls_server_name` another name";
        build.report.warn(&at.key("tls_skip_verify"), "the upstream's certificate is not checked: anybody on the way can answer", Some(help));
    }
    let ca = match ca {
        Some(found) => {
            let read = pem::certificates(&found.text).map_err(|error| Fault::new(format!("{}: {error}", found.origin.display())));
            build.report.take(&at.key(ca_key), read)?
        }
        None => Vec::new(),
    };
    let (name_key, name) = match upstream_server_name {
        Some(name) => ("tls_upstream_server_name", Some(name)),
        None => ("tls_server_name", server_name),
    };
    let server_name = match name {
        Some(name) => Some(build.report.take(&at.key(name_key), host::canonical(&name))?),
        None => None,
    };
    let client_certificate = match (certificate, key) {
        (Some(chain), Some(key)) => {
            let pair = pem::certificate(&chain.text, &key.text, chain.origin.clone());
            let pair = pair.map_err(|error| Fault::new(format!("client certificate {}: {error}", chain.origin.display())));
            Some(build.report.take(at, pair)?)
        }
        (None, None) => None,
        (Some(_), None) => return build.report.take(at, Err(Fault::new("a client certificate needs `tls_client_key_file`"))),
        (None, Some(_)) => return build.report.take(at, Err(Fault::new("a client key needs `tls_client_cert_file`"))),
    };
    let mut tls = UpstreamTls { ca, server_name, skip_verify, client_certificate, digest: [0; 32] };
    tls.digest = tls_digest(&tls);
    Some(tls)
}

/// The text under one of two keys: in the file, or its file.
fn one_of(
    build: &mut Build<'_>,
    at: &Field<'_>,
    [inline_key, file_key]: [&str; 2],
    given: (Option<PemText>, Option<PathBuf>),
) -> Option<Option<Found>> {
    match given {
        (None, None) => Some(None),
        (Some(text), None) => build.pem(&at.key(inline_key), &text).map(Some),
        (None, Some(path)) => {
            let path = build.resolve(&path);
            build.file(&at.key(file_key), path).map(Some)
        }
        (Some(_), Some(_)) => {
            build.report.fault(&at.key(file_key), Fault::new(format!("contradicts `{inline_key}`")));
            None
        }
    }
}

/// Which connections may be shared.
fn tls_digest(tls: &UpstreamTls) -> [u8; 32] {
    let UpstreamTls { ca, server_name, skip_verify, client_certificate, digest: _ } = tls;
    let mut digest = Digester::new();
    digest.part(&[u8::from(*skip_verify)]).part(server_name.as_deref().unwrap_or_default().as_bytes());
    digest.part(&ca.len().to_be_bytes());
    for root in ca {
        digest.part(root);
    }
    // The key belongs to the leaf, so the chain names it.
    for link in client_certificate.iter().flat_map(|certificate| &certificate.chain) {
        digest.part(link);
    }
    digest.finish()
}
