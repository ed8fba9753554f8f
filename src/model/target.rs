//! The target of a request, judged once and forwarded as it was judged
//! (`docs/reference/request-handling.md#request-checks`).
//!
//! Every bypass of a path rule lives on two programs reading one path differently. So whatever two
//! programs could read differently is refused here, and what passes is sent on byte for byte.

use std::borrow::Cow;

/// The longest target taken, in bytes.
pub const MAX_TARGET: usize = 8 * 1024;

/// What a site does with `%2F` in a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum EncodedSlashes {
    /// `400`.
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

/// A target in origin-form that is free of ambiguity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target<'a> {
    raw: &'a str,
    path: &'a str,
    query: Option<&'a str>,
    decoded: Cow<'a, [u8]>,
    slashes: EncodedSlashes,
}

impl<'a> Target<'a> {
    /// Judges the raw bytes of a request line's target.
    ///
    /// # Errors
    /// [`TargetError`] for everything that `docs/reference/request-handling.md#request-target`
    /// lists: not starting with `/`, bytes outside printable ASCII, bad escapes, `\`, `//`, `#`,
    /// dot segments in any spelling, encoded NUL, CR, LF, `/` or `\`.
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
        if query.is_some_and(|query| !escapes_are_whole(query)) {
            return Err(TargetError::Malformed);
        }
        let decoded = decode_path(path, slashes)?;
        Ok(Self {
            raw,
            path,
            query,
            decoded,
            slashes,
        })
    }

    /// Path and query as received: what is forwarded.
    #[must_use]
    pub fn raw(&self) -> &'a str {
        self.raw
    }

    /// The path as received.
    #[must_use]
    pub fn path(&self) -> &'a str {
        self.path
    }

    /// What stands behind the first `?`, as received.
    #[must_use]
    pub fn query(&self) -> Option<&'a str> {
        self.query
    }

    /// The path, once percent-decoded: what rules are matched with. An encoded slash that a site
    /// lets pass stays `%2F` here, so that it is no separator.
    #[must_use]
    pub fn decoded_path(&self) -> &[u8] {
        &self.decoded
    }

    /// What an application might take the path for that decodes more than once or cuts
    /// `;parameters` off, as Java containers do: each such reading with slashes collapsed and dots
    /// resolved. Empty for nearly every path.
    #[must_use]
    pub fn alternate_decodings(&self) -> Vec<Vec<u8>> {
        let mut readings = Vec::new();
        let mut path = Cow::Borrowed(&*self.decoded);
        for depth in 0..MAX_DECODINGS {
            if path.contains(&b';') {
                readings.push(resolved(&path, |segment| {
                    segment.split(|b| *b == b';').next().unwrap_or_default()
                }));
            }
            if depth > 0 {
                readings.push(resolved(&path, |segment| segment));
            }
            let Some(again) = decoded_again(&path, self.slashes) else {
                break;
            };
            path = Cow::Owned(again);
        }
        readings
    }
}

/// Nobody decodes a path more often than this.
const MAX_DECODINGS: usize = 6;

/// The path with every escape in it decoded once more; `None` when there is none.
fn decoded_again(path: &[u8], slashes: EncodedSlashes) -> Option<Vec<u8>> {
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

/// The path without empty segments and dots, each segment seen through `name`. A slash at the end
/// stays.
fn resolved(path: &[u8], name: impl Fn(&[u8]) -> &[u8]) -> Vec<u8> {
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
        // `//` and `\` are looked for in the raw path, dot segments in the decoded one: here they
        // are the same.
        if path.contains("//") || bytes.contains(&b'\\') || has_dot_segment(bytes) {
            return Err(TargetError::Malformed);
        }
        return Ok(Cow::Borrowed(bytes));
    }
    if path.contains("//") || bytes.contains(&b'\\') || !escapes_are_whole(path) {
        return Err(TargetError::Malformed);
    }
    let mut decoded = Vec::with_capacity(bytes.len());
    // For the dot check an encoded slash separates: `..%2Fadmin` must not slip through where
    // slashes pass.
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

/// Whether a segment is `.` or `..`, also with `;parameters` behind it, which Java containers cut
/// off.
fn has_dot_segment(path: &[u8]) -> bool {
    path.split(|b| *b == b'/').any(|segment| {
        let name = segment.split(|b| *b == b';').next().unwrap_or_default();
        name == b"." || name == b".."
    })
}

fn escapes_are_whole(text: &str) -> bool {
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
        // `escapes_are_whole` was asked first.
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(raw: &str) -> Result<Target<'_>, TargetError> {
        Target::parse(raw.as_bytes(), EncodedSlashes::Reject)
    }

    #[test]
    fn plain_targets_pass_unchanged() {
        for raw in [
            "/",
            "/a/b/",
            "/a;v=1/b",
            "/caf%C3%A9",
            "/a?next=//x&d=../y%2F",
            "/a.b/..c/...",
            "/%ff",
            "/a|b",
        ] {
            assert_eq!(judge(raw).map(|target| target.raw()), Ok(raw), "{raw}");
        }
        assert_eq!(
            judge("/caf%C3%A9?q").unwrap().decoded_path(),
            "/café".as_bytes()
        );
        assert_eq!(judge("/a?b?c").unwrap().query(), Some("b?c"));
    }

    #[test]
    fn ambiguity_is_refused() {
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
            "/a?x=%",
            "/a?x=%g1",
            "/a?\u{1}",
            "/a?é",
        ] {
            assert_eq!(judge(raw), Err(TargetError::Malformed), "{raw:?}");
        }
    }

    #[test]
    fn an_encoded_slash_that_may_pass_is_no_separator() {
        let target = Target::parse(b"/group%2fname/x", EncodedSlashes::Pass).unwrap();
        assert_eq!(target.decoded_path(), b"/group%2Fname/x");
        assert_eq!(target.raw(), "/group%2fname/x");
        assert!(Target::parse(b"/a/..%2Fb", EncodedSlashes::Pass).is_err());
        assert!(Target::parse(b"/a%5Cb", EncodedSlashes::Pass).is_err());
    }

    #[test]
    fn other_readings_are_those_of_careless_applications() {
        let readings = |raw: &str| {
            let readings = judge(raw).unwrap().alternate_decodings();
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
    fn the_length_is_bounded() {
        let long = format!("/{}", "a".repeat(MAX_TARGET));
        assert_eq!(judge(&long), Err(TargetError::TooLong));
        assert!(judge(long.get(..MAX_TARGET).unwrap()).is_ok());
    }
}
