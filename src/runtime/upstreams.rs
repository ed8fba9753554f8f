//! The backends of a site's application: which is next, which are healthy, and what their names
//! resolve to.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;

use crate::model::site::Upstream;
use crate::telemetry::labels::UpstreamHealth;

/// How long a DNS lookup may take.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);

/// The backends of one site.
pub struct Upstreams {
    backends: Vec<Backend>,
    next: AtomicUsize,
}

struct Backend {
    upstream: Upstream,
    healthy: AtomicBool,
    /// What the name resolved to last. A literal address never changes.
    address: ArcSwapOption<SocketAddr>,
}

impl Upstreams {
    /// Backends that count as healthy until a check fails.
    #[must_use]
    pub fn new(upstreams: &[Upstream]) -> Self {
        let backend = |upstream: &Upstream| Backend {
            upstream: upstream.clone(),
            healthy: AtomicBool::new(true),
            address: ArcSwapOption::from(literal(upstream).map(Arc::new)),
        };
        Self {
            backends: upstreams.iter().map(backend).collect(),
            next: AtomicUsize::new(0),
        }
    }

    /// Takes over the health of the backends that are the same in `previous`, so that a reload does
    /// not send requests to a backend that is known to be down.
    pub(super) fn take_over_health(&self, previous: &Self) {
        for backend in &self.backends {
            let mut before = previous.backends.iter();
            if let Some(before) = before.find(|before| before.upstream == backend.upstream) {
                let healthy = before.healthy.load(Ordering::Relaxed);
                backend.healthy.store(healthy, Ordering::Relaxed);
            }
        }
    }

    /// The next backend, round-robin, that is healthy and not among `tried`. Where none is healthy,
    /// one that is not: its check may be wrong, while no backend at all is a certain error.
    #[must_use]
    pub fn pick(&self, tried: &[usize]) -> Option<usize> {
        if let [_] = *self.backends {
            return tried.is_empty().then_some(0);
        }
        let start = self.next.fetch_add(1, Ordering::Relaxed);
        let next = |want_healthy: bool| {
            (0..self.backends.len())
                .map(|step| start.wrapping_add(step) % self.backends.len())
                .find(|index| {
                    let healthy = self
                        .backends
                        .get(*index)
                        .is_some_and(|backend| backend.healthy.load(Ordering::Relaxed));
                    healthy == want_healthy && !tried.contains(index)
                })
        };
        next(true).or_else(|| next(false))
    }

    /// The upstream at a backend.
    #[must_use]
    pub fn at(&self, index: usize) -> Option<&Upstream> {
        self.backends.get(index).map(|backend| &backend.upstream)
    }

    /// How many backends there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.backends.len()
    }

    /// Whether there is no backend.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.backends.is_empty()
    }

    /// Whether the last health check of a backend succeeded.
    #[must_use]
    pub fn is_healthy(&self, index: usize) -> bool {
        self.backends
            .get(index)
            .is_some_and(|backend| backend.healthy.load(Ordering::Relaxed))
    }

    /// Records a health check, and returns whether the health of the backend changed.
    pub fn record(&self, index: usize, health: UpstreamHealth) -> bool {
        let healthy = health == UpstreamHealth::Up;
        self.backends
            .get(index)
            .is_some_and(|backend| backend.healthy.swap(healthy, Ordering::Relaxed) != healthy)
    }

    /// The socket address of a backend; its name is resolved where that has not happened yet.
    /// `None` where it does not resolve, and for a Unix socket.
    pub async fn address(&self, index: usize) -> Option<SocketAddr> {
        let backend = self.backends.get(index)?;
        if let Some(address) = backend.address.load_full() {
            return Some(*address);
        }
        self.resolve(index).await
    }

    /// Resolves the name of a backend again. The old address stays where that fails, and where it is
    /// still among the results, so that connections are reused.
    pub async fn resolve(&self, index: usize) -> Option<SocketAddr> {
        let backend = self.backends.get(index)?;
        let (Upstream::Http { host, port } | Upstream::Https { host, port }) = &backend.upstream
        else {
            return None;
        };
        if literal(&backend.upstream).is_some() {
            return backend.address.load_full().map(|address| *address);
        }
        let looked_up = tokio::time::timeout(
            RESOLVE_TIMEOUT,
            tokio::net::lookup_host((host.as_str(), *port)),
        );
        let found: Vec<SocketAddr> = looked_up.await.ok()?.ok()?.collect();
        let current = backend.address.load_full();
        let keep = current.filter(|address| found.contains(address));
        if keep.is_none() {
            backend.address.store(found.first().copied().map(Arc::new));
        }
        backend.address.load_full().map(|address| *address)
    }
}

fn literal(upstream: &Upstream) -> Option<SocketAddr> {
    match upstream {
        Upstream::Http { host, port } | Upstream::Https { host, port } => {
            let address: IpAddr = host.trim_matches(['[', ']']).parse().ok()?;
            Some(SocketAddr::new(address, *port))
        }
        Upstream::Unix { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_outlives_a_reload() {
        let (before, after) = (three(), three());
        before.record(1, UpstreamHealth::Down);
        after.take_over_health(&before);
        let healthy: Vec<bool> = (0..3).map(|index| after.is_healthy(index)).collect();
        assert_eq!(healthy, [true, false, true]);
        let other = Upstreams::new(&[]);
        other.take_over_health(&before);
        assert!(other.is_empty());
    }

    fn three() -> Upstreams {
        let at = |port| Upstream::Http {
            host: "127.0.0.1".into(),
            port,
        };
        Upstreams::new(&[at(1), at(2), at(3)])
    }

    #[test]
    fn round_robin_visits_every_healthy_backend() {
        let upstreams = three();
        upstreams.record(1, UpstreamHealth::Down);
        let mut seen: Vec<usize> = (0..30).filter_map(|_| upstreams.pick(&[])).collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen, [0, 2]);
    }

    #[test]
    fn a_backend_that_was_tried_is_not_tried_again() {
        let upstreams = three();
        assert_eq!(upstreams.pick(&[0, 2]), Some(1));
        assert_eq!(upstreams.pick(&[0, 1, 2]), None);
    }

    #[test]
    fn an_unhealthy_backend_is_tried_where_none_is_healthy() {
        let upstreams = three();
        for index in 0..3 {
            upstreams.record(index, UpstreamHealth::Down);
        }
        assert!(upstreams.pick(&[]).is_some());
    }
}
