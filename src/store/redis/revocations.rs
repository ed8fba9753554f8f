//! Revocations on the server, with a copy of all of them in each replica.
//!
//! `vestibule:revoked` is a sorted set of revocation ids, scored by the end of the revocation. A
//! replica publishes those that the server does not know: a server that lost its data gets it back
//! from any replica.
//!
//! `vestibule:recent:{vestibule:revoked}` is a stream of the latest revocations, in the same hash
//! slot. A message of Pub/Sub can be lost without a trace, so each replica also reads the end of
//! the stream every second, from where it stopped before.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Notify;

use super::super::memory::MAX_REVOCATIONS;
use super::super::revocations::{Revocation, RevocationId, removable_at};
use super::super::{MemoryRevocations, RevocationListener, RevocationStore, StoreError, Sweep};
use super::scripts::REVOKE;
use super::{Server, encoding, pubsub};
use crate::model::timestamp::Timestamp;

const KEY: &str = "vestibule:revoked";
const RECENT: &str = "vestibule:recent:{vestibule:revoked}";
/// About how many revocations the stream holds. A replica that is further behind reads all.
const MAX_RECENT: usize = 10_000;
/// The number of revocations that one command reads or publishes.
const PAGE: usize = 2_000;

/// The id of the last entry of the stream that this replica has read.
pub(super) struct Position(String);

/// How far [`RedisRevocations::read_recent`] came.
pub(super) enum ReadRecent {
    /// This replica knows all revocations.
    Complete,
    /// The stream does not hold the position any more.
    Gap,
}

/// The end of a revocation, and its [`Revocation::issued_by`].
type Extent = (Timestamp, Timestamp);

/// The entries of a stream: an id and the fields with their values, flat.
type Entries = Vec<(String, Vec<Vec<u8>>)>;

#[derive(Debug)]
pub(super) struct RedisRevocations {
    server: Server,
    /// The copy in this replica.
    known: Arc<MemoryRevocations>,
    /// Something was revoked here that the server does not know.
    pending_publish: Notify,
}

impl RedisRevocations {
    pub(super) fn new(server: Server, known: Arc<MemoryRevocations>) -> Self {
        Self {
            server,
            known,
            pending_publish: Notify::new(),
        }
    }

    /// Reads all revocations from the server, then publishes those of this replica that are not
    /// among them. Returns the position in the stream from before.
    pub(super) async fn sync(&self) -> Result<Position, StoreError> {
        let position = self.mark().await?;
        let on_server = self.read_all().await?;
        let mut missing = self.known.all();
        missing.retain(|revocation| {
            on_server
                .get(&revocation.id)
                .is_none_or(|(until, issued_by)| {
                    *until < revocation.until || *issued_by < revocation.issued_by
                })
        });
        for page in missing.chunks(PAGE) {
            self.publish(page, None).await?;
        }
        Ok(position)
    }

    /// Appends an entry without a revocation to the stream: a position that exists, also in an
    /// empty stream.
    async fn mark(&self) -> Result<Position, StoreError> {
        let mut add = redis::cmd("XADD");
        add.arg(RECENT)
            .arg("MAXLEN")
            .arg("~")
            .arg(MAX_RECENT)
            .arg("*")
            .arg("mark")
            .arg("");
        self.server.connections.query(&add).await.map(Position)
    }

    /// Reads the revocations behind `position`, and advances it.
    pub(super) async fn read_recent(
        &self,
        position: &mut Position,
    ) -> Result<ReadRecent, StoreError> {
        loop {
            let mut range = redis::cmd("XRANGE");
            range
                .arg(RECENT)
                .arg(&position.0)
                .arg("+")
                .arg("COUNT")
                .arg(PAGE);
            let entries: Entries = self.server.connections.query(&range).await?;
            let read = entries.len();
            let mut entries = entries.into_iter();
            if entries.next().is_none_or(|(id, _)| id != position.0) {
                return Ok(ReadRecent::Gap);
            }
            for (id, fields) in entries {
                if let [_, value] = fields.as_slice()
                    && let Some(revocation) = pubsub::parse_revocation(value)
                {
                    self.known.add(revocation, None);
                }
                position.0 = id;
            }
            if read < PAGE {
                return Ok(ReadRecent::Complete);
            }
        }
    }

    /// Waits until a revocation could not be published.
    pub(super) async fn pending_publish(&self) {
        self.pending_publish.notified().await;
    }

    /// Reads all revocations from the server into the copy.
    async fn read_all(&self) -> Result<HashMap<RevocationId, Extent>, StoreError> {
        let (mut found, mut read) = (HashMap::<_, Extent>::new(), 0);
        loop {
            // In descending order of their ends: revocations that are removed meanwhile are at the
            // other end and shift no rank. New ones are published to this replica as well.
            let mut page = redis::cmd("ZREVRANGE");
            page.arg(KEY)
                .arg(read)
                .arg(read + PAGE - 1)
                .arg("WITHSCORES");
            let members: Vec<(Vec<u8>, f64)> = self.server.connections.query(&page).await?;
            if members.is_empty() {
                return Ok(found);
            }
            read += members.len();
            for (member, score) in members {
                let until = Timestamp::from_millis(millis(score));
                let Some(revocation) = pubsub::parse_member(&member, until) else {
                    continue;
                };
                self.known.add(revocation, None);
                let extent = found
                    .entry(revocation.id)
                    .or_insert((until, revocation.issued_by));
                extent.0 = extent.0.max(until);
                extent.1 = extent.1.max(revocation.issued_by);
            }
        }
    }

    /// Adds revocations on the server, which tells the other replicas about those it did not know.
    /// Removes those that ended before `ended_before`. Returns the number of those that were news.
    async fn publish(
        &self,
        revocations: &[Revocation],
        ended_before: Option<Timestamp>,
    ) -> Result<usize, StoreError> {
        let mut revoke = REVOKE
            .keys([KEY.to_owned(), RECENT.to_owned()])
            .arg(&*self.server.channel)
            .arg(ended_before.map(encoding::timestamp).unwrap_or_default())
            .arg(MAX_REVOCATIONS.to_string())
            .arg(MAX_RECENT.to_string());
        for revocation in revocations {
            revoke = revoke
                .arg(encoding::timestamp(revocation.until))
                .arg(pubsub::member(revocation));
        }
        revoke.invoke(&self.server.connections).await
    }
}

#[async_trait]
impl RevocationStore for RedisRevocations {
    /// Revokes in this replica at once. Where the server does not answer, the revocations are
    /// published as soon as it does.
    async fn revoke_all(
        &self,
        revocations: &[Revocation],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut revocations = revocations.to_vec();
        revocations.retain(|revocation| now < revocation.until);
        for revocation in &revocations {
            self.known.add(*revocation, Some(now));
        }
        if revocations.is_empty() {
            return Ok(());
        }
        let published = self.publish(&revocations, Some(removable_at(now))).await;
        if published.is_err() {
            self.pending_publish.notify_one();
        }
        published.map(drop)
    }

    async fn mark_used(
        &self,
        id: RevocationId,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        if self.known.issued_by(id, now).is_some() {
            return Ok(false);
        }
        let mark = Revocation::of_sign_in(id, until);
        let news = self.publish(&[mark], Some(removable_at(now))).await?;
        self.known.add(mark, Some(now));
        Ok(news > 0)
    }

    fn listen(&self, listener: Arc<dyn RevocationListener>) {
        self.known.listen(listener);
    }

    fn issued_by(&self, id: RevocationId, now: Timestamp) -> Option<Timestamp> {
        self.known.issued_by(id, now)
    }

    fn generation(&self) -> u64 {
        self.known.generation()
    }
}

impl Sweep for RedisRevocations {
    fn sweep(&self, now: Timestamp) {
        self.known.sweep(now);
    }

    fn evicted(&self) -> u64 {
        self.known.evicted()
    }
}

/// The milliseconds in a score, as they were written.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "scores are whole and fit a double"
)]
fn millis(score: f64) -> u64 {
    score.max(0.0) as u64
}
