//! Sends the spans of recorded requests away in batches, in one task.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout, timeout_at};

use crate::system;
use crate::telemetry::Metrics;
use crate::telemetry::span::Span;
use crate::telemetry::trace::{Queued, SpanQueue};

/// The most spans of one batch.
const BATCH: usize = 512;
/// How long a span waits for others to travel with.
const BATCH_WAIT: Duration = Duration::from_secs(5);
/// How long an export may take, with what is tried again in this time.
pub(super) const EXPORT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the end of the process waits for the last spans.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(3);
/// How often a collector that is away is told of.
const WARN_INTERVAL: Duration = Duration::from_secs(60);

/// Sends spans to where they are kept.
#[async_trait]
pub trait SpanExporter: Send + Sync + fmt::Debug {
    /// Sends a batch.
    ///
    /// # Errors
    /// A description for the operator, without anything of the spans.
    async fn export(&self, spans: Vec<Span>) -> Result<(), String>;
}

/// The queue of spans with its task, for as long as the process lives.
pub struct SpanExport {
    /// Takes the spans.
    pub queue: SpanQueue,
    /// The other end, until the task takes it.
    receiver: Mutex<Option<mpsc::Receiver<Queued>>>,
}

/// Spans that travel together, and who waits for them to have left.
struct Batch {
    spans: Vec<Span>,
    flushed: Option<oneshot::Sender<()>>,
}

/// What was said of lost spans, so that it is not said too often.
#[derive(Default)]
struct Warnings {
    last: Option<Instant>,
    /// How many spans no collector took since then.
    lost: usize,
    /// How many had found the queue full by then.
    overflowed: u64,
}

impl SpanExport {
    pub(in super::super) fn new(metrics: &Arc<Metrics>) -> Self {
        let (queue, receiver) = SpanQueue::new(Arc::clone(metrics));
        Self {
            queue,
            receiver: Mutex::new(Some(receiver)),
        }
    }

    /// Sends spans away, to the exporter in force, `None` where there is none any more. Does nothing
    /// where another task does this. Never returns.
    pub(in super::super) async fn run(&self, exporter: impl Fn() -> Option<Arc<dyn SpanExporter>>) {
        let receiver = self.receiver.lock();
        let receiver = receiver.unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut receiver) = receiver else {
            return std::future::pending().await;
        };
        let mut warnings = Warnings::default();
        while let Some(batch) = Batch::next(&mut receiver).await {
            let count = batch.spans.len();
            let result = match exporter() {
                Some(exporter) if count > 0 => export(&*exporter, batch.spans).await,
                Some(_) => Ok(()),
                None => Err("traces are not recorded any more".to_owned()),
            };
            if result.is_err() {
                self.queue.export_failed(count);
            }
            warnings.tell(result.err().map(|cause| (cause, count)), &self.queue);
            if let Some(flushed) = batch.flushed {
                // An error means that nobody waits any more.
                let _ = flushed.send(());
            }
        }
    }

    /// Sends what is left, for at most a few seconds, while [`Self::run`] runs.
    pub(in super::super) async fn flush(&self) {
        // What was not sent by then is lost with the process.
        let _ = timeout(FLUSH_TIMEOUT, self.queue.flush()).await;
    }
}

async fn export(exporter: &dyn SpanExporter, spans: Vec<Span>) -> Result<(), String> {
    let sent = timeout(EXPORT_TIMEOUT, exporter.export(spans)).await;
    sent.unwrap_or_else(|_| Err(format!("no answer within {EXPORT_TIMEOUT:?}")))
}

impl Batch {
    /// Waits for a span, and a while for others. `None` where nobody can send any.
    async fn next(receiver: &mut mpsc::Receiver<Queued>) -> Option<Self> {
        let mut batch = Self {
            spans: Vec::new(),
            flushed: None,
        };
        batch.add(receiver.recv().await?);
        let until = system::stopwatch() + BATCH_WAIT;
        while batch.flushed.is_none() && batch.spans.len() < BATCH {
            match timeout_at(until, receiver.recv()).await {
                Ok(Some(queued)) => batch.add(queued),
                Ok(None) | Err(_) => break,
            }
        }
        Some(batch)
    }

    fn add(&mut self, queued: Queued) {
        match queued {
            Queued::Span(span) => self.spans.push(*span),
            Queued::Flush(flushed) => self.flushed = Some(flushed),
        }
    }
}

impl Warnings {
    /// Notes that so many spans were `lost` for a cause, and warns of what was not told yet.
    fn tell(&mut self, lost: Option<(String, usize)>, queue: &SpanQueue) {
        let overflowed = queue.overflowed();
        let cause = lost.map(|(cause, count)| {
            self.lost += count;
            cause
        });
        let is_silent = self.lost == 0 && overflowed == self.overflowed;
        let now = system::stopwatch();
        if is_silent || self.last.is_some_and(|last| now - last < WARN_INTERVAL) {
            return;
        }
        tracing::warn!(
            lost = self.lost,
            queue_full = overflowed - self.overflowed,
            cause,
            "traces were dropped: the collector does not take them"
        );
        *self = Self {
            last: Some(now),
            lost: 0,
            overflowed,
        };
    }
}

#[cfg(test)]
mod tests;
