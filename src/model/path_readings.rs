//! The readings that other servers may have of a path: what an application makes of it which
//! merges slashes, cuts off `;parameters`, decodes more than once, or takes `\` for `/`
//! (`docs/reference/request-handling.md#ambiguous-paths`).

use super::target::{EncodedSlashes, Target, hex};

/// The most readings of one path. Ordinary paths have one, and odd ones a handful.
pub const MAX_READINGS: usize = 64;

/// A path has more than [`MAX_READINGS`] readings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyReadingsError;

/// The readings of the path of `target` beside [`Target::decoded_path`], each once and in no
/// particular order. A reading is what any number of these steps, in any order, make of the path:
///
/// * cut `;parameters` off every segment, also before the first decoding
/// * decode once more
/// * replace `\` with `/`
/// * merge slashes
/// * resolve dot segments (RFC 3986, section 5.2.4)
///
/// Empty, without an allocation, where the path is not [ambiguous](Target::is_ambiguous).
///
/// # Errors
/// [`TooManyReadingsError`] where there are more than [`MAX_READINGS`], the decoded path included.
pub fn other_readings(target: &Target<'_>) -> Result<Vec<Vec<u8>>, TooManyReadingsError> {
    if !target.is_ambiguous() {
        return Ok(Vec::new());
    }
    let slashes = target.encoded_slashes();
    let mut readings = vec![target.decoded_path().to_vec()];
    if let Some(cut) = without_parameters(target.path().as_bytes()) {
        add(&mut readings, decoded(&cut, slashes).unwrap_or(cut))?;
    }
    let mut at = 0;
    while let Some(path) = readings.get(at) {
        let next = [
            without_parameters(path),
            decoded(path, slashes),
            with_backslashes_replaced(path),
            with_slashes_merged(path),
            without_dot_segments(path),
        ];
        for reading in next.into_iter().flatten() {
            add(&mut readings, reading)?;
        }
        at += 1;
    }
    // The decoded path itself.
    readings.swap_remove(0);
    Ok(readings)
}

fn add(readings: &mut Vec<Vec<u8>>, reading: Vec<u8>) -> Result<(), TooManyReadingsError> {
    if readings.contains(&reading) {
        return Ok(());
    }
    if readings.len() == MAX_READINGS {
        return Err(TooManyReadingsError);
    }
    readings.push(reading);
    Ok(())
}

fn without_parameters(path: &[u8]) -> Option<Vec<u8>> {
    if !path.contains(&b';') {
        return None;
    }
    let mut in_parameters = false;
    let kept = path.iter().copied().filter(|byte| {
        match byte {
            b'/' => in_parameters = false,
            b';' => in_parameters = true,
            _ => {}
        }
        !in_parameters
    });
    Some(kept.collect())
}

/// The path with its escapes decoded once more; `None` where it has none. An encoded slash stays
/// where the site takes it for an ordinary character.
fn decoded(path: &[u8], slashes: EncodedSlashes) -> Option<Vec<u8>> {
    if !path.contains(&b'%') {
        return None;
    }
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((&first, after)) = rest.split_first() {
        match (first, after) {
            (b'%', [high, low, after @ ..])
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                match hex(*high) << 4 | hex(*low) {
                    b'/' if slashes == EncodedSlashes::Pass => decoded.extend_from_slice(b"%2F"),
                    byte => decoded.push(byte),
                }
                rest = after;
            }
            _ => {
                decoded.push(first);
                rest = after;
            }
        }
    }
    Some(decoded)
}

fn with_backslashes_replaced(path: &[u8]) -> Option<Vec<u8>> {
    let replaced = |byte: &u8| if *byte == b'\\' { b'/' } else { *byte };
    path.contains(&b'\\')
        .then(|| path.iter().map(replaced).collect())
}

fn with_slashes_merged(path: &[u8]) -> Option<Vec<u8>> {
    let mut merged = path.to_vec();
    merged.dedup_by(|byte, previous| *byte == b'/' && *previous == b'/');
    (merged.len() < path.len()).then_some(merged)
}

/// A path that ends in a dot segment ends in `/` without it.
fn without_dot_segments(path: &[u8]) -> Option<Vec<u8>> {
    let is_dot = |segment: &[u8]| matches!(segment, b"." | b"..");
    let mut segments = path.split(|byte| *byte == b'/').skip(1).peekable();
    if !segments.clone().any(is_dot) {
        return None;
    }
    let mut kept: Vec<&[u8]> = Vec::new();
    while let Some(segment) = segments.next() {
        match segment {
            b"." => {}
            b".." => drop(kept.pop()),
            name => kept.push(name),
        }
        if is_dot(segment) && segments.peek().is_none() {
            kept.push(b"");
        }
    }
    Some([b"/", kept.join(&b'/').as_slice()].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readings_where(slashes: EncodedSlashes, raw: &str) -> Vec<String> {
        let target = Target::parse(raw.as_bytes(), slashes).unwrap();
        let mut readings: Vec<String> = other_readings(&target)
            .unwrap()
            .into_iter()
            .map(|path| String::from_utf8(path).unwrap())
            .collect();
        readings.sort();
        readings
    }

    fn readings(raw: &str) -> Vec<String> {
        readings_where(EncodedSlashes::Reject, raw)
    }

    #[test]
    fn a_plain_path_has_no_other_reading() {
        for plain in [
            "/",
            "/a/b/",
            "/caf%C3%A9",
            "/100%25",
            "/50%25off",
            "/a?b//c",
        ] {
            assert!(readings(plain).is_empty(), "{plain}");
        }
    }

    #[test]
    fn each_step_gives_a_reading() {
        assert_eq!(readings("/a//b///"), ["/a/b/"]);
        assert_eq!(readings("/admin;x/s;y=1"), ["/admin/s"]);
        assert_eq!(readings("/%2561dmin/"), ["/admin/"]);
        assert_eq!(readings("/a%5Cb"), ["/a/b"]);
        assert_eq!(readings("/x/%252e%252e/a"), ["/a", "/x/../a"]);
        assert_eq!(readings("/x/a/%252e%252E"), ["/x/", "/x/a/.."]);
    }

    #[test]
    fn steps_follow_each_other_in_any_order() {
        assert_eq!(readings("/a;x//b"), ["/a//b", "/a/b", "/a;x/b"]);
        assert_eq!(readings("/;/b"), ["//b", "/b"]);
        assert_eq!(
            readings("/a%255C%252525"),
            ["/a/%", "/a/%25", "/a\\%", "/a\\%25"]
        );
        // `..` removes an empty segment, unless slashes were merged before.
        assert!(readings("/a//%252e%252e/b").contains(&"/a/b".to_owned()));
        assert!(readings("/a//%252e%252e/b").contains(&"/b".to_owned()));
        // Parameters are cut off before the first decoding, or after it.
        assert_eq!(readings("/a%3Bb;c"), ["/a", "/a;b"]);
    }

    #[test]
    fn an_encoded_slash_that_passes_is_no_separator_in_any_reading() {
        let passing = |raw| readings_where(EncodedSlashes::Pass, raw);
        assert!(passing("/a%2Fb").is_empty());
        assert!(passing("/a%252Fb").is_empty());
        assert_eq!(passing("/a%2fb;c"), ["/a%2Fb"]);
        assert_eq!(readings("/a%252Fb"), ["/a/b"]);
    }

    #[test]
    fn the_number_of_readings_is_limited() {
        let raw = format!("/{}", "%25".repeat(300));
        let target = Target::parse(raw.as_bytes(), EncodedSlashes::Reject).unwrap();
        assert_eq!(other_readings(&target), Ok(Vec::new()));
        let raw = format!("/%{}41", "25".repeat(MAX_READINGS + 1));
        let target = Target::parse(raw.as_bytes(), EncodedSlashes::Reject).unwrap();
        assert_eq!(other_readings(&target), Err(TooManyReadingsError));
    }
}
