//! A limit on messages that turn out to be nobody's: each costs a signature check, and anybody can
//! send them where hooks are public.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The messages of one address that may fail, or be under way, within one [`WINDOW`].
const MAX_FAILURES: u32 = 50;
const WINDOW: Duration = Duration::from_secs(1);
/// The addresses that are counted apart. All further ones count as one.
const MAX_ADDRESSES: usize = 1_000;

/// Counts messages that are not authentic, by address. It outlives every configuration.
#[derive(Debug, Default)]
pub(in crate::runtime) struct HookGate(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    /// When the window began, on the monotonic clock.
    since: Duration,
    by_address: HashMap<Option<IpAddr>, u32>,
}

/// A message that passed the gate and counts as failed until it is known to be authentic.
#[derive(Debug)]
pub(super) struct Passed(Option<IpAddr>);

impl HookGate {
    /// Lets a message of `client` pass at `now`, on the monotonic clock; `None` where too many of
    /// its messages have failed.
    pub(super) fn enter(&self, client: IpAddr, now: Duration) -> Option<Passed> {
        let mut counts = self.counts();
        if now.saturating_sub(counts.since) >= WINDOW {
            counts.since = now;
            counts.by_address.clear();
        }
        let network = Some(network(client));
        let is_counted_apart =
            counts.by_address.len() < MAX_ADDRESSES || counts.by_address.contains_key(&network);
        let key = if is_counted_apart { network } else { None };
        let failures = counts.by_address.entry(key).or_default();
        if *failures >= MAX_FAILURES {
            return None;
        }
        *failures += 1;
        Some(Passed(key))
    }

    /// The message is authentic: it does not count.
    pub(super) fn authentic(&self, passed: &Passed) {
        if let Some(failures) = self.counts().by_address.get_mut(&passed.0) {
            *failures = failures.saturating_sub(1);
        }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The address, or the /64 of one of IPv6.
fn network(client: IpAddr) -> IpAddr {
    match client {
        IpAddr::V4(_) => client,
        IpAddr::V6(address) => {
            let bits = u128::from(address) & !u128::from(u64::MAX);
            IpAddr::V6(bits.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1_000);

    fn address(number: u32) -> IpAddr {
        IpAddr::V4(number.into())
    }

    #[test]
    fn ten_thousand_forged_messages_cost_fifty_checks() {
        let gate = HookGate::default();
        let passed = (0..10_000).filter(|_| gate.enter(address(1), NOW).is_some());
        assert_eq!(passed.count(), 50);
        assert!(gate.enter(address(2), NOW).is_some(), "of another address");
        assert!(gate.enter(address(1), NOW + WINDOW / 2).is_none());
        assert!(
            gate.enter(address(1), NOW + WINDOW).is_some(),
            "a second later"
        );
    }

    #[test]
    fn authentic_messages_do_not_count() {
        let gate = HookGate::default();
        for _ in 0..10_000 {
            let passed = gate.enter(address(1), NOW).unwrap();
            gate.authentic(&passed);
        }
    }

    #[test]
    fn the_number_of_addresses_is_bounded() {
        let gate = HookGate::default();
        let passed = (0..100_000).filter(|number| gate.enter(address(*number), NOW).is_some());
        let bound = MAX_ADDRESSES + usize::try_from(MAX_FAILURES).unwrap();
        assert_eq!(passed.count(), bound);
        assert!(gate.counts().by_address.len() <= MAX_ADDRESSES + 1);
        let same_network = ["2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"]
            .map(|text| network(text.parse().unwrap()));
        assert_eq!(same_network[0], same_network[1]);
        assert_ne!(same_network[0], same_network[2]);
    }
}
