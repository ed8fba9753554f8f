//! How many connections clients may have at once: all together, and from one address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The open connections of clients.
#[derive(Debug, Default)]
pub(super) struct ConnectionLimits {
    open: AtomicUsize,
    /// Whether the last connection was one too many.
    is_full: AtomicBool,
    /// By the address that counts, see [`counted_address`].
    by_address: Mutex<HashMap<IpAddr, usize>>,
}

/// An open connection among all. Dropped, it is closed.
#[derive(Debug)]
pub(super) struct OpenConnection(Arc<ConnectionLimits>);

/// An open connection of an address. Dropped, it is closed.
#[derive(Debug)]
pub(super) struct AddressConnection {
    limits: Arc<ConnectionLimits>,
    address: IpAddr,
}

impl ConnectionLimits {
    /// Counts a connection; `None` where `most` are open.
    pub(super) fn open(self: &Arc<Self>, most: usize) -> Option<OpenConnection> {
        let before = self.open.fetch_add(1, Ordering::Relaxed);
        let counted = OpenConnection(Arc::clone(self));
        let is_full = before >= most;
        // Told once, however many are refused.
        if self.is_full.swap(is_full, Ordering::Relaxed) != is_full && is_full {
            tracing::warn!(
                connections = most,
                "new connections are refused: `server.limits.connections` are open"
            );
        }
        (!is_full).then_some(counted)
    }

    /// Counts a connection of `address`; `None` where it has `most`.
    pub(super) fn open_from(
        self: &Arc<Self>,
        address: IpAddr,
        most: usize,
    ) -> Option<AddressConnection> {
        let address = counted_address(address);
        let mut by_address = self
            .by_address
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let open = by_address.entry(address).or_default();
        if *open >= most {
            return None;
        }
        *open += 1;
        Some(AddressConnection {
            limits: Arc::clone(self),
            address,
        })
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for AddressConnection {
    fn drop(&mut self) {
        let by_address = self.limits.by_address.lock();
        let mut by_address = by_address.unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = by_address.get_mut(&self.address) {
            *open -= 1;
            if *open == 0 {
                by_address.remove(&self.address);
            }
        }
    }
}

/// The address that stands for a client: of IPv6 the /64, which one household has.
fn counted_address(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => {
            let network = v6.to_bits() & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from_bits(network))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_counted_until_they_are_closed() {
        let limits = Arc::<ConnectionLimits>::default();
        let first = limits.open(2).unwrap();
        let second = limits.open(2);
        assert!(second.is_some());
        assert!(limits.open(2).is_none());
        assert!(limits.open(2).is_none());
        drop(first);
        assert!(limits.open(2).is_some());
    }

    #[test]
    fn each_address_has_its_own_count_and_a_household_one() {
        let limits = Arc::<ConnectionLimits>::default();
        let open = |address: &str| limits.open_from(address.parse().unwrap(), 1);
        let kept = open("192.0.2.1");
        assert!(kept.is_some());
        assert!(open("192.0.2.1").is_none());
        assert!(open("192.0.2.2").is_some());
        let household = open("2001:db8::1");
        assert!(open("2001:db8::2").is_none());
        assert!(open("2001:db8:0:1::2").is_some());
        drop((kept, household));
        assert!(limits.by_address.lock().unwrap().is_empty());
        assert!(open("192.0.2.1").is_some());
    }
}
