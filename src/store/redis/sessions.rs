//! Sessions on the server, with a near cache.
//!
//! `vestibule:session:HASH` is a string: the end and the idle end of the session on the server's
//! clock, in 16 digits each, then the sealed record.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::super::{SessionHash, SessionStore, StoreError, StoredSession, Sweep};
use super::near_cache::NearCache;
use super::scripts::{END_SESSION, READ_SESSION, unexpected_reply};
use super::{EXPIRY_GRACE, Server, encoding, pubsub};
use crate::model::timestamp::Timestamp;

/// The length of the two expiry times in front of the record.
const HEADER: usize = 32;

#[derive(Debug)]
pub(super) struct RedisSessions {
    server: Server,
    near_cache: Arc<NearCache>,
}

fn key(id: SessionHash) -> String {
    format!("vestibule:session:{}", encoding::to_base64(&id.0))
}

impl RedisSessions {
    pub(super) fn new(server: Server, near_cache: Arc<NearCache>) -> Self {
        Self { server, near_cache }
    }
}

#[async_trait]
impl SessionStore for RedisSessions {
    async fn put(
        &self,
        id: SessionHash,
        session: StoredSession,
        idle: Duration,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let idle_until = now.plus(idle).min(session.expires_at);
        if idle_until <= now {
            return self.delete(id).await;
        }
        let times = [session.expires_at, idle_until]
            .map(|at| encoding::timestamp(self.server.clock.to_server(at)));
        let mut value = times.concat().into_bytes();
        value.extend_from_slice(&session.sealed);
        let ttl = now.until(idle_until.plus(EXPIRY_GRACE)).as_millis();
        let mut set = redis::cmd("SET");
        set.arg(key(id)).arg(value).arg("PX").arg(ttl.to_string());
        // A cached session with this id is out of date.
        self.near_cache.forget(id);
        let before = self.near_cache.epoch(id);
        let () = self.server.connections.query(&set).await?;
        self.near_cache.put(id, session, now, before);
        Ok(())
    }

    async fn get(
        &self,
        id: SessionHash,
        idle: Duration,
        now: Timestamp,
    ) -> Result<Option<StoredSession>, StoreError> {
        if let Some(session) = self.near_cache.get(id, idle, now) {
            return Ok(Some(session));
        }
        let before = self.near_cache.epoch(id);
        let read = READ_SESSION
            .keys([key(id)])
            .arg(encoding::timestamp(self.server.clock.to_server(now)))
            .arg(encoding::duration(idle))
            .arg(encoding::duration(EXPIRY_GRACE));
        let reply: Option<Vec<u8>> = read.invoke(&self.server.connections).await?;
        let Some(value) = reply else {
            self.near_cache.forget(id);
            return Ok(None);
        };
        let mut session = parse(&value).ok_or_else(unexpected_reply)?;
        session.expires_at = self.server.clock.to_local(session.expires_at);
        self.near_cache.put(id, session.clone(), now, before);
        Ok(Some(session))
    }

    async fn delete(&self, id: SessionHash) -> Result<(), StoreError> {
        self.near_cache.forget(id);
        let end = END_SESSION
            .keys([key(id)])
            .arg(&*self.server.channel)
            .arg(pubsub::session_ended(id));
        let ended = end.invoke::<()>(&self.server.connections).await;
        // Another request may have read and cached the session before the server deleted it.
        self.near_cache.forget(id);
        ended
    }

    fn count(&self) -> usize {
        self.near_cache.len()
    }
}

impl Sweep for RedisSessions {
    fn sweep(&self, now: Timestamp) {
        self.near_cache.sweep(now);
    }
}

fn parse(value: &[u8]) -> Option<StoredSession> {
    let (header, sealed) = value.split_at_checked(HEADER)?;
    Some(StoredSession {
        sealed: sealed.into(),
        expires_at: encoding::parse_timestamp(header.get(..HEADER / 2)?)?,
    })
}
