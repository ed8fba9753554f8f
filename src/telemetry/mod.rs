//! What the watchers are told: numbers for Prometheus, one line per request, one line per event of
//! security.
//!
//! Nothing here takes a [`Secret`](crate::model::secret::Secret) or a whole request: every function
//! names the few values it writes, so that a log cannot grow a password (threat model, R-89).

pub mod access_log;
pub mod audit;
pub mod labels;
pub mod logging;
pub mod metrics;
mod site_metrics;

pub use metrics::Metrics;
pub use site_metrics::{ProviderMetrics, SiteMetrics, StreamGuard};
