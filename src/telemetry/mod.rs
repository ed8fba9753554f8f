//! Telemetry for operators: Prometheus metrics, the access log with one line per request, the audit
//! log with one line per security event, and the spans of traced requests.
//!
//! No function here takes a [`Secret`](crate::model::secret::Secret) or a whole request. Each names
//! the few values that it writes, so that no password can get into a log (threat model, R-89).

pub mod access_log;
pub mod audit;
mod json_format;
pub mod labels;
mod listener_metrics;
mod log_output;
pub mod logging;
mod metric_families;
pub mod metrics;
mod provider_metrics;
mod site_metrics;
pub mod span;
pub mod trace;
mod upstream_metrics;

pub use listener_metrics::{ConnectionGuard, ListenerMetrics};
pub use metrics::Metrics;
pub use provider_metrics::ProviderMetrics;
pub use site_metrics::{InFlightGuard, SiteMetrics, StreamGuard};
pub use upstream_metrics::UpstreamMetrics;
