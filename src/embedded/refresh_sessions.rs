//! Sessions and their refresh tokens.
//!
//! A refresh token works once and is replaced when it is used. The database stores only hashes of
//! tokens. Within the grace period a used token returns its successor, which is encrypted with a
//! key derived from the used token, so that only a client with the used token can read it. After
//! the grace period a used token counts as stolen and its session ends, because the thief and the
//! owner cannot be told apart (RFC 9700, section 4.14.2).

use std::sync::Arc;
use std::time::Duration;

use redb::{Database, Error, ReadableDatabase, ReadableTable};
use serde::{Deserialize, Serialize};

use super::client_metadata::ClientMetadata;
use super::database::{self, JsonTable};
use super::ids;
use crate::model::secret::Secret;
use crate::model::timestamp::Timestamp;

mod token_rows;

#[cfg(test)]
mod tests;

pub use token_rows::REFRESH_TOKENS;
use token_rows::TokenRow;

/// Sessions, by session id.
pub const SESSIONS: JsonTable = JsonTable::new("sessions");

/// A session, from the login to the logout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// A UUID: the `sid` claim of the access tokens, and `refreshTokenId` in the API.
    pub id: String,
    /// The user's id.
    pub user: String,
    /// The id of the application that the user signed in to.
    pub application: String,
    /// The time of the login, in milliseconds since the Unix epoch.
    pub started: u64,
    /// The end of the session, in milliseconds since the Unix epoch. A refresh does not extend it.
    pub expires: u64,
    /// The client that started the session.
    #[serde(default, rename = "from")]
    pub client: ClientMetadata,
    /// The SHA-256 of the password hash that the users file had at the login: another hash there
    /// ends the session. `None` for sessions of versions before 0.2.
    #[serde(default)]
    pub password: Option<String>,
    /// The id of the browser session that it was started from, for a sign-in by redirect. Its
    /// client must authenticate to refresh it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub browser_session: Option<String>,
}

/// What a session is started with.
#[derive(Clone, Debug)]
pub struct NewSession<'a> {
    /// The user's id.
    pub user: &'a str,
    /// The id of the application that the user signs in to.
    pub application: &'a str,
    /// As [`Session::password`].
    pub password: String,
    /// The client that starts the session.
    pub client: ClientMetadata,
    /// When the user authenticated. The lifetime of the session starts then.
    pub signed_in: Timestamp,
    /// As [`Session::browser_session`].
    pub browser_session: Option<&'a str>,
}

/// A session with its current refresh token.
#[derive(Debug, PartialEq, Eq)]
pub struct SessionWithToken {
    /// The session that the token belongs to.
    pub session: Session,
    /// The refresh token to use next.
    pub refresh_token: Secret,
}

/// The result of using a refresh token.
#[derive(Debug, PartialEq, Eq)]
pub enum Rotation {
    /// The token is valid. The client gets its successor.
    Rotated(Box<SessionWithToken>),
    /// The token was used before the grace period. This session has ended.
    Reused(Box<Session>),
    /// The token is unknown, or its session has ended.
    Invalid,
}

/// Selects sessions. A member that is `None` selects all.
#[derive(Clone, Debug, Default)]
pub struct SessionFilter {
    /// The user's id.
    pub user: Option<String>,
    /// The application's id.
    pub application: Option<String>,
}

impl SessionFilter {
    /// The sessions of one user.
    #[must_use]
    pub fn of_user(user: &str) -> Self {
        Self {
            user: Some(user.to_owned()),
            application: None,
        }
    }

    /// Whether it selects `session`.
    #[must_use]
    pub fn matches(&self, session: &Session) -> bool {
        self.user.as_ref().is_none_or(|user| *user == session.user)
            && self
                .application
                .as_ref()
                .is_none_or(|application| *application == session.application)
    }
}

/// The sessions, stored in the database.
#[derive(Clone)]
pub struct RefreshSessions {
    database: Arc<Database>,
    lifetime: Duration,
    grace: Duration,
}

impl RefreshSessions {
    /// The sessions in `database`, which must have the tables of this module. A session lasts for
    /// `lifetime`, and a used token returns its successor for `grace`.
    #[must_use]
    pub fn new(database: Arc<Database>, lifetime: Duration, grace: Duration) -> Self {
        Self {
            database,
            lifetime,
            grace,
        }
    }

    /// Starts a session with its first refresh token.
    ///
    /// # Errors
    /// If the database fails.
    pub fn create(&self, new: NewSession<'_>) -> Result<SessionWithToken, Error> {
        let session = Session {
            id: ids::random_uuid(),
            user: new.user.to_owned(),
            application: new.application.to_owned(),
            started: new.signed_in.millis(),
            expires: new.signed_in.plus(self.lifetime).millis(),
            client: new.client,
            password: Some(new.password),
            browser_session: new.browser_session.map(ToOwned::to_owned),
        };
        let write = self.database.begin_write()?;
        database::put(&mut write.open_table(SESSIONS)?, &session.id, &session)?;
        let refresh_token =
            token_rows::insert_first(&mut write.open_table(REFRESH_TOKENS)?, &session.id)?;
        write.commit()?;
        Ok(SessionWithToken {
            session,
            refresh_token,
        })
    }

    /// Uses `token` and replaces it by its successor.
    ///
    /// # Errors
    /// If the database fails.
    pub fn rotate(&self, token: &str, now: Timestamp) -> Result<Rotation, Error> {
        let write = self.database.begin_write()?;
        let rotation = {
            let mut sessions = write.open_table(SESSIONS)?;
            let mut tokens = write.open_table(REFRESH_TOKENS)?;
            let Some((row, session)) = find_active(&sessions, &tokens, token, now)? else {
                return Ok(Rotation::Invalid);
            };
            match row.used {
                None => Rotation::Rotated(Box::new(SessionWithToken {
                    refresh_token: token_rows::rotate(&mut tokens, token, &session.id, now)?,
                    session,
                })),
                Some(used) if used.is_within(self.grace, now) => {
                    match token_rows::current_token(&tokens, token, used)? {
                        Some(refresh_token) => Rotation::Rotated(Box::new(SessionWithToken {
                            session,
                            refresh_token,
                        })),
                        None => Rotation::Invalid,
                    }
                }
                Some(_) => {
                    sessions.remove(session.id.as_str())?;
                    Rotation::Reused(Box::new(session))
                }
            }
        };
        write.commit()?;
        Ok(rotation)
    }

    /// The active session that `token` belongs to. The token may be used already.
    ///
    /// # Errors
    /// If the database fails.
    pub fn by_token(&self, token: &str, now: Timestamp) -> Result<Option<Session>, Error> {
        let read = self.database.begin_read()?;
        let found = find_active(
            &read.open_table(SESSIONS)?,
            &read.open_table(REFRESH_TOKENS)?,
            token,
            now,
        )?;
        Ok(found.map(|(_, session)| session))
    }

    /// The active session with this id.
    ///
    /// # Errors
    /// If the database fails.
    pub fn by_id(&self, id: &str, now: Timestamp) -> Result<Option<Session>, Error> {
        let read = self.database.begin_read()?;
        let session: Option<Session> = database::get(&read.open_table(SESSIONS)?, id)?;
        Ok(session.filter(|session| session.expires > now.millis()))
    }

    /// The active sessions that `filter` selects.
    ///
    /// # Errors
    /// If the database fails.
    pub fn list(&self, filter: &SessionFilter, now: Timestamp) -> Result<Vec<Session>, Error> {
        let read = self.database.begin_read()?;
        let mut found = Vec::new();
        for entry in read.open_table(SESSIONS)?.iter()? {
            let session: Session = database::decode(entry?.1.value())?;
            if filter.matches(&session) && session.expires > now.millis() {
                found.push(session);
            }
        }
        Ok(found)
    }

    /// Ends the session with this id. It is no error if there is none.
    ///
    /// # Errors
    /// If the database fails.
    pub fn end(&self, id: &str) -> Result<(), Error> {
        let write = self.database.begin_write()?;
        write.open_table(SESSIONS)?.remove(id)?;
        write.commit()?;
        Ok(())
    }

    /// Ends the sessions that `is_kept` does not select, and returns those that were active.
    ///
    /// # Errors
    /// If the database fails.
    pub fn end_others(
        &self,
        is_kept: impl Fn(&Session) -> bool,
        now: Timestamp,
    ) -> Result<Vec<Session>, Error> {
        let write = self.database.begin_write()?;
        let mut ended = Vec::new();
        write.open_table(SESSIONS)?.retain(|_, bytes| {
            let Ok(session) = database::decode::<Session>(bytes) else {
                return false;
            };
            let kept = is_kept(&session);
            if !kept && session.expires > now.millis() {
                ended.push(session);
            }
            kept
        })?;
        write.commit()?;
        Ok(ended)
    }

    /// Deletes expired sessions, the tokens of sessions that have ended, and successors whose grace
    /// period is over.
    ///
    /// # Errors
    /// If the database fails.
    pub fn purge(&self, now: Timestamp) -> Result<(), Error> {
        self.retain(|session| session.expires > now.millis())?;
        let write = self.database.begin_write()?;
        token_rows::purge(
            &mut write.open_table(REFRESH_TOKENS)?,
            &write.open_table(SESSIONS)?,
            self.grace,
            now,
        )?;
        write.commit()?;
        Ok(())
    }

    fn retain(&self, predicate: impl Fn(&Session) -> bool) -> Result<(), Error> {
        let write = self.database.begin_write()?;
        // Rows that cannot be decoded are deleted as well.
        write
            .open_table(SESSIONS)?
            .retain(|_, bytes| database::decode(bytes).is_ok_and(|session| predicate(&session)))?;
        write.commit()?;
        Ok(())
    }
}

/// The row of `token` and its session, if the session is active.
fn find_active(
    sessions: &impl ReadableTable<&'static str, &'static [u8]>,
    tokens: &impl ReadableTable<&'static str, &'static [u8]>,
    token: &str,
    now: Timestamp,
) -> Result<Option<(TokenRow, Session)>, Error> {
    let Some(row) = database::get::<TokenRow>(tokens, &ids::sha256(token))? else {
        return Ok(None);
    };
    let session: Option<Session> = database::get(sessions, &row.session)?;
    Ok(session
        .filter(|session| session.expires > now.millis())
        .map(|session| (row, session)))
}
