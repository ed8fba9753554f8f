//! Login attempts on the server.
//!
//! `vestibule:throttle:{KEY}` is a sorted set of attempt ids, scored by the time of the attempt.
//! `vestibule:throttle:{KEY}:waits` is a hash: how often the window was full, and until when that
//! counts. The braces keep both keys in one hash slot.

use async_trait::async_trait;

use super::super::throttles::{BACKOFF_RESET_AFTER, max_wait};
use super::super::{
    Reservation, ReserveError, RetryAfter, Settlement, StoreError, Sweep, ThrottleKey,
    ThrottleStore,
};
use super::random::Random;
use super::scripts::{RESERVE, unexpected_reply};
use super::{EXPIRY_GRACE, Server, encoding};
use crate::config::settings::Rate;
use crate::model::timestamp::Timestamp;

#[derive(Debug)]
pub(super) struct RedisThrottles {
    server: Server,
    random: Random,
}

fn attempts_key(key: ThrottleKey) -> String {
    format!("vestibule:throttle:{{{}}}", encoding::to_base64(&key.0))
}

fn waits_key(key: ThrottleKey) -> String {
    format!("{}:waits", attempts_key(key))
}

impl RedisThrottles {
    pub(super) fn new(server: Server) -> Self {
        Self {
            server,
            random: Random::new(),
        }
    }
}

#[async_trait]
impl ThrottleStore for RedisThrottles {
    async fn reserve(
        &self,
        key: ThrottleKey,
        rate: Rate,
        now: Timestamp,
    ) -> Result<Reservation, ReserveError> {
        let attempt = self.random.next_id();
        let now = self.server.clock.to_server(now);
        let reserve = RESERVE
            .keys([attempts_key(key), waits_key(key)])
            .arg(encoding::timestamp(now))
            .arg(encoding::duration(rate.per))
            .arg(rate.attempts.to_string())
            .arg(attempt.to_be_bytes())
            .arg(encoding::duration(EXPIRY_GRACE))
            .arg(encoding::duration(max_wait(rate)))
            .arg(encoding::duration(BACKOFF_RESET_AFTER));
        let reply: Option<String> = reserve
            .invoke(&self.server.connections)
            .await
            .map_err(ReserveError::Store)?;
        let Some(wait_end) = reply else {
            return Ok(Reservation { key, attempt });
        };
        match wait_end.parse().map(Timestamp::from_millis) {
            Ok(wait_end) => {
                let wait = RetryAfter::from(now.until(wait_end));
                Err(ReserveError::Throttled(wait))
            }
            Err(_) => Err(ReserveError::Store(unexpected_reply())),
        }
    }

    async fn settle(&self, reservation: Reservation, how: Settlement) -> Result<(), StoreError> {
        let Reservation { key, attempt } = reservation;
        let mut command = redis::Cmd::new();
        match how {
            // The recorded attempt stays.
            Settlement::Failed => return Ok(()),
            Settlement::Succeeded => command
                .arg("DEL")
                .arg(attempts_key(key))
                .arg(waits_key(key)),
            Settlement::Released => command
                .arg("ZREM")
                .arg(attempts_key(key))
                .arg(attempt.to_be_bytes().as_slice()),
        };
        self.server.connections.query(&command).await
    }
}

impl Sweep for RedisThrottles {
    /// Does nothing: the server removes expired keys.
    fn sweep(&self, _now: Timestamp) {}
}
