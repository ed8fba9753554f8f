//! Trusted devices, which need no second-factor code for 30 days.

use std::sync::Arc;
use std::time::Duration;

use redb::{Database, Error, ReadableDatabase};
use serde::{Deserialize, Serialize};

use super::database::{self, JsonTable};
use super::ids;
use crate::model::secret::Secret;
use crate::model::timestamp::Timestamp;

/// Device trusts, by the hash of the trust id.
pub const TRUSTS: JsonTable = JsonTable::new("trusts");

/// How long a device stays trusted: FusionAuth's default.
const LIFETIME: Duration = Duration::from_secs(30 * 24 * 60 * 60);

#[derive(Serialize, Deserialize)]
struct TrustRow {
    user: String,
    /// The SHA-256 of the password hash at that time. A new password ends the trust, wherever it
    /// was changed.
    password: String,
    /// In milliseconds since the Unix epoch.
    expires: u64,
}

/// The trusted devices, stored in the database. A device is identified by a random trust id that
/// its user presents.
#[derive(Clone)]
pub struct TrustedDevices {
    database: Arc<Database>,
}

impl TrustedDevices {
    /// The trusted devices in `database`, which must have the table [`TRUSTS`].
    #[must_use]
    pub fn new(database: Arc<Database>) -> Self {
        Self { database }
    }

    /// Trusts a device of `user`, whose current password hash is `password_hash`, and returns the
    /// trust id.
    ///
    /// # Errors
    /// If the database fails.
    pub fn trust(&self, user: &str, password_hash: &str, now: Timestamp) -> Result<Secret, Error> {
        let id = Secret::new(ids::random_secret());
        let expires = now.plus(LIFETIME).millis();
        let row = TrustRow {
            user: user.to_owned(),
            password: ids::sha256(password_hash),
            expires,
        };
        let write = self.database.begin_write()?;
        database::put(
            &mut write.open_table(TRUSTS)?,
            &ids::sha256(id.expose()),
            &row,
        )?;
        write.commit()?;
        Ok(id)
    }

    /// Whether the trust id `id` belongs to a trusted device of `user`, whose current password hash
    /// is `password_hash`.
    ///
    /// # Errors
    /// If the database fails.
    pub fn is_trusted(
        &self,
        id: &str,
        user: &str,
        password_hash: &str,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let read = self.database.begin_read()?;
        let row: Option<TrustRow> = database::get(&read.open_table(TRUSTS)?, &ids::sha256(id))?;
        Ok(row.is_some_and(|row| {
            row.user == user
                && row.password == ids::sha256(password_hash)
                && row.expires > now.millis()
        }))
    }

    /// Deletes expired trusts.
    ///
    /// # Errors
    /// If the database fails.
    pub fn purge(&self, now: Timestamp) -> Result<(), Error> {
        let write = self.database.begin_write()?;
        // Rows that cannot be decoded are deleted as well.
        write.open_table(TRUSTS)?.retain(|_, bytes| {
            database::decode::<TrustRow>(bytes).is_ok_and(|row| row.expires > now.millis())
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
    fn a_trust_applies_to_one_user_with_one_password_for_thirty_days() {
        let directory = tempfile::tempdir().unwrap();
        let database =
            Arc::new(database::open(&directory.path().join("test.redb"), &[TRUSTS]).unwrap());
        let devices = TrustedDevices::new(Arc::clone(&database));
        let (start, end) = (
            Timestamp::from_secs(100),
            Timestamp::from_secs(100 + 30 * 24 * 60 * 60),
        );
        let id = devices.trust("ada", "a hash", start).unwrap();
        let is_trusted = |id: &str, user: &str, password: &str, now| {
            devices.is_trusted(id, user, password, now).unwrap()
        };
        assert!(is_trusted(id.expose(), "ada", "a hash", start));
        assert!(is_trusted(
            id.expose(),
            "ada",
            "a hash",
            Timestamp::from_millis(end.millis() - 1)
        ));
        assert!(!is_trusted(id.expose(), "ada", "a hash", end));
        assert!(!is_trusted(id.expose(), "bob", "a hash", start));
        assert!(!is_trusted(id.expose(), "ada", "another hash", start));
        assert!(!is_trusted("made up", "ada", "a hash", start));
        let count = || {
            database
                .begin_read()
                .unwrap()
                .open_table(TRUSTS)
                .unwrap()
                .len()
                .unwrap()
        };
        devices.purge(start).unwrap();
        assert_eq!(count(), 1);
        devices.purge(end).unwrap();
        assert_eq!(count(), 0);
    }
}
