//! Throttles: `vestibule:throttle:{KEY}`, a sorted set of places by when they were taken, and
//! `vestibule:throttle:{KEY}:waits`, how often all of them were, and until when that counts.

use super::super::throttle::{
    FADES_AFTER, Reservation, RetryAfter, Settlement, ThrottleKey, longest,
};
use super::super::{ReserveError, StoreError};
use super::scripts::RESERVE;
use super::{GRACE, RedisStore, moment, readable, span, strange};
use crate::config::settings::Rate;
use crate::model::timestamp::Timestamp;

/// The places and the waits, in one hash slot.
fn names(key: ThrottleKey) -> [String; 2] {
    let places = format!("vestibule:throttle:{{{}}}", readable(&key.0));
    let waits = format!("{places}:waits");
    [places, waits]
}

impl RedisStore {
    pub(super) async fn take_place(
        &self,
        key: ThrottleKey,
        rate: Rate,
        now: Timestamp,
    ) -> Result<Reservation, ReserveError> {
        let place = self.dice();
        let reserve = RESERVE
            .on(names(key))
            .with(moment(now))
            .with(span(rate.per))
            .with(rate.attempts.to_string());
        let reserve = reserve.with(place.to_be_bytes()).with(span(GRACE));
        let reserve = reserve.with(span(longest(rate))).with(span(FADES_AFTER));
        match reserve
            .over::<Option<String>>(&self.link)
            .await
            .map_err(ReserveError::Store)?
        {
            None => Ok(Reservation { key, place }),
            Some(ends) => {
                let ends = ends.parse().map_err(|_| ReserveError::Store(strange()))?;
                Err(ReserveError::Throttled(RetryAfter::from(
                    now.until(Timestamp::from_millis(ends)),
                )))
            }
        }
    }

    pub(super) async fn settle_place(
        &self,
        reservation: &Reservation,
        how: Settlement,
    ) -> Result<(), StoreError> {
        let [places, waits] = names(reservation.key);
        let mut command = redis::Cmd::new();
        match how {
            // It stays taken, as it is.
            Settlement::Failed => return Ok(()),
            Settlement::Succeeded => command.arg("DEL").arg(places).arg(waits),
            Settlement::Released => command
                .arg("ZREM")
                .arg(places)
                .arg(reservation.place.to_be_bytes().as_slice()),
        };
        self.link.ask(&command).await
    }
}
