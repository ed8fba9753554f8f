//! The header of the PROXY protocol, versions 1 and 2: a proxy in front of the gateway sends it
//! before anything else, and names the client of the connection in it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The first bytes of version 2. No request and no TLS handshake begins with them.
const SIGNATURE_V2: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// The length of the fixed part of version 2.
const FIXED_V2: usize = 16;
/// The most bytes of a header of version 1, its line end included.
const MAX_V1: usize = 107;
/// The most bytes of a header of version 2. Its length field would allow 64 KiB, and addresses with
/// what proxies add to them take some hundred bytes.
pub const MAX_HEADER: usize = 4096;

/// What the bytes at the start of a connection are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyHeader {
    /// The beginning of a header.
    Partial,
    /// A whole header.
    Complete {
        /// The number of its bytes. What follows is the client's.
        length: usize,
        /// The client's address; `None` where the proxy speaks for itself, as in a health check, or
        /// does not know.
        source: Option<IpAddr>,
    },
    /// No header, whatever follows.
    Invalid,
}

/// Reads the header at the start of `bytes`.
#[must_use]
pub fn parse(bytes: &[u8]) -> ProxyHeader {
    let start = bytes.get(..SIGNATURE_V2.len()).unwrap_or(bytes);
    if SIGNATURE_V2.starts_with(start) {
        parse_v2(bytes)
    } else {
        parse_v1(bytes)
    }
}

fn parse_v2(bytes: &[u8]) -> ProxyHeader {
    let Some((fixed, rest)) = bytes.split_at_checked(FIXED_V2) else {
        // What the command says need not be waited for.
        return match bytes.get(SIGNATURE_V2.len()) {
            Some(command) if !matches!(command, 0x20 | 0x21) => ProxyHeader::Invalid,
            Some(_) | None => ProxyHeader::Partial,
        };
    };
    let [.., command, family, high, low] = *fixed else {
        return ProxyHeader::Invalid;
    };
    let addresses = usize::from(u16::from_be_bytes([high, low]));
    let length = FIXED_V2 + addresses;
    if !matches!(command, 0x20 | 0x21) || length > MAX_HEADER {
        return ProxyHeader::Invalid;
    }
    let Some(addresses) = rest.get(..addresses) else {
        return ProxyHeader::Partial;
    };
    // 0x20 is `LOCAL`: the proxy's own connection.
    if command == 0x20 {
        return ProxyHeader::Complete {
            length,
            source: None,
        };
    }
    let source = match family {
        0x11 => addresses
            .first_chunk::<4>()
            .filter(|_| addresses.len() >= 12)
            .map(|octets| IpAddr::V4(Ipv4Addr::from(*octets))),
        0x21 => addresses
            .first_chunk::<16>()
            .filter(|_| addresses.len() >= 36)
            .map(|octets| IpAddr::V6(Ipv6Addr::from(*octets))),
        // Neither TCP over IPv4 nor over IPv6, such as a local socket.
        _ => {
            return ProxyHeader::Complete {
                length,
                source: None,
            };
        }
    };
    match source {
        Some(_) => ProxyHeader::Complete { length, source },
        None => ProxyHeader::Invalid,
    }
}

fn parse_v1(bytes: &[u8]) -> ProxyHeader {
    const START: &[u8] = b"PROXY ";
    if !bytes.starts_with(bytes_of(START, bytes.len())) {
        return ProxyHeader::Invalid;
    }
    let line = bytes_of(bytes, MAX_V1);
    let Some(end) = line.windows(2).position(|two| two == b"\r\n") else {
        return if line.len() == MAX_V1 {
            ProxyHeader::Invalid
        } else {
            ProxyHeader::Partial
        };
    };
    let text = line
        .get(START.len()..end)
        .and_then(|text| std::str::from_utf8(text).ok());
    let length = end + 2;
    match text.and_then(source_v1) {
        Some(source) => ProxyHeader::Complete { length, source },
        None => ProxyHeader::Invalid,
    }
}

/// At most the first `length` bytes.
fn bytes_of(bytes: &[u8], length: usize) -> &[u8] {
    bytes.get(..length).unwrap_or(bytes)
}

/// The source in what follows `PROXY `; the outer `None` where that is malformed.
#[expect(
    clippy::option_option,
    reason = "malformed, unknown, or an address: the caller tells them apart at once"
)]
fn source_v1(text: &str) -> Option<Option<IpAddr>> {
    let mut words = text.split(' ');
    let source = match words.next()? {
        // What follows is to be ignored.
        "UNKNOWN" => return Some(None),
        "TCP4" => {
            let [source, _] = addresses::<Ipv4Addr>(&mut words)?;
            IpAddr::V4(source)
        }
        "TCP6" => {
            let [source, _] = addresses::<Ipv6Addr>(&mut words)?;
            IpAddr::V6(source)
        }
        _ => return None,
    };
    words.next()?.parse::<u16>().ok()?;
    words.next()?.parse::<u16>().ok()?;
    words.next().is_none().then_some(Some(source))
}

/// Source and destination.
fn addresses<'a, A: std::str::FromStr>(
    words: &mut impl Iterator<Item = &'a str>,
) -> Option<[A; 2]> {
    let source = words.next()?.parse().ok()?;
    let destination = words.next()?.parse().ok()?;
    Some([source, destination])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete(length: usize, source: Option<&str>) -> ProxyHeader {
        ProxyHeader::Complete {
            length,
            source: source.map(|text| text.parse().unwrap()),
        }
    }

    #[test]
    fn version_1() {
        let tcp4 = b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\nGET /";
        assert_eq!(parse(tcp4), complete(45, Some("192.0.2.7")));
        let tcp6 = b"PROXY TCP6 2001:db8::7 2001:db8::1 56324 443\r\n";
        assert_eq!(parse(tcp6), complete(46, Some("2001:db8::7")));
        for unknown in ["PROXY UNKNOWN\r\n", "PROXY UNKNOWN ff 1 2 3\r\n"] {
            assert_eq!(parse(unknown.as_bytes()), complete(unknown.len(), None));
        }
        for partial in ["", "P", "PROXY", "PROXY TCP4 192.0.2.7 198.51.100.1 1 2\r"] {
            assert_eq!(parse(partial.as_bytes()), ProxyHeader::Partial, "{partial}");
        }
        let long = format!("PROXY UNKNOWN {}", "x".repeat(MAX_V1));
        for invalid in [
            "GET / HTTP/1.1\r\n",
            "PROXx",
            "proxy TCP4",
            "PROXY TCP4 192.0.2.7 198.51.100.1 56324\r\n",
            "PROXY TCP4 192.0.2.7 198.51.100.1 56324 443 \r\n",
            "PROXY TCP4  192.0.2.7 198.51.100.1 56324 443\r\n",
            "PROXY TCP4 192.0.2.7 198.51.100.1 65536 443\r\n",
            "PROXY TCP4 2001:db8::7 2001:db8::1 56324 443\r\n",
            "PROXY TCP6 192.0.2.7 198.51.100.1 56324 443\r\n",
            "PROXY UDP4 192.0.2.7 198.51.100.1 56324 443\r\n",
            "PROXY \r\n",
            &long,
        ] {
            assert_eq!(parse(invalid.as_bytes()), ProxyHeader::Invalid, "{invalid}");
        }
    }

    /// A header of version 2 with this command, family and address block.
    fn version_2(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
        let length = u16::try_from(block.len()).unwrap().to_be_bytes();
        [&SIGNATURE_V2[..], &[command, family], &length, block].concat()
    }

    #[test]
    fn version_2_with_addresses() {
        let block4 = [192, 0, 2, 7, 198, 51, 100, 1, 0xdc, 4, 1, 187];
        let mut block6 = [0; 36];
        block6[..2].copy_from_slice(&[0x20, 1]);
        block6[15] = 7;
        let with_more = [&block4[..], &[4, 0, 1, 0]].concat();
        for (command, family, block, source) in [
            (0x21, 0x11, &block4[..], Some("192.0.2.7")),
            (0x21, 0x21, &block6, Some("2001::7")),
            (0x21, 0x11, &with_more, Some("192.0.2.7")),
            (0x20, 0x11, &block4, None),
            (0x20, 0, &[], None),
            (0x21, 0, &[], None),
            // A local socket, and UDP.
            (0x21, 0x31, &[0; 216], None),
            (0x21, 0x12, &block4, None),
        ] {
            let mut header = version_2(command, family, block);
            let expected = complete(header.len(), source);
            assert_eq!(parse(&header), expected);
            header.extend(b"GET / HTTP/1.1");
            assert_eq!(parse(&header), expected);
            header.truncate(FIXED_V2 + block.len());
            for end in 0..header.len() {
                assert_eq!(parse(&header[..end]), ProxyHeader::Partial, "{end}");
            }
        }
    }

    #[test]
    fn version_2_that_is_malformed() {
        for header in [
            version_2(0x22, 0x11, &[0; 12]),
            version_2(0x11, 0x11, &[0; 12]),
            version_2(0x21, 0x11, &[0; 11]),
            version_2(0x21, 0x21, &[0; 12]),
            version_2(0x20, 0, &[0; MAX_HEADER]),
        ] {
            assert_eq!(parse(&header), ProxyHeader::Invalid, "{header:?}");
        }
        assert_eq!(parse(b"\r\n\r\nGET"), ProxyHeader::Invalid);
        assert_eq!(parse(b"\r\n\r\n\0\r\nQUIT\n\x31"), ProxyHeader::Invalid);
    }
}
