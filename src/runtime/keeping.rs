//! What goes on without any request: keys are fetched, upstreams looked at, old things forgotten.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::model::site::Upstream;
use crate::provider::http_client::{HttpClient, Purpose, Request};
use crate::system;
use crate::telemetry::labels::UpstreamHealth;

use super::{ProviderClient, Runtime, RuntimeHandle, SiteRuntime};

/// Keys in force are looked at this often.
const KEYS_EVERY: Duration = Duration::from_secs(5 * 60);
/// Keys that are missing are asked for this often, at first and at most.
const KEYS_RETRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(15));
/// Old things are forgotten, and names resolved, this often.
const TIDY_EVERY: Duration = Duration::from_secs(10);

/// Keeps house until `stop` turns true.
pub async fn keep(runtime_handle: Arc<RuntimeHandle>, stop: watch::Receiver<bool>) {
    let ended = |mut stop: watch::Receiver<bool>| async move {
        // A sender that is gone has stopped too.
        let _ = stop.wait_for(|stop| *stop).await;
    };
    tokio::select! {
        () = ended(stop) => {}
        () = keep_keys(&runtime_handle) => {}
        () = keep_tidy(&runtime_handle) => {}
        () = keep_watch(&runtime_handle) => {}
        () = keep_store(&runtime_handle) => {}
    }
}

/// The store outlives every configuration.
async fn keep_store(runtime_handle: &RuntimeHandle) {
    let connection = Arc::clone(&runtime_handle.current().shared.stores.connection);
    connection.run().await;
}

/// Fetches every provider's keys at start and from time to time, quickly while there are none.
async fn keep_keys(runtime_handle: &RuntimeHandle) {
    let mut pause = KEYS_RETRY.0;
    let mut since = KEYS_EVERY;
    loop {
        let runtime = runtime_handle.current();
        let missing: Vec<&Arc<ProviderClient>> = runtime
            .providers()
            .filter(|provider_client| provider_client.keys.current().is_none())
            .collect();
        let due = since >= KEYS_EVERY;
        let mut asking = JoinSet::new();
        for provider_client in runtime
            .providers()
            .filter(|provider_client| due || provider_client.keys.current().is_none())
        {
            let (provider_client, now) = (Arc::clone(provider_client), runtime.clock().now());
            // Said in the log by whoever counts it; the next round tries again.
            asking.spawn(async move { drop(provider_client.refresh_keys(now).await) });
        }
        asking.join_all().await;
        pause = if missing.is_empty() {
            Duration::from_secs(1)
        } else {
            (pause * 2).min(KEYS_RETRY.1)
        };
        since = if due { Duration::ZERO } else { since + pause };
        drop(missing);
        drop(runtime);
        tokio::time::sleep(pause).await;
    }
}

async fn keep_tidy(runtime_handle: &RuntimeHandle) {
    loop {
        let runtime = runtime_handle.current();
        let now = runtime.clock().now();
        runtime.shared.stores.sweep(now);
        for site_runtime in runtime.sites() {
            for index in 0..site_runtime.upstreams.len() {
                site_runtime.upstreams.resolve(index).await;
            }
        }
        drop(runtime);
        tokio::time::sleep(TIDY_EVERY).await;
    }
}

/// Checks each upstream of each site with a health check at its interval.
async fn keep_watch(runtime_handle: &RuntimeHandle) {
    let started = system::stopwatch();
    let mut due: std::collections::HashMap<String, Duration> = std::collections::HashMap::new();
    loop {
        let runtime = runtime_handle.current();
        let mut checks = JoinSet::new();
        for site_runtime in runtime.sites() {
            let Some(health) = &site_runtime.site.health else {
                continue;
            };
            let next = due.entry(site_runtime.site.name.clone()).or_default();
            if started.elapsed() < *next {
                continue;
            }
            *next = started.elapsed() + health.interval;
            for index in 0..site_runtime.upstreams.len() {
                let (runtime, site_runtime) = (Arc::clone(&runtime), Arc::clone(site_runtime));
                checks.spawn(async move { check(&runtime, &site_runtime, index).await });
            }
        }
        drop(runtime);
        while checks.join_next().await.is_some() {}
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

/// How long an upstream may take to answer a check.
const CHECK_WITHIN: Duration = Duration::from_secs(3);

/// Asks one upstream whether it lives: 2xx or 3xx is yes. Behind a local socket it is enough that
/// somebody listens.
async fn check(runtime: &Runtime, site_runtime: &SiteRuntime, index: usize) {
    let (Some(upstream), Some(health)) =
        (site_runtime.upstreams.at(index), &site_runtime.site.health)
    else {
        return;
    };
    let healthy = match upstream {
        Upstream::Unix { path } => tokio::net::UnixStream::connect(path).await.is_ok(),
        Upstream::Http { .. } | Upstream::Https { .. } => {
            match format!("{upstream}{}", health.path).parse() {
                Ok(url) => answers(&runtime.shared.probes, url, site_runtime).await,
                Err(_) => false,
            }
        }
    };
    if site_runtime.upstreams.record(index, healthy) {
        let upstream = upstream.to_string();
        tracing::warn!(
            site = site_runtime.site.name,
            upstream,
            healthy,
            "the health of an upstream changed"
        );
    }
    let word = if healthy {
        UpstreamHealth::Up
    } else {
        UpstreamHealth::Down
    };
    site_runtime
        .metrics
        .upstream_health(&upstream.to_string(), word);
}

async fn answers(probes: &HttpClient, url: reqwest::Url, site_runtime: &SiteRuntime) -> bool {
    let host = site_runtime
        .site
        .upstream_host
        .clone()
        .unwrap_or_else(|| site_runtime.site.origin.authority());
    let mut headers = http::HeaderMap::new();
    if let Ok(host) = http::HeaderValue::from_str(&host) {
        headers.insert(http::header::HOST, host);
    }
    let request = Request {
        method: http::Method::GET,
        url,
        headers,
        body: Vec::new(),
        timeout: CHECK_WITHIN,
        purpose: Purpose::Background,
    };
    probes
        .send(request)
        .await
        .is_ok_and(|answer| answer.status.is_success() || answer.status.is_redirection())
}
