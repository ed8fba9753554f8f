//! Laws of request heads, which `httparse` reads again. Its strict form is the reference.

use proptest::prelude::*;
use proptest::sample::select;

use super::super::http1_target::rewrite;
use super::*;

/// A head as an independent parser reads it.
#[derive(Debug, PartialEq, Eq)]
struct Parsed {
    length: usize,
    method: String,
    target: String,
    version: u8,
    fields: Vec<(String, Vec<u8>)>,
}

/// What `httparse` says of a head: `None` where it is none.
fn parsed(head: &[u8]) -> Option<Parsed> {
    let mut lines = vec![httparse::EMPTY_HEADER; MAX_FIELDS + 1];
    let mut request = httparse::Request::new(&mut lines);
    let status = request.parse(head).ok()?;
    assert!(status.is_complete(), "the scanner saw its end");
    Some(Parsed {
        length: status.unwrap(),
        method: request.method?.to_owned(),
        target: request.path?.to_owned(),
        version: request.version?,
        fields: request
            .headers
            .iter()
            .map(|line| (line.name.to_owned(), line.value.to_vec()))
            .collect(),
    })
}

/// Pieces of heads: whole lines, and bytes that a line must not have.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let lines = select(vec![
        "GET / HTTP/1.1\r\n",
        "POST /a?b=c HTTP/1.0\r\n",
        "OPTIONS * HTTP/1.1\n",
        "GET http://a/?\"<> HTTP/1.1\r\n",
        "GET /\u{e9} HTTP/1.1\r\n",
        "GET /a#b HTTP/1.1\r\n",
        "GET / HTTP/2.0\r\n",
        "Host: a\r\n",
        "host:a\n",
        "Host : a\r\n",
        ": a\r\n",
        " folded\r\n",
        "A:\r\n",
        "A: b\rc\r\n",
        "A: \u{e9}\r\n",
        "A\0: b\r\n",
        "A: b\0\r\n",
        "no colon\r\n",
        "Content-Length: 5\r\n",
        "Transfer-Encoding: chunked\r\n",
        "\r\n",
        "\n",
        "\r",
        " ",
        "?",
        "GET ",
        "HTTP/1.1",
    ]);
    prop_oneof![
        6 => lines.prop_map(|line| line.as_bytes().to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 0..4),
        1 => "[!-~]{0,12}".prop_map(String::into_bytes),
    ]
}

/// Bytes that often begin like a head, and often end like one.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let start = select(vec![
        "",
        "GET / HTTP/1.1\r\n",
        "POST /a?\"b\" HTTP/1.1\r\n",
        "\r\n",
    ]);
    let end = select(vec![
        "",
        "\r\n",
        "\r\n\r\n",
        "\n\n",
        "\r\n\r\nGET /next HTTP/1.1\r\n\r\n",
    ]);
    let middle = proptest::collection::vec(piece(), 0..8);
    (start, middle, end).prop_map(|(start, middle, end)| {
        [start.as_bytes(), &middle.concat(), end.as_bytes()].concat()
    })
}

fn scan(bytes: &[u8], step: usize) -> (Scanned, HeadScanner) {
    let (mut scanner, mut seen) = (HeadScanner::default(), 0);
    for piece in bytes.chunks(step.max(1)) {
        match scanner.scan(piece) {
            Scanned::Partial => seen += piece.len(),
            Scanned::Complete(end) => return (Scanned::Complete(seen + end), scanner),
            refused @ Scanned::Refused(_) => return (refused, scanner),
        }
    }
    (Scanned::Partial, scanner)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_096, failure_persistence: None, ..ProptestConfig::default() })]

    /// A head that is passed on ends where an independent parser ends it, with the same number of
    /// lines, or that parser refuses it. Nothing behind it is a part of it.
    #[test]
    fn a_head_is_one_head_for_an_independent_parser(bytes in bytes()) {
        let (Scanned::Complete(end), scanner) = scan(&bytes, usize::MAX) else {
            return Ok(());
        };
        prop_assume!(!scanner.is_malformed());
        if let Some(parsed) = parsed(&bytes) {
            prop_assert_eq!(parsed.length, end);
            prop_assert_eq!(parsed.fields.len(), scanner.fields);
        }
    }

    /// What an independent parser takes for a head is one here, unless its request line is one that
    /// Pingora would repair.
    #[test]
    fn a_head_of_an_independent_parser_is_complete(bytes in bytes()) {
        let mut lines = vec![httparse::EMPTY_HEADER; MAX_FIELDS + 1];
        let status = httparse::Request::new(&mut lines).parse(&bytes);
        if let Ok(httparse::Status::Complete(length)) = status {
            let (outcome, _) = scan(&bytes, usize::MAX);
            let begins = bytes.iter().position(|byte| !b"\r\n".contains(byte));
            let expected = if begins.is_some_and(|begins| begins > MAX_EMPTY_LINE_BYTES) {
                Scanned::Refused(HeadError::Malformed)
            } else {
                Scanned::Complete(length)
            };
            prop_assert_eq!(outcome, expected);
        }
    }

    /// However the bytes are cut.
    #[test]
    fn pieces_change_nothing(bytes in bytes(), step in 1_usize..40) {
        let (whole, of_whole) = scan(&bytes, usize::MAX);
        let (in_pieces, of_pieces) = scan(&bytes, step);
        prop_assert_eq!(whole, in_pieces);
        prop_assert_eq!(of_whole.is_malformed(), of_pieces.is_malformed());
        prop_assert_eq!(of_whole.has_begun(), of_pieces.has_begun());
    }

    /// A target that is written anew is another spelling of the same one, and nothing else changes.
    #[test]
    fn a_rewritten_head_has_the_same_fields(bytes in bytes()) {
        let (Scanned::Complete(end), scanner) = scan(&bytes, usize::MAX) else {
            return Ok(());
        };
        prop_assume!(!scanner.is_malformed());
        let head = bytes.get(..end).unwrap_or_default();
        let (Some(before), Some(rewritten)) = (parsed(head), rewrite(head)) else {
            return Ok(());
        };
        let after = parsed(&rewritten);
        prop_assert!(after.is_some(), "{:?}", String::from_utf8_lossy(&rewritten));
        let Some(after) = after else { return Ok(()) };
        prop_assert_eq!(after.length, rewritten.len());
        prop_assert_eq!(&after.fields, &before.fields);
        prop_assert_eq!((after.method, after.version), (before.method, before.version));
        let escaped = before.target.replace('"', "%22").replace('<', "%3C").replace('>', "%3E");
        prop_assert!(escaped.ends_with(&after.target), "{} {}", before.target, after.target);
    }
}
