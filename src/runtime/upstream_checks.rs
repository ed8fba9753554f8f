//! What no request asks for: upstreams are checked, and their names are looked up again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use crate::system;

use super::Runtime;
use super::load_balancer::Backend;
use super::runtime_handle::RuntimeHandle;
use super::site::SiteRuntime;

/// How often the sites are looked at for health checks that are due.
const HEALTH_POLL: Duration = Duration::from_millis(250);
/// How often the sites are looked at while none has a health check; a reload may add one.
const NO_HEALTH_POLL: Duration = Duration::from_secs(1);
/// How long an upstream may take to answer a health check.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(3);
/// How often names are looked up again.
const LOOKUP_INTERVAL: Duration = Duration::from_secs(30);

/// Asks an upstream whether it is well, in the way that requests reach it.
#[async_trait]
pub trait Probe: Send + Sync {
    /// Sends the health check of the site to one of its upstreams.
    ///
    /// # Errors
    /// Why the upstream is not well, for the log.
    async fn check(&self, site_runtime: &SiteRuntime, backend: &Backend) -> Result<(), String>;
}

/// Looks the names of all upstreams up again from time to time, all at once.
pub(super) async fn look_up_names(runtime_handle: &RuntimeHandle) {
    loop {
        let runtime = runtime_handle.current();
        let mut lookups = JoinSet::new();
        for site_runtime in runtime.sites() {
            for index in 0..site_runtime.load_balancer.all().len() {
                let site_runtime = Arc::clone(site_runtime);
                lookups.spawn(async move {
                    if let Some(backend) = site_runtime.load_balancer.get(index) {
                        backend.look_up().await;
                    }
                });
            }
        }
        drop(runtime);
        lookups.join_all().await;
        tokio::time::sleep(LOOKUP_INTERVAL).await;
    }
}

/// Checks the upstreams of each site that has a health check, each at its interval and none behind
/// another.
pub(super) async fn health_checks(runtime_handle: &RuntimeHandle, probe: &Arc<dyn Probe>) {
    let mut checks = Checks::default();
    loop {
        checks.start_due(&runtime_handle.current(), probe);
        let pause = if checks.last.is_empty() {
            NO_HEALTH_POLL
        } else {
            HEALTH_POLL
        };
        tokio::time::sleep(pause).await;
    }
}

/// The checks of all sites.
#[derive(Default)]
struct Checks {
    /// The last check of each upstream, by the names of the site and of the upstream.
    last: HashMap<(String, String), LastCheck>,
    running: JoinSet<()>,
}

struct LastCheck {
    started: Instant,
    task: AbortHandle,
}

impl Checks {
    /// Starts the checks that are due. One that still runs is not started again.
    fn start_due(&mut self, runtime: &Runtime, probe: &Arc<dyn Probe>) {
        while self.running.try_join_next().is_some() {}
        let mut last = std::mem::take(&mut self.last);
        let now = system::stopwatch();
        for site_runtime in runtime.sites() {
            let Some(health) = &site_runtime.site.health else {
                continue;
            };
            for (index, backend) in site_runtime.load_balancer.all().iter().enumerate() {
                let key = (site_runtime.site.name.clone(), backend.name.clone());
                let is_pending = |last: &LastCheck| {
                    !last.task.is_finished() || now < last.started + health.interval
                };
                let last = match last.remove(&key) {
                    Some(last) if is_pending(&last) => last,
                    Some(_) | None => LastCheck {
                        started: now,
                        task: self.start(site_runtime, index, probe),
                    },
                };
                self.last.insert(key, last);
            }
        }
    }

    fn start(
        &mut self,
        site_runtime: &Arc<SiteRuntime>,
        index: usize,
        probe: &Arc<dyn Probe>,
    ) -> AbortHandle {
        let (probe, site_runtime) = (Arc::clone(probe), Arc::clone(site_runtime));
        self.running.spawn(async move {
            let Some(backend) = site_runtime.load_balancer.get(index) else {
                return;
            };
            let check = probe.check(&site_runtime, backend);
            let result = tokio::time::timeout(HEALTH_TIMEOUT, check).await;
            let result = result.unwrap_or_else(|_| Err(format!("no answer in {HEALTH_TIMEOUT:?}")));
            backend.checked(result);
        })
    }
}
