//! Work that no request asks for: provider keys are refreshed, upstreams are checked, what has
//! expired is evicted, and what was revoked is told to providers and saved.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::Runtime;
use super::acme::{RenewalContext, Renewals};
use super::provider_client::ProviderClient;
use super::revocation_queue::QueueContext;
use super::runtime_handle::RuntimeHandle;
use super::saved_state::SavedStateContext;
use super::upstream_checks::{self, Probe};

/// How often the keys of a provider are refreshed.
const KEYS_INTERVAL: Duration = Duration::from_secs(5 * 60);
/// How often missing keys are tried again at first; each further pause is twice as long.
const MISSING_KEYS_FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest pause between two attempts to get missing keys.
const MISSING_KEYS_MAX_PAUSE: Duration = Duration::from_secs(15);
/// How often providers are looked at while none misses its keys.
const KEYS_POLL: Duration = Duration::from_secs(1);
/// How often what has expired is evicted.
const EVICT_INTERVAL: Duration = Duration::from_secs(10);
/// How often certificates are looked at.
const CERTIFICATES_POLL: Duration = Duration::from_secs(1);
/// How long a start waits for the store.
const FIRST_SYNC_WAIT: Duration = Duration::from_secs(5);
/// How often it is asked meanwhile.
const FIRST_SYNC_POLL: Duration = Duration::from_millis(50);

/// Runs the background work until `stop` turns true or its sender is dropped. `probe` carries the
/// health checks of upstreams.
pub async fn run(
    runtime_handle: Arc<RuntimeHandle>,
    probe: Arc<dyn Probe>,
    mut stop: watch::Receiver<bool>,
) {
    let stopped = async move {
        // An error means that the sender was dropped.
        let _ = stop.wait_for(|stop| *stop).await;
    };
    tokio::select! {
        // In this order, so that a simulation repeats.
        biased;
        () = stopped => {}
        () = refresh_keys(&runtime_handle) => {}
        () = evict_expired(&runtime_handle) => {}
        () = upstream_checks::look_up_names(&runtime_handle) => {}
        () = upstream_checks::health_checks(&runtime_handle, &probe) => {}
        () = store_connection(&runtime_handle) => {}
        () = revocations(&runtime_handle) => {}
        () = save(&runtime_handle) => {}
        () = certificates(&runtime_handle) => {}
        () = export_spans(&runtime_handle) => {}
    }
}

/// Waits until the store has told which sign-ins are revoked, so that the first requests after a
/// start do not bring back what was ended on another replica. While the store does not answer, the
/// wait is bounded: access tokens are valid without it.
pub async fn first_sync(runtime_handle: &RuntimeHandle) {
    let connection = Arc::clone(&runtime_handle.current().shared.stores.connection);
    let synced = async {
        while connection.ready().await.is_err() {
            tokio::time::sleep(FIRST_SYNC_POLL).await;
        }
    };
    if tokio::time::timeout(FIRST_SYNC_WAIT, synced).await.is_err() {
        tracing::warn!("the store does not answer: serving without what it knows of revocations");
    }
}

/// The last work of the process, after the last request and while [`run`] still runs: what was
/// revoked is told and saved, and the last spans are sent.
pub async fn finish(runtime_handle: &RuntimeHandle) {
    let runtime = runtime_handle.current();
    let queue = &runtime.shared.revocation_queue;
    queue.drain(queue_context(&runtime)).await;
    // A failure was logged.
    let _ = runtime
        .shared
        .saved_state
        .save(saved_state_context(&runtime))
        .await;
    runtime.shared.spans.flush().await;
}

/// Tells providers which refresh tokens to revoke.
async fn revocations(runtime_handle: &RuntimeHandle) {
    let queue = Arc::clone(&runtime_handle.current().shared.revocation_queue);
    queue.run(|| queue_context(&runtime_handle.current())).await;
}

/// Saves revocations for the next start.
async fn save(runtime_handle: &RuntimeHandle) {
    let saved_state = Arc::clone(&runtime_handle.current().shared.saved_state);
    saved_state
        .run(|| saved_state_context(&runtime_handle.current()))
        .await;
}

/// Orders certificates that are due.
async fn certificates(runtime_handle: &RuntimeHandle) {
    let mut renewals = Renewals::default();
    loop {
        let runtime = runtime_handle.current();
        let context = RenewalContext {
            settings: Arc::clone(&runtime.settings),
            sealing: Arc::clone(&runtime.revocation.sealing),
        };
        let acme = Arc::clone(&runtime.shared.acme);
        // An order takes minutes, and a reload may replace the runtime meanwhile.
        drop(runtime);
        renewals.round(&acme, &context).await;
        tokio::time::sleep(CERTIFICATES_POLL).await;
    }
}

/// Sends the spans of recorded requests away. A reload may change where to.
async fn export_spans(runtime_handle: &RuntimeHandle) {
    let runtime = runtime_handle.current();
    let shared = Arc::clone(&runtime.shared);
    drop(runtime);
    let exporter = || {
        let runtime = runtime_handle.current();
        let traces = runtime.traces.as_ref()?;
        Some(Arc::clone(&traces.exporter))
    };
    shared.spans.run(exporter).await;
}

fn queue_context(runtime: &Runtime) -> QueueContext {
    QueueContext {
        providers: runtime.providers.values().cloned().collect(),
        sealing: Arc::clone(&runtime.revocation.sealing),
    }
}

fn saved_state_context(runtime: &Runtime) -> SavedStateContext {
    SavedStateContext {
        state_dir: runtime.settings.state_dir.clone(),
        sealing: Arc::clone(&runtime.revocation.sealing),
    }
}

/// Serves the connection to the store, which outlives every configuration.
async fn store_connection(runtime_handle: &RuntimeHandle) {
    let connection = Arc::clone(&runtime_handle.current().shared.stores.connection);
    connection.run().await;
}

/// Fetches the keys of every provider at the start and from time to time, and soon again where they
/// are missing.
async fn refresh_keys(runtime_handle: &RuntimeHandle) {
    let has_keys = |provider: &Arc<ProviderClient>| provider.keys.current().is_some();
    let mut pause = MISSING_KEYS_FIRST_PAUSE;
    let mut since = KEYS_INTERVAL;
    loop {
        let runtime = runtime_handle.current();
        let complete = runtime.providers.values().all(has_keys);
        let due = since >= KEYS_INTERVAL;
        let mut calls = JoinSet::new();
        for provider in runtime
            .providers
            .values()
            .filter(|provider| due || !has_keys(provider))
        {
            let provider = Arc::clone(provider);
            // A failure is counted and logged where it happens; the next pass tries again.
            calls.spawn(async move { drop(provider.refresh_keys().await) });
        }
        calls.join_all().await;
        pause = if complete {
            KEYS_POLL
        } else {
            (pause * 2).min(MISSING_KEYS_MAX_PAUSE)
        };
        since = if due { Duration::ZERO } else { since + pause };
        drop(runtime);
        tokio::time::sleep(pause).await;
    }
}

async fn evict_expired(runtime_handle: &RuntimeHandle) {
    loop {
        let runtime = runtime_handle.current();
        let now = runtime.clock().now();
        runtime.shared.stores.sweep(now);
        drop(runtime);
        tokio::time::sleep(EVICT_INTERVAL).await;
    }
}
