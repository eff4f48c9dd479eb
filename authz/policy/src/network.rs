//! Sets of addresses: ranges, merged and sorted, so that membership is one binary search.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// The addresses of a `source_ip` criterion.
#[derive(Debug, Default)]
pub(crate) struct Networks {
    v4: Box<[(u32, u32)]>,
    v6: Box<[(u128, u128)]>,
}

impl Networks {
    pub(crate) fn new(networks: &[IpNet]) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for network in networks {
            match network {
                IpNet::V4(net) => v4.push((net.network().into(), net.broadcast().into())),
                IpNet::V6(net) => v6.push((net.network().into(), net.broadcast().into())),
            }
        }
        Self { v4: merged(v4), v6: merged(v6) }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    #[inline(never)]
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(address) => within(&self.v4, address.into()),
            IpAddr::V6(address) => within(&self.v6, address.into()),
        }
    }
}

fn within<N: Copy + Ord>(ranges: &[(N, N)], wanted: N) -> bool {
    let after = ranges.partition_point(|(start, _)| *start <= wanted);
    after.checked_sub(1).and_then(|place| ranges.get(place)).is_some_and(|(_, end)| wanted <= *end)
}

fn merged<N: Copy + Ord>(mut ranges: Vec<(N, N)>) -> Box<[(N, N)]> {
    ranges.sort_unstable();
    let mut merged: Vec<(N, N)> = Vec::with_capacity(ranges.len());
    for (start, end) in ranges {
        match merged.last_mut() {
            Some((_, last)) if start <= *last => *last = end.max(*last),
            _ => merged.push((start, end)),
        }
    }
    merged.into()
}

/// A parsed address or network, and whether its host bits were set.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ParsedNetwork {
    pub network: IpNet,
    pub host_bits: bool,
}

/// Reads an address or a CIDR. IPv4-mapped IPv6 is read as IPv4; zones and leading zeros are not read at all.
pub(crate) fn parse(text: &str) -> Option<ParsedNetwork> {
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(prefix_length(length)?)),
        None => (text, None),
    };
    let written: IpAddr = address.parse().ok()?;
    let widest = if written.is_ipv4() { 32 } else { 128 };
    let length = length.unwrap_or(widest);
    if length > widest {
        return None;
    }
    let canonical = written.to_canonical();
    let network = match (canonical, length.checked_sub(96)) {
        // The mapped prefix is 96 bits long: what is left applies to the IPv4 address.
        (IpAddr::V4(v4), Some(rest)) if written.is_ipv6() => IpNet::V4(Ipv4Net::new(v4, rest).ok()?),
        _ => match written {
            IpAddr::V4(v4) => IpNet::V4(Ipv4Net::new(v4, length).ok()?),
            IpAddr::V6(v6) => IpNet::V6(Ipv6Net::new(v6, length).ok()?),
        },
    };
    let host_bits = network.trunc() != network;
    Some(ParsedNetwork { network: network.trunc(), host_bits })
}

fn prefix_length(text: &str) -> Option<u8> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| plain)
}

#[cfg(test)]
mod tests {
    use super::{Networks, parse};

    fn contains(networks: &[&str], address: &str) -> bool {
        let parsed: Vec<_> = networks.iter().map(|text| parse(text).unwrap().network).collect();
        Networks::new(&parsed).contains(address.parse().unwrap())
    }

    #[test]
    fn ranges_contain_their_edges_and_no_more() {
        let networks = ["10.0.0.0/8", "10.1.0.0/16", "192.0.2.7", "2001:db8::/32", "198.51.100.128/25"];
        for inside in ["10.0.0.0", "10.255.255.255", "192.0.2.7", "2001:db8:ffff::1", "::ffff:10.1.2.3"] {
            assert!(contains(&networks, inside), "{inside}");
        }
        for outside in ["9.255.255.255", "11.0.0.0", "192.0.2.8", "2001:db9::", "198.51.100.127", "::a00:1"] {
            assert!(!contains(&networks, outside), "{outside}");
        }
        assert!(!contains(&[], "10.0.0.1"));
    }

    #[test]
    fn mapped_addresses_are_ipv4() {
        assert!(contains(&["::ffff:192.0.2.0/120"], "192.0.2.200"));
        assert!(!contains(&["::ffff:192.0.2.0/120"], "192.0.3.1"));
        assert!(contains(&["::ffff:192.0.2.7"], "192.0.2.7"));
        assert!(!contains(&["::/0"], "192.0.2.7") && contains(&["0.0.0.0/0"], "::ffff:192.0.2.7"));
    }

    #[test]
    fn host_bits_are_masked_and_told() {
        let parsed = parse("192.0.2.7/24").unwrap();
        assert!(parsed.host_bits && parsed.network.to_string() == "192.0.2.0/24");
        assert!(!parse("192.0.2.0/24").unwrap().host_bits);
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in [
            "",
            "10",
            "10.0.0",
            "010.0.0.1",
            "10.0.0.1/33",
            "10.0.0.0/08",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "10.0.0.0/-1",
            "::1/129",
            "fe80::1%eth0",
            "example.test",
            "10.0.0.1/8/8",
            " 10.0.0.1",
            "10.0.0.1:80",
            "[::1]",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
