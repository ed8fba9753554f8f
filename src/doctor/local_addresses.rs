//! The addresses of this machine.

use std::net::{IpAddr, Ipv6Addr};

use nix::ifaddrs::getifaddrs;

/// The addresses of all network interfaces but the loopback one, each once. Link-local addresses of
/// IPv6 are left out: who is on the link has the other ones too.
///
/// # Errors
/// Where the system does not tell.
pub(super) fn other_than_loopback() -> std::io::Result<Vec<IpAddr>> {
    let mut addresses: Vec<IpAddr> = getifaddrs()?
        .filter_map(|interface| {
            let address = interface.address?;
            let v4 = address.as_sockaddr_in().map(|it| IpAddr::V4(it.ip()));
            v4.or_else(|| address.as_sockaddr_in6().map(|it| IpAddr::V6(it.ip())))
        })
        .filter(|address| !address.is_loopback() && !is_link_local(*address))
        .collect();
    addresses.sort();
    addresses.dedup();
    Ok(addresses)
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(_) => false,
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

/// Whether anybody on the internet may reach the address: it is in none of the blocks for private
/// and local use (RFC 1918, RFC 6598, RFC 3927, RFC 4193, RFC 4291) or for documentation.
pub(super) fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let [first, second, ..] = address.octets();
            let is_shared = first == 100 && (64..128).contains(&second);
            !(address.is_private()
                || address.is_loopback()
                || address.is_link_local()
                || address.is_unspecified()
                || address.is_documentation()
                || is_shared)
        }
        IpAddr::V6(address) => is_global_unicast(address),
    }
}

fn is_global_unicast(address: Ipv6Addr) -> bool {
    let [first, second, ..] = address.segments();
    let is_documentation = first == 0x2001 && second == 0x0db8;
    first & 0xe000 == 0x2000 && !is_documentation
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_the_internet_are_public() {
        for (address, expected) in [
            ("8.8.8.8", true),
            ("100.63.0.1", true),
            ("100.64.0.1", false),
            ("10.0.0.1", false),
            ("172.18.0.3", false),
            ("192.168.1.1", false),
            ("127.0.0.1", false),
            ("169.254.1.1", false),
            ("2606:4700::1", true),
            ("::ffff:10.0.0.1", false),
            ("fd00::2", false),
            ("fe80::1", false),
            ("::1", false),
        ] {
            assert_eq!(is_public(address.parse().unwrap()), expected, "{address}");
        }
    }

    #[test]
    fn loopback_is_no_other_address() {
        let addresses = other_than_loopback().unwrap();
        assert!(!addresses.iter().any(IpAddr::is_loopback), "{addresses:?}");
    }
}
