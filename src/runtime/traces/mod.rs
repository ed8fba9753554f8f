//! Which requests are recorded, and where their spans go (`[telemetry]`).

mod export;
#[cfg(feature = "traces")]
mod otlp;

use std::sync::Arc;

use tokio::time::Instant;

use crate::config::settings::{self, Settings};
use crate::model::sampling::{SampleShare, TraceParent};
use crate::model::timestamp::Timestamp;
use crate::telemetry::trace::{SpanQueue, Trace};

use super::Runtime;
use super::build_error::BuildError;
use super::connectors::Connectors;

pub use export::{SpanExport, SpanExporter};

/// Records a share of the requests under one configuration.
pub struct Traces {
    settings: settings::Traces,
    share: SampleShare,
    queue: SpanQueue,
    pub(super) exporter: Arc<dyn SpanExporter>,
}

/// The trace of a client, which may be continued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientTrace {
    /// What its `traceparent` says.
    pub parent: TraceParent,
    /// Whether the sender decides if it is recorded.
    pub sender: Sender,
}

/// Who sent a `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// A proxy of `trusted_proxies`, which has decided whether the trace is recorded.
    TrustedProxy,
    /// Anybody. What it says of that costs nothing and is not believed.
    Anybody,
}

impl Traces {
    /// Recording as `settings` say, into `queue`. Opens no connection. Where `previous` has the same
    /// settings, its exporter goes on.
    pub(super) fn build(
        settings: &Settings,
        previous: Option<&Runtime>,
        queue: &SpanQueue,
        connectors: &dyn Connectors,
    ) -> Result<Option<Arc<Self>>, BuildError> {
        let Some(settings) = &settings.traces else {
            return Ok(None);
        };
        let previous = previous.and_then(|runtime| runtime.traces.as_ref());
        if let Some(previous) = previous.filter(|previous| previous.settings == *settings) {
            return Ok(Some(Arc::clone(previous)));
        }
        Ok(Some(Arc::new(Self {
            settings: settings.clone(),
            share: SampleShare::new(settings.sample),
            queue: queue.clone(),
            exporter: exporter(settings, connectors)?,
        })))
    }

    /// The trace of a request that began at `began`, which the wall clock called `began_at`. `None`
    /// where it is not recorded.
    #[must_use]
    pub fn begin(
        &self,
        client: Option<ClientTrace>,
        began: Instant,
        began_at: Timestamp,
    ) -> Option<Arc<Trace>> {
        let id = client.map_or_else(|| self.queue.new_trace_id(), |it| it.parent.trace);
        let is_recorded = match client {
            Some(ClientTrace {
                parent,
                sender: Sender::TrustedProxy,
            }) => parent.is_sampled,
            Some(ClientTrace {
                sender: Sender::Anybody,
                ..
            })
            | None => self.share.includes(id),
        };
        is_recorded.then(|| Trace::new(id, &self.queue, began, began_at))
    }
}

impl std::fmt::Debug for Traces {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Traces({})", self.settings.sample)
    }
}

#[cfg(feature = "traces")]
fn exporter(
    settings: &settings::Traces,
    connectors: &dyn Connectors,
) -> Result<Arc<dyn SpanExporter>, BuildError> {
    let failed = |what: String| BuildError(format!("traces: {what}"));
    // A client of its own: a collector that is slow takes no permit of calls to providers.
    let client = connectors.http_client();
    let client = client.map_err(|error| failed(error.to_string()))?;
    let exporter = otlp::OtlpExporter::new(&settings.endpoint, client).map_err(failed)?;
    Ok(Arc::new(exporter))
}

/// The configuration was refused before.
#[cfg(not(feature = "traces"))]
fn exporter(
    settings: &settings::Traces,
    _: &dyn Connectors,
) -> Result<Arc<dyn SpanExporter>, BuildError> {
    Err(BuildError(format!(
        "traces: nothing sends them to {}",
        settings.endpoint
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system;
    use crate::telemetry::Metrics;
    use crate::telemetry::span::Span;

    #[derive(Debug)]
    struct Nowhere;

    #[async_trait::async_trait]
    impl SpanExporter for Nowhere {
        async fn export(&self, _: Vec<Span>) -> Result<(), String> {
            Ok(())
        }
    }

    fn traces(sample: f64) -> Traces {
        Traces {
            settings: settings::Traces {
                endpoint: "http://127.0.0.1:4318/v1/traces".parse().unwrap(),
                sample,
            },
            share: SampleShare::new(sample),
            queue: SpanQueue::new(Arc::new(Metrics::new())).0,
            exporter: Arc::new(Nowhere),
        }
    }

    fn is_recorded(share: f64, client: Option<ClientTrace>) -> bool {
        let began = traces(share).begin(client, system::stopwatch(), Timestamp::from_secs(1));
        if let (Some(client), Some(trace)) = (client, &began) {
            assert_eq!(trace.id, client.parent.trace, "the trace is continued");
        }
        began.is_some()
    }

    #[tokio::test]
    async fn only_a_trusted_proxy_decides_what_is_recorded() {
        for (share, ours) in [(0.0, false), (1.0, true)] {
            assert_eq!(is_recorded(share, None), ours);
            for is_sampled in [false, true] {
                let parent = TraceParent {
                    trace: 7,
                    parent: 3,
                    is_sampled,
                };
                let from = |sender| Some(ClientTrace { parent, sender });
                assert_eq!(is_recorded(share, from(Sender::Anybody)), ours);
                assert_eq!(is_recorded(share, from(Sender::TrustedProxy)), is_sampled);
            }
        }
    }
}
