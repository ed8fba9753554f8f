//! What the application is sent: which of the client's headers go, which of ours come, whom we
//! believe (`docs/reference/headers.md`).

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::{HeaderMap, HeaderName};
use ipnet::IpNet;

use crate::model::site::Site;

/// The header names of a client's request that must not reach the application: everything the
/// gateway manages, in every spelling, on every route.
#[must_use]
pub fn removals(site: &Site, headers: &HeaderMap) -> Vec<HeaderName> {
    headers
        .keys()
        .filter(|name| site.manages_header(name))
        .cloned()
        .collect()
}

/// Who a request comes from, as far as we believe it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// The rightmost address that is not a trusted proxy.
    pub client: IpAddr,
    /// The value of `X-Forwarded-For` for the application; `None` where that is the peer alone.
    pub forwarded_for: Option<String>,
    /// Whether the peer's own `Forwarded` chain may be kept.
    pub peer_is_trusted: bool,
}

/// Follows `X-Forwarded-For` from the right as long as the addresses are trusted proxies (threat
/// model, R-38). `fields` are the field's values in the order they arrived; they count only when
/// `peer` itself is trusted.
pub fn chain<'a>(
    peer: IpAddr,
    fields: impl DoubleEndedIterator<Item = &'a str>,
    trusted: &[IpNet],
) -> Chain {
    let peer = peer.to_canonical();
    let is_trusted = |address: &IpAddr| trusted.iter().any(|net| net.contains(address));
    if !is_trusted(&peer) {
        return Chain {
            client: peer,
            forwarded_for: None,
            peer_is_trusted: false,
        };
    }
    let mut client = peer;
    let mut kept: Vec<&str> = fields
        .flat_map(|field| field.split(','))
        .map(str::trim_ascii)
        .collect();
    kept.retain(|entry| !entry.is_empty());
    for entry in kept.iter().rev() {
        // An entry that is no address ends the chain of belief at the proxy that reported it.
        let Some(address) = parse_address(entry) else {
            break;
        };
        client = address;
        if !is_trusted(&address) {
            break;
        }
    }
    let forwarded_for = (!kept.is_empty()).then(|| {
        let mut all = kept.join(", ");
        all.push_str(", ");
        push_address(&mut all, peer);
        all
    });
    Chain {
        client,
        forwarded_for,
        peer_is_trusted: true,
    }
}

/// An address as proxies write it: bare, or with a port, IPv6 with brackets where a port follows.
fn parse_address(entry: &str) -> Option<IpAddr> {
    if let Ok(address) = entry.parse::<IpAddr>() {
        return Some(address.to_canonical());
    }
    if let Some(rest) = entry.strip_prefix('[') {
        let (address, _) = rest.split_once(']')?;
        return address
            .parse::<Ipv6Addr>()
            .ok()
            .map(|address| IpAddr::V6(address).to_canonical());
    }
    let (address, port) = entry.rsplit_once(':')?;
    port.parse::<u16>().ok()?;
    address.parse::<Ipv4Addr>().ok().map(IpAddr::V4)
}

/// The `Forwarded` field's value (RFC 7239): what a trusted proxy said before, then this hop.
/// `rest` is the part that is the same for every request of a site: `;host=…;proto=…`.
#[must_use]
pub fn forwarded(before: Option<&str>, peer: IpAddr, rest: &str) -> String {
    let mut value =
        String::with_capacity(before.map_or(0, str::len) + rest.len() + MOST_LETTERS + 10);
    value.extend(before.into_iter().flat_map(|before| [before, ", "]));
    let peer = peer.to_canonical();
    let (open, close) = if peer.is_ipv4() {
        ("for=", "")
    } else {
        ("for=\"[", "]\"")
    };
    value.push_str(open);
    push_address(&mut value, peer);
    value.push_str(close);
    value.push_str(rest);
    value
}

/// An address as text.
#[must_use]
pub fn address(address: IpAddr) -> String {
    let mut text = String::with_capacity(MOST_LETTERS);
    push_address(&mut text, address);
    text
}

/// The longest address as text.
const MOST_LETTERS: usize = "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255".len();

/// Writes an address as it is always written. The standard library's way takes ten times as long
/// for IPv4, and each request asks twice.
fn push_address(text: &mut String, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            for (at, octet) in address.octets().into_iter().enumerate() {
                if at > 0 {
                    text.push('.');
                }
                for (from, unit) in [(100, 100), (10, 10), (0, 1)] {
                    if octet >= from {
                        text.push(char::from(b'0' + octet / unit % 10));
                    }
                }
            }
        }
        IpAddr::V6(address) => {
            // Writing into a String does not fail.
            let _ = write!(text, "{address}");
        }
    }
}

/// Whether a client's request id may be kept: 1 to 128 of `A-Za-z0-9-_.`.
#[must_use]
pub fn keeps_request_id(id: &str) -> bool {
    (1..=128).contains(&id.len())
        && id
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn believed(peer: &str, fields: &[&str], trusted: &[&str]) -> (String, String) {
        let trusted: Vec<IpNet> = trusted.iter().map(|net| net.parse().unwrap()).collect();
        let peer = peer.parse().unwrap();
        let chain = chain(peer, fields.iter().copied(), &trusted);
        (
            chain.client.to_string(),
            chain.forwarded_for.unwrap_or_else(|| address(peer)),
        )
    }

    #[test]
    fn a_stranger_s_chain_is_not_believed() {
        assert_eq!(
            believed("9.9.9.9", &["1.1.1.1"], &["10.0.0.0/8"]),
            ("9.9.9.9".into(), "9.9.9.9".into())
        );
    }

    #[test]
    fn the_rightmost_untrusted_address_is_the_client() {
        let (client, all) = believed(
            "10.0.0.1",
            &["1.1.1.1, 2.2.2.2", "10.0.0.7"],
            &["10.0.0.0/8"],
        );
        assert_eq!(
            (client.as_str(), all.as_str()),
            ("2.2.2.2", "1.1.1.1, 2.2.2.2, 10.0.0.7, 10.0.0.1")
        );
    }

    #[test]
    fn ports_and_brackets_are_understood_and_nonsense_ends_the_chain() {
        assert_eq!(
            believed("10.0.0.1", &["1.1.1.1:99"], &["10.0.0.0/8"]).0,
            "1.1.1.1"
        );
        assert_eq!(
            believed("10.0.0.1", &["[2001:db8::1]:99"], &["10.0.0.0/8"]).0,
            "2001:db8::1"
        );
        assert_eq!(
            believed("10.0.0.1", &["1.1.1.1, unknown, 10.0.0.2"], &["10.0.0.0/8"]).0,
            "10.0.0.2"
        );
        assert_eq!(
            believed("::ffff:10.0.0.1", &["1.1.1.1"], &["10.0.0.0/8"]).0,
            "1.1.1.1"
        );
        assert_eq!(believed("10.0.0.1", &[], &["10.0.0.0/8"]).0, "10.0.0.1");
    }

    #[test]
    fn addresses_are_written_as_everybody_does() {
        for octet in 0..=255 {
            for address in [
                Ipv4Addr::new(octet, 0, 255, octet),
                Ipv4Addr::new(10, octet, octet, 9),
            ]
            .map(IpAddr::V4)
            {
                let mut text = String::new();
                push_address(&mut text, address);
                assert_eq!(text, address.to_string());
            }
        }
        let at = |peer: &str| forwarded(Some("for=a"), peer.parse().unwrap(), ";proto=http");
        assert_eq!(at("10.0.0.1"), "for=a, for=10.0.0.1;proto=http");
        assert_eq!(at("2001:db8::1"), "for=a, for=\"[2001:db8::1]\";proto=http");
    }

    #[test]
    fn request_ids_of_clients_are_kept_only_when_harmless() {
        assert!(keeps_request_id("aZ09-_."));
        for bad in ["", "a b", "a\nb", "é", &"a".repeat(129)] {
            assert!(!keeps_request_id(bad), "{bad:?}");
        }
    }
}
