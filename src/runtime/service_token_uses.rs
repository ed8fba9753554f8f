//! Which uses of service tokens the audit log records: the first of each token in each hour. A
//! program may send a hundred requests a second, and the access log has each of them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::model::service_token::ServiceTokens;
use crate::model::timestamp::Timestamp;

/// The seconds of an hour.
const HOUR: u64 = 60 * 60;

/// When each of a site's tokens was last recorded.
#[derive(Debug, Default)]
pub struct ServiceTokenUses {
    /// The hour, from 1, by the user id of the token; 0 for one that was not used yet.
    hours: HashMap<String, AtomicU64>,
}

impl ServiceTokenUses {
    pub(super) fn new(tokens: &ServiceTokens) -> Self {
        let users = tokens
            .by_hash
            .values()
            .map(|token| &token.principal.identity.sub);
        Self {
            hours: users
                .map(|user| (user.clone(), AtomicU64::new(0)))
                .collect(),
        }
    }

    /// Whether the use of the token of `user` is recorded. Of several at once one is.
    pub fn is_recorded(&self, user: &str, now: Timestamp) -> bool {
        let hour = now.secs() / HOUR + 1;
        self.hours.get(user).is_some_and(|last| {
            last.load(Ordering::Relaxed) != hour && last.swap(hour, Ordering::Relaxed) != hour
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_use_of_an_hour_is_recorded_for_each_token() {
        let hours = ["token:a", "token:b"].map(|user| (user.to_owned(), AtomicU64::new(0)));
        let uses = ServiceTokenUses {
            hours: hours.into_iter().collect(),
        };
        let at = Timestamp::from_secs;
        assert!(uses.is_recorded("token:a", at(0)), "also in the first hour");
        assert!(!uses.is_recorded("token:a", at(HOUR - 1)));
        assert!(uses.is_recorded("token:b", at(HOUR - 1)));
        assert!(uses.is_recorded("token:a", at(HOUR)));
        assert!(!uses.is_recorded("token:a", at(HOUR)));
        assert!(
            !uses.is_recorded("token:c", at(HOUR)),
            "no token of the site"
        );
    }
}
