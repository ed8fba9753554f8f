//! The `traceparent` field (W3C Trace Context, section 3.2), by which applications join the records
//! of one request.
//!
//! A valid field is forwarded as it is: the gateway records no span of its own. Where it is not
//! valid, it is dropped together with `tracestate`, which means nothing without it, and the gateway
//! begins another trace (section 3.3.3).

/// Whether a value is a `traceparent`: of version `00`, or of a later one that begins alike.
#[must_use]
pub fn is_traceparent(value: &[u8]) -> bool {
    let Some((known, rest)) = value.split_at_checked(KNOWN) else {
        return false;
    };
    let mut parts = known.split(|b| *b == b'-');
    let (Some(version), Some(trace), Some(parent), Some(flags), None) = (
        parts.next(),
        parts.next(),
        parts.next(),
        parts.next(),
        parts.next(),
    ) else {
        return false;
    };
    let has_length =
        |part: &[u8], length: usize| part.len() == length && part.iter().copied().all(is_hex);
    let is_id = |part: &[u8], length| has_length(part, length) && part.iter().any(|b| *b != b'0');
    let ends = if version == b"00" {
        rest.is_empty()
    } else {
        matches!(rest.first(), None | Some(b'-'))
    };
    has_length(version, 2)
        && version != b"ff"
        && is_id(trace, 32)
        && is_id(parent, 16)
        && has_length(flags, 2)
        && ends
}

/// The length of version `00`: four parts of 2, 32, 16 and 2 digits.
const KNOWN: usize = 55;

/// Digits are lower case.
fn is_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

/// The `traceparent` of a new trace. Nobody has recorded anything of it yet, so it is not marked as
/// sampled. Ids must not be zero (section 3.2.2.3).
#[must_use]
pub fn new_traceparent(trace: u128, parent: u64) -> String {
    format!("00-{:032x}-{:016x}-00", trace.max(1), parent.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const PARENT: &str = "00f067aa0ba902b7";

    #[test]
    fn the_form_of_the_recommendation_is_accepted() {
        for good in [
            format!("00-{TRACE}-{PARENT}-01"),
            format!("00-{TRACE}-{PARENT}-ff"),
            format!("cc-{TRACE}-{PARENT}-01"),
            format!("cc-{TRACE}-{PARENT}-01-what-the-future-holds"),
        ] {
            assert!(is_traceparent(good.as_bytes()), "{good}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        let zeros = "0".repeat(32);
        for bad in [
            String::new(),
            "none".to_owned(),
            format!("00-{TRACE}-{PARENT}"),
            format!("00-{TRACE}-{PARENT}-0"),
            format!("00-{TRACE}-{PARENT}-01-"),
            format!("00-{TRACE}-{PARENT}-01 "),
            format!("cc-{TRACE}-{PARENT}-011"),
            format!("ff-{TRACE}-{PARENT}-01"),
            format!("00-{}-{PARENT}-01", TRACE.to_uppercase()),
            format!("00-{zeros}-{PARENT}-01"),
            format!("00-{TRACE}-{}-01", &zeros[..16]),
            format!("00-{PARENT}-{TRACE}-01"),
            format!("00-{TRACE}-{PARENT}-0g"),
            format!("00_{TRACE}_{PARENT}_01"),
            format!("0--{TRACE}-{PARENT}-01"),
        ] {
            assert!(!is_traceparent(bad.as_bytes()), "{bad:?}");
        }
    }

    #[test]
    fn a_new_trace_has_a_valid_field() {
        for (trace, parent) in [(0, 0), (1, 2), (u128::MAX, u64::MAX)] {
            let value = new_traceparent(trace, parent);
            assert!(is_traceparent(value.as_bytes()), "{value}");
        }
    }
}
