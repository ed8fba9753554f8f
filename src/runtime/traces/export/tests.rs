//! Batches are bounded in size and time, and a collector that is away harms nothing.

use std::pin::pin;

use super::*;
use crate::model::timestamp::Timestamp;
use crate::telemetry::labels::SpanDrop;
use crate::telemetry::span::{SpanKind, SpanOutcome, SpanParent, Work};
use crate::telemetry::trace::{SpanFrame, Trace};

/// What a collector does with a batch.
#[derive(Clone, Copy, Debug)]
enum Answer {
    Take,
    Refuse,
    Hang,
}

#[derive(Debug)]
struct Collector {
    answer: Answer,
    batches: Mutex<Vec<usize>>,
}

#[async_trait]
impl SpanExporter for Collector {
    async fn export(&self, spans: Vec<Span>) -> Result<(), String> {
        self.batches.lock().unwrap().push(spans.len());
        match self.answer {
            Answer::Take => Ok(()),
            Answer::Refuse => Err("no".to_owned()),
            Answer::Hang => std::future::pending().await,
        }
    }
}

struct Play {
    export: Arc<SpanExport>,
    collector: Arc<Collector>,
    metrics: Arc<Metrics>,
    _task: tokio::task::JoinSet<()>,
}

impl Play {
    fn begin(answer: Answer) -> Self {
        let metrics = Arc::new(Metrics::new());
        let export = Arc::new(SpanExport::new(&metrics));
        let collector = Arc::new(Collector {
            answer,
            batches: Mutex::default(),
        });
        let mut task = tokio::task::JoinSet::new();
        let (running, taking) = (Arc::clone(&export), Arc::clone(&collector));
        task.spawn(async move {
            running
                .run(|| Some(Arc::clone(&taking) as Arc<dyn SpanExporter>))
                .await;
        });
        Self {
            export,
            collector,
            metrics,
            _task: task,
        }
    }

    fn record(&self, count: usize) {
        record(&self.export, count);
    }

    fn batches(&self) -> Vec<usize> {
        self.collector.batches.lock().unwrap().clone()
    }

    fn failed(&self) -> u64 {
        self.metrics.dropped_spans(SpanDrop::ExportFailed)
    }
}

/// Puts so many spans into the queue.
fn record(export: &SpanExport, count: usize) {
    let now = system::stopwatch();
    let trace = Trace::new(1, &export.queue, now, Timestamp::from_secs(1));
    for _ in 0..count {
        let frame = SpanFrame {
            id: trace.new_span_id(),
            parent: SpanParent::None,
            began: now,
            ended: now,
        };
        let work = Work {
            name: "request".into(),
            kind: SpanKind::Server,
            attributes: Vec::new(),
            outcome: SpanOutcome::Unset,
        };
        trace.record(frame, work);
    }
}

#[tokio::test(start_paused = true)]
async fn spans_travel_together_and_none_waits_long() {
    let play = Play::begin(Answer::Take);
    play.record(3);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(play.batches().is_empty(), "the others are waited for");
    tokio::time::sleep(Duration::from_millis(4500)).await;
    assert_eq!(play.batches(), [3]);
    play.record(BATCH + 1);
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(play.batches(), [3, BATCH], "a full batch does not wait");
    play.export.flush().await;
    assert_eq!(play.batches(), [3, BATCH, 1], "a flush does not wait");
    assert_eq!(play.failed(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_collector_that_refuses_loses_the_batch_alone() {
    let play = Play::begin(Answer::Refuse);
    play.record(3);
    play.export.flush().await;
    assert_eq!(play.failed(), 3);
    play.record(2);
    play.export.flush().await;
    assert_eq!((play.failed(), play.batches()), (5, vec![3, 2]));
}

#[tokio::test(start_paused = true)]
async fn a_collector_that_hangs_delays_no_stop() {
    let play = Play::begin(Answer::Hang);
    play.record(1);
    let began = system::stopwatch();
    play.export.flush().await;
    assert_eq!(began.elapsed(), FLUSH_TIMEOUT);
    tokio::time::sleep(EXPORT_TIMEOUT).await;
    assert_eq!(play.failed(), 1, "the batch is given up in the end");
}

#[tokio::test(start_paused = true)]
async fn spans_of_a_configuration_without_traces_are_dropped() {
    let metrics = Arc::new(Metrics::new());
    let export = SpanExport::new(&metrics);
    let mut running = pin!(export.run(|| None));
    let flushed = async {
        record(&export, 1);
        export.flush().await;
    };
    tokio::select! {
        () = flushed => {}
        () = &mut running => panic!("it runs as long as the process"),
    }
    assert_eq!(metrics.dropped_spans(SpanDrop::ExportFailed), 1);
}

#[tokio::test(start_paused = true)]
async fn lost_spans_are_told_once_a_minute() {
    let metrics = Arc::new(Metrics::new());
    let (queue, _receiver) = SpanQueue::new(metrics);
    let mut warnings = Warnings::default();
    warnings.tell(None, &queue);
    assert!(warnings.last.is_none(), "nothing is lost");
    warnings.tell(Some(("no".into(), 3)), &queue);
    let first = warnings.last;
    assert!(first.is_some());
    warnings.tell(Some(("no".into(), 2)), &queue);
    assert_eq!((warnings.last, warnings.lost), (first, 2));
    tokio::time::advance(WARN_INTERVAL).await;
    warnings.tell(None, &queue);
    assert!(warnings.last > first);
    assert_eq!(warnings.lost, 0);
}
