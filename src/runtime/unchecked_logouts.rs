//! How many sign-outs are carried out whose credentials nobody could check.

use std::sync::{Mutex, PoisonError};

use crate::model::timestamp::Timestamp;

/// Counts the sign-outs with credentials that nobody could check. Anybody can make up as many as
/// they like, and their revocations must not take the room of others.
#[derive(Debug, Default)]
pub(super) struct UncheckedLogouts(Mutex<CountedHour>);

#[derive(Debug, Default)]
struct CountedHour {
    /// Hours since the Unix epoch.
    hour: u64,
    count: u32,
}

/// How many such sign-outs are carried out within an hour.
const MAX_UNCHECKED_PER_HOUR: u32 = 10_000;

impl UncheckedLogouts {
    /// Whether one more is carried out at `now`.
    pub fn take(&self, now: Timestamp) -> bool {
        let hour = now.secs() / 3600;
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counted.hour != hour {
            *counted = CountedHour { hour, count: 0 };
        }
        let carried_out = counted.count < MAX_UNCHECKED_PER_HOUR;
        counted.count += u32::from(carried_out);
        carried_out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_hour_has_a_limit() {
        let logouts = UncheckedLogouts::default();
        let carried_out = |secs| {
            let all = 0..MAX_UNCHECKED_PER_HOUR + 3;
            all.filter(|_| logouts.take(Timestamp::from_secs(secs)))
                .count()
        };
        assert_eq!(carried_out(7_200), 10_000);
        assert_eq!(carried_out(10_799), 0, "the same hour");
        assert_eq!(carried_out(10_800), 10_000, "the next");
    }
}
