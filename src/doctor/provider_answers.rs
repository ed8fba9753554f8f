//! What the answer of any provider tells: its keys, and its clock.

use std::time::{Duration, UNIX_EPOCH};

use super::finding::{Finding, Topic};
use crate::config::settings::Provider;
use crate::model::timestamp::Timestamp;
use crate::provider::key_set::KeySet;

/// What the `Date` of an answer does not tell: it has whole seconds, and was on its way.
const DATE_PRECISION: Duration = Duration::from_secs(2);

/// Whether a key of this JWKS document fits the configuration.
pub(super) fn keys(topic: &Topic, provider: &Provider, document: &[u8]) -> Finding {
    if provider.hmac_secret.is_some() {
        return topic.ok("tokens are verified with `hmac_secret`");
    }
    match KeySet::from_jwks(document, &provider.algorithms) {
        Ok(_) => topic.ok("its keys fit `algorithms`"),
        Err(error) => {
            let hint = "set an asymmetric key (RS256, ES256) for the access tokens of the \
                        application at the provider, or list its algorithm in `algorithms`";
            topic.fail(error.to_string(), hint)
        }
    }
}

/// Whether the clock of this machine agrees with the `Date` of an answer.
pub(super) fn clock(
    topic: &Topic,
    leeway: Duration,
    date: Option<&str>,
    now: Timestamp,
) -> Finding {
    let date = date.and_then(|date| httpdate::parse_http_date(date).ok());
    let Some(since) = date.and_then(|date| date.duration_since(UNIX_EPOCH).ok()) else {
        let hint = "check yourself that both clocks agree";
        return topic.warn("its answer has no `Date` to compare clocks with", hint);
    };
    let there = Timestamp::from_secs(since.as_secs());
    let (apart, which) = if there < now {
        (there.until(now), "ahead of")
    } else {
        (now.until(there), "behind")
    };
    let message = format!(
        "this machine's clock is {} s {which} the provider's, `leeway` is {} s",
        apart.as_secs(),
        leeway.as_secs()
    );
    let hint = "run a time service (chrony, systemd-timesyncd) on both machines";
    if apart > leeway.max(DATE_PRECISION) {
        topic.fail(message, hint)
    } else if apart > (leeway / 2).max(DATE_PRECISION) {
        topic.warn(message, hint)
    } else {
        topic.ok("clocks agree")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Status;

    #[test]
    fn half_of_the_leeway_is_a_warning() {
        let topic = Topic::new("provider", "main");
        let leeway = Duration::from_secs(30);
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        let at = |secs: u64, date| {
            let now = Timestamp::from_secs(784_111_777 + secs - 100);
            clock(&topic, leeway, date, now).status
        };
        for (secs, expected) in [
            (100, Status::Ok),
            (114, Status::Ok),
            (117, Status::Warn),
            (131, Status::Fail),
            (86, Status::Ok),
            (83, Status::Warn),
            (69, Status::Fail),
        ] {
            assert_eq!(at(secs, Some(date)), expected, "{secs}");
        }
        assert_eq!(at(100, None), Status::Warn);
        assert_eq!(at(100, Some("now")), Status::Warn);
    }
}
