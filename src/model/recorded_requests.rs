//! Which requests the access log records.

/// Which requests the access log records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordedRequests {
    /// All of them.
    All,
    /// Those with a status of 400 or more, or without a response.
    Errors,
    /// None of them.
    None,
}

impl RecordedRequests {
    /// Whether a request with a response of this status is recorded; 0 stands for no response.
    #[must_use]
    pub const fn includes(self, status: u16) -> bool {
        match self {
            Self::All => true,
            Self::Errors => status >= 400 || status == 0,
            Self::None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_refusals_failures_and_requests_without_a_response() {
        for (status, is_error) in [
            (0, true),
            (101, false),
            (302, false),
            (404, true),
            (502, true),
        ] {
            assert_eq!(
                RecordedRequests::Errors.includes(status),
                is_error,
                "{status}"
            );
            assert!(RecordedRequests::All.includes(status));
            assert!(!RecordedRequests::None.includes(status));
        }
    }
}
