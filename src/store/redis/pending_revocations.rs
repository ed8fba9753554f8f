//! Pending revocations on the server: any replica may carry them out.
//!
//! `vestibule:pending` is a hash of ids, each with the end of its row on the server's clock in 16
//! digits, and the sealed revocation.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;

use super::super::memory::MAX_PENDING;
use super::super::{PendingId, PendingRevocation, PendingRevocationStore, StoreError, Sweep};
use super::scripts::PUT_PENDING;
use super::{EXPIRY_GRACE, Server, encoding};
use crate::model::timestamp::Timestamp;

const KEY: &str = "vestibule:pending";
/// The length of the end in front of a sealed revocation.
const HEADER: usize = 16;

#[derive(Debug)]
pub(super) struct RedisPendingRevocations {
    server: Server,
    /// Those that were evicted by this replica.
    evicted: AtomicU64,
}

impl RedisPendingRevocations {
    pub(super) fn new(server: Server) -> Self {
        Self {
            server,
            evicted: AtomicU64::new(0),
        }
    }
}

#[async_trait]
impl PendingRevocationStore for RedisPendingRevocations {
    async fn put(
        &self,
        pending: PendingRevocation,
        keep: Duration,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let until = self.server.clock.to_server(now).plus(keep);
        let mut value = encoding::timestamp(until).into_bytes();
        value.extend_from_slice(&pending.sealed);
        let evicted: u64 = PUT_PENDING
            .keys([KEY.to_owned()])
            .arg(pending.id.0)
            .arg(value)
            .arg(MAX_PENDING.to_string())
            .arg(encoding::duration(keep.saturating_add(EXPIRY_GRACE)))
            .invoke(&self.server.connections)
            .await?;
        self.evicted.fetch_add(evicted, Ordering::Relaxed);
        Ok(())
    }

    async fn remove(&self, id: PendingId) -> Result<(), StoreError> {
        let mut delete = redis::cmd("HDEL");
        delete.arg(KEY).arg(id.0.as_slice());
        self.server.connections.query(&delete).await
    }

    /// Any of them, at random: replicas that ask at the same time rarely get the same.
    async fn some(
        &self,
        count: usize,
        now: Timestamp,
    ) -> Result<Vec<PendingRevocation>, StoreError> {
        let mut pick = redis::cmd("HRANDFIELD");
        pick.arg(KEY).arg(count).arg("WITHVALUES");
        let rows: Vec<(Vec<u8>, Vec<u8>)> = self.server.connections.query(&pick).await?;
        let now = self.server.clock.to_server(now);
        let mut given = Vec::new();
        for (id, value) in rows {
            let Ok(id) = id.try_into().map(PendingId) else {
                continue;
            };
            match parse(&value).filter(|(until, _)| now < *until) {
                Some((_, sealed)) => given.push(PendingRevocation {
                    id,
                    sealed: sealed.into(),
                }),
                None => self.remove(id).await?,
            }
        }
        Ok(given)
    }
}

impl Sweep for RedisPendingRevocations {
    /// Does nothing: whoever reads a row that has expired removes it.
    fn sweep(&self, _now: Timestamp) {}

    fn evicted(&self) -> u64 {
        self.evicted.load(Ordering::Relaxed)
    }
}

fn parse(value: &[u8]) -> Option<(Timestamp, &[u8])> {
    let (end, sealed) = value.split_at_checked(HEADER)?;
    Some((encoding::parse_timestamp(end)?, sealed))
}
