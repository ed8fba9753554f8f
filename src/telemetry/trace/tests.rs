//! The queue is bounded, and calls find the request that they belong to.

use tokio::task::JoinSet;

use super::super::span::{SpanKind, SpanOutcome};
use super::*;

fn queue() -> (SpanQueue, mpsc::Receiver<Queued>, Arc<Metrics>) {
    let metrics = Arc::new(Metrics::new());
    let (queue, receiver) = SpanQueue::new(Arc::clone(&metrics));
    (queue, receiver, metrics)
}

/// This room asks no clock, not even in its tests.
fn now() -> Instant {
    tokio::time::sleep(Duration::ZERO).deadline()
}

fn trace(queue: &SpanQueue) -> Arc<Trace> {
    Trace::new(7, queue, now(), Timestamp::from_millis(5000))
}

fn work(name: &'static str) -> Work {
    Work {
        name: name.into(),
        kind: SpanKind::Client,
        attributes: Vec::new(),
        outcome: SpanOutcome::Unset,
    }
}

fn call(name: &'static str) {
    let at = now();
    record_call(at, at, || work(name));
}

fn next(receiver: &mut mpsc::Receiver<Queued>) -> Option<Span> {
    match receiver.try_recv().ok()? {
        Queued::Span(span) => Some(*span),
        Queued::Flush(_) => panic!("nobody waits"),
    }
}

#[tokio::test]
async fn calls_are_parts_of_the_span_of_their_task() {
    let (queue, mut receiver, _) = queue();
    call("before");
    let context = SpanContext {
        trace: trace(&queue),
        span: 3,
    };
    let task = context.scope(async {
        call("in the task");
        let mut others = JoinSet::new();
        others.spawn(carry(async { call("in another task") }));
        others.join_all().await;
    });
    task.await;
    carry(async { call("after") }).await;
    for name in ["in the task", "in another task"] {
        let span = next(&mut receiver).unwrap();
        assert_eq!((span.trace, span.parent), (7, SpanParent::Own(3)));
        assert_eq!(span.work.name, name);
    }
    assert_eq!(next(&mut receiver), None);
}

#[tokio::test]
async fn a_full_queue_drops_and_counts() {
    let (queue, mut receiver, metrics) = queue();
    let trace = trace(&queue);
    let at = now();
    let frame = SpanFrame {
        id: 1,
        parent: SpanParent::None,
        began: at,
        ended: at,
    };
    for _ in 0..QUEUE_LENGTH + 3 {
        trace.record(frame, work("request"));
    }
    assert_eq!(metrics.dropped_spans(SpanDrop::QueueFull), 3);
    let kept = std::iter::from_fn(|| next(&mut receiver));
    assert_eq!(kept.count(), QUEUE_LENGTH);
}

#[tokio::test(start_paused = true)]
async fn times_go_by_the_clock_of_the_request() {
    let (queue, mut receiver, _) = queue();
    let trace = trace(&queue);
    let began = now();
    tokio::time::advance(Duration::from_micros(1500)).await;
    let frame = SpanFrame {
        id: 1,
        parent: SpanParent::Client(2),
        began,
        ended: now(),
    };
    trace.record(frame, work("request"));
    let span = next(&mut receiver).unwrap();
    assert_eq!(span.began, UNIX_EPOCH + Duration::from_secs(5));
    assert_eq!(span.ended, UNIX_EPOCH + Duration::from_micros(5_001_500));
}

#[test]
fn ids_are_not_zero_and_do_not_repeat() {
    let (queue, _receiver, _) = queue();
    let ids: std::collections::HashSet<u128> = (0..1000).map(|_| queue.new_trace_id()).collect();
    assert_eq!(ids.len(), 1000);
    // Both halves are used: a share is decided by the last one.
    assert!(
        ids.iter()
            .all(|id| id >> 64 != 0 && id & u128::from(u64::MAX) != 0)
    );
}
