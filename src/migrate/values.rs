//! Scalars in the reference's spelling: durations, addresses, URLs, PEM in base64.

use std::net::SocketAddr;

use base64::Engine as _;
use http::Uri;

use super::tree::{Tree, Value};

/// A duration of Go (`1.5h`, `300ms`; a bare number counts nanoseconds) in ours; `None` if it is none or negative.
pub(crate) fn duration(tree: &Tree) -> Option<String> {
    let nanoseconds = match &tree.value {
        Value::Number(number) => number.parse::<f64>().ok()?,
        Value::Text(text) if text == "0" => 0.0,
        Value::Text(text) => go_duration(text)?,
        Value::Null | Value::Boolean(_) | Value::List(_) | Value::Map(_) => return None,
    };
    if !(0.0..1e18).contains(&nanoseconds) {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded above")]
    let milliseconds = (nanoseconds / 1e6).round() as u64;
    // A duration too short for us must not become "unlimited".
    let milliseconds = if nanoseconds > 0.0 { milliseconds.max(1) } else { 0 };
    Some(ours(milliseconds))
}

fn go_duration(text: &str) -> Option<f64> {
    let mut total = 0.0;
    let mut rest = text.trim();
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, tail) = rest.split_at_checked(digits)?;
        let letters = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at_checked(letters)?;
        let unit = match unit {
            "ns" => 1.0,
            "us" | "µs" | "μs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3_600e9,
            _ => return None,
        };
        total += number.parse::<f64>().ok()? * unit;
        rest = tail;
    }
    Some(total)
}

/// The shortest text with one unit.
fn ours(milliseconds: u64) -> String {
    for (unit, size) in [("h", 3_600_000), ("m", 60_000), ("s", 1_000)] {
        if milliseconds > 0 && milliseconds.is_multiple_of(size) {
            return format!("{}{unit}", milliseconds / size);
        }
    }
    if milliseconds == 0 { "0".to_owned() } else { format!("{milliseconds}ms") }
}

/// An address to listen on as we write it; `None` if it is not one.
pub(crate) fn address(text: &str) -> Option<String> {
    let text = text.trim();
    if let Some(port) = text.strip_prefix(':') {
        return port.parse::<u16>().ok().map(|port| format!(":{port}"));
    }
    let numeric = text.strip_prefix("localhost:").map_or_else(|| text.to_owned(), |port| format!("127.0.0.1:{port}"));
    numeric.parse::<SocketAddr>().ok().map(|address| address.to_string())
}

/// The same port on loopback.
pub(crate) fn on_loopback(address: &str) -> Option<String> {
    let port = address.rsplit_once(':')?.1;
    port.parse::<u16>().ok().map(|port| format!("127.0.0.1:{port}"))
}

/// Whether nobody outside this machine reaches an address.
pub(crate) fn is_loopback(address: &str) -> bool {
    address.parse::<SocketAddr>().is_ok_and(|address| address.ip().is_loopback())
}

/// A URL's scheme, host (without brackets' loss) and port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WebAddress {
    pub(crate) scheme: String,
    pub(crate) host: String,
    pub(crate) port: Option<u16>,
    pub(crate) path: String,
}

/// Takes a web address apart; `None` if it is none.
pub(crate) fn web_address(text: &str) -> Option<WebAddress> {
    let uri: Uri = text.trim().parse().ok()?;
    let host = uri.host()?.to_ascii_lowercase();
    let scheme = uri.scheme_str()?.to_owned();
    Some(WebAddress { scheme, host, port: uri.port_u16(), path: uri.path().to_owned() })
}

/// The host of a route's `from`, with its `*`, without its port.
pub(crate) fn from_host(from: &str) -> Option<&str> {
    let rest = from.split_once("://")?.1;
    let authority = rest.split(['/', '?', '#']).next()?;
    let bracket = authority.rfind(']').map_or(0, |at| at.saturating_add(1));
    let colon = authority.get(bracket..)?.find(':').map_or(authority.len(), |at| bracket.saturating_add(at));
    authority.get(..colon).filter(|host| !host.is_empty())
}

/// Whether a host is a domain or below it.
pub(crate) fn is_below(host: &str, domain: &str) -> bool {
    host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// PEM that stands in a text: as it is, or in base64. `None` for a path or anything else.
pub(crate) fn pem(text: &str) -> Option<String> {
    if text.contains("-----BEGIN") {
        return Some(text.to_owned());
    }
    let compact: String = text.split_whitespace().collect();
    let bytes = base64::engine::general_purpose::STANDARD.decode(compact).ok()?;
    String::from_utf8(bytes).ok().filter(|text| text.contains("-----BEGIN"))
}

/// The private keys of a PEM text, one text each.
pub(crate) fn private_keys(pem: &str) -> Vec<String> {
    let mut keys = Vec::new();
    let mut key: Option<String> = None;
    for line in pem.lines() {
        if line.starts_with("-----BEGIN") && line.contains("PRIVATE KEY") {
            key = Some(String::new());
        }
        let Some(text) = &mut key else { continue };
        text.push_str(line);
        text.push('\n');
        if line.starts_with("-----END") {
            keys.extend(key.take());
        }
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_of_go_become_ours() {
        for (text, expected) in [
            ("14h", Some("14h")),
            ("1.5h", Some("90m")),
            ("1h30m", Some("90m")),
            ("300ms", Some("300ms")),
            ("1us", Some("1ms")),
            ("0s", Some("0")),
            ("0", Some("0")),
            ("90s", Some("90s")),
            ("-1s", None),
            ("5", None),
            ("1 day", None),
            ("", None),
        ] {
            assert_eq!(duration(&Tree::text(text)).as_deref(), expected, "{text}");
        }
        assert_eq!(duration(&Value::Number("5000000000".to_owned()).into()).as_deref(), Some("5s"));
    }

    #[test]
    fn addresses_and_hosts() {
        for (text, expected) in [
            (":443", Some(":443")),
            ("0.0.0.0:8443", Some("0.0.0.0:8443")),
            ("localhost:9090", Some("127.0.0.1:9090")),
            ("[::1]:80", Some("[::1]:80")),
            ("example.com:443", None),
            (":x", None),
        ] {
            assert_eq!(address(text).as_deref(), expected, "{text}");
        }
        assert_eq!(from_host("https://*.corp.test:8443/"), Some("*.corp.test"));
        assert_eq!(from_host("https://[::1]:1"), Some("[::1]"));
        assert_eq!(from_host("nothing"), None);
    }
}
