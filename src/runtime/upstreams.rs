//! Where a site's application listens: which place is next, which answers, what its name resolves
//! to.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;

use crate::model::site::Upstream;

/// How long a name server may take.
const RESOLVE_WITHIN: Duration = Duration::from_secs(5);

/// All upstreams of one site.
pub struct Upstreams {
    places: Vec<Place>,
    next: AtomicUsize,
}

struct Place {
    upstream: Upstream,
    healthy: AtomicBool,
    /// What the name resolved to last; a literal address never changes.
    address: ArcSwapOption<SocketAddr>,
}

impl Upstreams {
    /// All of them taken for healthy until a check says otherwise.
    #[must_use]
    pub fn new(upstreams: &[Upstream]) -> Self {
        let place = |upstream: &Upstream| Place {
            upstream: upstream.clone(),
            healthy: AtomicBool::new(true),
            address: ArcSwapOption::from(literal(upstream).map(Arc::new)),
        };
        Self {
            places: upstreams.iter().map(place).collect(),
            next: AtomicUsize::new(0),
        }
    }

    /// The next place in the round that is healthy and not among `tried`; when none is healthy, one
    /// that is not: a check may be wrong, and a refusal would be certain.
    #[must_use]
    pub fn pick(&self, tried: &[usize]) -> Option<usize> {
        if let [_] = *self.places {
            return tried.is_empty().then_some(0);
        }
        let start = self.next.fetch_add(1, Ordering::Relaxed);
        let round = |want_healthy: bool| {
            (0..self.places.len())
                .map(|step| start.wrapping_add(step) % self.places.len())
                .find(|index| {
                    let healthy = self
                        .places
                        .get(*index)
                        .is_some_and(|place| place.healthy.load(Ordering::Relaxed));
                    healthy == want_healthy && !tried.contains(index)
                })
        };
        round(true).or_else(|| round(false))
    }

    /// The upstream at a place.
    #[must_use]
    pub fn at(&self, index: usize) -> Option<&Upstream> {
        self.places.get(index).map(|place| &place.upstream)
    }

    /// How many places there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Whether the last check of a place went well.
    #[must_use]
    pub fn is_healthy(&self, index: usize) -> bool {
        self.places
            .get(index)
            .is_some_and(|place| place.healthy.load(Ordering::Relaxed))
    }

    /// Records a check; tells whether it changed anything.
    pub fn record(&self, index: usize, healthy: bool) -> bool {
        self.places
            .get(index)
            .is_some_and(|place| place.healthy.swap(healthy, Ordering::Relaxed) != healthy)
    }

    /// Where to connect to; resolves the name where that has not happened yet.
    pub async fn address(&self, index: usize) -> Option<SocketAddr> {
        let place = self.places.get(index)?;
        if let Some(address) = place.address.load_full() {
            return Some(*address);
        }
        self.resolve(index).await
    }

    /// Resolves the name anew; the old address stays when that fails.
    pub async fn resolve(&self, index: usize) -> Option<SocketAddr> {
        let place = self.places.get(index)?;
        let (Upstream::Http { host, port } | Upstream::Https { host, port }) = &place.upstream
        else {
            return None;
        };
        if literal(&place.upstream).is_some() {
            return place.address.load_full().map(|address| *address);
        }
        let looked_up = tokio::time::timeout(
            RESOLVE_WITHIN,
            tokio::net::lookup_host((host.as_str(), *port)),
        );
        let found: Vec<SocketAddr> = looked_up.await.ok()?.ok()?.collect();
        // The address in use stays as long as the name has it, so that connections are reused.
        let current = place.address.load_full();
        let keep = current.filter(|address| found.contains(address));
        if keep.is_none() {
            place.address.store(found.first().copied().map(Arc::new));
        }
        place.address.load_full().map(|address| *address)
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

    fn three() -> Upstreams {
        let at = |port| Upstream::Http {
            host: "127.0.0.1".into(),
            port,
        };
        Upstreams::new(&[at(1), at(2), at(3)])
    }

    #[test]
    fn the_round_visits_every_healthy_place() {
        let upstreams = three();
        upstreams.record(1, false);
        let mut seen: Vec<usize> = (0..30).filter_map(|_| upstreams.pick(&[])).collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen, [0, 2]);
    }

    #[test]
    fn what_was_tried_is_not_tried_again() {
        let upstreams = three();
        assert_eq!(upstreams.pick(&[0, 2]), Some(1));
        assert_eq!(upstreams.pick(&[0, 1, 2]), None);
    }

    #[test]
    fn when_nothing_is_healthy_something_is_tried_all_the_same() {
        let upstreams = three();
        for index in 0..3 {
            upstreams.record(index, false);
        }
        assert!(upstreams.pick(&[]).is_some());
    }
}
