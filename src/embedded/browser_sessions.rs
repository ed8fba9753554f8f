//! Sign-ins at this server's own page: one for each browser, which all clients share.
//!
//! The browser has a cookie with a random secret; the database stores only its hash. Every sign-in
//! makes a new secret, so that a cookie that somebody else put into the browser is worth nothing.

use std::sync::Arc;

use redb::{Database, Error, ReadableDatabase};
use serde::{Deserialize, Serialize};

use super::database::{self, JsonTable};
use super::ids;
use crate::model::secret::Secret;
use crate::model::timestamp::Timestamp;

/// Sessions of browsers, by the hash of the secret in the cookie.
pub const BROWSER_SESSIONS: JsonTable = JsonTable::new("browser_sessions");

/// A browser whose user has signed in at this server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrowserSession {
    /// A UUID. It stays when the same user authenticates again.
    pub id: String,
    /// The user's id.
    pub user: String,
    /// When the user authenticated, in milliseconds since the Unix epoch.
    pub started: u64,
    /// The end of the session, in milliseconds since the Unix epoch.
    pub expires: u64,
    /// As in a session of a client: the SHA-256 of the password hash in the users file.
    pub password: String,
}

/// A session of a browser that has just begun.
pub struct StartedBrowserSession {
    pub session: BrowserSession,
    /// The value of the cookie.
    pub secret: Secret,
    /// The session of another user that the browser had before. It has been removed; the sessions
    /// that were started from it have not.
    pub replaced: Option<BrowserSession>,
}

/// The sessions of browsers, stored in the database.
#[derive(Clone)]
pub struct BrowserSessions {
    database: Arc<Database>,
}

impl BrowserSessions {
    /// The sessions in `database`, which must have the table of this module.
    pub fn new(database: Arc<Database>) -> Self {
        Self { database }
    }

    /// Stores `session` under a new secret. It takes the place of the one with the secret
    /// `previous`, and keeps the id of that one where the user is the same.
    ///
    /// # Errors
    /// If the database fails.
    pub fn start(
        &self,
        mut session: BrowserSession,
        previous: Option<&str>,
    ) -> Result<StartedBrowserSession, Error> {
        let secret = ids::random_secret();
        let mut replaced = None;
        let write = self.database.begin_write()?;
        {
            let mut table = write.open_table(BROWSER_SESSIONS)?;
            if let Some(previous) = previous.map(ids::sha256) {
                let found: Option<BrowserSession> = database::get(&table, &previous)?;
                table.remove(previous.as_str())?;
                match found {
                    Some(same) if same.user == session.user => session.id = same.id,
                    other => replaced = other,
                }
            }
            database::put(&mut table, &ids::sha256(&secret), &session)?;
        }
        write.commit()?;
        Ok(StartedBrowserSession {
            session,
            secret: Secret::new(secret),
            replaced,
        })
    }

    /// The session with this secret, if it has not expired.
    ///
    /// # Errors
    /// If the database fails.
    pub fn find(&self, secret: &str, now: Timestamp) -> Result<Option<BrowserSession>, Error> {
        let read = self.database.begin_read()?;
        let found: Option<BrowserSession> =
            database::get(&read.open_table(BROWSER_SESSIONS)?, &ids::sha256(secret))?;
        Ok(found.filter(|session| session.expires > now.millis()))
    }

    /// Whether the session with this id has neither ended nor expired.
    ///
    /// # Errors
    /// If the database fails.
    pub fn is_active(&self, id: &str, now: Timestamp) -> Result<bool, Error> {
        use redb::ReadableTable as _;
        let read = self.database.begin_read()?;
        for entry in read.open_table(BROWSER_SESSIONS)?.iter()? {
            let session: BrowserSession = database::decode(entry?.1.value())?;
            if session.id == id {
                return Ok(session.expires > now.millis());
            }
        }
        Ok(false)
    }

    /// Removes the sessions that `is_kept` does not select.
    ///
    /// # Errors
    /// If the database fails.
    pub fn retain(&self, is_kept: impl Fn(&BrowserSession) -> bool) -> Result<(), Error> {
        let write = self.database.begin_write()?;
        write
            .open_table(BROWSER_SESSIONS)?
            .retain(|_, bytes| database::decode(bytes).is_ok_and(|session| is_kept(&session)))?;
        write.commit()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(user: &str) -> BrowserSession {
        BrowserSession {
            id: ids::random_uuid(),
            user: user.to_owned(),
            started: 1_000,
            expires: 9_000,
            password: "hash".to_owned(),
        }
    }

    #[test]
    fn a_new_secret_takes_the_place_of_the_previous_one() {
        let directory = tempfile::tempdir().unwrap();
        let database = database::open(&directory.path().join("x.redb"), &[BROWSER_SESSIONS]);
        let sessions = BrowserSessions::new(Arc::new(database.unwrap()));
        let now = Timestamp::from_millis(2_000);
        let first = sessions.start(session("ada"), None).unwrap();
        let found = sessions.find(first.secret.expose(), now).unwrap();
        assert_eq!(found.as_ref(), Some(&first.session));

        let again = sessions
            .start(session("ada"), Some(first.secret.expose()))
            .unwrap();
        assert_eq!(again.session.id, first.session.id);
        assert!(again.replaced.is_none());
        assert!(sessions.find(first.secret.expose(), now).unwrap().is_none());

        let other = sessions
            .start(session("bob"), Some(again.secret.expose()))
            .unwrap();
        assert_eq!(other.replaced, Some(again.session.clone()));
        assert!(!sessions.is_active(&again.session.id, now).unwrap());
        assert!(sessions.is_active(&other.session.id, now).unwrap());
        let late = Timestamp::from_millis(9_000);
        assert!(!sessions.is_active(&other.session.id, late).unwrap());
        let found = sessions.find(other.secret.expose(), late).unwrap();
        assert!(found.is_none());
    }
}
