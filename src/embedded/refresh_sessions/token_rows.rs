//! The table of refresh tokens: which are used, and which successor each used one has.

use std::time::Duration;

use redb::{Error, ReadableTable, Table};
use serde::{Deserialize, Serialize};

use crate::embedded::database::{self, JsonTable};
use crate::embedded::ids;
use crate::embedded::successor_token;
use crate::model::secret::Secret;
use crate::model::timestamp::Timestamp;

/// Refresh tokens, by the hash of the token. Used ones stay until their session ends.
pub const REFRESH_TOKENS: JsonTable = JsonTable::new("refresh_tokens");

/// A refresh token of a session.
#[derive(Serialize, Deserialize)]
pub(super) struct TokenRow {
    /// The session's id.
    pub(super) session: String,
    /// `None` for a token that was not used yet.
    pub(super) used: Option<Use>,
}

/// The first use of a refresh token.
#[derive(Serialize, Deserialize)]
pub(super) struct Use {
    /// In milliseconds since the Unix epoch.
    at: u64,
    /// The successor, encrypted with a key derived from the used token. It is deleted after the
    /// grace period.
    successor: Option<String>,
}

impl Use {
    /// Whether the grace period of this use is not over at `now`.
    pub(super) fn is_within(&self, grace: Duration, now: Timestamp) -> bool {
        now <= Timestamp::from_millis(self.at).plus(grace)
    }
}

type TokenTable<'a> = Table<'a, &'static str, &'static [u8]>;

/// Creates the first token of a session.
pub(super) fn insert_first(tokens: &mut TokenTable<'_>, session: &str) -> Result<Secret, Error> {
    let token = ids::random_secret();
    insert(tokens, &token, session, None)?;
    Ok(Secret::new(token))
}

/// Marks `token` as used and creates its successor.
pub(super) fn rotate(
    tokens: &mut TokenTable<'_>,
    token: &str,
    session: &str,
    now: Timestamp,
) -> Result<Secret, Error> {
    let successor = ids::random_secret();
    let used = Use {
        at: now.millis(),
        successor: successor_token::seal(token, &successor),
    };
    insert(tokens, token, session, Some(used))?;
    insert(tokens, &successor, session, None)?;
    Ok(Secret::new(successor))
}

/// Follows the successors of the used `token` to the one that was not used yet. `None` if a
/// successor on the way was deleted.
pub(super) fn current_token(
    tokens: &TokenTable<'_>,
    token: &str,
    used: Use,
) -> Result<Option<Secret>, Error> {
    let mut current = token.to_owned();
    let mut used = Some(used);
    while let Some(Use { successor, .. }) = used {
        let opened = successor.and_then(|sealed| successor_token::open(&current, &sealed));
        let Some(successor) = opened else {
            return Ok(None);
        };
        let Some(row) = database::get::<TokenRow>(tokens, &ids::sha256(&successor))? else {
            return Ok(None);
        };
        current = successor;
        used = row.used;
    }
    Ok(Some(Secret::new(current)))
}

/// Deletes the tokens of sessions that are not in `sessions`, and successors whose grace period is
/// over.
pub(super) fn purge(
    tokens: &mut TokenTable<'_>,
    sessions: &impl ReadableTable<&'static str, &'static [u8]>,
    grace: Duration,
    now: Timestamp,
) -> Result<(), Error> {
    let mut orphaned = Vec::new();
    let mut past_grace = Vec::new();
    for entry in tokens.iter()? {
        let (hash, bytes) = entry?;
        let mut row: TokenRow = database::decode(bytes.value())?;
        if sessions.get(row.session.as_str())?.is_none() {
            orphaned.push(hash.value().to_owned());
        } else if let Some(used) = &mut row.used
            && used.successor.is_some()
            && !used.is_within(grace, now)
        {
            used.successor = None;
            past_grace.push((hash.value().to_owned(), row));
        }
    }
    for hash in orphaned {
        tokens.remove(hash.as_str())?;
    }
    for (hash, row) in past_grace {
        database::put(tokens, &hash, &row)?;
    }
    Ok(())
}

fn insert(
    tokens: &mut TokenTable<'_>,
    token: &str,
    session: &str,
    used: Option<Use>,
) -> Result<(), Error> {
    let row = TokenRow {
        session: session.to_owned(),
        used,
    };
    database::put(tokens, &ids::sha256(token), &row)
}
