//! Changes to accounts since the users file was written: new passwords and used codes.

use std::sync::Arc;

use redb::{Database, Error, ReadableDatabase};
use serde::{Deserialize, Serialize};

use super::database::{self, JsonTable};
use super::ids;
use super::users::{ChangeReason, User};

/// Changed passwords, by user id.
pub const PASSWORDS: JsonTable = JsonTable::new("passwords");
/// The time step of the last authenticator code that was used, by user id.
pub const TIME_STEPS: JsonTable = JsonTable::new("time_steps");
/// Hashes of used recovery codes, by user id.
pub const RECOVERY_CODES: JsonTable = JsonTable::new("recovery_codes");

#[derive(Serialize, Deserialize)]
struct ChangedPassword {
    hash: String,
    /// The SHA-256 of the password hash in the users file that this one replaces. A new hash in the
    /// users file makes the change void.
    replaces: String,
    /// The reason for the change, which is settled by it.
    #[serde(rename = "met")]
    settled: Option<ChangeReason>,
}

/// The password of a user as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CurrentPassword {
    /// An argon2id hash in PHC form.
    pub hash: String,
    /// Why the user must change it, if they must.
    pub change_reason: Option<ChangeReason>,
}

/// Changes to accounts, stored in the database. They apply on top of the users file.
#[derive(Clone)]
pub struct AccountChanges {
    database: Arc<Database>,
}

impl AccountChanges {
    /// The changes in `database`, which must have the tables of this module.
    #[must_use]
    pub fn new(database: Arc<Database>) -> Self {
        Self { database }
    }

    /// The current password of `user`: the changed one, or else the one of the users file.
    ///
    /// # Errors
    /// If the database fails.
    pub fn current_password(&self, user: &User) -> Result<CurrentPassword, Error> {
        let read = self.database.begin_read()?;
        let changed: Option<ChangedPassword> =
            database::get(&read.open_table(PASSWORDS)?, &user.id)?;
        Ok(match changed {
            Some(changed) if changed.replaces == ids::sha256(user.password.expose()) => {
                CurrentPassword {
                    hash: changed.hash,
                    change_reason: user
                        .must_change_password
                        .filter(|reason| changed.settled != Some(*reason)),
                }
            }
            Some(_) | None => CurrentPassword {
                hash: user.password.expose().to_owned(),
                change_reason: user.must_change_password,
            },
        })
    }

    /// Replaces the password of `user` by the one with the hash `hash`, and settles the reason to
    /// change it.
    ///
    /// # Errors
    /// If the database fails.
    pub fn set_password(&self, user: &User, hash: String) -> Result<(), Error> {
        let replaces = ids::sha256(user.password.expose());
        let changed = ChangedPassword {
            hash,
            replaces,
            settled: user.must_change_password,
        };
        let write = self.database.begin_write()?;
        database::put(&mut write.open_table(PASSWORDS)?, &user.id, &changed)?;
        write.commit()?;
        Ok(())
    }

    /// Uses up the time step of an authenticator code, because a code must work only once (RFC
    /// 6238, section 5.2). False if this step or a later one was used before.
    ///
    /// # Errors
    /// If the database fails.
    pub fn consume_time_step(&self, user: &str, step: u64) -> Result<bool, Error> {
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

    /// Uses up a recovery code. False if it is not one of `user`'s codes or was used before.
    ///
    /// # Errors
    /// If the database fails.
    pub fn consume_recovery_code(&self, user: &User, code: &str) -> Result<bool, Error> {
        // Comparing hashes takes a time that tells nothing about the codes.
        let code = ids::sha256(code.trim());
        let mut valid_codes = user
            .two_factor
            .iter()
            .flat_map(|two_factor| &two_factor.recovery_codes);
        if !valid_codes.any(|valid| ids::sha256(valid.expose()) == code) {
            return Ok(false);
        }
        let write = self.database.begin_write()?;
        {
            let mut table = write.open_table(RECOVERY_CODES)?;
            let mut used_codes: Vec<String> = database::get(&table, &user.id)?.unwrap_or_default();
            if used_codes.contains(&code) {
                return Ok(false);
            }
            used_codes.push(code);
            database::put(&mut table, &user.id, &used_codes)?;
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

    fn open(directory: &tempfile::TempDir) -> AccountChanges {
        let tables = [PASSWORDS, TIME_STEPS, RECOVERY_CODES];
        AccountChanges::new(Arc::new(
            database::open(&directory.path().join("test.redb"), &tables).unwrap(),
        ))
    }

    fn nora() -> User {
        User::clone(Users::demo().unwrap().by_login("newpassword").unwrap())
    }

    #[test]
    fn a_changed_password_applies_until_the_users_file_changes_it() {
        let directory = tempfile::tempdir().unwrap();
        let accounts = open(&directory);
        let nora = nora();
        let current = |user: &User| {
            let current = accounts.current_password(user).unwrap();
            (current.hash, current.change_reason)
        };
        assert_eq!(current(&nora).1, Some(ChangeReason::Administrative));
        accounts.set_password(&nora, "new hash".to_owned()).unwrap();
        assert_eq!(current(&nora), ("new hash".to_owned(), None));
        let other_reason = User {
            must_change_password: Some(ChangeReason::Breached),
            ..nora.clone()
        };
        assert_eq!(current(&other_reason).1, Some(ChangeReason::Breached));
        let rewritten = User {
            password: Secret::new("file hash"),
            ..nora
        };
        assert_eq!(
            current(&rewritten),
            ("file hash".to_owned(), Some(ChangeReason::Administrative))
        );
    }

    #[test]
    fn codes_work_once() {
        let directory = tempfile::tempdir().unwrap();
        let accounts = open(&directory);
        assert!(accounts.consume_time_step("ada", 7).unwrap());
        assert!(!accounts.consume_time_step("ada", 7).unwrap());
        assert!(!accounts.consume_time_step("ada", 6).unwrap());
        assert!(accounts.consume_time_step("bob", 6).unwrap());
        assert!(accounts.consume_time_step("ada", 8).unwrap());
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
                .consume_recovery_code(&user, "another code")
                .unwrap()
        );
        assert!(
            accounts
                .consume_recovery_code(&user, " first code ")
                .unwrap()
        );
        assert!(!accounts.consume_recovery_code(&user, "first code").unwrap());
        assert!(
            accounts
                .consume_recovery_code(&user, "second code")
                .unwrap()
        );
    }
}
