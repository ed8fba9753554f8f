//! The segments of a path as fingerprints, by which a site with many rules passes over most of them
//! without comparing any text.

/// How many segments of a path have a fingerprint.
const MAX_SEGMENTS: usize = 8;

/// A segment that every path has that a pattern matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentKey {
    position: usize,
    fingerprint: u64,
}

impl SegmentKey {
    /// The last segment without a `*` of the segments that a pattern names, behind its first `/`.
    /// `None` where there is none among the first [`MAX_SEGMENTS`].
    #[must_use]
    pub fn of(segments: &str) -> Option<Self> {
        let segments = segments.split('/').skip(1).take(MAX_SEGMENTS).enumerate();
        let literals = segments.filter(|(_, segment)| !segment.contains('*'));
        literals.last().map(|(position, segment)| Self {
            position,
            fingerprint: fingerprint(segment.as_bytes()),
        })
    }
}

/// The fingerprints of the first segments of a path.
#[derive(Clone, Copy, Debug)]
pub struct PathSegments([u64; MAX_SEGMENTS]);

impl PathSegments {
    /// Of a path that begins with `/`.
    #[must_use]
    pub fn of(path: &[u8]) -> Self {
        // No segment has the fingerprint 0.
        let mut fingerprints = [0; MAX_SEGMENTS];
        let segments = path.split(|byte| *byte == b'/').skip(1);
        for (slot, segment) in fingerprints.iter_mut().zip(segments) {
            *slot = fingerprint(segment);
        }
        Self(fingerprints)
    }

    /// Whether the path may have the segment of `key`. `false` is certain; `true` is not, because
    /// two segments may have one fingerprint.
    #[must_use]
    pub fn may_have(&self, key: Option<SegmentKey>) -> bool {
        key.is_none_or(|key| self.0.get(key.position) == Some(&key.fingerprint))
    }
}

/// The length, the first eight bytes and the last eight bytes of a segment in one odd number.
fn fingerprint(segment: &[u8]) -> u64 {
    let start = segment.len().min(8);
    let (mut first, mut last) = ([0; 8], [0; 8]);
    for (to, from) in first.iter_mut().zip(segment) {
        *to = *from;
    }
    let end = segment.get(segment.len() - start..).unwrap_or_default();
    for (to, from) in last.iter_mut().zip(end) {
        *to = *from;
    }
    let length = u64::try_from(segment.len()).unwrap_or(u64::MAX);
    let ends = u64::from_le_bytes(first).rotate_left(23) ^ u64::from_le_bytes(last);
    (ends ^ length.rotate_left(48)) | 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::rule::Pattern;

    /// Fingerprints only rule out what does not match.
    #[test]
    fn no_rule_that_matches_is_passed_over() {
        let patterns = [
            "/",
            "/*",
            "/a",
            "/a/",
            "/a/*",
            "/a/b",
            "/a/*/b",
            "/*/b",
            "/a*/b",
            "/*.json",
            "/a/*/*",
            "/a/b/c/d/e/f/g/h/i",
            "/a/b/c/d/e/f/g/h/i/*",
            "/a//",
            "/section-17/*",
        ];
        let paths = [
            "/",
            "/a",
            "/a/",
            "/a/b",
            "/a//b",
            "/a/x/b",
            "/x/b",
            "/ax/b",
            "/x.json",
            "/a/x/y",
            "//",
            "/a/b/c/d/e/f/g/h/i",
            "/a/b/c/d/e/f/g/h/i/j",
            "/section-17",
            "/section-18/x",
            "/section-17/x/",
        ];
        let mut matches = 0;
        for text in patterns {
            let Ok(pattern) = Pattern::parse(text) else {
                continue;
            };
            for path in paths {
                let segments = PathSegments::of(path.as_bytes());
                if pattern.matches(path.as_bytes()) {
                    matches += 1;
                    assert!(segments.may_have(pattern.key()), "{text} {path}");
                }
            }
        }
        assert!(matches > 30, "only {matches}");
    }

    #[test]
    fn the_last_literal_segment_tells_rules_apart() {
        let may = |pattern: &str, path: &str| {
            let pattern = Pattern::parse(pattern).unwrap();
            PathSegments::of(path.as_bytes()).may_have(pattern.key())
        };
        assert!(may("/a/*/section-17/*", "/a/x/section-17/y"));
        for other in [
            "/a/x/section-18/y",
            "/a/x",
            "/a/section-17/x",
            "/a/x/ection-17",
        ] {
            assert!(!may("/a/*/section-17/*", other), "{other}");
        }
        // Nothing is known of these.
        assert!(may("/*", "/a") && may("/*.json", "/a") && may("/a*/b*", "/x/y"));
    }
}
