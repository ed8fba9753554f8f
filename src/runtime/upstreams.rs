//! The backends of a site's application: which is next, which are healthy, and what their names
//! resolve to.
//!
//! A name may have several addresses. All of them are tried, in order, before the next backend is:
//! one of them may be dead, or of an IP version that the backend does not listen on. An address that
//! failed goes to the end of the order, so that it does not cost every request a try.

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
    /// What the name resolved to last, in the order to try; never empty. A literal address never
    /// changes.
    addresses: ArcSwapOption<Vec<SocketAddr>>,
}

/// What was tried for one request.
#[derive(Debug, Default)]
pub struct Attempts {
    /// The backends that were tried, by position.
    backends: Vec<usize>,
    /// The addresses of the last of them; `None` for a Unix socket.
    addresses: Option<Arc<Vec<SocketAddr>>>,
    /// How many of these addresses were tried.
    tried: usize,
}

/// Where the next try for a request goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Destination {
    /// The position of the backend.
    pub backend: usize,
    /// The address; `None` for a Unix socket.
    pub address: Option<SocketAddr>,
}

impl Attempts {
    /// Where the last try went.
    #[must_use]
    pub fn last(&self) -> Option<Destination> {
        let backend = *self.backends.last()?;
        let at = self.tried.checked_sub(1)?;
        let address = match &self.addresses {
            Some(addresses) => Some(*addresses.get(at)?),
            None => None,
        };
        Some(Destination { backend, address })
    }

    /// Lets the last destination be the next one again.
    pub fn forget_last(&mut self) {
        self.tried = self.tried.saturating_sub(1);
    }

    /// The address of the last backend that is next; a Unix socket is one address.
    fn next_address(&self) -> Option<Destination> {
        let backend = *self.backends.last()?;
        let address = match &self.addresses {
            Some(addresses) => Some(*addresses.get(self.tried)?),
            None if self.tried == 0 => None,
            None => return None,
        };
        Some(Destination { backend, address })
    }
}

impl Upstreams {
    /// Backends that count as healthy until a check fails.
    #[must_use]
    pub fn new(upstreams: &[Upstream]) -> Self {
        let backend = |upstream: &Upstream| Backend {
            upstream: upstream.clone(),
            healthy: AtomicBool::new(true),
            addresses: ArcSwapOption::from(
                literal(upstream).map(|address| Arc::new(vec![address])),
            ),
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

    /// Where the next try of a request goes: to the next address of the backend that was tried last,
    /// else to the next backend. `None` where all were tried, or have no address.
    pub async fn next(&self, attempts: &mut Attempts) -> Option<Destination> {
        loop {
            if let Some(next) = attempts.next_address() {
                attempts.tried += 1;
                return Some(next);
            }
            let backend = self.pick(&attempts.backends)?;
            attempts.addresses = match self.at(backend)? {
                // A name that does not resolve has no addresses.
                Upstream::Http { .. } | Upstream::Https { .. } => {
                    Some(self.addresses(backend).await.unwrap_or_default())
                }
                Upstream::Unix { .. } => None,
            };
            attempts.backends.push(backend);
            attempts.tried = 0;
        }
    }

    /// Whether something is left to try.
    #[must_use]
    pub fn has_next(&self, attempts: &Attempts) -> bool {
        attempts.next_address().is_some() || attempts.backends.len() < self.backends.len()
    }

    /// Notes that no connection to `destination` came about. Where its address was the first to try,
    /// it becomes the last.
    pub fn connect_failed(&self, destination: Destination) {
        let (Some(backend), Some(failed)) =
            (self.backends.get(destination.backend), destination.address)
        else {
            return;
        };
        let current = backend.addresses.load();
        let Some(addresses) = current.as_ref() else {
            return;
        };
        if addresses.len() > 1 && addresses.first() == Some(&failed) {
            let mut rotated = Vec::clone(addresses);
            rotated.rotate_left(1);
            // Where another request changed the order meanwhile, that order stands.
            backend
                .addresses
                .compare_and_swap(&current, Some(Arc::new(rotated)));
        }
    }

    /// The next backend, round-robin, that is healthy and not among `tried`. Where none is healthy,
    /// one that is not: its check may be wrong, while no backend at all is a certain error.
    #[must_use]
    fn pick(&self, tried: &[usize]) -> Option<usize> {
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

    /// The addresses of a backend; its name is resolved where that has not happened yet. `None`
    /// where it does not resolve, and for a Unix socket.
    async fn addresses(&self, index: usize) -> Option<Arc<Vec<SocketAddr>>> {
        let backend = self.backends.get(index)?;
        match backend.addresses.load_full() {
            Some(addresses) => Some(addresses),
            None => {
                self.resolve(index).await;
                backend.addresses.load_full()
            }
        }
    }

    /// Resolves the name of a backend again. The old addresses stay where that fails.
    pub async fn resolve(&self, index: usize) {
        let Some(backend) = self.backends.get(index) else {
            return;
        };
        let (Upstream::Http { host, port } | Upstream::Https { host, port }) = &backend.upstream
        else {
            return;
        };
        if literal(&backend.upstream).is_some() {
            return;
        }
        let looked_up = tokio::time::timeout(
            RESOLVE_TIMEOUT,
            tokio::net::lookup_host((host.as_str(), *port)),
        );
        if let Ok(Ok(found)) = looked_up.await {
            backend.take_addresses(found.collect());
        }
    }
}

impl Backend {
    /// Takes the result of a lookup. Addresses that are still in it keep their order, since
    /// connections to them may be reused, and new ones follow.
    fn take_addresses(&self, found: Vec<SocketAddr>) {
        let current = self.addresses.load();
        let mut addresses: Vec<SocketAddr> = current
            .iter()
            .flat_map(|known| known.iter())
            .filter(|known| found.contains(known))
            .copied()
            .collect();
        for address in found {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        let is_new = current.as_ref().is_none_or(|known| **known != addresses);
        if is_new && !addresses.is_empty() {
            self.addresses.store(Some(Arc::new(addresses)));
        }
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

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    /// Two backends: a name with the addresses `found`, and a Unix socket.
    fn name_and_socket(found: &[&str]) -> Upstreams {
        let upstreams = Upstreams::new(&[
            Upstream::Http {
                host: "app.internal".into(),
                port: 80,
            },
            Upstream::Unix {
                path: "/run/app".into(),
            },
        ]);
        upstreams.backends[0].take_addresses(found.iter().map(|text| address(text)).collect());
        upstreams
    }

    #[tokio::test]
    async fn every_address_of_a_name_is_tried_before_the_next_backend() {
        let upstreams = name_and_socket(&["[::1]:80", "127.0.0.1:80"]);
        let to = |backend, text: Option<&str>| Destination {
            backend,
            address: text.map(address),
        };
        let mut attempts = Attempts::default();
        assert_eq!(attempts.last(), None);
        for expected in [
            to(0, Some("[::1]:80")),
            to(0, Some("127.0.0.1:80")),
            to(1, None),
        ] {
            assert!(upstreams.has_next(&attempts));
            assert_eq!(upstreams.next(&mut attempts).await, Some(expected));
            assert_eq!(attempts.last(), Some(expected));
            // A connection that broke while it was reused says nothing about the next one.
            attempts.forget_last();
            assert_eq!(upstreams.next(&mut attempts).await, Some(expected));
        }
        assert!(!upstreams.has_next(&attempts));
        assert_eq!(upstreams.next(&mut attempts).await, None);
    }

    #[tokio::test]
    async fn a_name_without_addresses_leaves_the_other_backends() {
        let upstreams = Upstreams::new(&[
            Upstream::Http {
                host: "does-not-exist.invalid".into(),
                port: 80,
            },
            Upstream::Unix {
                path: "/run/app".into(),
            },
        ]);
        let next = upstreams.next(&mut Attempts::default()).await;
        assert_eq!(next.map(|next| next.backend), Some(1));
    }

    #[tokio::test]
    async fn an_address_that_failed_does_not_stay_first() {
        let upstreams = name_and_socket(&["[::1]:80", "127.0.0.1:80"]);
        let order = || {
            let addresses = upstreams.backends[0].addresses.load_full().unwrap();
            addresses
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
        };
        let failed = |text| {
            upstreams.connect_failed(Destination {
                backend: 0,
                address: Some(address(text)),
            });
        };
        failed("[::1]:80");
        assert_eq!(order(), ["127.0.0.1:80", "[::1]:80"]);
        // It is the last already.
        failed("[::1]:80");
        assert_eq!(order(), ["127.0.0.1:80", "[::1]:80"]);
        // A lookup keeps the order, and adds what is new.
        let found = ["[::1]:80", "10.0.0.1:80", "127.0.0.1:80"].map(address);
        upstreams.backends[0].take_addresses(found.to_vec());
        assert_eq!(order(), ["127.0.0.1:80", "[::1]:80", "10.0.0.1:80"]);
        upstreams.backends[0].take_addresses(Vec::new());
        assert_eq!(order().len(), 3);
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
