//! The people the identity server knows.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ids;
use super::password_rules::PasswordRules;
use super::passwords::{PasswordError, hash_password};
use super::two_factor::TwoFactor;
use crate::model::algorithm::Algorithm;
use crate::model::secret::Secret;
use crate::model::timestamp::Timestamp;

/// The password of every account of [`Users::demo`].
pub const DEMO_PASSWORD: &str = "vestibule demo";

/// The TOTP secret of the demo's `twofactor@example.com`, base32 as authenticator apps take it.
pub const DEMO_TOTP: &str = "KZSXG5DJMJ2WYZJAMRSW23ZAORXXI4BB";

/// One person.
#[derive(Clone, Debug)]
pub struct User {
    /// A UUID; `sub` of the tokens.
    pub id: String,
    /// Also a name to sign in with, in whatever case.
    pub email: String,
    /// Another name to sign in with.
    pub username: Option<String>,
    /// For people to read.
    pub name: Option<String>,
    /// Whether the address is known to be theirs; if not they are not let in.
    pub email_verified: bool,
    /// An argon2id hash in PHC form.
    pub password: Secret,
    /// By application id; `*` is every application.
    pub roles: BTreeMap<String, Vec<String>>,
    /// The applications they may use; `None` is every one.
    pub applications: Option<Vec<String>>,
    /// Applications where their registration waits to be verified.
    pub unverified_applications: Vec<String>,
    /// Whether the account may be used.
    pub state: AccountState,
    /// Asks for a code after the password.
    pub two_factor: Option<TwoFactor>,
    /// Demands a new password after the right one.
    pub must_change_password: Option<ChangeReason>,
}

impl User {
    /// The roles in `application`, without repetition, those of `*` first.
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

    /// Whether they are registered for `application`.
    #[must_use]
    pub fn is_registered(&self, application: &str) -> bool {
        self.applications
            .as_ref()
            .is_none_or(|known| known.iter().any(|one| one == application))
    }
}

/// Whether an account may be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountState {
    /// It may.
    #[default]
    Active,
    /// Nobody may sign in until it is unlocked.
    Locked,
    /// Its time is over.
    Expired,
    /// An administrator's action stands against it.
    LoginPrevented,
}

/// Why a new password is demanded; FusionAuth's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChangeReason {
    /// An administrator wants it.
    Administrative,
    /// The password is known from a breach.
    Breached,
    /// It is too old.
    Expired,
    /// It no longer meets the rules.
    Validation,
}

/// How tokens are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenPolicy {
    /// From issue to `exp`.
    pub access_token_lifetime: Duration,
    /// From sign-in to the end; renewing does not extend it.
    pub refresh_token_lifetime: Duration,
    /// How long a used refresh token still brings the one that replaced it.
    pub grace: Duration,
    /// How access tokens are signed: `ES256` or `RS256`.
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

/// Everyone, and how their tokens are made.
#[derive(Clone, Debug, Default)]
pub struct Users {
    /// How tokens are made.
    pub policy: TokenPolicy,
    /// What new passwords must be.
    pub password_rules: PasswordRules,
    /// The directory that codes by e-mail and SMS are put into; without one there are none.
    pub outbox: Option<PathBuf>,
    by_id: HashMap<String, Arc<User>>,
    by_login: HashMap<String, Arc<User>>,
}

impl Users {
    /// Nobody yet.
    #[must_use]
    pub fn new(policy: TokenPolicy) -> Self {
        Self {
            policy,
            ..Self::default()
        }
    }

    /// Adds a user.
    ///
    /// # Errors
    /// The name (e-mail, username or id) that somebody else has already; nothing is added then.
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

    /// By id.
    #[must_use]
    pub fn by_id(&self, id: &str) -> Option<&Arc<User>> {
        self.by_id.get(id)
    }

    /// By e-mail address or username, in whatever case, without the blanks around it.
    #[must_use]
    pub fn by_login(&self, login: &str) -> Option<&Arc<User>> {
        self.by_login.get(&login.trim().to_lowercase())
    }

    /// Everyone, in no order.
    pub fn all(&self) -> impl Iterator<Item = &Arc<User>> {
        self.by_id.values()
    }

    /// The demo's accounts, all with [`DEMO_PASSWORD`]: `shopper@example.com`, `admin@example.com`
    /// (role `admin` everywhere), `twofactor@example.com` ([`DEMO_TOTP`], or by e-mail where there
    /// is an outbox) and `newpassword@example.com` (must change it). Access tokens live 60 s, so
    /// that renewal can be watched.
    ///
    /// # Errors
    /// When the password cannot be hashed.
    pub fn demo() -> Result<Self, PasswordError> {
        let password = Secret::new(hash_password(DEMO_PASSWORD)?);
        let policy = TokenPolicy {
            access_token_lifetime: Duration::from_secs(60),
            ..TokenPolicy::default()
        };
        let account = |email: &str, name: &str| User {
            id: ids::uuid_of_email(email),
            email: email.to_owned(),
            username: email.split('@').next().map(ToOwned::to_owned),
            name: Some(name.to_owned()),
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
        let people = [
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
        for user in people {
            // The addresses above differ.
            let _ = users.add(user);
        }
        Ok(users)
    }
}

/// The code an authenticator app with this base32 secret shows at `now`; `None` where it is no such
/// secret.
#[must_use]
pub fn totp_code(secret: &str, now: Timestamp) -> Option<String> {
    Some(totp(secret)?.generate(now.secs()).to_string())
}

/// The time step (RFC 6238) that `code` belongs to, where it is right at `now` or 30 s around it.
#[must_use]
pub fn totp_step(secret: &str, code: &str, now: Timestamp) -> Option<u64> {
    totp(secret)?.check(code, now.secs())
}

fn totp(secret: &str) -> Option<totp_rs::Totp> {
    totp_rs::Builder::new()
        .with_secret(totp_rs::Secret::try_from_base32(secret).ok()?)
        .build()
        .ok()
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
    fn no_two_users_share_a_name() {
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

    #[test]
    fn codes_follow_rfc_6238() {
        // Appendix B: 94287082 at 59 s with the ASCII secret 12345678901234567890; here six digits.
        let secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
        assert_eq!(
            totp_code(secret, Timestamp::from_secs(59)).as_deref(),
            Some("287082")
        );
        assert_eq!(
            totp_step(secret, "287082", Timestamp::from_secs(59)),
            Some(1)
        );
        assert_eq!(
            totp_step(secret, "287082", Timestamp::from_secs(89)),
            Some(1)
        );
        assert_eq!(totp_step(secret, "287082", Timestamp::from_secs(120)), None);
        assert!(totp_code(DEMO_TOTP, Timestamp::from_secs(59)).is_some());
    }
}
