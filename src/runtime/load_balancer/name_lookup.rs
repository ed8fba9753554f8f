//! What the name of an upstream resolves to.
//!
//! A name may have several addresses. All of them are tried, in order, before the next upstream is:
//! one of them may be dead, or of an IP version that the upstream does not listen on. An address
//! that failed goes to the end of the order, so that it does not cost every request a try.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::model::upstream::UpstreamAddress;
use crate::system;

/// How long a DNS lookup may take.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);
/// How long requests do not look a name up again that has just not been found.
const LOOKUP_PAUSE: Duration = Duration::from_secs(1);

/// The addresses of one upstream.
pub(super) struct Addresses {
    /// The name and port to look up; `None` for a literal address and a Unix socket.
    name: Option<(String, u16)>,
    /// In the order to try; never empty.
    known: ArcSwapOption<Vec<SocketAddr>>,
    /// When a lookup failed last. It is locked while one runs, so that many requests wait for one
    /// lookup.
    failed: Mutex<Option<Instant>>,
}

impl Addresses {
    /// A literal address is known at once, a name when it is looked up.
    pub(super) fn new(address: &UpstreamAddress) -> Self {
        let (UpstreamAddress::Http { host, port } | UpstreamAddress::Https { host, port }) =
            address
        else {
            return Self::with(None, None);
        };
        match host.trim_matches(['[', ']']).parse::<IpAddr>() {
            Ok(ip) => Self::with(None, Some(SocketAddr::new(ip, *port))),
            Err(_) => Self::with(Some((host.clone(), *port)), None),
        }
    }

    fn with(name: Option<(String, u16)>, literal: Option<SocketAddr>) -> Self {
        Self {
            name,
            known: ArcSwapOption::from(literal.map(|address| Arc::new(vec![address]))),
            failed: Mutex::default(),
        }
    }

    /// The addresses that are known; a name without any is looked up.
    ///
    /// # Errors
    /// Why the name has no address.
    pub(super) async fn get(&self) -> io::Result<Arc<Vec<SocketAddr>>> {
        if let Some(known) = self.known.load_full() {
            return Ok(known);
        }
        let mut failed = self.failed.lock().await;
        // Another request may have waited for the answer.
        if let Some(known) = self.known.load_full() {
            return Ok(known);
        }
        if failed.is_some_and(|failed| failed.elapsed() < LOOKUP_PAUSE) {
            return Err(io::Error::other("the name was not found a moment ago"));
        }
        let found = self.look_up().await;
        *failed = found.is_err().then(system::stopwatch);
        found?;
        Ok(self.known.load_full().unwrap_or_default())
    }

    /// Looks a name up again, and returns whether it has other addresses now. The last ones stay
    /// where that fails.
    ///
    /// # Errors
    /// Why it failed.
    pub(super) async fn look_up(&self) -> io::Result<bool> {
        let Some((host, port)) = &self.name else {
            return Ok(false);
        };
        let lookup = tokio::net::lookup_host((host.as_str(), *port));
        let found = tokio::time::timeout(LOOKUP_TIMEOUT, lookup)
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        let found: Vec<SocketAddr> = found.collect();
        if found.is_empty() {
            return Err(io::Error::other("the name has no address"));
        }
        Ok(self.take(found))
    }

    /// Takes the result of a lookup, and returns whether it changes anything. Addresses that are
    /// still in it keep their order, since connections to them may be reused, and new ones follow.
    pub(super) fn take(&self, found: Vec<SocketAddr>) -> bool {
        let current = self.known.load();
        let mut addresses: Vec<SocketAddr> = current
            .iter()
            .flat_map(|known| known.iter())
            .filter(|known| found.contains(known))
            .copied()
            .collect();
        let is_smaller = current
            .as_ref()
            .is_some_and(|known| known.len() != addresses.len());
        let kept = addresses.len();
        for address in found {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        let is_new = is_smaller || addresses.len() != kept;
        if is_new && !addresses.is_empty() {
            self.known.store(Some(Arc::new(addresses)));
        }
        is_new
    }

    /// Notes that no connection to `failed` came about. Where it was the first to try, it becomes
    /// the last.
    pub(super) fn failed(&self, failed: SocketAddr) {
        let current = self.known.load();
        let Some(addresses) = current.as_ref() else {
            return;
        };
        if addresses.len() > 1 && addresses.first() == Some(&failed) {
            let mut rotated = Vec::clone(addresses);
            rotated.rotate_left(1);
            // Where another request changed the order meanwhile, that order stands.
            self.known
                .compare_and_swap(&current, Some(Arc::new(rotated)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(host: &str) -> Addresses {
        Addresses::new(&UpstreamAddress::Http {
            host: host.into(),
            port: 80,
        })
    }

    fn order(addresses: &Addresses) -> Vec<String> {
        let known = addresses.known.load_full().unwrap_or_default();
        known.iter().map(ToString::to_string).collect()
    }

    fn found(addresses: &[&str]) -> Vec<SocketAddr> {
        addresses.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn an_address_that_failed_does_not_stay_first() {
        let addresses = name("app.internal");
        assert!(addresses.take(found(&["[::1]:80", "127.0.0.1:80"])));
        let failed = |text: &str| addresses.failed(text.parse().unwrap());
        failed("[::1]:80");
        assert_eq!(order(&addresses), ["127.0.0.1:80", "[::1]:80"]);
        // It is the last already.
        failed("[::1]:80");
        assert_eq!(order(&addresses), ["127.0.0.1:80", "[::1]:80"]);
        // A lookup keeps the order, and adds what is new.
        assert!(addresses.take(found(&["[::1]:80", "10.0.0.1:80", "127.0.0.1:80"])));
        assert_eq!(
            order(&addresses),
            ["127.0.0.1:80", "[::1]:80", "10.0.0.1:80"]
        );
        assert!(!addresses.take(found(&["10.0.0.1:80", "127.0.0.1:80", "[::1]:80"])));
        assert!(addresses.take(found(&["10.0.0.1:80"])));
        assert_eq!(order(&addresses), ["10.0.0.1:80"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lookup_that_fails_keeps_the_last_addresses() {
        let addresses = name("does-not-exist.invalid");
        assert!(addresses.get().await.is_err());
        addresses.take(found(&["10.0.0.1:80"]));
        assert!(addresses.look_up().await.is_err());
        assert_eq!(order(&addresses), ["10.0.0.1:80"]);
        assert_eq!(addresses.get().await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_literal_address_is_never_looked_up() {
        let addresses = name("[::1]");
        assert!(!addresses.look_up().await.unwrap());
        assert_eq!(order(&addresses), ["[::1]:80"]);
    }
}
