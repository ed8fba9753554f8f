//! When a certificate is renewed, and when a failed order is tried again.

use std::time::Duration;

use crate::config::certificate::Certificate;
use crate::model::timestamp::Timestamp;

/// The wait after a first failure. Each further one is four times as long, so that five failures
/// take more than an hour: Let's Encrypt refuses more in less.
const FIRST_WAIT: Duration = Duration::from_secs(15);
/// The longest wait.
const MAX_WAIT: Duration = Duration::from_secs(6 * 60 * 60);
/// How often a server without an answer is asked again when it wants certificates to be renewed.
pub(super) const ASK_AGAIN: Duration = Duration::from_secs(6 * 60 * 60);

/// What is planned for the certificate of one name.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Plan {
    /// How many orders have failed in a row.
    failures: u32,
    /// Nothing is tried before this.
    not_before: Option<Timestamp>,
    /// When the ACME server wants the certificate to be renewed.
    suggested: Option<Timestamp>,
    /// When it is asked for that again.
    ask: Option<Timestamp>,
}

impl Plan {
    /// Whether `certificate` is to be renewed now.
    pub(super) fn is_due(&self, certificate: &Certificate, now: Timestamp) -> bool {
        let renewal = self.suggested.unwrap_or_else(|| two_thirds(certificate));
        renewal <= now && self.may_try(now)
    }

    /// Whether anything may be tried now.
    pub(super) fn may_try(&self, now: Timestamp) -> bool {
        self.not_before.is_none_or(|time| time <= now)
    }

    /// Whether the ACME server is to be asked when it wants the certificate to be renewed.
    pub(super) fn asks(&self, now: Timestamp) -> bool {
        self.ask.is_none_or(|time| time <= now)
    }

    /// Notes what the ACME server said: a moment in the window that it suggests, or nothing.
    pub(super) fn suggest(&mut self, suggested: Option<Timestamp>, ask: Timestamp) {
        if suggested.is_some() {
            self.suggested = suggested;
        }
        self.ask = Some(ask);
    }

    /// Notes that an order has failed. Gives the wait before the next one.
    pub(super) fn failed(&mut self, now: Timestamp) -> Duration {
        let wait = FIRST_WAIT.saturating_mul(4_u32.saturating_pow(self.failures));
        let wait = wait.min(MAX_WAIT);
        self.failures = self.failures.saturating_add(1);
        self.not_before = Some(now.plus(wait));
        wait
    }

    /// Notes that somebody else is at it.
    pub(super) fn wait(&mut self, now: Timestamp, wait: Duration) {
        self.not_before = Some(now.plus(wait));
    }

    /// The number of orders that have failed in a row.
    pub(super) const fn failures(&self) -> u32 {
        self.failures
    }
}

/// When two thirds of the validity are over.
fn two_thirds(certificate: &Certificate) -> Timestamp {
    let validity = certificate.valid_from.until(certificate.expires);
    certificate.valid_from.plus(validity / 3 * 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::acme::issued::Issued;

    fn certificate(from: u64, until: u64) -> Certificate {
        let made = Issued::self_signed("a.example").unwrap();
        Certificate {
            valid_from: Timestamp::from_secs(from),
            expires: Timestamp::from_secs(until),
            ..Certificate::clone(&made.certificate)
        }
    }

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    #[test]
    fn a_certificate_is_renewed_at_two_thirds_or_when_the_server_says() {
        let certificate = certificate(1000, 1900);
        let mut plan = Plan::default();
        assert!(!plan.is_due(&certificate, at(1599)));
        assert!(plan.is_due(&certificate, at(1600)));
        plan.suggest(Some(at(1200)), at(1300));
        assert!(plan.is_due(&certificate, at(1200)));
        assert!(!plan.is_due(&certificate, at(1199)));
        // A later answer replaces an earlier one, no answer does not.
        plan.suggest(Some(at(1700)), at(1400));
        plan.suggest(None, at(1500));
        assert!(!plan.is_due(&certificate, at(1650)));
        assert!(plan.asks(at(1500)) && !plan.asks(at(1499)));
    }

    #[test]
    fn failures_are_tried_again_after_growing_waits() {
        let mut plan = Plan::default();
        let waits: Vec<u64> = (0..8).map(|_| plan.failed(at(0)).as_secs()).collect();
        assert_eq!(waits, [15, 60, 240, 960, 3840, 15360, 21600, 21600]);
        assert_eq!(plan.failures(), 8);
        assert!(!plan.may_try(at(21_599)) && plan.may_try(at(21_600)));
        assert!(!plan.is_due(&certificate(0, 3), at(21_599)));
    }
}
