//! Clients that have not been told yet that a session of theirs has ended. The database keeps them,
//! so that a restart forgets none.

use std::sync::Arc;

use redb::{Database, Error, ReadableDatabase, ReadableTable};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use super::database::{self, JsonTable};

/// Logouts that clients have not confirmed, by session id.
pub const LOGOUTS: JsonTable = JsonTable::new("logouts");

/// A logout that its client has not confirmed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingLogout {
    /// The id of the session that has ended.
    pub session: String,
    /// The user's id.
    pub user: String,
    /// The id of the client.
    pub client: String,
    /// When it is given up, in milliseconds since the Unix epoch: the session would have expired.
    pub until: u64,
}

/// The logouts that are to be told, stored in the database.
pub struct LogoutQueue {
    database: Arc<Database>,
    added: Notify,
}

impl LogoutQueue {
    /// The queue in `database`, which must have the table of this module.
    pub fn new(database: Arc<Database>) -> Self {
        Self {
            database,
            added: Notify::new(),
        }
    }

    /// Adds `logouts`.
    ///
    /// # Errors
    /// If the database fails.
    pub fn push(&self, logouts: &[PendingLogout]) -> Result<(), Error> {
        let write = self.database.begin_write()?;
        {
            let mut table = write.open_table(LOGOUTS)?;
            for logout in logouts {
                database::put(&mut table, &logout.session, logout)?;
            }
        }
        write.commit()?;
        self.added.notify_one();
        Ok(())
    }

    /// Completes when something was added since the last call.
    pub async fn added(&self) {
        self.added.notified().await;
    }

    /// All of them.
    ///
    /// # Errors
    /// If the database fails.
    pub fn all(&self) -> Result<Vec<PendingLogout>, Error> {
        let read = self.database.begin_read()?;
        let mut all = Vec::new();
        for entry in read.open_table(LOGOUTS)?.iter()? {
            all.push(database::decode(entry?.1.value())?);
        }
        Ok(all)
    }

    /// Removes the logout of this session.
    ///
    /// # Errors
    /// If the database fails.
    pub fn remove(&self, session: &str) -> Result<(), Error> {
        let write = self.database.begin_write()?;
        write.open_table(LOGOUTS)?.remove(session)?;
        write.commit()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_logout_stays_until_it_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.redb");
        let open = || LogoutQueue::new(Arc::new(database::open(&path, &[LOGOUTS]).unwrap()));
        let logout = PendingLogout {
            session: "s".to_owned(),
            user: "ada".to_owned(),
            client: "store".to_owned(),
            until: 1,
        };
        let queue = open();
        queue.push(std::slice::from_ref(&logout)).unwrap();
        queue.added().await;
        drop(queue);
        let queue = open();
        assert_eq!(queue.all().unwrap(), [logout]);
        queue.remove("s").unwrap();
        assert!(queue.all().unwrap().is_empty());
    }
}
