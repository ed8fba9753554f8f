//! The users of the identity server, and the policies for their passwords and tokens.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ids;
use super::password_hasher::{PasswordError, hash_public_password};
use super::password_policy::PasswordPolicy;
use super::two_factor::TwoFactor;
use crate::model::algorithm::Algorithm;
use crate::model::secret::Secret;

/// The password of every account of [`Users::demo`].
pub const DEMO_PASSWORD: &str = "vestibule demo";

/// The TOTP secret of `twofactor@example.com` in [`Users::demo`], in base32 for authenticator apps.
pub const DEMO_TOTP: &str = "KZSXG5DJMJ2WYZJAMRSW23ZAORXXI4BB";

/// A user account of the users file or the demo.
#[derive(Clone, Debug)]
pub struct User {
    /// A UUID: the `sub` claim of the tokens.
    pub id: String,
    /// The e-mail address. It is also a sign-in name, in any case.
    pub email: String,
    /// Another sign-in name, in any case.
    pub username: Option<String>,
    /// The full name for display.
    pub name: Option<String>,
    /// The given name.
    pub given_name: Option<String>,
    /// The family name.
    pub family_name: Option<String>,
    /// Whether the e-mail address is verified. If not, the user cannot sign in.
    pub email_verified: bool,
    /// An argon2id hash in PHC form.
    pub password: Secret,
    /// Roles by application id. `*` stands for every application.
    pub roles: BTreeMap<String, Vec<String>>,
    /// The ids of the applications that the user is registered for; `None` for all.
    pub applications: Option<Vec<String>>,
    /// The ids of the applications where the registration is not verified yet.
    pub unverified_applications: Vec<String>,
    /// Whether the account can be used.
    pub state: AccountState,
    /// The second factor, if the user has one.
    pub two_factor: Option<TwoFactor>,
    /// Why the user must choose a new password at the next login, if they must.
    pub must_change_password: Option<ChangeReason>,
}

impl User {
    /// The roles in `application` without duplicates, those of `*` first.
    #[must_use]
    pub fn roles_in(&self, application: &str) -> Vec<String> {
        let mut roles: Vec<String> = Vec::new();
        for role in ["*", application]
            .iter()
            .filter_map(|key| self.roles.get(*key))
            .flatten()
        {
            if !roles.contains(role) {
                roles.push(role.clone());
            }
        }
        roles
    }

    /// Whether the user is registered for `application`.
    #[must_use]
    pub fn is_registered(&self, application: &str) -> bool {
        self.applications
            .as_ref()
            .is_none_or(|ids| ids.iter().any(|id| id == application))
    }
}

/// Whether an account can be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountState {
    /// The account can be used normally.
    #[default]
    Active,
    /// An administrator has locked the account.
    Locked,
    /// The account has expired.
    Expired,
    /// An administrator's action prevents the login.
    LoginPrevented,
}

/// Why a user must choose a new password, in FusionAuth's terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChangeReason {
    /// An administrator requires a new password.
    Administrative,
    /// The password is known from a breach.
    Breached,
    /// The password is too old.
    Expired,
    /// The password no longer complies with the policy.
    Validation,
}

/// The policy for access tokens and refresh tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenPolicy {
    /// The time from issue to `exp`.
    pub access_token_lifetime: Duration,
    /// The time from the login to the end of the session. A refresh does not extend it.
    pub refresh_token_lifetime: Duration,
    /// How long a used refresh token still returns its successor.
    pub grace: Duration,
    /// The signature algorithm of the access tokens: `ES256` or `RS256`.
    pub algorithm: Algorithm,
}

impl Default for TokenPolicy {
    fn default() -> Self {
        Self {
            access_token_lifetime: Duration::from_secs(300),
            refresh_token_lifetime: Duration::from_secs(30 * 24 * 60 * 60),
            grace: Duration::from_secs(10),
            algorithm: Algorithm::Es256,
        }
    }
}

/// All users, with the policies for their passwords and tokens.
#[derive(Clone, Debug, Default)]
pub struct Users {
    /// The policy for access tokens and refresh tokens.
    pub token_policy: TokenPolicy,
    /// The policy for new passwords.
    pub password_policy: PasswordPolicy,
    /// The directory for messages with codes. Without it no codes are sent by e-mail or SMS.
    pub outbox: Option<PathBuf>,
    by_id: HashMap<String, Arc<User>>,
    by_login: HashMap<String, Arc<User>>,
}

impl Users {
    /// An empty list of users with a token policy.
    #[must_use]
    pub fn new(token_policy: TokenPolicy) -> Self {
        Self {
            token_policy,
            ..Self::default()
        }
    }

    /// Adds a user.
    ///
    /// # Errors
    /// The e-mail address, username or id that another user already has. Nothing is added then.
    pub fn add(&mut self, user: User) -> Result<(), String> {
        if self.by_id.contains_key(&user.id) {
            return Err(user.id);
        }
        let mut logins = vec![user.email.to_lowercase()];
        logins.extend(user.username.iter().map(|name| name.to_lowercase()));
        logins.dedup();
        if let Some(taken) = logins
            .iter()
            .find(|login| self.by_login.contains_key(*login))
        {
            return Err(taken.clone());
        }
        let user = Arc::new(user);
        for login in logins {
            self.by_login.insert(login, Arc::clone(&user));
        }
        self.by_id.insert(user.id.clone(), user);
        Ok(())
    }

    /// The user with this id.
    #[must_use]
    pub fn by_id(&self, id: &str) -> Option<&Arc<User>> {
        self.by_id.get(id)
    }

    /// The user with this e-mail address or username, in any case. Surrounding white space is
    /// ignored.
    #[must_use]
    pub fn by_login(&self, login: &str) -> Option<&Arc<User>> {
        self.by_login.get(&login.trim().to_lowercase())
    }

    /// All users, in no particular order.
    pub fn all(&self) -> impl Iterator<Item = &Arc<User>> {
        self.by_id.values()
    }

    /// The accounts of the demo, all with [`DEMO_PASSWORD`]: `shopper@example.com`,
    /// `admin@example.com` (role `admin` in all applications), `twofactor@example.com` (with
    /// [`DEMO_TOTP`], and by e-mail if there is an outbox) and `newpassword@example.com` (must
    /// change the password). Access tokens are valid for 60 s, so that a refresh can be observed.
    ///
    /// # Errors
    /// If the password cannot be hashed.
    pub fn demo() -> Result<Self, PasswordError> {
        let password = Secret::new(hash_public_password(DEMO_PASSWORD)?);
        let policy = TokenPolicy {
            access_token_lifetime: Duration::from_secs(60),
            ..TokenPolicy::default()
        };
        let account = |email: &str, name: &str| User {
            id: ids::uuid_of_email(email),
            email: email.to_owned(),
            username: email.split('@').next().map(ToOwned::to_owned),
            name: Some(name.to_owned()),
            given_name: None,
            family_name: None,
            email_verified: true,
            password: password.clone(),
            roles: BTreeMap::new(),
            applications: None,
            unverified_applications: Vec::new(),
            state: AccountState::Active,
            two_factor: None,
            must_change_password: None,
        };
        let two_factor = TwoFactor {
            totp: Some(Secret::new(DEMO_TOTP)),
            email: Some("twofactor@example.com".to_owned()),
            ..TwoFactor::default()
        };
        let accounts = [
            account("shopper@example.com", "Sam Shopper"),
            User {
                roles: BTreeMap::from([("*".to_owned(), vec!["admin".to_owned()])]),
                ..account("admin@example.com", "Ada Admin")
            },
            User {
                two_factor: Some(two_factor),
                ..account("twofactor@example.com", "Theo Twofactor")
            },
            User {
                must_change_password: Some(ChangeReason::Administrative),
                ..account("newpassword@example.com", "Nora Newpassword")
            },
        ];
        let mut users = Self::new(policy);
        for user in accounts {
            // It cannot fail: the addresses above differ.
            let _ = users.add(user);
        }
        Ok(users)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_has_its_four_accounts() {
        let users = Users::demo().unwrap();
        assert_eq!(users.all().count(), 4);
        let admin = users.by_login(" Admin@Example.com ").unwrap();
        assert_eq!(admin.roles_in("any"), ["admin"]);
        assert!(
            users
                .by_login("shopper")
                .unwrap()
                .roles_in("any")
                .is_empty()
        );
        assert!(
            users
                .by_login("newpassword")
                .unwrap()
                .must_change_password
                .is_some()
        );
        assert!(users.by_login("twofactor").unwrap().two_factor.is_some());
        assert_eq!(users.by_id(&admin.id).unwrap().email, "admin@example.com");
    }

    #[test]
    fn users_have_different_sign_in_names_and_ids() {
        let mut users = Users::demo().unwrap();
        let shopper = User::clone(users.by_login("shopper").unwrap());
        assert_eq!(users.add(shopper.clone()), Err(shopper.id.clone()));
        let twin = User {
            id: ids::random_uuid(),
            ..shopper
        };
        assert_eq!(users.add(twin), Err("shopper@example.com".to_owned()));
        assert_eq!(users.all().count(), 4);
    }
}
