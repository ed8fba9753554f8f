//! The `traceparent` field (W3C Trace Context, section 3.2), by which applications join the records
//! of one request.
//!
//! A valid field is continued. Where the request is not recorded, it is forwarded as it is, because
//! the gateway has no span of its own. One that is not valid is dropped together with `tracestate`,
//! which means nothing without it, and the gateway begins another trace (section 3.3.3).

use crate::model::sampling::TraceParent;

/// Whether a value is a `traceparent`: of version `00`, or of a later one that begins alike.
#[must_use]
pub fn is_traceparent(value: &[u8]) -> bool {
    parse_traceparent(value).is_some()
}

/// What a `traceparent` of version `00` says, or one of a later version that begins alike; `None`
/// for a value that is none.
#[must_use]
pub fn parse_traceparent(value: &[u8]) -> Option<TraceParent> {
    let (known, rest) = value.split_at_checked(KNOWN)?;
    let known = std::str::from_utf8(known).ok()?;
    let mut parts = known.split('-');
    let (version, trace) = (parts.next()?, parts.next()?);
    let (parent, flags) = (parts.next()?, parts.next()?);
    let has_length = |part: &str, length| part.len() == length && part.bytes().all(is_hex);
    let has_form = has_length(version, 2)
        && version != "ff"
        && has_length(trace, 32)
        && has_length(parent, 16)
        && has_length(flags, 2)
        && parts.next().is_none();
    let ends = if version == "00" {
        rest.is_empty()
    } else {
        matches!(rest.first(), None | Some(b'-'))
    };
    let flags = u8::from_str_radix(flags, 16).ok()?;
    let read = TraceParent {
        trace: u128::from_str_radix(trace, 16).ok()?,
        parent: u64::from_str_radix(parent, 16).ok()?,
        is_sampled: flags & SAMPLED != 0,
    };
    (has_form && ends && read.trace != 0 && read.parent != 0).then_some(read)
}

/// The flag of a trace that its sender records.
const SAMPLED: u8 = 1;

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

/// The `traceparent` of a span that is recorded.
#[must_use]
pub fn recorded_traceparent(trace: u128, span: u64) -> String {
    format!("00-{trace:032x}-{span:016x}-01")
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

    #[test]
    fn ids_and_the_flag_are_read() {
        let read = |flags| parse_traceparent(format!("00-{TRACE}-{PARENT}-{flags}").as_bytes());
        let expected = TraceParent {
            trace: 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736,
            parent: 0x00f0_67aa_0ba9_02b7,
            is_sampled: true,
        };
        assert_eq!(read("01"), Some(expected));
        assert_eq!(read("03"), Some(expected));
        for flags in ["00", "02", "fe"] {
            assert!(!read(flags).unwrap().is_sampled, "{flags}");
        }
    }

    proptest::proptest! {
        /// What is written for a recorded span is read back.
        #[test]
        fn a_recorded_span_is_read_back(trace in 1..u128::MAX, parent in 1..u64::MAX) {
            let written = recorded_traceparent(trace, parent);
            let is_sampled = true;
            let read = TraceParent { trace, parent, is_sampled };
            proptest::prop_assert_eq!(parse_traceparent(written.as_bytes()), Some(read));
        }
    }
}
