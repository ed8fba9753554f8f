//! A call to a provider, as metrics and traces tell it.

use std::time::Duration;

use tokio::time::Instant;

use crate::provider::ProviderError;
use crate::system;
use crate::telemetry::labels::{CallResult, ProviderOperation};
use crate::telemetry::span::{SpanKind, SpanOutcome, Work};
use crate::telemetry::trace;

/// A call that has ended.
pub(super) struct ProviderCall<'a> {
    /// The name of the provider.
    pub provider: &'a str,
    pub operation: ProviderOperation,
    pub result: CallResult,
}

impl ProviderCall<'_> {
    /// Records the call with the request that it was made for. Returns how long it took.
    pub fn record(&self, began: Instant) -> Duration {
        let ended = system::stopwatch();
        trace::record_call(began, ended, || self.span());
        ended - began
    }

    /// The call as a span. A refusal is an answer: the call did not fail.
    fn span(&self) -> Work {
        let (operation, result) = (self.operation.as_str(), self.result.as_str());
        let outcome = match self.result {
            CallResult::Ok | CallResult::Refused => SpanOutcome::Unset,
            CallResult::Unavailable | CallResult::Misconfigured => SpanOutcome::Error,
        };
        let mut attributes = vec![
            ("vestibule.provider", self.provider.to_owned().into()),
            ("vestibule.operation", operation.into()),
            ("vestibule.result", result.into()),
        ];
        if outcome == SpanOutcome::Error {
            attributes.push(("error.type", result.into()));
        }
        Work {
            name: format!("provider {operation}").into(),
            kind: SpanKind::Client,
            attributes,
            outcome,
        }
    }
}

/// The label of a call that failed.
pub(super) fn result_of(error: &ProviderError) -> CallResult {
    match error {
        ProviderError::Refused(_) => CallResult::Refused,
        ProviderError::Unavailable(_) => CallResult::Unavailable,
        ProviderError::Misconfigured(_) => CallResult::Misconfigured,
    }
}

/// Logs a call that failed for another reason than what a user did.
pub(super) fn log_failure(provider: &str, operation: ProviderOperation, error: &ProviderError) {
    let operation = operation.as_str();
    match error {
        ProviderError::Misconfigured(cause) => {
            tracing::error!(
                provider,
                operation,
                cause,
                "the provider refuses the gateway"
            );
        }
        ProviderError::Unavailable(cause) => {
            tracing::warn!(provider, operation, cause, "the provider does not answer");
        }
        ProviderError::Refused(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_no_error_and_an_outage_is_one() {
        for (result, outcome) in [
            (CallResult::Ok, SpanOutcome::Unset),
            (CallResult::Refused, SpanOutcome::Unset),
            (CallResult::Unavailable, SpanOutcome::Error),
            (CallResult::Misconfigured, SpanOutcome::Error),
        ] {
            let call = ProviderCall {
                provider: "main",
                operation: ProviderOperation::Refresh,
                result,
            };
            let span = call.span();
            assert_eq!(
                (span.name.as_ref(), span.outcome),
                ("provider refresh", outcome)
            );
            let has_error = span
                .attributes
                .iter()
                .any(|(name, _)| *name == "error.type");
            assert_eq!(has_error, outcome == SpanOutcome::Error);
        }
    }
}
