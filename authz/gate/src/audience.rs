//! Who asks: which kind of answer the caller can use when a sign-in is needed.

use http::header::{ACCEPT, ACCESS_CONTROL_REQUEST_METHOD, CONTENT_TYPE, ORIGIN};
use http::{HeaderMap, Method};

/// The kind of caller, by method and headers. A navigation is sent to sign in; everybody else gets an answer
/// that their program can read (design §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Audience {
    /// A person's browser loads a page: GET or HEAD with `Sec-Fetch-Mode: navigate`, or without any
    /// `Sec-Fetch-…` field (older browsers) an `Accept` that names HTML.
    Navigation,
    /// A script or an API client.
    Script,
    /// gRPC or gRPC-web, by content type.
    Grpc,
    /// A WebSocket handshake.
    WebSocket,
    /// A CORS preflight: OPTIONS with `Origin` and `Access-Control-Request-Method`.
    Preflight,
    /// A method that may change something. Its body would be lost on the way through a sign-in.
    Unsafe,
}

impl Audience {
    pub(crate) fn of(method: &Method, headers: &HeaderMap, websocket: bool) -> Self {
        if websocket {
            return Self::WebSocket;
        }
        if *method == Method::OPTIONS && is_preflight(headers) {
            return Self::Preflight;
        }
        if is_grpc(headers) {
            return Self::Grpc;
        }
        if *method == Method::OPTIONS {
            return Self::Script;
        }
        if *method != Method::GET && *method != Method::HEAD {
            return Self::Unsafe;
        }
        if navigates(headers) { Self::Navigation } else { Self::Script }
    }
}

fn is_grpc(headers: &HeaderMap) -> bool {
    let Some(kind) = headers.get(CONTENT_TYPE) else { return false };
    let kind = kind.as_bytes();
    kind.get(..16).is_some_and(|start| start.eq_ignore_ascii_case(b"application/grpc"))
        && matches!(kind.get(16), None | Some(b'+' | b'-' | b';' | b' ' | b'\t'))
}

fn is_preflight(headers: &HeaderMap) -> bool {
    [ORIGIN, ACCESS_CONTROL_REQUEST_METHOD].iter().all(|name| headers.get(name).is_some_and(|value| !value.is_empty()))
}

/// One pass over the fields: a look-up for each of five names costs several times that.
fn navigates(headers: &HeaderMap) -> bool {
    let (mut fetches, mut html) = (false, false);
    for (name, value) in headers {
        if *name == ACCEPT {
            html |= value.to_str().is_ok_and(|value| value.split(',').any(names_html));
        } else if let Some(fact) = name.as_str().strip_prefix("sec-fetch-") {
            match fact {
                // The first of several counts.
                "mode" => return value.as_bytes() == b"navigate",
                "dest" | "site" | "user" => fetches = true,
                _ => {}
            }
        }
    }
    html && !fetches
}

/// Whether one element of `Accept` names HTML and does not exclude it with `q=0`.
fn names_html(element: &str) -> bool {
    let mut parts = element.split(';').map(str::trim);
    let kind = parts.next().unwrap_or_default();
    let html = kind.eq_ignore_ascii_case("text/html") || kind.eq_ignore_ascii_case("application/xhtml+xml");
    let excluded = parts.any(|parameter| {
        let weight = parameter.strip_prefix("q=").or_else(|| parameter.strip_prefix("Q="));
        weight.is_some_and(|weight| weight.bytes().all(|byte| matches!(byte, b'0' | b'.')))
    });
    html && !excluded
}

#[cfg(test)]
mod tests;
