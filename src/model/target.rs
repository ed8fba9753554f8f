//! The request target, validated once and forwarded as it was received
//! (`docs/reference/request-handling.md#request-checks`).
//!
//! Every bypass of a path rule rests on two programs that read one path differently. So a target
//! that two programs could read differently is refused here, and every other one is forwarded byte
//! for byte.

use std::borrow::Cow;

/// The longest target that is accepted, in bytes.
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

/// Why a target is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetError {
    /// Ambiguous or not well-formed: `400`.
    Malformed,
    /// Longer than [`MAX_TARGET`]: `414`.
    TooLong,
}

/// A target in origin-form (RFC 9112, section 3.2.1) that has one reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target<'a> {
    raw: &'a str,
    path: &'a str,
    query: Option<&'a str>,
    decoded: Cow<'a, [u8]>,
    slashes: EncodedSlashes,
}

impl<'a> Target<'a> {
    /// Validates the target of a request line.
    ///
    /// # Errors
    /// [`TargetError`] where the target does not start with `/` or holds a byte outside printable
    /// ASCII or `#`, and where its path holds one of these: invalid escapes, `\`, `//`, dot
    /// segments in any spelling, encoded NUL, CR, LF, `/` or `\`. No rule reads the query.
    pub fn parse(raw: &'a [u8], slashes: EncodedSlashes) -> Result<Self, TargetError> {
        if raw.len() > MAX_TARGET {
            return Err(TargetError::TooLong);
        }
        if raw.first() != Some(&b'/') || raw.iter().any(|b| !(0x21..0x7f).contains(b) || *b == b'#')
        {
            return Err(TargetError::Malformed);
        }
        let raw = std::str::from_utf8(raw).map_err(|_| TargetError::Malformed)?;
        let (path, query) = match raw.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (raw, None),
        };
        let decoded = decode_path(path, slashes)?;
        Ok(Self {
            raw,
            path,
            query,
            decoded,
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

    /// The paths that an application might read which decodes more than once, or cuts `;parameters`
    /// off as Java containers do. Each is normalised: slashes collapsed, dot segments normalized.
    /// Empty for nearly every path.
    #[must_use]
    pub fn alternate_decodings(&self) -> Vec<Vec<u8>> {
        let mut readings = Vec::new();
        let mut path = Cow::Borrowed(&*self.decoded);
        for depth in 0..MAX_DECODINGS {
            if path.contains(&b';') {
                readings.push(normalized(&path, |segment| {
                    segment.split(|b| *b == b';').next().unwrap_or_default()
                }));
            }
            if depth > 0 {
                readings.push(normalized(&path, |segment| segment));
            }
            let Some(decoded) = decoded_once_more(&path, self.slashes) else {
                break;
            };
            path = Cow::Owned(decoded);
        }
        readings
    }
}

/// How often a path is decoded at most. No application decodes more often.
const MAX_DECODINGS: usize = 6;

/// The path with its escapes decoded once more; `None` where it has none.
fn decoded_once_more(path: &[u8], slashes: EncodedSlashes) -> Option<Vec<u8>> {
    if !path.contains(&b'%') {
        return None;
    }
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path;
    let mut changed = false;
    while let Some((&first, after)) = rest.split_first() {
        match (first, after) {
            (b'%', [high, low, after @ ..])
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                match hex(*high) << 4 | hex(*low) {
                    b'/' if slashes == EncodedSlashes::Pass => decoded.extend_from_slice(b"%2F"),
                    byte => {
                        changed = true;
                        decoded.push(byte);
                    }
                }
                rest = after;
            }
            _ => {
                decoded.push(first);
                rest = after;
            }
        }
    }
    changed.then_some(decoded)
}

/// The path without empty and dot segments. `name` maps each segment first. A slash at the end
/// stays.
fn normalized(path: &[u8], name: impl Fn(&[u8]) -> &[u8]) -> Vec<u8> {
    let mut segments: Vec<&[u8]> = Vec::new();
    let mut open_end = true;
    for segment in path.split(|b| matches!(b, b'/' | b'\\')).map(name) {
        open_end = matches!(segment, b"" | b"." | b"..");
        match segment {
            b"" | b"." => {}
            b".." => drop(segments.pop()),
            segment => segments.push(segment),
        }
    }
    let mut path = Vec::with_capacity(path.len());
    for segment in segments {
        path.push(b'/');
        path.extend_from_slice(segment);
    }
    if open_end || path.is_empty() {
        path.push(b'/');
    }
    path
}

fn decode_path(path: &str, slashes: EncodedSlashes) -> Result<Cow<'_, [u8]>, TargetError> {
    let bytes = path.as_bytes();
    if !bytes.contains(&b'%') {
        // Without escapes the raw path and the decoded one are the same.
        if path.contains("//") || bytes.contains(&b'\\') || has_dot_segment(bytes) {
            return Err(TargetError::Malformed);
        }
        return Ok(Cow::Borrowed(bytes));
    }
    if path.contains("//") || bytes.contains(&b'\\') || !escapes_are_valid(path) {
        return Err(TargetError::Malformed);
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
            0 | b'\r' | b'\n' | b'\\' => return Err(TargetError::Malformed),
            b'/' if slashes == EncodedSlashes::Reject => return Err(TargetError::Malformed),
            b'/' => decoded.extend_from_slice(b"%2F"),
            other => decoded.push(other),
        }
        separated.push(byte);
        rest = after;
    }
    if has_dot_segment(&separated) {
        return Err(TargetError::Malformed);
    }
    Ok(Cow::Owned(decoded))
}

/// Whether a segment is `.` or `..`, also before `;parameters`, which Java containers cut off.
fn has_dot_segment(path: &[u8]) -> bool {
    path.split(|b| *b == b'/').any(|segment| {
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

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        b'A'..=b'F' => digit - b'A' + 10,
        // Not reached: `escapes_are_valid` was called before.
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
    fn unambiguous_targets_are_accepted_unchanged() {
        for raw in [
            "/",
            "/a/b/",
            "/a;v=1/b",
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
    fn ambiguous_targets_are_refused() {
        for raw in [
            "",
            "a",
            "*",
            "http://x/",
            "//",
            "/a//b",
            "/a\\b",
            "/a/../b",
            "/a/.",
            "/./a",
            "/..",
            "/%2e%2e/a",
            "/a/.%2E",
            "/a/..;x/b",
            "/a/..%3bx",
            "/a/%2e;/b",
            "/a%2Fb",
            "/a%5cb",
            "/a%00",
            "/a%0d",
            "/a%0A",
            "/a%",
            "/a%4",
            "/a%zz",
            "/a#b",
            "/a b",
            "/a\tb",
            "/a\u{7f}",
            "/é",
            "/a?\u{1}",
            "/a?b c",
            "/a?b#c",
            "/a?\u{7f}",
            "/a?é",
        ] {
            assert_eq!(parse(raw), Err(TargetError::Malformed), "{raw:?}");
        }
    }

    #[test]
    fn an_encoded_slash_that_passes_is_no_separator() {
        let target = Target::parse(b"/group%2fname/x", EncodedSlashes::Pass).unwrap();
        assert_eq!(target.decoded_path(), b"/group%2Fname/x");
        assert_eq!(target.raw(), "/group%2fname/x");
        assert!(Target::parse(b"/a/..%2Fb", EncodedSlashes::Pass).is_err());
        assert!(Target::parse(b"/a%5Cb", EncodedSlashes::Pass).is_err());
    }

    #[test]
    fn alternate_decodings_are_those_of_lenient_applications() {
        let readings = |raw: &str| {
            let readings = parse(raw).unwrap().alternate_decodings();
            readings
                .into_iter()
                .map(|path| String::from_utf8(path).unwrap())
                .collect::<Vec<_>>()
        };
        for plain in ["/", "/a/b/", "/caf%C3%A9", "/100%25", "/50%25off"] {
            assert!(readings(plain).is_empty(), "{plain}");
        }
        assert_eq!(readings("/admin;x/s"), ["/admin/s"]);
        assert_eq!(readings("/%2561dmin/"), ["/admin/"]);
        assert_eq!(readings("/x/%252e%252e/a"), ["/a"]);
        assert_eq!(
            readings("/x%252f..%255c/a;%2562"),
            ["/x%2f..%5c/a", "/a", "/a;b"]
        );
    }

    #[test]
    fn the_length_is_limited() {
        let long = format!("/{}", "a".repeat(MAX_TARGET));
        assert_eq!(parse(&long), Err(TargetError::TooLong));
        assert!(parse(long.get(..MAX_TARGET).unwrap()).is_ok());
    }
}
