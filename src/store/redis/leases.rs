//! Leases on the server.
//!
//! `vestibule:renewal:{KEY}` is a hash: the holder's fence, and until when the lease is held, its
//! result is there or the key is known as reused, in milliseconds of the server's clock.
//! `vestibule:renewal:{KEY}:result` is the sealed result, `vestibule:renewal:{KEY}:checkpoint` the
//! sealed checkpoint. The braces keep all keys in one hash slot.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use redis::Value;
use tokio::sync::Notify;

use super::super::wait_queue::WaitQueue;
use super::super::{
    Acquire, Fence, LeaseKey, LeaseResult, LeaseStore, MemoryLeases, StoreError, StoredCheckpoint,
    Sweep,
};
use super::random::Random;
use super::scripts::{
    ACQUIRE, COMPLETE, EXTEND, PUT_CHECKPOINT, READ_CHECKPOINT, RELEASE, unexpected_reply,
};
use super::{EXPIRY_GRACE, Server, encoding, pubsub};
use crate::model::timestamp::Timestamp;

/// A waiter that is not notified tries again after about this long.
const RETRY_AFTER: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(super) struct RedisLeases {
    server: Server,
    wait_queue: Arc<WaitQueue>,
    random: Random,
    /// The leases of this replica. It has its own checkpoints there too.
    local: Arc<MemoryLeases>,
    /// This replica has a checkpoint that the server did not take.
    pending_publish: Notify,
}

/// What happens to an earlier checkpoint.
#[derive(Clone, Copy)]
enum Earlier {
    Replace,
    Keep,
}

fn state_key(key: LeaseKey) -> String {
    format!("vestibule:renewal:{{{}}}", encoding::to_base64(&key.0))
}

fn result_key(key: LeaseKey) -> String {
    format!("{}:result", state_key(key))
}

fn checkpoint_key(key: LeaseKey) -> String {
    format!("{}:checkpoint", state_key(key))
}

impl RedisLeases {
    pub(super) fn new(
        server: Server,
        wait_queue: Arc<WaitQueue>,
        local: Arc<MemoryLeases>,
    ) -> Self {
        Self {
            server,
            wait_queue,
            random: Random::new(),
            local,
            pending_publish: Notify::new(),
        }
    }

    /// Puts the checkpoints of this replica on the server, where it has none for the same lease: it
    /// did not answer when they were made, or lost its data. Forgets those whose leases were
    /// completed.
    pub(super) async fn publish_checkpoints(&self) -> Result<(), StoreError> {
        for checkpoint in self.local.checkpoints() {
            let key = checkpoint.key;
            if !self.put(checkpoint, Earlier::Keep).await? {
                self.local.remove_checkpoint(key);
            }
        }
        Ok(())
    }

    /// Waits until a checkpoint could not be put on the server.
    pub(super) async fn pending_publish(&self) {
        self.pending_publish.notified().await;
    }

    async fn put(
        &self,
        checkpoint: StoredCheckpoint,
        earlier: Earlier,
    ) -> Result<bool, StoreError> {
        let StoredCheckpoint { key, sealed, ttl } = checkpoint;
        PUT_CHECKPOINT
            .keys([state_key(key), checkpoint_key(key)])
            .arg(&*sealed)
            // A TTL of zero is an error.
            .arg(encoding::duration(ttl.max(Duration::from_millis(1))))
            .arg(match earlier {
                Earlier::Replace => "",
                Earlier::Keep => "keep",
            })
            .invoke(&self.server.connections)
            .await
    }
}

#[async_trait]
impl LeaseStore for RedisLeases {
    async fn acquire(&self, key: LeaseKey, ttl: Duration) -> Result<Acquire, StoreError> {
        let acquire = ACQUIRE
            .keys([state_key(key), result_key(key), checkpoint_key(key)])
            .arg(encoding::duration(ttl))
            .arg(encoding::duration(EXPIRY_GRACE));
        let reply: Vec<Value> = acquire.invoke(&self.server.connections).await?;
        parse_reply(&reply).ok_or_else(unexpected_reply)
    }

    async fn extend(&self, key: LeaseKey, fence: Fence, ttl: Duration) -> Result<bool, StoreError> {
        EXTEND
            .keys([state_key(key)])
            .arg(fence.0.to_string())
            .arg(encoding::duration(ttl))
            .arg(encoding::duration(EXPIRY_GRACE))
            .invoke(&self.server.connections)
            .await
    }

    async fn put_checkpoint(
        &self,
        key: LeaseKey,
        sealed: Arc<[u8]>,
        ttl: Duration,
    ) -> Result<bool, StoreError> {
        let checkpoint = StoredCheckpoint { key, sealed, ttl };
        let put = self.put(checkpoint, Earlier::Replace).await;
        if put.is_err() {
            self.pending_publish.notify_one();
        }
        put
    }

    async fn checkpoint(&self, key: LeaseKey) -> Result<Option<Arc<[u8]>>, StoreError> {
        let sealed: Vec<u8> = READ_CHECKPOINT
            .keys([checkpoint_key(key)])
            .invoke(&self.server.connections)
            .await?;
        Ok(non_empty(&sealed))
    }

    async fn complete(
        &self,
        key: LeaseKey,
        fence: Fence,
        result: LeaseResult,
    ) -> Result<bool, StoreError> {
        let reuse_ttl = result.reuse_ttl.map(encoding::duration);
        let completed = COMPLETE
            .keys([state_key(key), result_key(key), checkpoint_key(key)])
            .arg(fence.0.to_string())
            .arg(encoding::duration(EXPIRY_GRACE))
            .arg(encoding::duration(result.ttl))
            .arg(reuse_ttl.unwrap_or_default())
            .arg(&*result.sealed)
            .arg(&*self.server.channel)
            .arg(pubsub::lease_changed(key))
            .invoke(&self.server.connections)
            .await?;
        self.wait_queue.notify(key);
        Ok(completed)
    }

    async fn release(&self, key: LeaseKey, fence: Fence) -> Result<(), StoreError> {
        RELEASE
            .keys([state_key(key)])
            .arg(fence.0.to_string())
            .arg(encoding::duration(EXPIRY_GRACE))
            .arg(&*self.server.channel)
            .arg(pubsub::lease_changed(key))
            .invoke::<()>(&self.server.connections)
            .await?;
        self.wait_queue.notify(key);
        Ok(())
    }

    async fn wait_for_change(&self, key: LeaseKey, at_most: Duration) {
        // Only the server knows whether the lease is held, so this always waits.
        let at_most = at_most.min(self.random.jitter(RETRY_AFTER));
        self.wait_queue.wait(key, || true, at_most).await;
    }
}

impl Sweep for RedisLeases {
    /// Does nothing: the server removes expired keys.
    fn sweep(&self, _now: Timestamp) {}
}

/// What the script `acquire.lua` returned.
fn parse_reply(reply: &[Value]) -> Option<Acquire> {
    match reply {
        [Value::BulkString(word)] if word == b"contended" => Some(Acquire::Contended),
        [Value::BulkString(word)] if word == b"reused" => Some(Acquire::Reused),
        [Value::BulkString(word), Value::BulkString(sealed)] if word == b"completed" => {
            Some(Acquire::Completed(sealed.as_slice().into()))
        }
        [
            Value::BulkString(word),
            Value::BulkString(fence),
            Value::BulkString(checkpoint),
        ] if word == b"acquired" => Some(Acquire::Acquired {
            fence: Fence(std::str::from_utf8(fence).ok()?.parse().ok()?),
            checkpoint: non_empty(checkpoint),
        }),
        _ => None,
    }
}

fn non_empty(sealed: &[u8]) -> Option<Arc<[u8]>> {
    (!sealed.is_empty()).then(|| sealed.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> Option<Acquire> {
        let reply = words
            .iter()
            .map(|word| Value::BulkString(word.as_bytes().to_vec()));
        parse_reply(&reply.collect::<Vec<_>>())
    }

    #[test]
    fn a_reply_that_the_script_does_not_give_is_none() {
        for good in [
            &["contended"][..],
            &["reused"],
            &["completed", "sealed"],
            &["acquired", "7", ""],
        ] {
            assert!(parsed(good).is_some(), "{good:?}");
        }
        for bad in [
            &[][..],
            &["else"],
            &["else", "sealed"],
            &["else", "7", ""],
            &["acquired", "seven", ""],
        ] {
            assert!(parsed(bad).is_none(), "{bad:?}");
        }
    }
}
