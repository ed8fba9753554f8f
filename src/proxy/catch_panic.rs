//! A panic in the work for one request ends that work and nothing else.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::Poll;

/// The work panicked.
#[derive(Debug, PartialEq)]
pub(super) struct Panicked;

/// Runs `work` and catches a panic in it. `work` is borrowed: this future would be twice as large
/// if it owned it.
pub(super) async fn catch_panic<T>(
    mut work: Pin<&mut impl Future<Output = T>>,
) -> Result<T, Panicked> {
    // A future that panicked is not polled again, and it borrowed nothing but the request's own
    // data: no other request sees what it left half done.
    poll_fn(
        |cx| match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))) {
            Ok(polled) => polled.map(Ok),
            Err(_) => Poll::Ready(Err(Panicked)),
        },
    )
    .await
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;

    #[tokio::test]
    async fn a_panic_ends_the_work_and_nothing_else() {
        let good = pin!(async {
            tokio::task::yield_now().await;
            7
        });
        assert_eq!(catch_panic(good).await, Ok(7));
        let bad = pin!(async {
            tokio::task::yield_now().await;
            panic!("in the middle");
        });
        let panicked: Result<(), _> = catch_panic(bad).await;
        assert_eq!(panicked, Err(Panicked));
    }
}
