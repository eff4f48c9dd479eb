//! Who is at the other end: the peer, or what proxies we trust say of it.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, header::FORWARDED};
use ipnet::IpNet;

use crate::Malformed;

/// What `X-Forwarded-For` is called.
const X_FORWARDED_FOR: &str = "x-forwarded-for";

/// The client's address: the peer's, unless the peer is a trusted proxy. Then `X-Forwarded-For` or `Forwarded`
/// (RFC 7239) is walked from right to left, past every address that is trusted too, to the first that is not;
/// the leftmost if all are. IPv4-mapped addresses read as IPv4. `None` where there is no address, or the last
/// trusted proxy hides it (`unknown`, `_name`).
///
/// # Errors
/// [`Malformed::ForwardedAddress`] if an entry that counts cannot be read, or if both fields are there and
/// disagree: the trusted proxy wrote one of them, and the client may have written the other.
pub(crate) fn client_address(
    peer: Option<IpAddr>,
    headers: &HeaderMap,
    trusted: &[IpNet],
) -> Result<Option<IpAddr>, Malformed> {
    let Some(peer) = peer.map(|address| address.to_canonical()) else { return Ok(None) };
    if !is_trusted(peer, trusted) {
        return Ok(Some(peer));
    }
    let by_list = walk(peer, items(headers, X_FORWARDED_FOR).map(list_hop), trusted)?;
    let by_standard = walk(peer, items(headers, FORWARDED.as_str()).map(standard_hop), trusted)?;
    match (headers.contains_key(X_FORWARDED_FOR), headers.contains_key(FORWARDED)) {
        (true, true) if by_list != by_standard => Err(Malformed::ForwardedAddress),
        (true, _) => Ok(by_list),
        (false, _) => Ok(by_standard),
    }
}

/// One entry of a forwarding field.
#[derive(Clone, Copy)]
enum Hop {
    Address(IpAddr),
    Hidden,
}

fn walk(peer: IpAddr, hops: impl Iterator<Item = Option<Hop>>, trusted: &[IpNet]) -> Result<Option<IpAddr>, Malformed> {
    let mut client = peer;
    for hop in hops {
        match hop.ok_or(Malformed::ForwardedAddress)? {
            Hop::Hidden => return Ok(None),
            Hop::Address(address) => client = address,
        }
        if !is_trusted(client, trusted) {
            break;
        }
    }
    Ok(Some(client))
}

/// The comma-separated entries of every field of that name, last first; `None` for one that is not text.
fn items<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = Option<&'a str>> {
    let values = headers.get_all(name).into_iter().rev();
    values.flat_map(|value| match value.to_str() {
        Ok(text) => Entries::Text(text.rsplit(',')),
        Err(_) => Entries::NotText(std::iter::once(())),
    })
}

enum Entries<'a> {
    Text(std::str::RSplit<'a, char>),
    NotText(std::iter::Once<()>),
}

impl<'a> Iterator for Entries<'a> {
    type Item = Option<&'a str>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Text(entries) => entries.next().map(|entry| Some(entry.trim_matches([' ', '\t']))),
            Self::NotText(once) => once.next().map(|()| None),
        }
    }
}

/// `192.0.2.1`, `2001:db8::1`, or either with a port, as some proxies write it.
fn list_hop(entry: Option<&str>) -> Option<Hop> {
    node(entry?)
}

/// `for=192.0.2.1;proto=https`: the one `for` parameter. An element without it hides the address.
fn standard_hop(entry: Option<&str>) -> Option<Hop> {
    let mut found = Hop::Hidden;
    for parameter in entry?.split(';') {
        let (name, value) = parameter.trim_matches([' ', '\t']).split_once('=')?;
        let value = match value.strip_prefix('"') {
            Some(quoted) => quoted.strip_suffix('"')?,
            None => value,
        };
        // A comma, semicolon or escape inside quotes would have cut this parameter apart: refused, not guessed.
        if value.contains(['"', '\\']) {
            return None;
        }
        match (name.eq_ignore_ascii_case("for"), found) {
            (true, Hop::Hidden) => found = node(value)?,
            (true, Hop::Address(_)) => return None,
            (false, _) => {}
        }
    }
    Some(found)
}

fn node(text: &str) -> Option<Hop> {
    if text.eq_ignore_ascii_case("unknown") || text.starts_with('_') {
        return Some(Hop::Hidden);
    }
    let bracketed = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let bare = bracketed.unwrap_or(text).parse::<IpAddr>().ok();
    let address = bare.or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip()))?;
    Some(Hop::Address(address.to_canonical()))
}

fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    trusted.iter().any(|network| network.contains(&address))
}

#[cfg(test)]
mod tests;
