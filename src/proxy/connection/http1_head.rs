//! Where the head of an HTTP/1 request ends, found before Pingora parses it.
//!
//! Pingora parses a head anew whenever more of it arrives, reads up to a megabyte of it, and
//! repairs a request line that is malformed. A [`HeadScanner`] sees each byte once: it finds the
//! end of the head, refuses a head at the byte that exceeds a limit, and remembers a malformed
//! request line.

use memchr::memchr;

use crate::decide::request_validation::MAX_FIELDS;
use crate::model::request_limits::HeadLimits;

/// How many bytes of empty lines may stand before a request line: four lines. RFC 9112, section 2.2
/// asks to ignore at least one, because old clients send one behind a body.
const MAX_EMPTY_LINE_BYTES: usize = 8;

/// What the bytes so far are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scanned {
    /// A head that goes on.
    Partial,
    /// A whole head. It ends before this position in the bytes that were given last.
    Complete(usize),
    /// A head that is refused, whatever follows.
    Refused(HeadError),
}

/// Why a head is refused before it is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeadError {
    /// `400`: this is no request.
    Malformed,
    /// `414`: the target is longer than any site accepts.
    TargetTooLong,
    /// `431`: there are more than [`MAX_FIELDS`] fields, or more bytes beside the target than any
    /// site accepts.
    TooLarge,
}

/// Where in the head the next byte belongs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Position {
    /// No byte of the request line has arrived.
    #[default]
    Before,
    Method,
    /// In the path of the target, or in whatever stands there.
    Target,
    /// In the target, behind a `?`.
    Query,
    Version,
    /// Behind the carriage return of the request line.
    LineFeed,
    /// In a request line that is malformed, whatever follows.
    Malformed,
    /// At the start of a field line, or of the empty line that ends the head.
    FieldStart,
    /// Behind a carriage return at the start of a line.
    EmptyLine,
    Field,
    /// Behind the empty line.
    End,
}

/// Reads the head of one request.
#[derive(Debug, Default)]
pub(super) struct HeadScanner {
    limits: HeadLimits,
    position: Position,
    is_malformed: bool,
    /// The bytes of the target.
    target_bytes: usize,
    /// The bytes of the header fields, with their line ends.
    field_bytes: usize,
    /// All other bytes: the rest of the request line, and empty lines.
    other_bytes: usize,
    fields: usize,
}

impl HeadScanner {
    pub(super) fn new(limits: HeadLimits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }

    /// Whether a byte of the request line has arrived.
    pub(super) fn has_begun(&self) -> bool {
        self.position != Position::Before
    }

    /// Whether something is wrong with the request line that Pingora would repair.
    pub(super) fn is_malformed(&self) -> bool {
        self.is_malformed
    }

    /// Takes in the bytes that arrived next.
    pub(super) fn scan(&mut self, bytes: &[u8]) -> Scanned {
        let mut at = 0;
        while self.position != Position::End {
            let rest = bytes.get(at..).unwrap_or_default();
            let skipped = self.skip_field(rest);
            let byte = rest.get(skipped).copied();
            at += skipped + usize::from(byte.is_some());
            let taken = byte.map_or(Ok(()), |byte| self.take(byte));
            if let Err(error) = taken.and_then(|()| self.check_size()) {
                return Scanned::Refused(error);
            }
            if byte.is_none() {
                return Scanned::Partial;
            }
        }
        Scanned::Complete(at)
    }

    /// Passes over the rest of a field line, and gives the number of its bytes.
    fn skip_field(&mut self, bytes: &[u8]) -> usize {
        if self.position != Position::Field {
            return 0;
        }
        let length = memchr(b'\n', bytes).unwrap_or(bytes.len());
        self.field_bytes += length;
        length
    }

    fn take(&mut self, byte: u8) -> Result<(), HeadError> {
        let from = self.position;
        self.position = from.next(byte)?;
        self.is_malformed |= self.position == Position::Malformed
            // The line feed ended a line that it has no place in.
            || from.is_in_target() && self.position == Position::FieldStart;
        if from.is_in_target() && self.position.is_in_target() {
            self.target_bytes += 1;
        } else if from == Position::Field || self.position == Position::Field {
            self.field_bytes += 1;
        } else {
            self.other_bytes += 1;
        }
        self.fields += usize::from(from == Position::Field && self.position != from);
        Ok(())
    }

    fn check_size(&self) -> Result<(), HeadError> {
        if !self.has_begun() && self.other_bytes > MAX_EMPTY_LINE_BYTES {
            Err(HeadError::Malformed)
        } else if self.target_bytes > self.limits.target {
            Err(HeadError::TargetTooLong)
        } else if self.field_bytes.max(self.other_bytes) > self.limits.fields
            || self.fields > MAX_FIELDS
        {
            Err(HeadError::TooLarge)
        } else {
            Ok(())
        }
    }
}

impl Position {
    fn is_in_target(self) -> bool {
        matches!(self, Self::Target | Self::Query)
    }

    /// The position behind `byte`.
    fn next(self, byte: u8) -> Result<Self, HeadError> {
        Ok(match (self, byte) {
            (Self::Before, b'\r' | b'\n') => Self::Before,
            (Self::Before | Self::Method, byte) if is_token(byte) => Self::Method,
            (Self::Method, b' ') => Self::Target,
            // Most likely another protocol, such as TLS.
            (Self::Before | Self::Method, _) => return Err(HeadError::Malformed),
            (Self::Target, b'?') => Self::Query,
            (Self::Target | Self::Query, b' ') => Self::Version,
            (Self::Version, b'\r') => Self::LineFeed,
            (
                Self::Target
                | Self::Query
                | Self::Version
                | Self::LineFeed
                | Self::Malformed
                | Self::Field,
                b'\n',
            ) => Self::FieldStart,
            // Bytes that no target has (RFC 3986, appendix A), which Pingora would escape or, from
            // a `#` on, drop; then a second space.
            (Self::Target, b'"' | b'#' | b'<' | b'>' | b'\\' | 0..=0x20 | 0x7f..)
            // Browsers send a `\` in a query, other clients more, and no rule reads it.
            | (Self::Query, b'#' | 0..=0x20 | 0x7f..)
            | (Self::Version, b' ')
            | (Self::LineFeed, _) => Self::Malformed,
            (Self::FieldStart, b'\r') => Self::EmptyLine,
            (Self::FieldStart | Self::EmptyLine, b'\n') => Self::End,
            (Self::FieldStart | Self::EmptyLine, _) => Self::Field,
            (
                same @ (Self::Target
                | Self::Query
                | Self::Version
                | Self::Malformed
                | Self::Field
                | Self::End),
                _,
            ) => same,
        })
    }
}

/// Whether `byte` may stand in a method (RFC 9110, section 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod laws;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::request_limits::MAX_HEAD;
    use crate::model::target::MAX_TARGET;

    /// The outcome for a head that arrives in pieces of `step` bytes, and the number of bytes that
    /// were looked at.
    fn scan(head: &[u8], step: usize) -> (Scanned, usize, HeadScanner) {
        let mut scanner = HeadScanner::default();
        let mut seen = 0;
        for piece in head.chunks(step) {
            match scanner.scan(piece) {
                Scanned::Partial => seen += piece.len(),
                Scanned::Complete(end) => return (Scanned::Complete(seen + end), seen, scanner),
                refused @ Scanned::Refused(_) => return (refused, seen + piece.len(), scanner),
            }
        }
        (Scanned::Partial, seen, scanner)
    }

    const STEPS: [usize; 4] = [1, 7, 400, usize::MAX];

    #[test]
    fn the_end_of_a_head_is_found_however_it_is_cut() {
        for head in [
            "GET /a?b=c%20d HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET /a?b=C:\\d%&e={`|}\"<>?f HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\n\n",
            "\r\n\nGET / HTTP/1.1\nHost: x\r\nA:\rb\r\n\n",
            "GET / HTTP/1.0\r\nA: b\r\n folded\r\n\r\n",
        ] {
            for step in STEPS {
                let whole = format!("{head}\r\n\r\nGET /next HTTP/1.1\r\n\u{e9}<>");
                let (outcome, _, scanner) = scan(whole.as_bytes(), step);
                assert_eq!(outcome, Scanned::Complete(head.len()), "{head:?} {step}");
                assert!(!scanner.is_malformed(), "{head:?}");
                let (partial, _, scanner) = scan(&head.as_bytes()[..head.len() - 1], step);
                assert_eq!(partial, Scanned::Partial, "{head:?} {step}");
                assert!(scanner.has_begun());
            }
        }
    }

    #[test]
    fn a_request_line_that_pingora_would_repair_is_malformed() {
        for line in [
            "GET /a b HTTP/1.1",
            "GET /\x01 HTTP/1.1",
            "GET /\u{e9} HTTP/1.1",
            "GET /<a> HTTP/1.1",
            "GET /a#b HTTP/1.1",
            "GET /a?b#c HTTP/1.1",
            "GET /a?b c HTTP/1.1",
            "GET /a?\u{e9} HTTP/1.1",
            "GET  / HTTP/1.1",
            "GET /",
            "GET / HTTP/1.1\rX",
        ] {
            for step in STEPS {
                for end in ["\n", "\r\n"] {
                    let head = format!("{line}{end}Host: x\r\n\r\n");
                    let (outcome, _, scanner) = scan(head.as_bytes(), step);
                    assert_eq!(outcome, Scanned::Complete(head.len()), "{head:?}");
                    assert!(scanner.is_malformed(), "{head:?}");
                }
            }
        }
    }

    #[test]
    fn what_is_no_request_is_refused_at_once() {
        for start in [
            "\x16\x03\x01",
            "evil\r\n",
            " GET",
            "G(T /",
            "GET\0",
            "\u{e9}",
        ] {
            let (outcome, _, _) = scan(start.as_bytes(), 1);
            assert_eq!(outcome, Scanned::Refused(HeadError::Malformed), "{start:?}");
        }
    }

    #[test]
    fn a_head_is_refused_at_the_byte_that_exceeds_a_limit() {
        let start = "GET / HTTP/1.1\r\n";
        let pad = |start: &str, length: usize| start.to_owned() + &"x".repeat(length - start.len());
        for (longest, byte, error) in [
            (pad("GET /", 4 + MAX_TARGET), "x", HeadError::TargetTooLong),
            (pad("GET /?", 4 + MAX_TARGET), "x", HeadError::TargetTooLong),
            // The request line counts by itself.
            (
                pad(&format!("{start}a: "), start.len() + MAX_HEAD),
                "x",
                HeadError::TooLarge,
            ),
            (pad("M", MAX_HEAD), "M", HeadError::TooLarge),
            (
                format!("{start}{}a: b", "a: b\r\n".repeat(MAX_FIELDS)),
                "\n",
                HeadError::TooLarge,
            ),
            ("\r\n".repeat(4), "\r", HeadError::Malformed),
        ] {
            let told = &longest[..longest.len().min(20)];
            for step in STEPS {
                let (outcome, seen, _) = scan(longest.as_bytes(), step);
                assert_eq!(
                    (outcome, seen),
                    (Scanned::Partial, longest.len()),
                    "{told:?} {step}"
                );
                let (outcome, _, _) = scan((longest.clone() + byte).as_bytes(), step);
                assert_eq!(outcome, Scanned::Refused(error), "{told:?} {step}");
            }
        }
    }

    #[test]
    fn the_limits_are_those_that_were_given() {
        let limits = HeadLimits::new(20, 30);
        let scan = |head: &str| HeadScanner::new(limits).scan(head.as_bytes());
        let refused = Scanned::Refused;
        assert_eq!(scan(&format!("GET /{}", "a".repeat(19))), Scanned::Partial);
        assert_eq!(
            scan(&format!("GET /{}", "a".repeat(20))),
            refused(HeadError::TargetTooLong)
        );
        let line = "GET / HTTP/1.1\r\n";
        let fields = |length: usize| line.to_owned() + &"a".repeat(length);
        assert_eq!(scan(&fields(30)), Scanned::Partial);
        assert_eq!(scan(&fields(31)), refused(HeadError::TooLarge));
        // With line ends, and without the empty line behind them.
        let two = |length: usize| format!("{}\r\na: b\r\n\r\n", fields(length));
        assert_eq!(scan(&two(22)), Scanned::Complete(two(22).len()));
        assert_eq!(scan(&two(23)), refused(HeadError::TooLarge));
    }

    #[test]
    fn the_body_does_not_count() {
        let head = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(MAX_FIELDS));
        let whole = head.clone() + &"\r\n".repeat(MAX_HEAD);
        for step in STEPS {
            assert_eq!(
                scan(whole.as_bytes(), step).0,
                Scanned::Complete(head.len())
            );
        }
    }
}
