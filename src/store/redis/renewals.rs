//! Renewals: `vestibule:renewal:{KEY}`, a hash that tells who holds the lease or until when the
//! result is there, and `vestibule:renewal:{KEY}:result`. The braces keep both in one hash slot.

use std::time::Duration;

use redis::Value;

use super::super::{Acquire, Fence, LeaseKey, LeaseResult, StoreError};
use super::scripts::{EXTEND, LAND, LEASE, RELEASE};
use super::{GRACE, RedisStore, heard, moment, readable, span, strange};
use crate::model::timestamp::Timestamp;

/// Who waits and is not told asks again after about this long.
const ASK_AGAIN: Duration = Duration::from_millis(100);

fn known(key: LeaseKey) -> String {
    format!("vestibule:renewal:{{{}}}", readable(&key.0))
}

fn result(key: LeaseKey) -> String {
    format!("{}:result", known(key))
}

impl RedisStore {
    pub(super) async fn ask_for_lease(
        &self,
        key: LeaseKey,
        wanted: Duration,
        now: Timestamp,
    ) -> Result<Acquire, StoreError> {
        let lease = LEASE
            .on([known(key), result(key)])
            .with(moment(now))
            .with(span(wanted))
            .with(span(GRACE));
        let answer: Vec<Value> = lease.over(&self.link).await?;
        understood(&answer).ok_or_else(strange)
    }

    pub(super) async fn extend_lease(
        &self,
        key: LeaseKey,
        fence: Fence,
        wanted: Duration,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let extend = EXTEND
            .on([known(key)])
            .with(fence.0.to_string())
            .with(moment(now));
        extend
            .with(span(wanted))
            .with(span(GRACE))
            .over(&self.link)
            .await
    }

    pub(super) async fn keep_landing(
        &self,
        key: LeaseKey,
        fence: Fence,
        landing: LeaseResult,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let land = LAND
            .on([known(key), result(key)])
            .with(fence.0.to_string())
            .with(moment(now))
            .with(span(GRACE));
        let spent = landing.spent_until.map_or_else(String::new, moment);
        let land = land
            .with(moment(landing.until))
            .with(spent)
            .with(&*landing.sealed);
        let landed = land
            .with(self.channel.as_str())
            .with(heard::landed(key))
            .over(&self.link)
            .await?;
        self.heard.waiting.wake(key);
        Ok(landed)
    }

    pub(super) async fn give_back(&self, key: LeaseKey, fence: Fence) -> Result<(), StoreError> {
        let release = RELEASE
            .on([known(key)])
            .with(fence.0.to_string())
            .with(span(GRACE));
        release
            .with(self.channel.as_str())
            .with(heard::landed(key))
            .over::<()>(&self.link)
            .await?;
        self.heard.waiting.wake(key);
        Ok(())
    }

    pub(super) async fn wait_for_landing(&self, key: LeaseKey, at_most: Duration) {
        self.heard
            .waiting
            .wait(key, || true, at_most.min(self.about(ASK_AGAIN)))
            .await;
    }
}

fn understood(answer: &[Value]) -> Option<Acquire> {
    match answer {
        [Value::BulkString(word)] if word == b"busy" => Some(Acquire::Contended),
        [Value::BulkString(word)] if word == b"spent" => Some(Acquire::Reused),
        [Value::BulkString(word), Value::BulkString(sealed)] if word == b"landed" => {
            Some(Acquire::Completed(sealed.as_slice().into()))
        }
        [Value::BulkString(word), Value::BulkString(fence)] if word == b"held" => Some(
            Acquire::Acquired(Fence(std::str::from_utf8(fence).ok()?.parse().ok()?)),
        ),
        _ => None,
    }
}
