//! A collector of traces that keeps what it is sent over OTLP.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use prost::Message as _;

use super::Application;

/// The collector; killed when dropped.
pub struct Collector(Application);

/// A span as it arrived, with ids in hexadecimal digits.
#[derive(Clone, Debug)]
pub struct Collected {
    pub trace: String,
    pub id: String,
    /// Empty where the trace begins with it.
    pub parent: String,
    pub name: String,
    pub kind: SpanKind,
    pub is_error: bool,
    pub began: u64,
    pub ended: u64,
    pub attributes: BTreeMap<String, String>,
}

impl Collector {
    pub async fn open() -> Self {
        Self(Application::open().await)
    }

    /// A configuration that sends the traces of this share of requests here.
    pub fn in_place(&self, config: &str, sample: &str) -> String {
        traced(config, &self.0.address().to_string(), sample)
    }

    /// Everything that arrived, as bytes.
    pub fn bodies(&self) -> Vec<Vec<u8>> {
        let received = self.0.received().into_iter();
        received.map(|request| request.body).collect()
    }

    /// The spans that arrived, in order.
    pub fn spans(&self) -> Vec<Collected> {
        let mut spans = Vec::new();
        for request in self.0.received() {
            assert_eq!(
                (request.method.as_str(), request.target.as_str()),
                ("POST", "/v1/traces")
            );
            assert_eq!(
                request.header("content-type"),
                Some("application/x-protobuf")
            );
            let read = ExportTraceServiceRequest::decode(&request.body[..]).unwrap();
            for resource in read.resource_spans {
                let about = attributes(&resource.resource.unwrap().attributes);
                assert_eq!(about["service.name"], "vestibule");
                assert_eq!(about["service.version"], env!("CARGO_PKG_VERSION"));
                let of_scopes = resource.scope_spans.into_iter();
                spans.extend(of_scopes.flat_map(|scope| scope.spans).map(Collected::of));
            }
        }
        spans
    }

    /// The one span with this name.
    pub fn one(&self, name: &str) -> Collected {
        let mut named = self.spans();
        named.retain(|span| span.name == name);
        assert_eq!(named.len(), 1, "{name}: {:#?}", self.spans());
        named.remove(0)
    }
}

/// A configuration that sends the traces of this share of requests to an address.
pub fn traced(config: &str, address: &str, sample: &str) -> String {
    format!("{config}\n[telemetry]\notlp = \"http://{address}\"\nsample = {sample}\n")
}

impl Collected {
    fn of(span: Span) -> Self {
        Self {
            trace: hex(&span.trace_id),
            id: hex(&span.span_id),
            parent: hex(&span.parent_span_id),
            kind: span.kind(),
            is_error: span.status.is_some_and(|it| it.code() == StatusCode::Error),
            name: span.name,
            began: span.start_time_unix_nano,
            ended: span.end_time_unix_nano,
            attributes: attributes(&span.attributes),
        }
    }

    /// The value of an attribute; empty where there is none.
    pub fn get(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }

    /// Whether this span is a part of `parent`, also in time.
    pub fn is_within(&self, parent: &Self) -> bool {
        self.trace == parent.trace
            && self.parent == parent.id
            && parent.began <= self.began
            && self.began <= self.ended
            && self.ended <= parent.ended
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut digits, byte| {
        write!(digits, "{byte:02x}").unwrap();
        digits
    })
}

fn attributes(fields: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |value: &Option<AnyValue>| match value.as_ref().and_then(|it| it.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        other => panic!("a value of another type: {other:?}"),
    };
    fields
        .iter()
        .map(|field| (field.key.clone(), text(&field.value)))
        .collect()
}
