//! The one upgrade the edge carries: a WebSocket handshake, whole or refused.

use http::header::{CONNECTION, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{HeaderMap, Method, Version};

use crate::framing::{has_body, lists};
use crate::{Malformed, RequestHead};

const WEBSOCKET: &[u8] = b"websocket";

/// The characters of a base64 `Sec-WebSocket-Key`: 16 bytes.
const KEY_LENGTH: usize = 24;

/// Whether the request is a WebSocket handshake.
///
/// A head that names `websocket` in `Upgrade` must be a whole version 13 handshake (RFC 6455 §4.2.1) without a
/// body: the engine upgrades on less, so that anything less would be judged as one thing and carried as another.
/// Other upgrades (`h2c`) are no handshake; the edge drops the field and serves the request as it stands, as
/// RFC 9110 §7.8 allows.
pub(crate) fn is_websocket(head: &RequestHead<'_>) -> Result<bool, Malformed> {
    let headers = head.headers;
    // Looser than a list item on purpose: `websocket/13` or `"websocket"` is refused, not ignored.
    let names = |value: &[u8]| value.windows(WEBSOCKET.len()).any(|window| window.eq_ignore_ascii_case(WEBSOCKET));
    if !headers.get_all(UPGRADE).iter().any(|value| names(value.as_bytes())) {
        return Ok(false);
    }
    let whole = head.version == Version::HTTP_11
        && *head.method == Method::GET
        && only(headers, UPGRADE.as_str()).is_some_and(|value| value.eq_ignore_ascii_case(WEBSOCKET))
        && lists(headers, &CONNECTION, b"upgrade")
        && only(headers, SEC_WEBSOCKET_VERSION.as_str()) == Some(b"13")
        && only(headers, SEC_WEBSOCKET_KEY.as_str()).is_some_and(is_key)
        && !has_body(headers);
    if whole { Ok(true) } else { Err(Malformed::WebSocketHandshake) }
}

/// The value of a field that is there exactly once.
fn only<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a [u8]> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    values.next().is_none().then_some(value.as_bytes())
}

fn is_key(value: &[u8]) -> bool {
    let letters = value.strip_suffix(b"==").unwrap_or_default();
    let base64 = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    value.len() == KEY_LENGTH && !letters.is_empty() && letters.iter().all(base64)
}
