//! The header of the PROXY protocol: whatever a peer sends, it is read in one way.

use std::net::IpAddr;

use proptest::prelude::*;

use vestibule::decide::proxy_protocol::{MAX_HEADER, ProxyHeader, parse};

/// Bytes that look like the beginning of a header.
fn headers() -> impl Strategy<Value = Vec<u8>> {
    let start = prop::sample::select(vec![
        &b""[..],
        b"PROXY ",
        b"PROXY TCP4 ",
        b"PROXY TCP6 ",
        b"PROXY UNKNOWN",
        b"\r\n\r\n\0\r\nQUIT\n",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x24",
        b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0",
    ]);
    let rest = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..80),
        "[0-9a-f.: \r\n]{0,120}".prop_map(String::into_bytes),
    ];
    (start, rest).prop_map(|(start, rest)| [start, &rest].concat())
}

proptest! {
    #![proptest_config(super::scaled(16))]

    /// It neither panics nor says more than it has read, and what follows changes nothing.
    #[test]
    fn more_bytes_never_change_an_answer(bytes in headers(), at in any::<prop::sample::Index>()) {
        let whole = parse(&bytes);
        if let ProxyHeader::Complete { length, .. } = whole {
            prop_assert!(length <= bytes.len() && length <= MAX_HEADER);
        }
        let before = parse(&bytes[..at.index(bytes.len() + 1)]);
        prop_assert!(before == ProxyHeader::Partial || before == whole, "{before:?} {whole:?}");
    }

    #[test]
    fn an_address_is_read_as_it_was_written(source in any::<IpAddr>(), port in any::<u16>()) {
        let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
        let line = format!("PROXY {family} {source} {source} {port} {port}\r\n");
        let expected = ProxyHeader::Complete { length: line.len(), source: Some(source) };
        prop_assert_eq!(parse(line.as_bytes()), expected);
        let (family, octets) = match source {
            IpAddr::V4(v4) => (0x11, v4.octets().to_vec()),
            IpAddr::V6(v6) => (0x21, v6.octets().to_vec()),
        };
        let ports = port.to_be_bytes().repeat(2);
        let block = [&octets[..], &octets, &ports].concat();
        let length = u16::try_from(block.len()).unwrap().to_be_bytes();
        let header = [b"\r\n\r\n\0\r\nQUIT\n\x21", &[family][..], &length, &block].concat();
        let expected = ProxyHeader::Complete { length: header.len(), source: Some(source) };
        prop_assert_eq!(parse(&header), expected);
    }
}
