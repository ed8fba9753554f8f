//! The request target, validated once and forwarded as it was received
//! (`docs/reference/request-handling.md#request-checks`).
//!
//! Every bypass of a path rule rests on two programs that read one path differently. What no
//! application needs in a path is refused here. Of every other path, the readings that other
//! servers may have of it ([`path_readings`](super::path_readings)) must meet the same rule. What
//! is accepted is forwarded byte for byte.

use std::borrow::Cow;

/// The longest target that is accepted where a site says nothing else, in bytes.
pub const MAX_TARGET: usize = 8 * 1024;

/// How a site treats `%2F` in a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum EncodedSlashes {
    /// The target is refused.
    #[default]
    Reject,
    /// `%2F` is an ordinary byte of its segment, never a separator, for rules and upstream alike.
    Pass,
}

/// Why a target is refused (`400`): it is not well-formed, or has a spelling that the site does not
/// accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetError {
    /// It does not start with `/`.
    NotAbsolute,
    /// It holds a byte outside printable ASCII, or `#`.
    ForbiddenByte,
    /// Its path holds `\`.
    Backslash,
    /// Its path starts with `//` or `/%5C`.
    TwoSlashes,
    /// Its path holds a `%` without two hexadecimal digits behind it.
    InvalidEscape,
    /// Its path holds an encoded NUL, CR or LF.
    EncodedControl,
    /// Its path holds an encoded `/`, and the site does not accept it.
    EncodedSlash,
    /// Its path holds a dot segment.
    DotSegment,
}

impl TargetError {
    /// What is wrong, for an operator.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotAbsolute => "it does not start with `/`",
            Self::ForbiddenByte => "it holds a blank, a control or non-ASCII character, or `#`",
            Self::Backslash => "its path holds `\\`",
            Self::TwoSlashes => "browsers take a path that starts with `//` for another host",
            Self::InvalidEscape => "its path holds a `%` without two hexadecimal digits",
            Self::EncodedControl => "its path holds an encoded NUL, CR or LF",
            Self::EncodedSlash => {
                "its path holds an encoded `/`; `encoded_slashes = \"pass\"` accepts it"
            }
            Self::DotSegment => "its path holds a `.` or `..` segment",
        }
    }
}

/// A well-formed target in origin-form (RFC 9112, section 3.2.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target<'a> {
    raw: &'a str,
    path: &'a str,
    query: Option<&'a str>,
    decoded: Cow<'a, [u8]>,
    is_ambiguous: bool,
    slashes: EncodedSlashes,
}

impl<'a> Target<'a> {
    /// Validates the target of a request line.
    ///
    /// # Errors
    /// [`TargetError`] where the target does not start with `/` or holds a byte outside printable
    /// ASCII or `#`, and where its path holds one of these: invalid escapes, `\`, `//` or `/%5C` at
    /// the start, dot segments in any spelling, encoded NUL, CR, LF or `/`. No rule reads the
    /// query.
    pub fn parse(raw: &'a [u8], slashes: EncodedSlashes) -> Result<Self, TargetError> {
        if raw.first() != Some(&b'/') {
            return Err(TargetError::NotAbsolute);
        }
        if raw.iter().any(|b| !(0x21..0x7f).contains(b) || *b == b'#') {
            return Err(TargetError::ForbiddenByte);
        }
        let raw = std::str::from_utf8(raw).map_err(|_| TargetError::ForbiddenByte)?;
        let (path, query) = match raw.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (raw, None),
        };
        let (decoded, is_ambiguous) = decode_path(path, slashes)?;
        Ok(Self {
            raw,
            path,
            query,
            decoded,
            is_ambiguous,
            slashes,
        })
    }

    /// The path and query as received. This is what is forwarded.
    #[must_use]
    pub fn raw(&self) -> &'a str {
        self.raw
    }

    /// The path as received.
    #[must_use]
    pub fn path(&self) -> &'a str {
        self.path
    }

    /// The query as received: what follows the first `?`.
    #[must_use]
    pub fn query(&self) -> Option<&'a str> {
        self.query
    }

    /// The path percent-decoded once, which rules are matched with. An encoded slash that the site
    /// lets pass stays `%2F`, so that it is no separator.
    #[must_use]
    pub fn decoded_path(&self) -> &[u8] {
        &self.decoded
    }

    /// Whether other servers may read this path as another one, see
    /// [`other_readings`](super::path_readings::other_readings): it holds `//`, `;`, or what is `\`
    /// or `%` after decoding.
    #[must_use]
    pub const fn is_ambiguous(&self) -> bool {
        self.is_ambiguous
    }

    /// How `%2F` was treated.
    #[must_use]
    pub const fn encoded_slashes(&self) -> EncodedSlashes {
        self.slashes
    }
}

/// What one walk over a path finds.
#[derive(Clone, Copy, Default)]
struct PathMarks {
    has_escapes: bool,
    /// Whether a segment begins with a raw `.`.
    has_leading_dot: bool,
    /// Whether there is a raw `//` or `;`.
    is_ambiguous: bool,
}

/// Nearly every path has none of these, and this walk is all that such a path costs.
fn find_marks(path: &[u8]) -> Result<PathMarks, TargetError> {
    let mut marks = PathMarks::default();
    let mut previous = 0;
    for &byte in path {
        match byte {
            b'%' => marks.has_escapes = true,
            b';' => marks.is_ambiguous = true,
            b'\\' => return Err(TargetError::Backslash),
            // No URI has them (RFC 3986, appendix A), and browsers escape them.
            b'"' | b'<' | b'>' | b'`' => return Err(TargetError::ForbiddenByte),
            b'/' if previous == b'/' => marks.is_ambiguous = true,
            b'.' if previous == b'/' => marks.has_leading_dot = true,
            _ => {}
        }
        previous = byte;
    }
    Ok(marks)
}

/// The decoded path, and whether it is [ambiguous](Target::is_ambiguous).
fn decode_path(path: &str, slashes: EncodedSlashes) -> Result<(Cow<'_, [u8]>, bool), TargetError> {
    let bytes = path.as_bytes();
    let marks = find_marks(bytes)?;
    // A browser takes `//name` for another host, should the application redirect to its own path.
    if path.starts_with("//") {
        return Err(TargetError::TwoSlashes);
    }
    if !marks.has_escapes {
        // Without escapes the raw path and the decoded one are the same.
        if marks.has_leading_dot && has_dot_segment(bytes) {
            return Err(TargetError::DotSegment);
        }
        return Ok((Cow::Borrowed(bytes), marks.is_ambiguous));
    }
    if !escapes_are_valid(path) {
        return Err(TargetError::InvalidEscape);
    }
    let mut decoded = Vec::with_capacity(bytes.len());
    // For the dot check an encoded slash separates segments, so that `..%2Fadmin` is refused where
    // encoded slashes pass.
    let mut separated = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&first, after)) = rest.split_first() {
        let (b'%', [high, low, after @ ..]) = (first, after) else {
            decoded.push(first);
            separated.push(first);
            rest = after;
            continue;
        };
        let byte = hex(*high) << 4 | hex(*low);
        match byte {
            0 | b'\r' | b'\n' => return Err(TargetError::EncodedControl),
            b'/' if slashes == EncodedSlashes::Reject => return Err(TargetError::EncodedSlash),
            b'/' => decoded.extend_from_slice(b"%2F"),
            other => decoded.push(other),
        }
        separated.push(byte);
        rest = after;
    }
    // Browsers take `/\name` for `//name`.
    if has_dot_segment(&separated) {
        return Err(TargetError::DotSegment);
    }
    if decoded.starts_with(b"/\\") {
        return Err(TargetError::TwoSlashes);
    }
    let is_ambiguous = marks.is_ambiguous
        || decoded
            .iter()
            .any(|byte| matches!(byte, b';' | b'\\' | b'%'));
    Ok((Cow::Owned(decoded), is_ambiguous))
}

/// Whether a segment is `.` or `..`, also before `;parameters`, which Java containers cut off, and
/// beside a `\`, which Windows servers take for `/`.
fn has_dot_segment(path: &[u8]) -> bool {
    path.split(|b| matches!(b, b'/' | b'\\')).any(|segment| {
        let name = segment.split(|b| *b == b';').next().unwrap_or_default();
        name == b"." || name == b".."
    })
}

/// Whether two hexadecimal digits follow every `%`.
fn escapes_are_valid(text: &str) -> bool {
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|b| *b == b'%') {
        match rest.get(at + 1..at + 3) {
            Some([high, low]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                rest = rest.get(at + 3..).unwrap_or_default();
            }
            _ => return false,
        }
    }
    true
}

/// The value of a hexadecimal digit; 0 for every other byte, which callers exclude before.
pub(super) fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        b'A'..=b'F' => digit - b'A' + 10,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(raw: &str) -> Result<Target<'_>, TargetError> {
        Target::parse(raw.as_bytes(), EncodedSlashes::Reject)
    }

    #[test]
    fn well_formed_targets_are_accepted_unchanged() {
        for raw in [
            "/",
            "/a/b/",
            "/a;v=1/b",
            "/a//b",
            "/a/b//",
            "/a%5cb",
            "/x/https://host/",
            "/caf%C3%A9",
            "/a?next=//x&d=../y%2F",
            "/a.b/..c/...",
            "/%ff",
            "/a|b",
            "/a?x=%",
            "/a?x=%g1%2",
            "/a?path=C:\\Users\\a",
            "/a?q=\"<{^`|}>\"",
            "/a?next=/../x/./%2e%2e//%00",
        ] {
            assert_eq!(parse(raw).map(|target| target.raw()), Ok(raw), "{raw}");
        }
        assert_eq!(
            parse("/caf%C3%A9?q").unwrap().decoded_path(),
            "/café".as_bytes()
        );
        assert_eq!(parse("/a?b?c").unwrap().query(), Some("b?c"));
    }

    #[test]
    fn other_targets_are_refused() {
        use TargetError::*;
        for (raws, error) in [
            (&["", "a", "*", "http://x/"][..], NotAbsolute),
            (
                &[
                    "/a#b",
                    "/a\"b",
                    "/a<b",
                    "/a>b?c",
                    "/a`b",
                    "/a b",
                    "/a\tb",
                    "/a\u{7f}",
                    "/é",
                    "/a?\u{1}",
                    "/a?b c",
                    "/a?b#c",
                    "/a?\u{7f}",
                    "/a?é",
                ],
                ForbiddenByte,
            ),
            (&["/a\\b"], Backslash),
            (&["//", "//a/b", "/%5Ca"], TwoSlashes),
            (&["/a%", "/a%4", "/a%zz"], InvalidEscape),
            (&["/a%00", "/a%0d", "/a%0A"], EncodedControl),
            (&["/a%2Fb"], EncodedSlash),
            (
                &[
                    "/a/../b",
                    "/a/.",
                    "/./a",
                    "/..",
                    "/%2e%2e/a",
                    "/a/.%2E",
                    "/a/..;x/b",
                    "/a/..%3bx",
                    "/a/%2e;/b",
                    "/a/..%5cb",
                    "/a%5C%2e%2E",
                    "/a%5c.;x",
                ],
                DotSegment,
            ),
        ] {
            for raw in raws {
                assert_eq!(parse(raw), Err(error), "{raw:?}");
            }
        }
    }

    #[test]
    fn an_encoded_slash_that_passes_is_no_separator() {
        let target = Target::parse(b"/group%2fname/x", EncodedSlashes::Pass).unwrap();
        assert_eq!(target.decoded_path(), b"/group%2Fname/x");
        assert_eq!(target.raw(), "/group%2fname/x");
        assert!(Target::parse(b"/a/..%2Fb", EncodedSlashes::Pass).is_err());
        assert!(Target::parse(b"/a%2F..%5Cb", EncodedSlashes::Pass).is_err());
    }

    #[test]
    fn a_path_that_other_servers_read_differently_is_ambiguous() {
        for plain in ["/", "/a/b/", "/caf%C3%A9", "/a.b/.c", "/a?b//c;d%255C"] {
            assert!(!parse(plain).unwrap().is_ambiguous(), "{plain}");
        }
        for ambiguous in ["/a//b", "/a;b", "/a%3Bb", "/a%5Cb", "/%2561", "/100%25"] {
            assert!(parse(ambiguous).unwrap().is_ambiguous(), "{ambiguous}");
        }
    }
}
