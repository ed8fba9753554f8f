//! Sessions: `vestibule:session:HASH`, a string of two ends in 16 digits each and the sealed bytes.

use std::time::Duration;

use super::super::{SessionHash, StoreError, StoredSession};
use super::scripts::{END_SESSION, READ_SESSION};
use super::{GRACE, RedisStore, heard, moment, readable, span, strange};
use crate::model::timestamp::Timestamp;

/// The two ends.
const HEAD: usize = 32;

fn key(id: SessionHash) -> String {
    format!("vestibule:session:{}", readable(&id.0))
}

impl RedisStore {
    pub(super) async fn write_session(
        &self,
        id: SessionHash,
        session: StoredSession,
        idle: Duration,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let idle_end = now.plus(idle).min(session.ends);
        if idle_end <= now {
            return self.delete_session(id).await;
        }
        let mut value = format!("{}{}", moment(session.ends), moment(idle_end)).into_bytes();
        value.extend_from_slice(&session.sealed);
        let mut set = redis::cmd("SET");
        set.arg(key(id))
            .arg(value)
            .arg("PX")
            .arg(now.until(idle_end.plus(GRACE)).as_millis().to_string());
        // What was read of it before is not the session any more.
        self.heard.near.forget(id);
        let before = self.heard.near.epoch(id);
        let () = self.link.ask(&set).await?;
        self.heard.near.put(id, session, now, before);
        Ok(())
    }

    pub(super) async fn read_session(
        &self,
        id: SessionHash,
        idle: Duration,
        now: Timestamp,
    ) -> Result<Option<StoredSession>, StoreError> {
        let before = self.heard.near.epoch(id);
        let read = READ_SESSION
            .on([key(id)])
            .with(moment(now))
            .with(span(idle))
            .with(span(GRACE));
        let Some(value) = read.over::<Option<Vec<u8>>>(&self.link).await? else {
            self.heard.near.forget(id);
            return Ok(None);
        };
        let session = stored(&value).ok_or_else(strange)?;
        self.heard.near.put(id, session.clone(), now, before);
        Ok(Some(session))
    }

    pub(super) async fn delete_session(&self, id: SessionHash) -> Result<(), StoreError> {
        self.heard.near.forget(id);
        let end = END_SESSION
            .on([key(id)])
            .with(self.channel.as_str())
            .with(heard::ended(id));
        let ended = end.over::<()>(&self.link).await;
        // Whoever read it in the meantime was answered before it ended.
        self.heard.near.forget(id);
        ended
    }
}

fn stored(value: &[u8]) -> Option<StoredSession> {
    let (head, sealed) = value.split_at_checked(HEAD)?;
    let ends = std::str::from_utf8(head.get(..HEAD / 2)?)
        .ok()?
        .parse()
        .ok()?;
    Some(StoredSession {
        sealed: sealed.into(),
        ends: Timestamp::from_millis(ends),
    })
}
