//! The trace of one request while it is recorded, and the way of its spans to the exporter.
//!
//! A request that is not recorded has no [`Trace`]. Calls on behalf of a recorded one find it in
//! their task, so that they need not be told of it.

use std::future::Future;
use std::hash::{BuildHasher as _, RandomState};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::labels::SpanDrop;
use super::metrics::Metrics;
use super::span::{Span, SpanParent, Work};
use crate::model::timestamp::Timestamp;

/// How many spans wait for the exporter. Each is about half a kilobyte.
pub const QUEUE_LENGTH: usize = 2048;

tokio::task_local! {
    static CURRENT: SpanContext;
}

/// Where spans are put. It never waits: what does not fit is dropped and counted.
#[derive(Clone)]
pub struct SpanQueue {
    sender: mpsc::Sender<Queued>,
    metrics: Arc<Metrics>,
    ids: Arc<SpanIds>,
}

/// What the exporter takes from the queue.
#[derive(Debug)]
pub enum Queued {
    /// A span.
    Span(Box<Span>),
    /// The wish to know when everything before it has been exported.
    Flush(oneshot::Sender<()>),
}

/// Makes ids that nobody can guess and that do not repeat: a keyed hash of a counter.
#[derive(Default)]
struct SpanIds {
    key: RandomState,
    count: AtomicU64,
}

/// The trace of a request that is recorded.
pub struct Trace {
    /// The id of the trace.
    pub id: u128,
    queue: SpanQueue,
    /// When the request began, on the clock that measures.
    began: Instant,
    /// The same moment as a time of day.
    began_at: SystemTime,
}

/// Which span new spans are a part of.
#[derive(Clone)]
pub struct SpanContext {
    /// The trace.
    pub trace: Arc<Trace>,
    /// The span.
    pub span: u64,
}

/// The span of a piece of work that has just ended.
#[derive(Clone, Copy, Debug)]
pub struct SpanFrame {
    /// The id of the span.
    pub id: u64,
    /// The span that it is a part of.
    pub parent: SpanParent,
    /// When the work began.
    pub began: Instant,
    /// When it ended.
    pub ended: Instant,
}

impl SpanQueue {
    /// An empty queue, and its other end.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>) -> (Self, mpsc::Receiver<Queued>) {
        let (sender, receiver) = mpsc::channel(QUEUE_LENGTH);
        let queue = Self {
            sender,
            metrics,
            ids: Arc::default(),
        };
        (queue, receiver)
    }

    /// An id for a trace that begins here.
    #[must_use]
    pub fn new_trace_id(&self) -> u128 {
        u128::from(self.ids.next()) << 64 | u128::from(self.ids.next())
    }

    fn put(&self, span: Span) {
        if self.sender.try_send(Queued::Span(Box::new(span))).is_err() {
            self.metrics.spans_dropped(SpanDrop::QueueFull, 1);
        }
    }

    /// Counts spans that no collector has taken.
    pub fn export_failed(&self, spans: usize) {
        let spans = u64::try_from(spans).unwrap_or(u64::MAX);
        self.metrics.spans_dropped(SpanDrop::ExportFailed, spans);
    }

    /// How many spans were dropped because the queue was full.
    #[must_use]
    pub fn overflowed(&self) -> u64 {
        self.metrics.dropped_spans(SpanDrop::QueueFull)
    }

    /// Waits until everything that is in the queue has been exported or dropped.
    pub async fn flush(&self) {
        let (flushed, done) = oneshot::channel();
        if self.sender.send(Queued::Flush(flushed)).await.is_ok() {
            // An error means that the exporter has ended.
            let _ = done.await;
        }
    }
}

impl std::fmt::Debug for SpanQueue {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("SpanQueue")
    }
}

impl SpanIds {
    fn next(&self) -> u64 {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        self.key.hash_one(count).max(1)
    }
}

impl Trace {
    /// The trace `id` of a request that began at `began`, which the wall clock called `began_at`.
    #[must_use]
    pub fn new(id: u128, queue: &SpanQueue, began: Instant, began_at: Timestamp) -> Arc<Self> {
        Arc::new(Self {
            id,
            queue: queue.clone(),
            began,
            began_at: UNIX_EPOCH + Duration::from_millis(began_at.millis()),
        })
    }

    /// An id for a span.
    #[must_use]
    pub fn new_span_id(&self) -> u64 {
        self.queue.ids.next()
    }

    /// Records a span.
    pub fn record(&self, frame: SpanFrame, work: Work) {
        self.queue.put(Span {
            trace: self.id,
            id: frame.id,
            parent: frame.parent,
            began: self.time_of(frame.began),
            ended: self.time_of(frame.ended),
            work,
        });
    }

    /// The time of day at a moment. All spans of a request go by its one reading of the wall clock,
    /// so that none lies outside of its parent.
    fn time_of(&self, moment: Instant) -> SystemTime {
        self.began_at + moment.saturating_duration_since(self.began)
    }
}

impl SpanContext {
    /// Runs `work` so that its calls are recorded as parts of this span.
    pub async fn scope<T>(self, work: impl Future<Output = T>) -> T {
        CURRENT.scope(self, work).await
    }
}

/// Whether the work of this task belongs to a request that is recorded.
#[must_use]
pub fn is_recorded() -> bool {
    CURRENT.try_with(|_| ()).is_ok()
}

/// Records a call that has just ended, which lasted since `began`. `work` says what was done; it is
/// not called where nothing is recorded.
pub fn record_call(began: Instant, ended: Instant, work: impl FnOnce() -> Work) {
    // An error means that nothing is recorded.
    let _ = CURRENT.try_with(|context| {
        let frame = SpanFrame {
            id: context.trace.new_span_id(),
            parent: SpanParent::Own(context.span),
            began,
            ended,
        };
        context.trace.record(frame, work());
    });
}

/// `work` for another task: its calls are recorded as parts of the same span.
pub fn carry<T>(work: impl Future<Output = T>) -> impl Future<Output = T> {
    let context = CURRENT.try_with(SpanContext::clone).ok();
    async move {
        let work = pin!(work);
        match context {
            Some(context) => context.scope(work).await,
            None => work.await,
        }
    }
}

#[cfg(test)]
mod tests;
