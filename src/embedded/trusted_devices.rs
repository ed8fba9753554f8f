//! Devices that are not asked for a code again for a while.

use std::sync::Arc;
use std::time::Duration;

use redb::{Database, Error, ReadableDatabase};
use serde::{Deserialize, Serialize};

use super::database::{self, JsonTable};
use super::ids;
use crate::model::secret::Secret;
use crate::model::timestamp::Timestamp;

/// By the hash of a trust id.
pub const TRUSTS: JsonTable = JsonTable::new("trusts");

/// FusionAuth's own default.
const LIFETIME: Duration = Duration::from_secs(30 * 24 * 60 * 60);

#[derive(Serialize, Deserialize)]
struct TrustRow {
    user: String,
    /// Of the hash of the password that was right then: a new password ends the trust, wherever it
    /// was changed.
    password: String,
    /// In milliseconds.
    expires: u64,
}

/// Where trust rests.
#[derive(Clone)]
pub struct TrustedDevices {
    database: Arc<Database>,
}

impl TrustedDevices {
    /// In `database`.
    #[must_use]
    pub fn new(database: Arc<Database>) -> Self {
        Self { database }
    }

    /// Trusts a device of `user`, whose password has the hash `password`, for 30 days; the id that
    /// proves it.
    ///
    /// # Errors
    /// When the database fails.
    pub fn begin(&self, user: &str, password: &str, now: Timestamp) -> Result<Secret, Error> {
        let id = Secret::new(ids::random_secret());
        let expires = now.plus(LIFETIME).millis();
        let row = TrustRow {
            user: user.to_owned(),
            password: ids::hashed(password),
            expires,
        };
        let write = self.database.begin_write()?;
        database::put(
            &mut write.open_table(TRUSTS)?,
            &ids::hashed(id.expose()),
            &row,
        )?;
        write.commit()?;
        Ok(id)
    }

    /// Whether `id` proves that a device of `user`, whose password has the hash `password`, is
    /// trusted.
    ///
    /// # Errors
    /// When the database fails.
    pub fn holds(
        &self,
        id: &str,
        user: &str,
        password: &str,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let read = self.database.begin_read()?;
        let row: Option<TrustRow> = database::get(&read.open_table(TRUSTS)?, &ids::hashed(id))?;
        Ok(row.is_some_and(|row| {
            row.user == user && row.password == ids::hashed(password) && row.expires > now.millis()
        }))
    }

    /// Forgets what is over.
    ///
    /// # Errors
    /// When the database fails.
    pub fn purge(&self, now: Timestamp) -> Result<(), Error> {
        let write = self.database.begin_write()?;
        // What cannot be read proves nothing and goes.
        write.open_table(TRUSTS)?.retain(|_, bytes| {
            database::parsed::<TrustRow>(bytes).is_ok_and(|row| row.expires > now.millis())
        })?;
        write.commit()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use redb::ReadableTableMetadata;

    use super::*;

    #[test]
    fn trust_is_for_one_person_one_password_and_thirty_days() {
        let directory = tempfile::tempdir().unwrap();
        let database =
            Arc::new(database::open(&directory.path().join("test.redb"), &[TRUSTS]).unwrap());
        let trusts = TrustedDevices::new(Arc::clone(&database));
        let (start, end) = (
            Timestamp::from_secs(100),
            Timestamp::from_secs(100 + 30 * 24 * 60 * 60),
        );
        let id = trusts.begin("ada", "a hash", start).unwrap();
        let holds = |id: &str, user: &str, password: &str, now| {
            trusts.holds(id, user, password, now).unwrap()
        };
        assert!(holds(id.expose(), "ada", "a hash", start));
        assert!(holds(
            id.expose(),
            "ada",
            "a hash",
            Timestamp::from_millis(end.millis() - 1)
        ));
        assert!(!holds(id.expose(), "ada", "a hash", end));
        assert!(!holds(id.expose(), "bob", "a hash", start));
        assert!(!holds(id.expose(), "ada", "another hash", start));
        assert!(!holds("made up", "ada", "a hash", start));
        let kept = || {
            database
                .begin_read()
                .unwrap()
                .open_table(TRUSTS)
                .unwrap()
                .len()
                .unwrap()
        };
        trusts.purge(start).unwrap();
        assert_eq!(kept(), 1);
        trusts.purge(end).unwrap();
        assert_eq!(kept(), 0);
    }
}
