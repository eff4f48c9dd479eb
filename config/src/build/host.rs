//! Host names as everybody compares them, and the `from` of a route.

use std::sync::Arc;

use url::Host;

use crate::report::Fault;
use crate::route::HostPattern;

/// The longest host name (RFC 1035, section 2.3.4), without a trailing dot.
const MAX_HOST: usize = 253;

/// What `from` says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct From {
    /// Which hosts.
    pub(crate) host: HostPattern,
    /// The port it names.
    pub(crate) port: Option<u16>,
}

/// A host in canonical form: lower case, Punycode, no port, no trailing dot; IPv6 in brackets.
pub(crate) fn canonical(text: &str) -> Result<Arc<str>, Fault> {
    if text.contains("://") {
        return Err(Fault::new(format!("`{text}` is a URL, not a host name")).help("write the host alone"));
    }
    let bare = text.strip_suffix('.').unwrap_or(text);
    if bare.is_empty() {
        return Err(Fault::new("the host is empty"));
    }
    let odd = |c: char| c.is_whitespace() || matches!(c, '%' | '/' | '*' | '@' | '?' | '#' | '\\');
    if bare.contains(odd) || (bare.contains(':') && !bare.starts_with('[')) {
        return Err(Fault::new(format!("`{text}` is not a host name")));
    }
    let host = match Host::parse(bare) {
        Ok(Host::Domain(name)) => name,
        // `127.1` would silently become another name.
        Ok(Host::Ipv4(address)) if address.to_string() == bare => bare.to_owned(),
        Ok(Host::Ipv6(address)) => format!("[{address}]"),
        Ok(Host::Ipv4(_)) | Err(_) => return Err(Fault::new(format!("`{text}` is not a host name"))),
    };
    let labels_fit = host.split('.').all(|label| !label.is_empty() && label.len() <= 63);
    if host.starts_with('[') || (labels_fit && host.len() <= MAX_HOST) {
        Ok(host.into())
    } else {
        Err(Fault::new(format!("`{text}` has an empty or too long label")))
    }
}

/// The `from` of a route: `https://host`, `https://*.host`, each with an optional port.
pub(crate) fn from(text: &str) -> Result<From, Fault> {
    let (scheme, rest) = text
        .split_once("://")
        .ok_or_else(|| Fault::new(format!("`{text}` is not a URL")).help("write https://HOST"))?;
    scheme_is_https(scheme)?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at_checked(end).unwrap_or((rest, ""));
    if !matches!(tail, "" | "/") {
        return Err(Fault::new("`from` names hosts, not paths").help("use `prefix`, `path` or `regex` for paths"));
    }
    if authority.contains('@') {
        return Err(Fault::new("`from` has no user"));
    }
    let (host, port) = split_port(authority)?;
    let host = if host.contains('*') { wildcard(host)? } else { HostPattern::Exact(canonical(host)?) };
    Ok(From { host, port })
}

/// Host and port of an authority; the host keeps its brackets.
pub(crate) fn split_port(authority: &str) -> Result<(&str, Option<u16>), Fault> {
    let bracket = authority.rfind(']').map_or(0, |at| at.saturating_add(1));
    let behind = authority.get(bracket..).unwrap_or_default();
    let Some(colon) = behind.find(':') else { return Ok((authority, None)) };
    let (host, port) = authority.split_at_checked(bracket.saturating_add(colon)).unwrap_or((authority, ""));
    match port.trim_start_matches(':').parse() {
        Ok(port) if port > 0 => Ok((host, Some(port))),
        Ok(_) | Err(_) => Err(Fault::new(format!("`{authority}` has no valid port"))),
    }
}

fn scheme_is_https(scheme: &str) -> Result<(), Fault> {
    match scheme {
        "https" => Ok(()),
        "http" => Err(Fault::new("`from` is always https")
            .help("the public listener speaks TLS only; `listen.redirect` sends plain HTTP there")),
        "tcp+https" | "udp+https" | "ssh" => {
            Err(Fault::new(format!("`{scheme}` routes are not supported"))
                .help("routes carry HTTP, WebSocket and gRPC"))
        }
        other => Err(Fault::new(format!("unknown scheme `{other}`")).help("write https://HOST")),
    }
}

/// A pattern in which `*` stands for any characters.
fn wildcard(text: &str) -> Result<HostPattern, Fault> {
    let bare = text.strip_suffix('.').unwrap_or(text);
    if !bare.is_ascii() {
        return Err(Fault::new(format!("`{text}` mixes `*` and letters beyond ASCII")).help("write the Punycode form"));
    }
    let fits = bare.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '*'));
    if !fits || bare.split('.').any(str::is_empty) || bare.len() > MAX_HOST {
        return Err(Fault::new(format!("`{text}` is not a host pattern")));
    }
    Ok(HostPattern::Wildcard(bare.to_ascii_lowercase().into()))
}

/// Whether a pattern serves a canonical host.
pub(crate) fn serves(pattern: &HostPattern, host: &str) -> bool {
    match pattern {
        HostPattern::Exact(exact) => &**exact == host,
        HostPattern::Wildcard(pattern) => glob(pattern, host),
    }
}

/// `*` stands for any characters, dots among them.
fn glob(pattern: &str, host: &str) -> bool {
    let Some((head, tail)) = pattern.split_once('*') else { return pattern == host };
    let Some(rest) = host.strip_prefix(head) else { return false };
    let starts = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
    starts.filter_map(|at| rest.get(at..)).any(|rest| glob(tail, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_have_one_form() {
        for (text, expected) in [
            ("Wiki.Corp.Test", "wiki.corp.test"),
            ("wiki.corp.test.", "wiki.corp.test"),
            ("bücher.test", "xn--bcher-kva.test"),
            ("10.0.0.7", "10.0.0.7"),
            ("[::1]", "[::1]"),
            ("under_score.test", "under_score.test"),
        ] {
            assert_eq!(&*canonical(text).unwrap(), expected, "{text}");
        }
        for text in ["", ".", "a..b", "https://a", "a/b", "a b", "*.a", "a%2eb", "127.1", "a:443", "::1"] {
            assert!(canonical(text).is_err(), "{text}");
        }
        assert!(canonical(&format!("{}.test", "a".repeat(64))).is_err());
    }

    #[test]
    fn from_takes_hosts_patterns_and_ports() {
        let wild = |text: &str| HostPattern::Wildcard(text.into());
        let exact = |text: &str| HostPattern::Exact(text.into());
        for (text, host, port) in [
            ("https://wiki.corp.test", exact("wiki.corp.test"), None),
            ("https://Wiki.corp.test:8443/", exact("wiki.corp.test"), Some(8443)),
            ("https://*.Corp.test", wild("*.corp.test"), None),
            ("https://pr-*.corp.test:1", wild("pr-*.corp.test"), Some(1)),
            ("https://[::1]:8443", exact("[::1]"), Some(8443)),
        ] {
            assert_eq!(from(text).unwrap(), From { host, port }, "{text}");
        }
        for text in [
            "wiki.corp.test",
            "http://a.test",
            "tcp+https://a.test:22",
            "ftp://a",
            "https://a.test/path",
            "https://a.test?q",
            "https://u@a.test",
            "https://a.test:0",
            "https://a.test:99999",
            "https://a.test:",
            "https://",
            "https://*..test",
            "https://*é.test",
        ] {
            assert!(from(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_star_stands_for_dots_too() {
        for (pattern, host, expected) in [
            ("*.corp.test", "a.corp.test", true),
            ("*.corp.test", "a.b.corp.test", true),
            ("*.corp.test", "corp.test", false),
            ("pr-*.x.test", "pr-1.x.test", true),
            ("pr-*.x.test", "qr-1.x.test", false),
            ("*", "anything", true),
        ] {
            assert_eq!(serves(&HostPattern::Wildcard(pattern.into()), host), expected, "{pattern} {host}");
        }
    }
}
