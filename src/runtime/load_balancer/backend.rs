//! One upstream of a site, with what is known of it.

use std::any::Any;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::model::upstream::{Upstream, UpstreamAddress, UpstreamTls};
use crate::telemetry::labels::{UpstreamError, UpstreamHealth};
use crate::telemetry::{SiteMetrics, UpstreamMetrics};

use super::availability::Availability;
use super::name_lookup::Addresses;

/// One upstream of a site.
pub struct Backend {
    /// What the configuration says of it.
    pub upstream: Upstream,
    /// The address as it is configured, for logs and metrics.
    pub name: String,
    /// What connections to it have in common besides the address: those with other settings of TLS
    /// are never used for it.
    pub connection_group: u64,
    /// What the proxy makes of the settings of TLS.
    prepared_tls: OnceLock<Box<dyn Any + Send + Sync>>,
    pub(super) site: String,
    pub(super) state: Arc<BackendState>,
    metrics: UpstreamMetrics,
}

/// What outlives a reload of the configuration.
pub(super) struct BackendState {
    pub(super) addresses: Addresses,
    pub(super) availability: Availability,
    /// How many requests to it are under way, where that is counted.
    active: AtomicUsize,
}

/// A request that is under way. It ends when this is dropped.
pub(super) struct ActiveRequest(Arc<BackendState>);

impl Backend {
    pub(super) fn new(site: &str, upstream: &Upstream, metrics: &SiteMetrics) -> Self {
        let name = upstream.address.to_string();
        Self {
            metrics: metrics.upstream(&name),
            name,
            connection_group: upstream.tls.as_deref().map_or(0, group),
            prepared_tls: OnceLock::new(),
            site: site.to_owned(),
            state: Arc::new(BackendState {
                addresses: Addresses::new(&upstream.address),
                availability: Availability::new(),
                active: AtomicUsize::new(0),
            }),
            upstream: upstream.clone(),
        }
    }

    /// What the proxy makes of the settings of TLS, made once. Its type is the proxy's own: `None`
    /// where it was made with another type before.
    pub fn prepared_tls<T: Any + Send + Sync>(&self, make: impl FnOnce() -> T) -> Option<&T> {
        let prepared = self.prepared_tls.get_or_init(|| Box::new(make()));
        prepared.downcast_ref()
    }

    /// Whether it gets requests.
    #[must_use]
    pub fn is_available(&self) -> bool {
        self.state.availability.is_available()
    }

    /// Exports whether it gets requests.
    pub(super) fn export_health(&self) {
        self.metrics.health(if self.is_available() {
            UpstreamHealth::Up
        } else {
            UpstreamHealth::Down
        });
    }

    /// Takes the result of a health check.
    pub fn checked(&self, result: Result<(), String>) {
        let health = match &result {
            Ok(()) => UpstreamHealth::Up,
            Err(_) => UpstreamHealth::Down,
        };
        if let Some(health) = self.state.availability.checked(health) {
            tracing::warn!(
                site = self.site,
                upstream = self.name,
                healthy = health == UpstreamHealth::Up,
                cause = result.err(),
                "the health of an upstream changed"
            );
        }
        self.export_health();
    }

    /// Its addresses in the order to try; `None` is a Unix socket. A name without any is looked up.
    ///
    /// # Errors
    /// Why the name has no address.
    pub async fn addresses(&self) -> io::Result<Vec<Option<SocketAddr>>> {
        if let UpstreamAddress::Unix { .. } = self.upstream.address {
            return Ok(vec![None]);
        }
        let addresses = self.state.addresses.get().await?;
        Ok(addresses.iter().copied().map(Some).collect())
    }

    /// Looks its name up again.
    pub async fn look_up(&self) {
        let (site, upstream) = (self.site.as_str(), self.name.as_str());
        match self.state.addresses.look_up().await {
            Ok(false) => {}
            Ok(true) => tracing::info!(site, upstream, "the addresses of an upstream changed"),
            Err(cause) => tracing::warn!(
                site,
                upstream,
                %cause,
                "the name of an upstream was not found"
            ),
        }
    }

    /// Counts a failed attempt, and returns whether it is one too many in a row.
    pub(super) fn failed(&self, error: UpstreamError) -> bool {
        self.metrics.failed(error);
        self.state.availability.failed()
    }

    /// Ejects the upstream for a while.
    pub(super) fn eject(&self) {
        if self.state.availability.eject() {
            tracing::warn!(
                site = self.site,
                upstream = self.name,
                "too many requests to an upstream failed: it gets none for a while"
            );
        }
        self.export_health();
    }

    /// Takes a response, whose head came after this time.
    pub fn responded(&self, duration: Duration) {
        self.metrics.responded(duration);
        if self.state.availability.succeeded() {
            tracing::info!(
                site = self.site,
                upstream = self.name,
                "an upstream responds again"
            );
            self.export_health();
        }
    }
}

/// Equal for equal settings, also after a reload.
fn group(tls: &UpstreamTls) -> u64 {
    let mut hasher = DefaultHasher::new();
    tls.hash(&mut hasher);
    hasher.finish()
}

impl BackendState {
    pub(super) fn active(&self) -> usize {
        self.active.load(Relaxed)
    }

    /// Counts a request until the result is dropped.
    pub(super) fn begin_request(self: &Arc<Self>) -> ActiveRequest {
        self.active.fetch_add(1, Relaxed);
        ActiveRequest(Arc::clone(self))
    }
}

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Relaxed);
    }
}

impl std::fmt::Debug for ActiveRequest {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("ActiveRequest")
    }
}
