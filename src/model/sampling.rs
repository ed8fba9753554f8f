//! The ids of a trace (W3C Trace Context), and which traces are recorded.

/// What a `traceparent` field says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParent {
    /// The id of the trace, which is not 0.
    pub trace: u128,
    /// The id of the sender's span, which is not 0.
    pub parent: u64,
    /// Whether the sender says that it records the trace.
    pub is_sampled: bool,
}

/// The share of traces that are recorded. It is decided by the id of the trace, as the samplers of
/// OpenTelemetry's SDKs do, so that everybody with the same share records the same traces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SampleShare {
    /// Traces whose id ends with less, in 63 bits, are recorded.
    below: u64,
}

impl SampleShare {
    /// From a share between 0 (none) and 1 (all).
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share between 0 and 1, times 2 to the 63"
    )]
    pub fn new(share: f64) -> Self {
        let all = 2f64.powi(63);
        Self {
            below: (share.clamp(0.0, 1.0) * all) as u64,
        }
    }

    /// Whether the trace with this id is recorded.
    #[must_use]
    pub fn includes(self, trace: u128) -> bool {
        (trace & u128::from(u64::MAX)) >> 1 < u128::from(self.below)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn none_and_all_are_exact() {
        for trace in [1, u128::from(u64::MAX), u128::MAX, 1 << 64] {
            assert!(!SampleShare::new(0.0).includes(trace), "{trace:x}");
            assert!(SampleShare::new(1.0).includes(trace), "{trace:x}");
        }
    }

    #[test]
    fn a_share_of_a_hundredth_is_about_a_hundredth() {
        let share = SampleShare::new(0.01);
        let mut random = fastrand::Rng::with_seed(7);
        let recorded = (0..100_000).filter(|_| share.includes(random.u128(..)));
        assert!((900..1100).contains(&recorded.count()));
    }

    proptest! {
        /// A replica with a larger share records whatever one with a smaller share records.
        #[test]
        fn a_larger_share_includes_a_smaller_one(
            trace: u128,
            one in 0.0..=1.0_f64,
            other in 0.0..=1.0_f64,
        ) {
            let (small, large) = (one.min(other), one.max(other));
            if SampleShare::new(small).includes(trace) {
                prop_assert!(SampleShare::new(large).includes(trace));
            }
        }

        /// The first half of an id decides nothing: some clients put a time there.
        #[test]
        fn only_the_end_of_the_id_counts(start: u64, end: u64, share in 0.0..=1.0_f64) {
            let share = SampleShare::new(share);
            let trace = u128::from(start) << 64 | u128::from(end);
            prop_assert_eq!(share.includes(trace), share.includes(u128::from(end)));
        }
    }
}
