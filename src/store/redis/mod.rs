//! The store of many replicas: Redis or Valkey; one node, sentinels or a cluster.
//!
//! Whatever ends keeps its end in its value and is compared with the caller's time; the time to
//! live that Redis knows only clears up. Every script touches the keys of one hash slot.
//! Revocations are known here and answered from memory; `keeping.rs` hears what other replicas say
//! and catches up after every silence.

mod heard;
mod keeping;
mod link;
mod near;
mod renewals;
mod revocations;
mod scripts;
mod sessions;
#[cfg(test)]
mod tests;
mod throttle;

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::sync::Notify;

use super::throttle::{Reservation, Settlement, ThrottleKey};
use super::{
    Acquire, Fence, LeaseKey, LeaseResult, ReserveError, SessionHash, Store, StoreError,
    StoredSession,
};
use crate::config::settings::{Rate, Redis};
use crate::model::timestamp::Timestamp;
use crate::model::token::RevocationKey;
use heard::Heard;
use link::{Link, Plan};

/// Redis forgets what is over this long after its end: replicas' clocks differ, and a lease's
/// number must outlive it.
const GRACE: Duration = Duration::from_secs(60);
/// Lua counts in doubles: the largest whole number they hold, in 16 digits. The year 287,396.
const LAST_MILLI: u64 = 9_007_199_254_740_991;

/// Keeps everything on servers that all replicas share, under names that begin with `vestibule:`.
#[derive(Debug)]
pub struct RedisStore {
    plan: Plan,
    link: Link,
    heard: Arc<Heard>,
    /// Where replicas tell each other. Channels belong to no database, so it names ours.
    channel: String,
    /// Whether this replica has read every revocation since it connected, and told all of its own.
    in_step: AtomicBool,
    /// Something was revoked here that the servers do not know.
    untold: Notify,
    /// Makes numbers nobody else makes.
    dice: RandomState,
    thrown: AtomicU64,
}

impl RedisStore {
    /// A store that connects as soon as [`Store::keep`] runs.
    ///
    /// # Errors
    /// When there is no way to connect as `wanted`.
    pub fn new(wanted: &Redis) -> Result<Self, StoreError> {
        Ok(Self {
            plan: Plan::new(wanted)?,
            link: Link::new(),
            heard: Arc::new(Heard::new()),
            channel: format!("vestibule:told:{}", wanted.database),
            in_step: AtomicBool::new(false),
            untold: Notify::new(),
            dice: RandomState::new(),
            thrown: AtomicU64::new(0),
        })
    }

    /// A number no replica makes twice.
    fn dice(&self) -> u64 {
        self.dice
            .hash_one(self.thrown.fetch_add(1, Ordering::Relaxed))
    }

    /// A little more or less than `span`: from half of it to one and a half, so that replicas do
    /// not march in step.
    fn about(&self, span: Duration) -> Duration {
        let thousandths = u32::try_from(self.dice() % 1_000).unwrap_or_default();
        span / 2 + span * thousandths / 1_000
    }
}

/// Milliseconds as scripts read them: 16 digits.
fn digits(millis: u64) -> String {
    format!("{:016}", millis.min(LAST_MILLI))
}

fn moment(at: Timestamp) -> String {
    digits(at.millis())
}

fn span(span: Duration) -> String {
    digits(u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
}

fn readable(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// An answer that no script of ours gives.
fn strange() -> StoreError {
    StoreError("an answer makes no sense".to_owned())
}

#[async_trait]
impl Store for RedisStore {
    async fn revoke(
        &self,
        provider: &str,
        session: &RevocationKey,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.tell_revoked(provider, session, until, now).await
    }

    fn is_revoked(&self, provider: &str, session: &RevocationKey, now: Timestamp) -> bool {
        self.heard.revocations.contains(provider, session, now)
    }

    async fn reserve(
        &self,
        key: ThrottleKey,
        rate: Rate,
        now: Timestamp,
    ) -> Result<Reservation, ReserveError> {
        self.take_place(key, rate, now).await
    }

    async fn settle(&self, reservation: Reservation, how: Settlement) -> Result<(), StoreError> {
        self.settle_place(&reservation, how).await
    }

    async fn put_session(
        &self,
        id: SessionHash,
        session: StoredSession,
        idle: Duration,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.write_session(id, session, idle, now).await
    }

    async fn session(
        &self,
        id: SessionHash,
        idle: Duration,
        now: Timestamp,
    ) -> Result<Option<StoredSession>, StoreError> {
        match self.heard.near.get(id, idle, now) {
            Some(session) => Ok(Some(session)),
            None => self.read_session(id, idle, now).await,
        }
    }

    async fn end_session(&self, id: SessionHash) -> Result<(), StoreError> {
        self.delete_session(id).await
    }

    fn sessions(&self) -> usize {
        self.heard.near.len()
    }

    async fn lease(
        &self,
        key: LeaseKey,
        span: Duration,
        now: Timestamp,
    ) -> Result<Acquire, StoreError> {
        self.ask_for_lease(key, span, now).await
    }

    async fn extend(
        &self,
        key: LeaseKey,
        fence: Fence,
        span: Duration,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.extend_lease(key, fence, span, now).await
    }

    async fn land(
        &self,
        key: LeaseKey,
        fence: Fence,
        landing: LeaseResult,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.keep_landing(key, fence, landing, now).await
    }

    async fn release(&self, key: LeaseKey, fence: Fence) -> Result<(), StoreError> {
        self.give_back(key, fence).await
    }

    async fn landing(&self, key: LeaseKey, at_most: Duration) {
        self.wait_for_landing(key, at_most).await;
    }

    fn sweep(&self, now: Timestamp) {
        self.heard.revocations.sweep(now);
        self.heard.near.sweep(now);
    }

    async fn keep(&self) {
        self.keep_in_touch().await;
    }

    async fn ready(&self) -> Result<(), StoreError> {
        let () = self
            .link
            .ask(&redis::cmd("PING"))
            .await
            .map(|_: redis::Value| ())?;
        if self.in_step.load(Ordering::Acquire) {
            Ok(())
        } else {
            Err(StoreError("revocations are still being read".to_owned()))
        }
    }
}
