//! The address of the client, as far as the proxies in front of the gateway are trusted
//! (`docs/reference/headers.md#client-address`).
//!
//! The peer of a connection is known for certain. What `X-Forwarded-For` says counts only where
//! the peer is one of `server.trusted_proxies`, and only up to the first address that is none:
//! everything left of that one may be invented (threat model, R-38).

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::forwarded::is_forwarded;

/// The client of a request, and what the application is told of the way to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientAddress {
    /// The rightmost address that is not a trusted proxy. An IPv4 address that was written as an
    /// IPv6 one is IPv4 here.
    pub ip: IpAddr,
    /// The value of `X-Forwarded-For` for the application: the addresses that a trusted peer
    /// named, then the peer. `None` where that is the peer alone.
    pub forwarded_for: Option<String>,
    /// Whether the peer is a trusted proxy.
    pub peer_is_trusted: bool,
}

/// Whether `peer` is one of the `trusted` proxies, whose word about the client counts.
#[must_use]
pub fn is_trusted(peer: IpAddr, trusted: &[IpNet]) -> bool {
    let peer = peer.to_canonical();
    trusted.iter().any(|net| net.contains(&peer))
}

/// Follows `X-Forwarded-For` from the right as long as the addresses are trusted proxies.
///
/// `fields` are the values of the field in the order they arrived. They count only when `peer`
/// itself is trusted. An entry that is no address ends the chain at the proxy that reported it. One
/// that is no text at all is passed on as `unknown`: the client may have sent any bytes before the
/// entry of a proxy.
pub fn resolve_client_ip<'a>(
    peer: IpAddr,
    fields: impl Iterator<Item = &'a [u8]>,
    trusted: &[IpNet],
) -> ClientAddress {
    let peer = peer.to_canonical();
    if !is_trusted(peer, trusted) {
        return ClientAddress {
            ip: peer,
            forwarded_for: None,
            peer_is_trusted: false,
        };
    }
    let entries: Vec<&str> = fields
        .flat_map(|field| field.split(|b| *b == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|entry| !entry.is_empty())
        .map(visible)
        .collect();
    let mut client = peer;
    for ip in entries.iter().rev().map_while(|entry| parse_ip(entry)) {
        client = ip;
        if !is_trusted(ip, trusted) {
            break;
        }
    }
    let forwarded_for = (!entries.is_empty()).then(|| {
        let mut chain = entries.join(", ");
        chain.push_str(", ");
        push_ip(&mut chain, peer);
        chain
    });
    ClientAddress {
        ip: client,
        forwarded_for,
        peer_is_trusted: true,
    }
}

impl ClientAddress {
    /// The `Forwarded` fields (RFC 7239) of the request as one value; where there are none, what
    /// `X-Forwarded-For` says in their form (section 7.4), so that an application finds the same
    /// client in both. `None` where neither says anything, or where the peer is not trusted to name
    /// others.
    ///
    /// Many proxies append to `X-Forwarded-For` alone, and pass on what a client wrote into
    /// `Forwarded`. So where there are both, `Forwarded` counts only if it ends with the same address.
    ///
    /// Fields are read from the right. A malformed one counts for nothing, and neither do those
    /// before it, which are older.
    pub fn trusted_forwarded<'a>(
        &self,
        fields: impl DoubleEndedIterator<Item = &'a [u8]>,
    ) -> Option<String> {
        if !self.peer_is_trusted {
            return None;
        }
        let mut valid: Vec<&str> = fields
            .rev()
            .take_while(|field| is_forwarded(field))
            .map(visible)
            .collect();
        valid.reverse();
        let named = self.forwarded_for.as_deref().and_then(without_peer);
        match (valid.last(), named) {
            (None, named) => named.map(elements_of),
            (Some(last), Some(named)) if last_node(last) != last_entry(named) => {
                Some(elements_of(named))
            }
            (Some(_), _) => Some(valid.join(", ")),
        }
    }
}

/// What a trusted peer said: all but the last address, which is the peer's.
fn without_peer(forwarded_for: &str) -> Option<&str> {
    forwarded_for.rsplit_once(", ").map(|(earlier, _)| earlier)
}

/// The address that the last proxy appended to `X-Forwarded-For`.
fn last_entry(forwarded_for: &str) -> Option<IpAddr> {
    forwarded_for.rsplit(", ").next().and_then(parse_ip)
}

/// The address that `for` of the last element of a `Forwarded` field names.
fn last_node(field: &str) -> Option<IpAddr> {
    let element = field.rsplit(',').next()?;
    let mut pairs = element.split(';').filter_map(|pair| pair.split_once('='));
    let (_, node) = pairs.find(|(name, _)| name.trim().eq_ignore_ascii_case("for"))?;
    parse_ip(node.trim().trim_matches('"'))
}

/// The elements of `Forwarded` for these addresses.
fn elements_of(forwarded_for: &str) -> String {
    let elements: Vec<String> = forwarded_for
        .split(", ")
        .map(|entry| match parse_ip(entry) {
            Some(IpAddr::V4(ip)) => format!("for={ip}"),
            Some(IpAddr::V6(ip)) => format!("for=\"[{ip}]\""),
            None => "for=unknown".to_owned(),
        })
        .collect();
    elements.join(", ")
}

/// The text of a value in printable ASCII, `unknown` for any other (RFC 7239, section 6.2).
fn visible(value: &[u8]) -> &str {
    std::str::from_utf8(value)
        .ok()
        .filter(|text| {
            text.bytes()
                .all(|b| b == b'\t' || (0x20..0x7f).contains(&b))
        })
        .unwrap_or("unknown")
}

/// Reads an address as proxies write it: bare, or with a port; IPv6 with brackets where a port
/// follows.
fn parse_ip(entry: &str) -> Option<IpAddr> {
    if let Ok(ip) = entry.parse::<IpAddr>() {
        return Some(ip.to_canonical());
    }
    if let Some(rest) = entry.strip_prefix('[') {
        let (ip, port) = rest.split_once(']')?;
        if let Some(port) = port.strip_prefix(':') {
            port.parse::<u16>().ok()?;
        } else if !port.is_empty() {
            return None;
        }
        return ip
            .parse::<Ipv6Addr>()
            .ok()
            .map(|ip| IpAddr::V6(ip).to_canonical());
    }
    let (ip, port) = entry.rsplit_once(':')?;
    port.parse::<u16>().ok()?;
    ip.parse::<Ipv4Addr>().ok().map(IpAddr::V4)
}

/// The length of the longest address as text, in bytes.
pub(super) const MAX_IP_LEN: usize = "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255".len();

/// An address as text, as the standard library writes it.
#[must_use]
pub fn format_ip(ip: IpAddr) -> String {
    let mut text = String::with_capacity(MAX_IP_LEN);
    push_ip(&mut text, ip);
    text
}

/// Appends an address. The standard library takes ten times as long for IPv4, and every forwarded
/// request needs the text at least once.
pub(super) fn push_ip(text: &mut String, ip: IpAddr) {
    match ip {
        IpAddr::V4(ip) => {
            for (at, octet) in ip.octets().into_iter().enumerate() {
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
        IpAddr::V6(ip) => {
            // Writing into a String does not fail.
            let _ = write!(text, "{ip}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(peer: &str, fields: &[&str]) -> ClientAddress {
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        let fields = fields.iter().map(|field| field.as_bytes());
        resolve_client_ip(peer.parse().unwrap(), fields, &trusted)
    }

    fn client(peer: &str, fields: &[&str]) -> String {
        resolved(peer, fields).ip.to_string()
    }

    #[test]
    fn an_untrusted_peer_names_nobody() {
        let address = resolved("9.9.9.9", &["1.1.1.1"]);
        assert_eq!(
            address,
            ClientAddress {
                ip: "9.9.9.9".parse().unwrap(),
                forwarded_for: None,
                peer_is_trusted: false,
            }
        );
        let fields = [&b"for=1.1.1.1"[..]].into_iter();
        assert_eq!(address.trusted_forwarded(fields), None);
    }

    #[test]
    fn the_rightmost_untrusted_address_is_the_client() {
        let address = resolved("10.0.0.1", &["1.1.1.1, 2.2.2.2", "10.0.0.7"]);
        assert_eq!(address.ip.to_string(), "2.2.2.2");
        assert_eq!(
            address.forwarded_for.as_deref(),
            Some("1.1.1.1, 2.2.2.2, 10.0.0.7, 10.0.0.1")
        );
    }

    #[test]
    fn a_trusted_peer_that_names_nobody_is_the_client() {
        for fields in [&[][..], &["", " , "][..]] {
            let address = resolved("10.0.0.1", fields);
            assert_eq!(address.ip.to_string(), "10.0.0.1");
            assert_eq!(address.forwarded_for, None);
            assert!(address.peer_is_trusted);
        }
    }

    #[test]
    fn ports_and_brackets_are_read_and_anything_else_ends_the_chain() {
        assert_eq!(client("10.0.0.1", &["1.1.1.1:99"]), "1.1.1.1");
        assert_eq!(client("10.0.0.1", &["[2001:db8::1]:99"]), "2001:db8::1");
        assert_eq!(client("10.0.0.1", &["[2001:db8::1]x"]), "10.0.0.1");
        assert_eq!(client("10.0.0.1", &["[2001:db8::1]:x"]), "10.0.0.1");
        assert_eq!(
            client("10.0.0.1", &["1.1.1.1, unknown, 10.0.0.2"]),
            "10.0.0.2"
        );
        assert_eq!(client("::ffff:10.0.0.1", &["1.1.1.1"]), "1.1.1.1");
    }

    #[test]
    fn bytes_that_are_no_text_take_nothing_from_the_entries_behind_them() {
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        for fields in [
            &[&b"\xe9, 2.2.2.2"[..]][..],
            &[b"\xe9", b"2.2.2.2"],
            &[b"1.1.1.1, \xff\xfe", b"2.2.2.2"],
        ] {
            let address = resolve_client_ip(
                "10.0.0.1".parse().unwrap(),
                fields.iter().copied(),
                &trusted,
            );
            assert_eq!(address.ip.to_string(), "2.2.2.2", "{fields:?}");
            let chain = address.forwarded_for.unwrap();
            assert!(chain.ends_with("unknown, 2.2.2.2, 10.0.0.1"), "{chain}");
        }
        let unreadable = [&b"1.1.1.1, \xe9"[..]].into_iter();
        let address = resolve_client_ip("10.0.0.1".parse().unwrap(), unreadable, &trusted);
        assert_eq!(address.ip.to_string(), "10.0.0.1");
    }

    #[test]
    fn the_forwarded_fields_of_a_trusted_peer_are_joined() {
        let joined = |fields: &[&'static [u8]]| {
            let address = resolved("10.0.0.1", &[]);
            address.trusted_forwarded(fields.iter().copied())
        };
        assert_eq!(
            joined(&[b"for=1.1.1.1;proto=https", b"for=10.0.0.7"]).as_deref(),
            Some("for=1.1.1.1;proto=https, for=10.0.0.7")
        );
        assert_eq!(joined(&[]), None);
        let chain = resolved(
            "10.0.0.1",
            &["1.1.1.1:80, 2001:db8::1, _x", "2.2.2.2, 10.0.0.7"],
        );
        let converted =
            "for=1.1.1.1, for=\"[2001:db8::1]\", for=unknown, for=2.2.2.2, for=10.0.0.7";
        assert_eq!(
            chain.trusted_forwarded(std::iter::empty()).as_deref(),
            Some(converted)
        );
        // An open quote would swallow the gateway's own element.
        assert_eq!(joined(&[b"for=\"1.1.1.1"]), None);
        assert_eq!(joined(&[b"for=1.1.1.1", b"for=\xe9"]), None);
        // What the client invented is no reason to drop what the proxy added behind it.
        assert_eq!(
            joined(&[b"for=1.1.1.1", b"for=\"", b"for=2.2.2.2"]).as_deref(),
            Some("for=2.2.2.2")
        );
    }

    #[test]
    fn forwarded_of_a_proxy_that_does_not_write_it_is_its_clients() {
        let told = |forwarded: &'static str, forwarded_for: &str| {
            let address = resolved("10.0.0.1", &[forwarded_for]);
            let fields = [forwarded.as_bytes()].into_iter();
            address.trusted_forwarded(fields).unwrap()
        };
        for both in [
            "for=7.7.7.7;host=a, for=2.2.2.2",
            "for=7.7.7.7, proto=https;For=\"2.2.2.2:80\"",
            "FOR=2.2.2.2;by=10.0.0.1",
        ] {
            assert_eq!(told(both, "7.7.7.7, 2.2.2.2"), both);
        }
        let both = "for=\"[2001:db8::1]:99\"";
        assert_eq!(told(both, "2001:db8::1"), both);
        for invented in [
            "for=7.7.7.7",
            "for=2.2.2.2, for=7.7.7.7",
            "for=unknown",
            "host=a",
            "for=\"2.2.2.2,\"",
        ] {
            assert_eq!(told(invented, "2.2.2.2"), "for=2.2.2.2", "{invented}");
        }
    }

    #[test]
    fn addresses_are_written_as_the_standard_library_writes_them() {
        for octet in 0..=255 {
            for ip in [
                Ipv4Addr::new(octet, 0, 255, octet),
                Ipv4Addr::new(10, octet, octet, 9),
            ]
            .map(IpAddr::V4)
            {
                assert_eq!(format_ip(ip), ip.to_string());
            }
        }
        let ip: IpAddr = "2001:db8::1".parse().unwrap();
        assert_eq!(format_ip(ip), "2001:db8::1");
    }
}
