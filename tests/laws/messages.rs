//! Laws of what stands in messages: response heads, `Forwarded`, `traceparent`. Each is read again
//! with another parser than the gateway's.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version};
use proptest::prelude::*;
use proptest::sample::select;
use vestibule::decide::client_address::resolve_client_ip;
use vestibule::decide::forwarded::is_forwarded;
use vestibule::decide::trace_context::{is_traceparent, new_traceparent};
use vestibule::decide::upstream_headers::forwarded_value;
use vestibule::decide::upstream_response::{AskedUpgrade, UpstreamHead};

/// A field line of a response, such as applications send and such as none should.
fn field() -> impl Strategy<Value = String> {
    let framing = select(vec![
        "Content-Length: 5",
        "content-length: 5",
        "Content-Length: 05",
        "Content-Length: 5, 5",
        "Content-Length: 5,",
        "Content-Length: +5",
        "Content-Length:",
        "Content-Length: 99999999999999999999",
        "Transfer-Encoding: chunked",
        "Transfer-Encoding: Chunked",
        "Transfer-Encoding:\tchunked \t",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding:",
        "Transfer-Encoding: \u{e9}",
    ]);
    let hop = select(vec![
        "Connection: close",
        "Connection: keep-alive, X-Node",
        "connection: upgrade,,x-node , Content-Length",
        "Connection: \u{e9}, x-node",
        "Keep-Alive: timeout=5",
        "Proxy-Connection: x",
        "Upgrade: websocket",
        "Upgrade: h2c",
        "TE: trailers",
        "Trailer: x",
    ]);
    let others = select(vec![
        "X-Node: 10.0.0.1",
        "ETag: x",
        "Set-Cookie: a=b",
        "Date: x",
    ]);
    prop_oneof![
        3 => framing.prop_map(str::to_owned),
        2 => hop.prop_map(str::to_owned),
        2 => others.prop_map(str::to_owned),
        1 => "[A-Za-z-]{1,8}: [ -~]{0,12}",
    ]
}

fn response() -> impl Strategy<Value = (String, AskedUpgrade)> {
    let line = select(vec![
        "HTTP/1.1 200 OK",
        "HTTP/1.0 200 OK",
        "HTTP/1.1 204 No Content",
        "HTTP/1.1 304 Not Modified",
        "HTTP/1.1 101 Switching Protocols",
        "HTTP/1.0 101 Switching Protocols",
        "HTTP/1.1 103 Early Hints",
        "HTTP/1.1 426 Upgrade Required",
        "HTTP/1.1 500 ",
    ]);
    let asked = select(vec![AskedUpgrade::None, AskedUpgrade::WebSocket]);
    (line, proptest::collection::vec(field(), 0..5), asked).prop_map(|(line, fields, asked)| {
        let fields = fields
            .iter()
            .fold(String::new(), |all, field| all + field + "\r\n");
        (format!("{line}\r\n{fields}\r\n"), asked)
    })
}

/// The head as `httparse` reads it; `None` where it is none.
fn parsed(head: &str) -> Option<(StatusCode, Version, HeaderMap)> {
    let mut lines = [httparse::EMPTY_HEADER; 16];
    let mut response = httparse::Response::new(&mut lines);
    let status = response.parse(head.as_bytes()).ok()?;
    assert!(status.is_complete(), "{head:?}");
    let mut fields = HeaderMap::new();
    for line in response.headers.iter() {
        let name = HeaderName::from_bytes(line.name.as_bytes()).ok()?;
        fields.append(name, HeaderValue::from_bytes(line.value).ok()?);
    }
    let version = match response.version? {
        0 => Version::HTTP_10,
        _ => Version::HTTP_11,
    };
    Some((StatusCode::from_u16(response.code?).ok()?, version, fields))
}

/// The values of a field in a head, by its lines alone.
fn values<'a>(head: &'a str, name: &str) -> Vec<&'a str> {
    head.lines()
        .skip(1)
        .filter_map(|line| line.split_once(':'))
        .filter(|(have, _)| have.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim_matches([' ', '\t']))
        .collect()
}

/// The elements of a list, split at the commas outside quotes; `None` where a quote stays open.
fn elements(list: &str) -> Option<Vec<String>> {
    let (mut elements, mut quoted, mut escaped) = (vec![String::new()], false, false);
    for c in list.chars() {
        match c {
            ',' if !quoted => {
                elements.push(String::new());
                continue;
            }
            '"' if !escaped => quoted = !quoted,
            _ => {}
        }
        escaped = quoted && c == '\\' && !escaped;
        elements.last_mut()?.push(c);
    }
    (!quoted).then(|| {
        elements
            .iter()
            .map(|element| element.trim().to_owned())
            .collect()
    })
}

fn forwarded_field() -> impl Strategy<Value = Vec<u8>> {
    let piece = select(vec![
        "for=",
        "192.0.2.1",
        "\"",
        "\"[2001:db8::1]\"",
        ";",
        ",",
        ", ",
        "proto=https",
        "host=",
        "\\",
        "\\\"",
        "=",
        " ",
        "a",
        "_x",
        "unknown",
        "for=a",
        "FOR=\"b\"",
        "\t",
        ";by=c",
    ]);
    let odd = prop_oneof![
        30 => piece.prop_map(|piece| piece.as_bytes().to_vec()),
        1 => any::<u8>().prop_map(|byte| vec![byte]),
    ];
    proptest::collection::vec(odd, 0..9).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(super::scaled(2))]

    /// RFC 9112, section 6.3: what is passed on ends in one place for every reader.
    #[test]
    fn a_response_that_passes_has_one_end((head, asked) in response()) {
        let Some((status, version, fields)) = parsed(&head) else { return Ok(()) };
        let upstream = UpstreamHead { status, version, fields: &fields };
        let no_body = status.is_informational() || status == StatusCode::NO_CONTENT;
        let (lengths, codings) = (values(&head, "content-length"), values(&head, "transfer-encoding"));
        let doubtful = lengths.len() > 1
            || lengths.iter().any(|length| !length.chars().all(|c| c.is_ascii_digit()))
            || codings.len() > 1
            || codings.iter().any(|coding| !coding.eq_ignore_ascii_case("chunked"))
            || !codings.is_empty() && (!lengths.is_empty() || version == Version::HTTP_10);
        let websocket = values(&head, "upgrade");
        let switches = status == StatusCode::SWITCHING_PROTOCOLS;
        let unasked = switches && !(asked == AskedUpgrade::WebSocket && version == Version::HTTP_11
            && websocket.len() == 1 && websocket[0].eq_ignore_ascii_case("websocket"));
        prop_assert_eq!(upstream.validate(asked).is_err(), unasked || doubtful && !no_body, "{:?}", head);
    }

    /// RFC 9110, section 7.6.1.
    #[test]
    fn nothing_of_this_hop_reaches_the_client((head, _) in response()) {
        let Some((status, version, mut fields)) = parsed(&head) else { return Ok(()) };
        for name in (UpstreamHead { status, version, fields: &fields }).removals() {
            fields.remove(name);
        }
        let nominated: Vec<&str> = values(&head, "connection").iter()
            .flat_map(|options| options.split(',')).map(str::trim).collect();
        let names_protocol = matches!(status.as_u16(), 101 | 426);
        for line in head.lines().skip(1).filter_map(|line| line.split_once(':')) {
            let name = line.0.to_ascii_lowercase();
            let framing = matches!(name.as_str(), "content-length" | "transfer-encoding");
            let of_this_hop = matches!(name.as_str(), "connection" | "keep-alive" | "proxy-connection" | "te" | "trailer")
                || name == "upgrade" && !names_protocol
                || framing && (status.is_informational() || status.as_u16() == 204);
            let named = nominated.iter().any(|option| option.eq_ignore_ascii_case(&name))
                && !framing && name != "upgrade";
            prop_assert_eq!(fields.contains_key(name.as_str()), !(of_this_hop || named), "{} of {:?}", name, head);
        }
    }

    /// Whatever the client sent: who reads the list finds the gateway's element at its end.
    #[test]
    fn the_element_of_this_hop_is_the_last_of_forwarded(fields in proptest::collection::vec(forwarded_field(), 0..3)) {
        let peer = "10.0.0.9".parse().unwrap();
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        let client = resolve_client_ip(peer, std::iter::empty(), &trusted);
        let earlier = client.trusted_forwarded(fields.iter().map(Vec::as_slice));
        let value = forwarded_value(earlier.as_deref(), peer, ";proto=http");
        prop_assert!(HeaderValue::from_str(&value).is_ok());
        let elements = elements(&value).expect("no open quote");
        prop_assert_eq!(elements.last().unwrap(), "for=10.0.0.9;proto=http");
        // What a well-formed field says right before is kept.
        if let Some(last) = fields.last().filter(|field| is_forwarded(field)) {
            let last = std::str::from_utf8(last).unwrap().trim();
            prop_assert!(earlier.unwrap().trim().ends_with(last));
        }
    }

    #[test]
    fn a_field_of_pairs_is_forwarded(
        hops in proptest::collection::vec(
            proptest::collection::btree_map("[a-z]{1,4}", prop_oneof!["[a-z0-9._-]{1,6}", "\"([ !#-\\[\\]-~]|\\\\[ -~]){0,6}\""], 1..4), 1..4),
    ) {
        let pairs = |hop: &std::collections::BTreeMap<String, String>| {
            hop.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(";")
        };
        let value = hops.iter().map(pairs).collect::<Vec<_>>().join(", ");
        prop_assert!(is_forwarded(value.as_bytes()), "{}", value);
        let unclosed = format!("{value};x=\"");
        prop_assert!(!is_forwarded(unclosed.as_bytes()));
    }

    #[test]
    fn a_traceparent_is_four_numbers(
        version in "0[0-1]|ff|[0-9a-f]{2}|[A-Z0-9]{1,3}",
        trace in "[0-9a-f]{32}|0{32}|[0-9a-fA-F+]{30,33}",
        parent in "[0-9a-f]{16}|0{16}|[0-9a-g+]{15,17}",
        flags in "[0-9a-f]{2}|[0-9A-G+]{2}",
        rest in "|-|-[a-z]{2}|x",
    ) {
        let value = format!("{version}-{trace}-{parent}-{flags}{rest}");
        let number = |text: &str, length: usize| {
            let lower = text.len() == length && !text.contains('+') && !text.chars().any(|c| c.is_ascii_uppercase());
            u128::from_str_radix(text, 16).ok().filter(|_| lower)
        };
        let valid = number(&version, 2).is_some_and(|version| version != 0xff)
            && number(&trace, 32).is_some_and(|trace| trace != 0)
            && number(&parent, 16).is_some_and(|parent| parent != 0)
            && number(&flags, 2).is_some()
            && (rest.is_empty() || version != "00" && rest.starts_with('-'));
        prop_assert_eq!(is_traceparent(value.as_bytes()), valid, "{}", value);
    }

    #[test]
    fn a_new_traceparent_is_one(trace in any::<u128>(), parent in any::<u64>(), bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
        prop_assert!(is_traceparent(new_traceparent(trace, parent).as_bytes()));
        // Whatever the bytes are.
        let _ = is_traceparent(&bytes);
    }
}
