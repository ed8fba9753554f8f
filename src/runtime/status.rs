//! What operators ask of a running gateway: its metrics, and whether it is ready.

use std::collections::HashMap;
use std::sync::Arc;

use crate::model::timestamp::Timestamp;
use crate::store::{Stores, Sweep as _};
use crate::system::Clock;
use crate::telemetry::Metrics;
use crate::telemetry::labels::Store;

use super::provider_client::ProviderClient;
use super::shared::Shared;
use super::tls::TlsListeners;

/// The state of the gateway, for operators.
pub struct Status {
    providers: Vec<Arc<ProviderClient>>,
    stores: Stores,
    metrics: Arc<Metrics>,
    clock: Clock,
    /// When the sealing key was generated, where that is known.
    sealing_since: Option<Timestamp>,
    tls: Arc<TlsListeners>,
}

impl Status {
    pub(super) fn new(
        shared: &Shared,
        providers: &HashMap<String, Arc<ProviderClient>>,
        sealing_since: Option<Timestamp>,
        tls: &Arc<TlsListeners>,
    ) -> Self {
        Self {
            providers: providers.values().cloned().collect(),
            stores: shared.stores.clone(),
            metrics: Arc::clone(&shared.metrics),
            clock: shared.clock.clone(),
            sealing_since,
            tls: Arc::clone(tls),
        }
    }

    /// All metrics in Prometheus's text format. Gauges are read now.
    #[must_use]
    pub fn render_metrics(&self) -> String {
        let stores = &self.stores;
        self.metrics.sessions(stores.sessions.count());
        for (store, evicted) in [
            (Store::Sessions, stores.sessions.evicted()),
            (Store::Refreshes, stores.local_leases.evicted()),
            (Store::Revocations, stores.revocations.evicted()),
            (
                Store::PendingRevocations,
                stores.pending_revocations.evicted(),
            ),
        ] {
            self.metrics.store_evictions(store, evicted);
        }
        if let Some(since) = self.sealing_since {
            self.metrics.cookie_key_age(since.until(self.clock.now()));
        }
        let certificates = self.tls.certificates();
        self.metrics.certificates(
            certificates.map(|certificate| (certificate.label.clone(), certificate.expires)),
        );
        self.metrics.render()
    }

    /// Whether the keys of every provider are loaded and the store answers.
    ///
    /// # Errors
    /// What is missing, in words for an operator.
    pub async fn ready(&self) -> Result<(), String> {
        let mut providers = self.providers.iter();
        if let Some(provider) = providers.find(|provider| provider.keys.current().is_none()) {
            return Err(format!(
                "the keys of provider {} are not loaded yet",
                provider.name
            ));
        }
        if let Some(name) = self.tls.acme.first_self_signed() {
            return Err(format!(
                "the certificate for {name} is self-signed: the ACME server has not issued one yet"
            ));
        }
        let answer = self.stores.connection.ready().await;
        answer.map_err(|error| error.to_string())
    }
}
