//! The upstreams of a site: which is next, which get requests, and what their names resolve to.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::model::site::Site;
use crate::model::upstream::{Balance, HealthCheck, Upstream, UpstreamAddress};
use crate::telemetry::SiteMetrics;
use crate::telemetry::labels::UpstreamError;

mod availability;
mod backend;
mod name_lookup;
mod selection;

pub use backend::Backend;
pub use selection::StickyKey;

use backend::ActiveRequest;
use selection::{Candidates, Selector};

/// The upstreams of one site.
pub struct LoadBalancer {
    backends: Vec<Backend>,
    selector: Selector,
}

/// What the configuration of a site says of its upstreams.
#[derive(Clone, Copy)]
struct Configured<'a> {
    site: &'a str,
    upstreams: &'a [Upstream],
    balance: Balance,
    health: Option<&'a HealthCheck>,
}

/// What was tried for one request.
#[derive(Debug, Default)]
pub struct Attempts {
    /// The upstreams that were tried, by position.
    backends: Vec<usize>,
    /// The addresses of the last of them; `None` for a Unix socket.
    addresses: Option<Arc<Vec<SocketAddr>>>,
    /// How many of these addresses were tried.
    tried: usize,
    /// Whether the last address was tried a second time.
    repeated: bool,
    /// Counts the request at the last upstream, where that is asked for.
    active: Option<ActiveRequest>,
}

/// Where the next try for a request goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Destination {
    /// The position of the upstream.
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

    /// The address of the last upstream that is next; a Unix socket is one address.
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

/// The upstreams of one rank that were not tried.
struct Untried<'a> {
    backends: &'a [Backend],
    tried: &'a [usize],
    rank: Rank,
}

/// How good a choice an upstream is. Where no better one is left, a worse one is tried: its check
/// may be wrong, while no upstream at all is a certain error.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rank {
    Available,
    Ejected,
    Down,
}

impl Candidates for Untried<'_> {
    fn is_usable(&self, index: usize) -> bool {
        let Some(backend) = self.backends.get(index) else {
            return false;
        };
        let availability = &backend.state.availability;
        let rank = if !availability.is_healthy() {
            Rank::Down
        } else if availability.is_ejected() {
            Rank::Ejected
        } else {
            Rank::Available
        };
        rank == self.rank && !self.tried.contains(&index)
    }

    fn active(&self, index: usize) -> usize {
        self.backends
            .get(index)
            .map_or(0, |backend| backend.state.active())
    }
}

impl LoadBalancer {
    /// The upstreams of `site`, which count as available until something says otherwise. From
    /// `previous`, those of the same site before a reload, it takes over what is known of the same
    /// addresses: a reload must not send requests to an upstream that is known to be down.
    #[must_use]
    pub fn new(site: &Site, metrics: &SiteMetrics, previous: Option<&Self>) -> Self {
        let configured = Configured {
            site: &site.name,
            upstreams: &site.upstreams,
            balance: site.balance,
            health: site.health.as_ref(),
        };
        Self::configured(configured, metrics, previous)
    }

    fn configured(
        configured: Configured<'_>,
        metrics: &SiteMetrics,
        previous: Option<&Self>,
    ) -> Self {
        let backend = |upstream| {
            let mut backend = Backend::new(configured.site, upstream, metrics);
            let mut before = previous.into_iter().flat_map(|before| &before.backends);
            let same = before.find(|before| before.upstream.address == upstream.address);
            if let Some(same) = same {
                backend.state = Arc::clone(&same.state);
            }
            if configured.health.is_none() {
                backend.state.availability.forget_checks();
            }
            backend.export_health();
            backend
        };
        Self {
            backends: configured.upstreams.iter().map(backend).collect(),
            selector: Selector::new(configured.balance, configured.upstreams),
        }
    }

    /// Where the next try of a request goes: to the next address of the upstream that was tried
    /// last, else to the next upstream. `None` where all were tried, or have no address.
    pub async fn next(
        &self,
        attempts: &mut Attempts,
        key: StickyKey<'_>,
    ) -> Option<(&Backend, Option<SocketAddr>)> {
        loop {
            if let Some(next) = attempts.next_address() {
                attempts.tried += 1;
                return Some((self.backends.get(next.backend)?, next.address));
            }
            let index = self.pick(&attempts.backends, key)?;
            let backend = self.backends.get(index)?;
            attempts.backends.push(index);
            attempts.tried = 0;
            attempts.repeated = false;
            attempts.addresses = match &backend.upstream.address {
                UpstreamAddress::Http { .. } | UpstreamAddress::Https { .. } => {
                    match backend.state.addresses.get().await {
                        Ok(addresses) => Some(addresses),
                        Err(cause) => {
                            self.lookup_failed(index, &cause);
                            Some(Arc::default())
                        }
                    }
                }
                UpstreamAddress::Unix { .. } => None,
            };
            attempts.active = self
                .selector
                .counts_requests()
                .then(|| backend.state.begin_request());
        }
    }

    /// Whether something is left to try.
    #[must_use]
    pub fn has_next(&self, attempts: &Attempts) -> bool {
        attempts.next_address().is_some() || attempts.backends.len() < self.backends.len()
    }

    /// Lets the last destination be the next one again. Where there are others, only once: further
    /// connections that were kept to it may be as dead as the last one.
    pub fn repeat_last(&self, attempts: &mut Attempts) {
        if !attempts.repeated || !self.has_next(attempts) {
            attempts.repeated = true;
            attempts.tried = attempts.tried.saturating_sub(1);
        }
    }

    /// Notes that no connection to `destination` came about: another address of the name comes
    /// first from now on.
    pub fn connect_failed(&self, destination: Destination) {
        if let (Some(backend), Some(failed)) =
            (self.backends.get(destination.backend), destination.address)
        {
            backend.state.addresses.failed(failed);
        }
    }

    /// Counts a failed attempt. After several in a row the upstream is ejected, unless no other is
    /// available.
    pub fn failed(&self, index: usize, error: UpstreamError) {
        let Some(backend) = self.backends.get(index) else {
            return;
        };
        let mut others = self.backends.iter().enumerate();
        if backend.failed(error)
            && others.any(|(other, backend)| other != index && backend.is_available())
        {
            backend.eject();
        }
    }

    fn lookup_failed(&self, index: usize, cause: &std::io::Error) {
        if let Some(backend) = self.backends.get(index) {
            tracing::warn!(
                site = backend.site,
                upstream = backend.name,
                error = UpstreamError::Dns.as_str(),
                %cause,
                "an upstream failed"
            );
        }
        self.failed(index, UpstreamError::Dns);
    }

    /// The next upstream that was not tried.
    fn pick(&self, tried: &[usize], key: StickyKey<'_>) -> Option<usize> {
        if let [_] = *self.backends {
            return tried.is_empty().then_some(0);
        }
        [Rank::Available, Rank::Ejected, Rank::Down]
            .into_iter()
            .find_map(|rank| {
                let untried = Untried {
                    backends: &self.backends,
                    tried,
                    rank,
                };
                self.selector.next(key, &untried)
            })
    }

    /// One of them, by position.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&Backend> {
        self.backends.get(index)
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> &[Backend] {
        &self.backends
    }
}

#[cfg(test)]
mod tests;
