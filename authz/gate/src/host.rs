//! The canonical host: what routes are found by, credentials are bound to, and upstreams are told.

use std::borrow::Cow;
use std::net::Ipv6Addr;

use crate::Malformed;

/// The most characters a host name may have (RFC 1035 §2.3.4, without the root's dot).
const MAX_NAME: usize = 253;
/// The most characters a label may have.
const MAX_LABEL: usize = 63;

/// A host as everything behind the gate speaks of it: lower case, no trailing dot, IPv6 in brackets and in
/// its shortest form (RFC 5952), ASCII only (internationalised names come as A-labels), port apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CanonicalHost<'a> {
    name: Cow<'a, str>,
    port: Option<u16>,
}

impl<'a> CanonicalHost<'a> {
    /// Reads `host [":" port]`. Copies only if the text is not canonical already, or is an IPv6 address.
    ///
    /// # Errors
    /// [`Malformed::Host`] for anything but one name or address and one port from 1 to 65535 without leading
    /// zeros: userinfo, lists, spaces, backslashes, percent signs, non-ASCII, empty labels, an empty port.
    pub fn parse(text: &'a str) -> Result<Self, Malformed> {
        if let Some(rest) = text.strip_prefix('[') {
            let (address, rest) = rest.split_once(']').ok_or(Malformed::Host)?;
            let address: Ipv6Addr = address.parse().map_err(|_| Malformed::Host)?;
            let port = rest.strip_prefix(':').map(parse_port).transpose()?;
            if port.is_none() && !rest.is_empty() {
                return Err(Malformed::Host);
            }
            return Ok(Self { name: Cow::Owned(format!("[{address}]")), port });
        }
        let (name, port) = match memchr::memchr(b':', text.as_bytes()).and_then(|end| text.split_at_checked(end)) {
            Some((name, port)) => (name, Some(parse_port(port.get(1..).unwrap_or_default())?)),
            None => (text, None),
        };
        let name = name.strip_suffix('.').unwrap_or(name);
        let name = match Spelling::of(name).ok_or(Malformed::Host)? {
            Spelling::Mixed => Cow::Owned(name.to_ascii_lowercase()),
            Spelling::Lower => Cow::Borrowed(name),
        };
        Ok(Self { name, port })
    }

    /// The name or bracketed address.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The port as it was given.
    #[must_use]
    pub const fn port(&self) -> Option<u16> {
        self.port
    }

    /// Whether both mean the same place, where a missing port is `default`.
    pub(crate) fn agrees(&self, other: &CanonicalHost<'_>, default: u16) -> bool {
        self.name == other.name && self.port.unwrap_or(default) == other.port.unwrap_or(default)
    }

    pub(crate) fn into_name(self) -> Cow<'a, str> {
        self.name
    }
}

/// How a name is spelled.
#[derive(Clone, Copy)]
enum Spelling {
    Lower,
    Mixed,
}

impl Spelling {
    /// One pass over every byte; `None` if it is no name: labels of letters, digits and `-` with dots between.
    fn of(name: &str) -> Option<Self> {
        let (mut label, mut spelling) = (0_usize, Self::Lower);
        for byte in name.bytes() {
            match byte {
                b'.' if (1..=MAX_LABEL).contains(&label) => label = 0,
                // The underscore is no letter of host names, but names with it are in use.
                b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => label = label.saturating_add(1),
                b'A'..=b'Z' => {
                    label = label.saturating_add(1);
                    spelling = Self::Mixed;
                }
                _ => return None,
            }
        }
        (name.len() <= MAX_NAME && (1..=MAX_LABEL).contains(&label)).then_some(spelling)
    }
}

fn parse_port(text: &str) -> Result<u16, Malformed> {
    // `u16::from_str` would take a plus sign and leading zeros.
    if text.starts_with('0') || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Malformed::Host);
    }
    text.parse().map_err(|_| Malformed::Host)
}

#[cfg(test)]
mod tests;
