//! Sessions and the refresh tokens that carry them on.
//!
//! A refresh token works once; using it replaces it. The database holds hashes only. Within the
//! grace period a used token brings its successor, which rests sealed under the used token itself:
//! whoever cannot present the one cannot read the other. After the grace period a used token is
//! taken for stolen, and its session ends: thief and owner cannot be told apart (RFC 9700, section
//! 4.14.2).

use std::sync::Arc;
use std::time::Duration;

use redb::{Database, Error, ReadableDatabase, ReadableTable, Table};
use serde::{Deserialize, Serialize};

use super::client_metadata::ClientMetadata;
use super::database::{self, JsonTable};
use super::ids;
use super::rotated_token::{opened, sealed};
use crate::model::secret::Secret;
use crate::model::timestamp::Timestamp;

/// By session id.
pub const SESSIONS: JsonTable = JsonTable::new("sessions");
/// By the hash of a refresh token, used ones included until their session ends.
pub const REFRESH_TOKENS: JsonTable = JsonTable::new("refresh_tokens");

/// One sign-in, from the password to the sign-out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// A UUID: `sid` of the access tokens, `refreshTokenId` of the API.
    pub id: String,
    /// Whose.
    pub user: String,
    /// The application they signed in to.
    pub application: String,
    /// When, in milliseconds.
    pub started: u64,
    /// When it is over, in milliseconds, however often it was renewed.
    pub expires: u64,
    /// Where it was begun.
    #[serde(default)]
    pub from: ClientMetadata,
}

/// What came of presenting a refresh token.
#[derive(Debug, PartialEq, Eq)]
pub enum Renewal {
    /// It is good; this is the one to use from now on.
    Renewed(Session, Secret),
    /// It was used before, longer ago than the grace period. Its session, of this user, is over.
    Reused(String),
    /// It never was, or is over.
    Dead,
}

/// Which sessions an operation is about; what is `None` restricts nothing.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Those of this user.
    pub user: Option<String>,
    /// Those of this application.
    pub application: Option<String>,
}

impl Selection {
    fn holds(&self, session: &Session) -> bool {
        self.user.as_ref().is_none_or(|user| *user == session.user)
            && self
                .application
                .as_ref()
                .is_none_or(|application| *application == session.application)
    }
}

#[derive(Serialize, Deserialize)]
struct TokenRow {
    session: String,
    used: Option<Use>,
}

#[derive(Serialize, Deserialize)]
struct Use {
    at: u64,
    /// Sealed; cleared when the grace period is over.
    successor: Option<String>,
}

/// Where sessions rest.
#[derive(Clone)]
pub struct Sessions {
    database: Arc<Database>,
    lifetime: Duration,
    grace: Duration,
}

type Rows<'a> = Table<'a, &'static str, &'static [u8]>;

impl Sessions {
    /// In `database`, each for `lifetime`, with a `grace` period for used tokens.
    #[must_use]
    pub fn new(database: Arc<Database>, lifetime: Duration, grace: Duration) -> Self {
        Self {
            database,
            lifetime,
            grace,
        }
    }

    /// Begins a session; its first refresh token.
    ///
    /// # Errors
    /// When the database fails.
    pub fn begin(
        &self,
        user: &str,
        application: &str,
        from: ClientMetadata,
        now: Timestamp,
    ) -> Result<(Session, Secret), Error> {
        let session = Session {
            id: ids::random_uuid(),
            user: user.to_owned(),
            application: application.to_owned(),
            started: now.millis(),
            expires: now.plus(self.lifetime).millis(),
            from,
        };
        let token = Secret::new(ids::random_secret());
        let write = self.database.begin_write()?;
        database::put(&mut write.open_table(SESSIONS)?, &session.id, &session)?;
        let row = TokenRow {
            session: session.id.clone(),
            used: None,
        };
        database::put(
            &mut write.open_table(REFRESH_TOKENS)?,
            &ids::hashed(token.expose()),
            &row,
        )?;
        write.commit()?;
        Ok((session, token))
    }

    /// Uses up `token` for its successor.
    ///
    /// # Errors
    /// When the database fails.
    pub fn renew(&self, token: &str, now: Timestamp) -> Result<Renewal, Error> {
        let write = self.database.begin_write()?;
        let renewal = {
            let mut sessions = write.open_table(SESSIONS)?;
            let mut tokens = write.open_table(REFRESH_TOKENS)?;
            let Some((row, session)) = living(&sessions, &tokens, token, now)? else {
                return Ok(Renewal::Dead);
            };
            match row.used {
                None => Renewal::Renewed(session, replace(&mut tokens, token, &row.session, now)?),
                Some(used) if now <= Timestamp::from_millis(used.at).plus(self.grace) => {
                    match newest(&tokens, token, used)? {
                        Some(current) => Renewal::Renewed(session, current),
                        None => Renewal::Dead,
                    }
                }
                Some(_) => {
                    sessions.remove(session.id.as_str())?;
                    Renewal::Reused(session.user)
                }
            }
        };
        write.commit()?;
        Ok(renewal)
    }

    /// The living session that `token` belongs to, used or not.
    ///
    /// # Errors
    /// When the database fails.
    pub fn of_token(&self, token: &str, now: Timestamp) -> Result<Option<Session>, Error> {
        let read = self.database.begin_read()?;
        let found = living(
            &read.open_table(SESSIONS)?,
            &read.open_table(REFRESH_TOKENS)?,
            token,
            now,
        )?;
        Ok(found.map(|(_, session)| session))
    }

    /// The living session with this id.
    ///
    /// # Errors
    /// When the database fails.
    pub fn by_id(&self, id: &str, now: Timestamp) -> Result<Option<Session>, Error> {
        let read = self.database.begin_read()?;
        let session: Option<Session> = database::get(&read.open_table(SESSIONS)?, id)?;
        Ok(session.filter(|session| session.expires > now.millis()))
    }

    /// The living sessions of `selection`.
    ///
    /// # Errors
    /// When the database fails.
    pub fn list(&self, selection: &Selection, now: Timestamp) -> Result<Vec<Session>, Error> {
        let read = self.database.begin_read()?;
        let mut found = Vec::new();
        for entry in read.open_table(SESSIONS)?.iter()? {
            let session: Session = database::parsed(entry?.1.value())?;
            if selection.holds(&session) && session.expires > now.millis() {
                found.push(session);
            }
        }
        Ok(found)
    }

    /// Ends one session; ending what is over already is a success.
    ///
    /// # Errors
    /// When the database fails.
    pub fn end(&self, id: &str) -> Result<(), Error> {
        let write = self.database.begin_write()?;
        write.open_table(SESSIONS)?.remove(id)?;
        write.commit()?;
        Ok(())
    }

    /// Ends every session of `selection`.
    ///
    /// # Errors
    /// When the database fails.
    pub fn end_all(&self, selection: &Selection) -> Result<(), Error> {
        self.keep(|session| !selection.holds(session))
    }

    /// Forgets what is over: sessions, the tokens of sessions that are no more, and successors past
    /// their grace.
    ///
    /// # Errors
    /// When the database fails.
    pub fn purge(&self, now: Timestamp) -> Result<(), Error> {
        self.keep(|session| session.expires > now.millis())?;
        let write = self.database.begin_write()?;
        {
            let sessions = write.open_table(SESSIONS)?;
            let mut tokens = write.open_table(REFRESH_TOKENS)?;
            let mut dead = Vec::new();
            let mut past_grace = Vec::new();
            for entry in tokens.iter()? {
                let (hash, bytes) = entry?;
                let row: TokenRow = database::parsed(bytes.value())?;
                if sessions.get(row.session.as_str())?.is_none() {
                    dead.push(hash.value().to_owned());
                } else if let Some(Use {
                    at,
                    successor: Some(_),
                }) = row.used
                    && Timestamp::from_millis(at).plus(self.grace) < now
                {
                    let row = TokenRow {
                        session: row.session,
                        used: Some(Use {
                            at,
                            successor: None,
                        }),
                    };
                    past_grace.push((hash.value().to_owned(), row));
                }
            }
            for hash in dead {
                tokens.remove(hash.as_str())?;
            }
            for (hash, row) in past_grace {
                database::put(&mut tokens, &hash, &row)?;
            }
        }
        write.commit()?;
        Ok(())
    }

    fn keep(&self, keeps: impl Fn(&Session) -> bool) -> Result<(), Error> {
        let write = self.database.begin_write()?;
        // What cannot be read proves nothing and goes.
        write
            .open_table(SESSIONS)?
            .retain(|_, bytes| database::parsed(bytes).is_ok_and(|session| keeps(&session)))?;
        write.commit()?;
        Ok(())
    }
}

fn living(
    sessions: &impl ReadableTable<&'static str, &'static [u8]>,
    tokens: &impl ReadableTable<&'static str, &'static [u8]>,
    token: &str,
    now: Timestamp,
) -> Result<Option<(TokenRow, Session)>, Error> {
    let Some(row) = database::get::<TokenRow>(tokens, &ids::hashed(token))? else {
        return Ok(None);
    };
    let session: Option<Session> = database::get(sessions, &row.session)?;
    Ok(session
        .filter(|session| session.expires > now.millis())
        .map(|session| (row, session)))
}

fn replace(
    tokens: &mut Rows<'_>,
    token: &str,
    session: &str,
    now: Timestamp,
) -> Result<Secret, Error> {
    let successor = ids::random_secret();
    let used = Use {
        at: now.millis(),
        successor: sealed(token, &successor),
    };
    database::put(
        tokens,
        &ids::hashed(token),
        &TokenRow {
            session: session.to_owned(),
            used: Some(used),
        },
    )?;
    database::put(
        tokens,
        &ids::hashed(&successor),
        &TokenRow {
            session: session.to_owned(),
            used: None,
        },
    )?;
    Ok(Secret::new(successor))
}

/// Follows the successors of a used token to the one that was not used yet.
fn newest(tokens: &Rows<'_>, token: &str, used: Use) -> Result<Option<Secret>, Error> {
    let mut current = token.to_owned();
    let mut used = Some(used);
    while let Some(Use { successor, .. }) = used {
        let Some(successor) = successor.and_then(|sealed| opened(&current, &sealed)) else {
            return Ok(None);
        };
        let Some(row) = database::get::<TokenRow>(tokens, &ids::hashed(&successor))? else {
            return Ok(None);
        };
        current = successor;
        used = row.used;
    }
    Ok(Some(Secret::new(current)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFETIME: Duration = Duration::from_secs(1000);
    const GRACE: Duration = Duration::from_secs(10);

    fn sessions(directory: &tempfile::TempDir) -> Sessions {
        let database = database::open(
            &directory.path().join("test.redb"),
            &[SESSIONS, REFRESH_TOKENS],
        )
        .unwrap();
        Sessions::new(Arc::new(database), LIFETIME, GRACE)
    }

    fn successor(renewal: Renewal) -> Secret {
        match renewal {
            Renewal::Renewed(_, token) => token,
            Renewal::Reused(_) | Renewal::Dead => panic!("{renewal:?}"),
        }
    }

    fn rows(sessions: &Sessions) -> Vec<(String, String)> {
        let read = sessions.database.begin_read().unwrap();
        let table = read.open_table(REFRESH_TOKENS).unwrap();
        let rows = table.iter().unwrap().map(Result::unwrap);
        rows.map(|(key, value)| {
            (
                key.value().to_owned(),
                String::from_utf8(value.value().to_vec()).unwrap(),
            )
        })
        .collect()
    }

    #[test]
    fn a_used_token_brings_the_newest_within_grace_and_ends_the_session_after() {
        let directory = tempfile::tempdir().unwrap();
        let sessions = sessions(&directory);
        let (session, first) = sessions
            .begin(
                "ada",
                "store",
                ClientMetadata::default(),
                Timestamp::from_secs(100),
            )
            .unwrap();
        let second = successor(
            sessions
                .renew(first.expose(), Timestamp::from_secs(101))
                .unwrap(),
        );
        let third = successor(
            sessions
                .renew(second.expose(), Timestamp::from_secs(102))
                .unwrap(),
        );
        let again = sessions
            .renew(first.expose(), Timestamp::from_secs(111))
            .unwrap();
        assert_eq!(again, Renewal::Renewed(session, third.clone()));
        let late = sessions
            .renew(first.expose(), Timestamp::from_millis(111_001))
            .unwrap();
        assert_eq!(late, Renewal::Reused("ada".to_owned()));
        assert_eq!(
            sessions
                .renew(third.expose(), Timestamp::from_secs(112))
                .unwrap(),
            Renewal::Dead
        );
    }

    #[test]
    fn renewing_does_not_extend_a_session() {
        let directory = tempfile::tempdir().unwrap();
        let sessions = sessions(&directory);
        let (_, mut token) = sessions
            .begin(
                "ada",
                "store",
                ClientMetadata::default(),
                Timestamp::from_secs(0),
            )
            .unwrap();
        for second in [300, 600, 999] {
            token = successor(
                sessions
                    .renew(token.expose(), Timestamp::from_secs(second))
                    .unwrap(),
            );
        }
        assert_eq!(
            sessions
                .renew(token.expose(), Timestamp::from_secs(1000))
                .unwrap(),
            Renewal::Dead
        );
        assert_eq!(
            sessions
                .of_token(token.expose(), Timestamp::from_secs(1000))
                .unwrap(),
            None
        );
    }

    #[test]
    fn no_token_rests_in_the_clear() {
        let directory = tempfile::tempdir().unwrap();
        let sessions = sessions(&directory);
        let (_, first) = sessions
            .begin(
                "ada",
                "store",
                ClientMetadata::default(),
                Timestamp::from_secs(0),
            )
            .unwrap();
        let second = successor(
            sessions
                .renew(first.expose(), Timestamp::from_secs(1))
                .unwrap(),
        );
        let rows = rows(&sessions);
        assert_eq!(rows.len(), 2);
        for token in [first, second] {
            assert!(rows.iter().all(
                |(key, value)| !key.contains(token.expose()) && !value.contains(token.expose())
            ));
        }
    }

    #[test]
    fn what_is_over_is_forgotten() {
        let directory = tempfile::tempdir().unwrap();
        let sessions = sessions(&directory);
        let (_, first) = sessions
            .begin(
                "ada",
                "store",
                ClientMetadata::default(),
                Timestamp::from_secs(0),
            )
            .unwrap();
        let second = successor(
            sessions
                .renew(first.expose(), Timestamp::from_secs(1))
                .unwrap(),
        );
        sessions.purge(Timestamp::from_secs(11)).unwrap();
        assert_eq!(
            rows(&sessions)
                .iter()
                .filter(|(_, value)| value.contains("\"successor\":\""))
                .count(),
            1
        );
        sessions.purge(Timestamp::from_secs(12)).unwrap();
        assert_eq!(
            rows(&sessions)
                .iter()
                .filter(|(_, value)| value.contains("\"successor\":\""))
                .count(),
            0
        );
        // The used token is still known for what it is.
        assert_eq!(rows(&sessions).len(), 2);
        sessions.purge(Timestamp::from_secs(1000)).unwrap();
        assert!(rows(&sessions).is_empty());
        assert_eq!(
            sessions
                .renew(second.expose(), Timestamp::from_secs(12))
                .unwrap(),
            Renewal::Dead
        );
    }

    #[test]
    fn only_the_selected_end() {
        let directory = tempfile::tempdir().unwrap();
        let sessions = sessions(&directory);
        let now = Timestamp::from_secs(0);
        for (user, application) in [
            ("ada", "store"),
            ("ada", "forum"),
            ("bob", "store"),
            ("bob", "forum"),
        ] {
            sessions
                .begin(user, application, ClientMetadata::default(), now)
                .unwrap();
        }
        let selection = |user: Option<&str>, application: Option<&str>| Selection {
            user: user.map(ToOwned::to_owned),
            application: application.map(ToOwned::to_owned),
        };
        sessions
            .end_all(&selection(Some("ada"), Some("forum")))
            .unwrap();
        assert_eq!(sessions.list(&Selection::default(), now).unwrap().len(), 3);
        sessions.end_all(&selection(None, Some("store"))).unwrap();
        let left = sessions.list(&Selection::default(), now).unwrap();
        assert_eq!(
            left.iter()
                .map(|session| session.user.as_str())
                .collect::<Vec<_>>(),
            ["bob"]
        );
        sessions.end_all(&selection(Some("bob"), None)).unwrap();
        assert!(
            sessions
                .list(&Selection::default(), now)
                .unwrap()
                .is_empty()
        );
    }
}
