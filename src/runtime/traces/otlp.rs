//! OTLP over HTTP, with OpenTelemetry's own exporter over the gateway's HTTP client.
//!
//! The SDK's batch processor is not used: it runs a thread of its own, and does not tell what it
//! drops. The exporter reads `OTEL_EXPORTER_OTLP_HEADERS` for what a collector asks as proof.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use opentelemetry::trace::{
    SpanContext, SpanId, SpanKind as Kind, Status, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{InstrumentationScope, KeyValue, Value};
use opentelemetry_http::HttpError;
use opentelemetry_otlp::{
    Protocol, SpanExporter as Exporter, WithExportConfig as _, WithHttpConfig as _,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanExporter as _, SpanLinks};
use url::Url;

use crate::provider::http_client::{HttpClient, Purpose, Request};
use crate::system;
use crate::telemetry::span::{AttributeValue, Span, SpanKind, SpanOutcome, SpanParent};

use super::export::{EXPORT_TIMEOUT, SpanExporter};

/// The name of the gateway among services.
const SERVICE: &str = "vestibule";

/// Sends spans to a collector.
pub(super) struct OtlpExporter {
    exporter: Exporter,
    scope: InstrumentationScope,
    last_error: LastError,
}

/// Why the last call failed: OpenTelemetry's error does not tell.
type LastError = Arc<Mutex<Option<String>>>;

/// The gateway's HTTP client, as the exporter calls it.
#[derive(Debug)]
struct Client {
    client: HttpClient,
    last_error: LastError,
}

impl OtlpExporter {
    /// Opens no connection.
    ///
    /// # Errors
    /// A description for the operator.
    pub(super) fn new(endpoint: &Url, client: HttpClient) -> Result<Self, String> {
        let last_error = LastError::default();
        let exporter = Exporter::builder()
            .with_http()
            .with_http_client(Client {
                client,
                last_error: Arc::clone(&last_error),
            })
            .with_endpoint(endpoint.as_str())
            .with_protocol(Protocol::HttpBinary)
            .with_timeout(EXPORT_TIMEOUT)
            .build();
        let mut exporter = exporter.map_err(|error| error.to_string())?;
        exporter.set_resource(&resource());
        let version = env!("CARGO_PKG_VERSION");
        Ok(Self {
            exporter,
            scope: InstrumentationScope::builder(SERVICE)
                .with_version(version)
                .build(),
            last_error,
        })
    }

    fn span_data(&self, span: Span) -> SpanData {
        let trace = TraceId::from(span.trace);
        let (parent, is_remote) = match span.parent {
            SpanParent::None => (SpanId::INVALID, false),
            SpanParent::Own(parent) => (SpanId::from(parent), false),
            SpanParent::Client(parent) => (SpanId::from(parent), true),
        };
        let id = SpanId::from(span.id);
        let attributes = span.work.attributes.into_iter();
        SpanData {
            span_context: SpanContext::new(trace, id, TraceFlags::SAMPLED, false, TraceState::NONE),
            parent_span_id: parent,
            parent_span_is_remote: is_remote,
            span_kind: match span.work.kind {
                SpanKind::Server => Kind::Server,
                SpanKind::Client => Kind::Client,
                SpanKind::Internal => Kind::Internal,
            },
            name: span.work.name,
            start_time: span.began,
            end_time: span.ended,
            attributes: attributes
                .map(|(name, value)| KeyValue::new(name, value_of(value)))
                .collect(),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: match span.work.outcome {
                SpanOutcome::Unset => Status::Unset,
                SpanOutcome::Error => Status::error(""),
            },
            instrumentation_scope: self.scope.clone(),
        }
    }
}

/// The gateway among services.
fn resource() -> Resource {
    static INSTANCE: OnceLock<String> = OnceLock::new();
    let instance = INSTANCE.get_or_init(system::unique_id);
    Resource::builder_empty()
        .with_attributes([
            KeyValue::new("service.name", SERVICE),
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.instance.id", instance.clone()),
        ])
        .build()
}

fn value_of(value: AttributeValue) -> Value {
    match value {
        AttributeValue::Text(text) => Value::String(text.into()),
        AttributeValue::Number(number) => Value::I64(number),
    }
}

#[async_trait]
impl SpanExporter for OtlpExporter {
    async fn export(&self, spans: Vec<Span>) -> Result<(), String> {
        let spans = spans.into_iter().map(|span| self.span_data(span));
        let exported = self.exporter.export(spans.collect()).await;
        exported.map_err(|error| take(&self.last_error).unwrap_or_else(|| error.to_string()))
    }
}

impl fmt::Debug for OtlpExporter {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("OtlpExporter")
    }
}

fn take(error: &LastError) -> Option<String> {
    error.lock().unwrap_or_else(PoisonError::into_inner).take()
}

impl Client {
    async fn send(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, String> {
        let (head, body) = request.into_parts();
        // It was made from one.
        let url = head.uri.to_string().parse();
        let url = url.map_err(|_| "the address of the collector is not valid".to_owned())?;
        let sent = self.client.send(Request {
            method: head.method,
            url,
            headers: head.headers,
            body: body.into(),
            timeout: EXPORT_TIMEOUT,
            purpose: Purpose::Background,
        });
        let received = sent.await.map_err(|error| error.to_string())?;
        let mut response = http::Response::new(Bytes::from(received.body));
        *response.status_mut() = received.status;
        *response.headers_mut() = received.headers;
        Ok(response)
    }
}

#[async_trait]
impl opentelemetry_http::HttpClient for Client {
    async fn send_bytes(
        &self,
        request: http::Request<Bytes>,
    ) -> Result<http::Response<Bytes>, HttpError> {
        take(&self.last_error);
        self.send(request).await.map_err(|error| {
            let mut last = self
                .last_error
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            *last = Some(error.clone());
            error.into()
        })
    }
}
