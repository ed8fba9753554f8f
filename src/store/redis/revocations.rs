//! Revocations: `vestibule:revoked`, a sorted set of marks by their ends, and a copy of it in each
//! replica.
//!
//! What a replica knows and the servers do not, it tells them: a server that lost its memory gets
//! it back from whoever is still there.

use std::collections::HashMap;
use std::time::Duration;

use super::super::StoreError;
use super::super::revocations::RevocationId;
use super::heard::REVOCATIONS;
use super::scripts::REVOKE;
use super::{RedisStore, moment};
use crate::model::timestamp::Timestamp;
use crate::model::token::RevocationKey;

const KEY: &str = "vestibule:revoked";
/// What ended this long ago goes: longer than any two clocks differ.
const OVER_FOR: Duration = Duration::from_secs(3600);
/// Entries read at a time, and published at a time.
const PAGE: usize = 2_000;

impl RedisStore {
    /// Revokes here at once; an error says that the others do not know yet. They will as soon as
    /// they can be told.
    pub(super) async fn tell_revoked(
        &self,
        provider: &str,
        session: &RevocationKey,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if until <= now {
            return Ok(());
        }
        let mark = RevocationId::of(provider, session);
        self.heard.revocations.add(mark, until, Some(now));
        let over = Timestamp::from_millis(
            now.millis()
                .saturating_sub(OVER_FOR.as_millis().try_into().unwrap_or(u64::MAX)),
        );
        let told = self.tell(&[(mark, until)], &moment(over)).await;
        if told.is_err() {
            self.untold.notify_one();
        }
        told
    }

    /// Reads every revocation there is, then tells those of ours that are not among them.
    pub(super) async fn catch_up(&self) -> Result<(), StoreError> {
        let (mut there, mut read) = (HashMap::new(), 0);
        loop {
            // From the latest end down: what goes meanwhile goes at the other end and moves no
            // rank, and what comes is also heard.
            let mut page = redis::cmd("ZREVRANGE");
            page.arg(KEY)
                .arg(read)
                .arg(read + PAGE - 1)
                .arg("WITHSCORES");
            let marks: Vec<(Vec<u8>, f64)> = self.link.ask(&page).await?;
            if marks.is_empty() {
                break;
            }
            read += marks.len();
            for (mark, until) in marks {
                let Ok(mark) = mark.try_into().map(RevocationId) else {
                    continue;
                };
                let until = Timestamp::from_millis(whole(until));
                self.heard.revocations.add(mark, until, None);
                there.insert(mark, until);
            }
        }
        let ours = self.heard.revocations.all();
        let untold: Vec<(RevocationId, Timestamp)> = ours
            .into_iter()
            .filter(|(mark, until)| there.get(mark).is_none_or(|known| known < until))
            .collect();
        for page in untold.chunks(PAGE) {
            self.tell(page, "").await?;
        }
        Ok(())
    }

    async fn tell(
        &self,
        marks: &[(RevocationId, Timestamp)],
        over: &str,
    ) -> Result<(), StoreError> {
        let mut revoke = REVOKE
            .on([KEY.to_owned()])
            .with(self.channel.as_str())
            .with(over);
        revoke = revoke.with(REVOCATIONS.to_string());
        for (mark, until) in marks {
            revoke = revoke.with(moment(*until)).with(mark.0);
        }
        revoke.over::<()>(&self.link).await
    }
}

/// A score as it was given.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "scores are whole and fit a double"
)]
fn whole(score: f64) -> u64 {
    score.max(0.0) as u64
}
