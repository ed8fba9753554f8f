//! Networks as they are written: `10.0.0.0/8`, or a single address.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};

/// A network or a single address. Clients of IPv4 have an IPv4 address, also where they connect to
/// a socket of IPv6: a network of mapped addresses (`::ffff:10.0.0.0/104`) is the IPv4 network.
pub(super) fn network(text: &str) -> Option<IpNet> {
    let net = text
        .parse()
        .ok()
        .or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))?;
    if let IpNet::V6(v6) = net
        && let Some(v4) = v6.addr().to_ipv4_mapped()
        && let Some(length) = v6.prefix_len().checked_sub(96)
    {
        return Ipv4Net::new(v4, length).ok().map(IpNet::V4);
    }
    Some(net)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapped_network_is_the_ipv4_network() {
        let is = |text: &str| network(text).map(|net| net.to_string());
        for (text, net) in [
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("10.1.2.3", "10.1.2.3/32"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("::ffff:10.1.2.3", "10.1.2.3/32"),
            ("fd00::/8", "fd00::/8"),
            ("::/0", "::/0"),
        ] {
            assert_eq!(is(text).as_deref(), Some(net), "{text}");
        }
        assert_eq!(is("10.0.0.0/33"), None);
    }
}
