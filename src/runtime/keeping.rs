//! What goes on without any request: keys are fetched, upstreams looked at, old things forgotten.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::model::site::Upstream;
use crate::provider::outbound::{Call, Outbound, Purpose};
use crate::system;
use crate::telemetry::labels::UpstreamHealth;

use super::{Guarded, Living, Runtime, Vouching};

/// Keys in force are looked at this often.
const KEYS_EVERY: Duration = Duration::from_secs(5 * 60);
/// Keys that are missing are asked for this often, at first and at most.
const KEYS_RETRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(15));
/// Old things are forgotten, and names resolved, this often.
const TIDY_EVERY: Duration = Duration::from_secs(10);

/// Keeps house until `stop` turns true.
pub async fn keep(living: Arc<Living>, stop: watch::Receiver<bool>) {
    let ended = |mut stop: watch::Receiver<bool>| async move {
        // A sender that is gone has stopped too.
        let _ = stop.wait_for(|stop| *stop).await;
    };
    tokio::select! {
        () = ended(stop) => {}
        () = keep_keys(&living) => {}
        () = keep_tidy(&living) => {}
        () = keep_watch(&living) => {}
        () = keep_store(&living) => {}
    }
}

/// The store outlives every configuration.
async fn keep_store(living: &Living) {
    let store = Arc::clone(&living.current().shared.store);
    store.keep().await;
}

/// Fetches every provider's keys at start and from time to time, quickly while there are none.
async fn keep_keys(living: &Living) {
    let mut pause = KEYS_RETRY.0;
    let mut since = KEYS_EVERY;
    loop {
        let runtime = living.current();
        let missing: Vec<&Arc<Vouching>> = runtime
            .providers()
            .filter(|vouching| vouching.keys.current().is_none())
            .collect();
        let due = since >= KEYS_EVERY;
        let mut asking = JoinSet::new();
        for vouching in runtime
            .providers()
            .filter(|vouching| due || vouching.keys.current().is_none())
        {
            let (vouching, now) = (Arc::clone(vouching), runtime.clock().now());
            // Said in the log by whoever counts it; the next round tries again.
            asking.spawn(async move { drop(vouching.refresh_keys(now).await) });
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

async fn keep_tidy(living: &Living) {
    loop {
        let runtime = living.current();
        let now = runtime.clock().now();
        runtime.shared.store.sweep(now);
        runtime.shared.leases.sweep(now);
        for guarded in runtime.sites() {
            for index in 0..guarded.upstreams.len() {
                guarded.upstreams.resolve(index).await;
            }
        }
        drop(runtime);
        tokio::time::sleep(TIDY_EVERY).await;
    }
}

/// Checks each upstream of each site with a health check at its interval.
async fn keep_watch(living: &Living) {
    let started = system::stopwatch();
    let mut due: std::collections::HashMap<String, Duration> = std::collections::HashMap::new();
    loop {
        let runtime = living.current();
        let mut checks = JoinSet::new();
        for guarded in runtime.sites() {
            let Some(health) = &guarded.site.health else {
                continue;
            };
            let next = due.entry(guarded.site.name.clone()).or_default();
            if started.elapsed() < *next {
                continue;
            }
            *next = started.elapsed() + health.interval;
            for index in 0..guarded.upstreams.len() {
                let (runtime, guarded) = (Arc::clone(&runtime), Arc::clone(guarded));
                checks.spawn(async move { check(&runtime, &guarded, index).await });
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
async fn check(runtime: &Runtime, guarded: &Guarded, index: usize) {
    let (Some(upstream), Some(health)) = (guarded.upstreams.at(index), &guarded.site.health) else {
        return;
    };
    let healthy = match upstream {
        Upstream::Unix { path } => tokio::net::UnixStream::connect(path).await.is_ok(),
        Upstream::Http { .. } | Upstream::Https { .. } => {
            match format!("{upstream}{}", health.path).parse() {
                Ok(url) => answers(&runtime.shared.probes, url, guarded).await,
                Err(_) => false,
            }
        }
    };
    if guarded.upstreams.record(index, healthy) {
        let upstream = upstream.to_string();
        tracing::warn!(
            site = guarded.site.name,
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
    guarded.metrics.upstream_health(&upstream.to_string(), word);
}

async fn answers(probes: &Outbound, url: reqwest::Url, guarded: &Guarded) -> bool {
    let host = guarded
        .site
        .upstream_host
        .clone()
        .unwrap_or_else(|| guarded.site.origin.authority());
    let mut headers = http::HeaderMap::new();
    if let Ok(host) = http::HeaderValue::from_str(&host) {
        headers.insert(http::header::HOST, host);
    }
    let call = Call {
        method: http::Method::GET,
        url,
        headers,
        body: Vec::new(),
        timeout: CHECK_WITHIN,
        purpose: Purpose::Upkeep,
    };
    probes
        .make(call)
        .await
        .is_ok_and(|answer| answer.status.is_success() || answer.status.is_redirection())
}
