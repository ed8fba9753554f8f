//! What people changed about their own accounts since the users file was written: passwords, and
//! codes used up.

use std::sync::Arc;

use redb::{Database, Error, ReadableDatabase};
use serde::{Deserialize, Serialize};

use super::database::{self, JsonTable};
use super::ids;
use super::users::{ChangeReason, User};

/// By user id.
pub const PASSWORDS: JsonTable = JsonTable::new("passwords");
/// The last time step of an authenticator code, by user id.
pub const TIME_STEPS: JsonTable = JsonTable::new("time_steps");
/// Hashes of used recovery codes, by user id.
pub const RECOVERY_CODES: JsonTable = JsonTable::new("recovery_codes");

#[derive(Serialize, Deserialize)]
struct ChangedPassword {
    hash: String,
    /// The hash of the entry in the users file that this replaces: a new entry there wins.
    replaces: String,
    /// The demand that was met by it.
    met: Option<ChangeReason>,
}

/// What people changed.
#[derive(Clone)]
pub struct Accounts {
    database: Arc<Database>,
}

impl Accounts {
    /// In `database`.
    #[must_use]
    pub fn new(database: Arc<Database>) -> Self {
        Self { database }
    }

    /// The hash of the password of `user` as it is now, and whether they must change it.
    ///
    /// # Errors
    /// When the database fails.
    pub fn password_of(&self, user: &User) -> Result<(String, Option<ChangeReason>), Error> {
        let read = self.database.begin_read()?;
        let changed: Option<ChangedPassword> =
            database::get(&read.open_table(PASSWORDS)?, &user.id)?;
        Ok(match changed {
            Some(changed) if changed.replaces == ids::hashed(user.password.expose()) => (
                changed.hash,
                user.must_change_password
                    .filter(|reason| changed.met != Some(*reason)),
            ),
            Some(_) | None => (user.password.expose().to_owned(), user.must_change_password),
        })
    }

    /// Replaces the password of `user` and meets the demand to change it.
    ///
    /// # Errors
    /// When the database fails.
    pub fn set_password(&self, user: &User, hash: String) -> Result<(), Error> {
        let replaces = ids::hashed(user.password.expose());
        let changed = ChangedPassword {
            hash,
            replaces,
            met: user.must_change_password,
        };
        let write = self.database.begin_write()?;
        database::put(&mut write.open_table(PASSWORDS)?, &user.id, &changed)?;
        write.commit()?;
        Ok(())
    }

    /// Uses up the time step of an authenticator code; false when it or a later one was used before
    /// (RFC 6238, section 5.2: a code works once).
    ///
    /// # Errors
    /// When the database fails.
    pub fn use_time_step(&self, user: &str, step: u64) -> Result<bool, Error> {
        let write = self.database.begin_write()?;
        {
            let mut steps = write.open_table(TIME_STEPS)?;
            if database::get::<u64>(&steps, user)?.is_some_and(|last| last >= step) {
                return Ok(false);
            }
            database::put(&mut steps, user, &step)?;
        }
        write.commit()?;
        Ok(true)
    }

    /// Uses up a recovery code of `user`; false when it is none of theirs or was used before.
    ///
    /// # Errors
    /// When the database fails.
    pub fn use_recovery_code(&self, user: &User, code: &str) -> Result<bool, Error> {
        // Compared as hashes, so that the time it takes says nothing about the code.
        let code = ids::hashed(code.trim());
        let mut theirs = user
            .two_factor
            .iter()
            .flat_map(|two_factor| &two_factor.recovery_codes);
        if !theirs.any(|one| ids::hashed(one.expose()) == code) {
            return Ok(false);
        }
        let write = self.database.begin_write()?;
        {
            let mut table = write.open_table(RECOVERY_CODES)?;
            let mut spent: Vec<String> = database::get(&table, &user.id)?.unwrap_or_default();
            if spent.contains(&code) {
                return Ok(false);
            }
            spent.push(code);
            database::put(&mut table, &user.id, &spent)?;
        }
        write.commit()?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::two_factor::TwoFactor;
    use crate::embedded::users::Users;
    use crate::model::secret::Secret;

    fn opened(directory: &tempfile::TempDir) -> Accounts {
        let tables = [PASSWORDS, TIME_STEPS, RECOVERY_CODES];
        Accounts::new(Arc::new(
            database::open(&directory.path().join("test.redb"), &tables).unwrap(),
        ))
    }

    fn nora() -> User {
        User::clone(Users::demo().unwrap().by_login("newpassword").unwrap())
    }

    #[test]
    fn a_changed_password_counts_until_the_file_changes_it() {
        let directory = tempfile::tempdir().unwrap();
        let accounts = opened(&directory);
        let nora = nora();
        assert_eq!(
            accounts.password_of(&nora).unwrap().1,
            Some(ChangeReason::Administrative)
        );
        accounts.set_password(&nora, "new hash".to_owned()).unwrap();
        assert_eq!(
            accounts.password_of(&nora).unwrap(),
            ("new hash".to_owned(), None)
        );
        let other_demand = User {
            must_change_password: Some(ChangeReason::Breached),
            ..nora.clone()
        };
        assert_eq!(
            accounts.password_of(&other_demand).unwrap().1,
            Some(ChangeReason::Breached)
        );
        let rewritten = User {
            password: Secret::new("file hash"),
            ..nora
        };
        assert_eq!(
            accounts.password_of(&rewritten).unwrap(),
            ("file hash".to_owned(), Some(ChangeReason::Administrative))
        );
    }

    #[test]
    fn codes_work_once() {
        let directory = tempfile::tempdir().unwrap();
        let accounts = opened(&directory);
        assert!(accounts.use_time_step("ada", 7).unwrap());
        assert!(!accounts.use_time_step("ada", 7).unwrap());
        assert!(!accounts.use_time_step("ada", 6).unwrap());
        assert!(accounts.use_time_step("bob", 6).unwrap());
        assert!(accounts.use_time_step("ada", 8).unwrap());
        let codes = vec![Secret::new("first code"), Secret::new("second code")];
        let user = User {
            two_factor: Some(TwoFactor {
                recovery_codes: codes,
                ..TwoFactor::default()
            }),
            ..nora()
        };
        assert!(
            !accounts
                .use_recovery_code(&user, "no code of theirs")
                .unwrap()
        );
        assert!(accounts.use_recovery_code(&user, " first code ").unwrap());
        assert!(!accounts.use_recovery_code(&user, "first code").unwrap());
        assert!(accounts.use_recovery_code(&user, "second code").unwrap());
    }
}
