//! Throttles: `vestibule:throttle:KEY`, a sorted set of places by when they were taken.

use std::time::Duration;

use super::super::throttle::{Reservation, RetryAfter, Settlement, ThrottleKey};
use super::super::{NoPlace, StoreError};
use super::scripts::RESERVE;
use super::{GRACE, RedisStore, moment, readable, span, strange};
use crate::config::settings::Rate;
use crate::model::moment::Moment;

fn name(key: ThrottleKey) -> String {
    format!("vestibule:throttle:{}", readable(&key.0))
}

impl RedisStore {
    pub(super) async fn take_place(&self, key: ThrottleKey, rate: Rate, now: Moment) -> Result<Reservation, NoPlace> {
        let place = self.dice();
        let reserve = RESERVE.on([name(key)]).with(moment(now)).with(span(rate.per)).with(rate.attempts.to_string());
        let reserve = reserve.with(place.to_be_bytes()).with(span(GRACE));
        match reserve.over::<Option<String>>(&self.link).await.map_err(NoPlace::Store)? {
            None => Ok(Reservation { key, place }),
            Some(taken) => {
                let taken = taken.parse().map_err(|_| NoPlace::Store(strange()))?;
                let wait: Duration = now.until(Moment::from_millis(taken).plus(rate.per));
                Err(NoPlace::Throttled(RetryAfter::from(wait)))
            }
        }
    }

    pub(super) async fn settle_place(&self, reservation: &Reservation, how: Settlement) -> Result<(), StoreError> {
        let mut command = match how {
            // It stays taken, as it is.
            Settlement::Failed => return Ok(()),
            Settlement::Succeeded => redis::cmd("DEL"),
            Settlement::Released => redis::cmd("ZREM"),
        };
        command.arg(name(reservation.key));
        if how == Settlement::Released {
            command.arg(reservation.place.to_be_bytes().as_slice());
        }
        self.link.ask(&command).await
    }
}
