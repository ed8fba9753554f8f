//! How long a decision takes: the gateway's own time, without what it waits for.

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use tokio::time::Instant;

use crate::system;

use super::request_state::RequestState;

/// Records how long the decision took without what it waited for, which is the gateway's own share
/// of a request's time. Returns the moment of the decision.
pub(super) fn record(ctx: &RequestState) -> Instant {
    let now = system::stopwatch();
    if let Some(site_runtime) = &ctx.site_runtime {
        let own = (now - ctx.started).saturating_sub(ctx.waited);
        site_runtime.metrics.decided(own);
    }
    if let Some(trace) = &ctx.trace {
        let verdict = vec![
            ("vestibule.outcome", ctx.outcome.as_str().into()),
            ("vestibule.reason", ctx.reason.as_str().into()),
        ];
        trace.decided(ctx.started, now, verdict);
    }
    now
}

/// Runs `work`, and adds to `waited` how long it waited for something. Work that does not wait
/// costs no reading of the clock.
pub(super) async fn measure_waits(
    mut work: Pin<&mut impl Future<Output = ()>>,
    waited: &mut Duration,
) {
    let mut since = None;
    poll_fn(|cx| {
        let polled = work.as_mut().poll(cx);
        if polled.is_pending() {
            since.get_or_insert_with(system::stopwatch);
        }
        polled
    })
    .await;
    if let Some(since) = since {
        *waited += since.elapsed();
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_waits_are_measured() {
        let mut waited = Duration::ZERO;
        measure_waits(pin!(async {}), &mut waited).await;
        assert_eq!(waited, Duration::ZERO);
        let second = Duration::from_secs(1);
        measure_waits(pin!(tokio::time::sleep(second)), &mut waited).await;
        assert!(waited >= second);
    }
}
