//! The accounts in force: the users file, and what follows from it. A changed file replaces all of
//! it at once.

use std::sync::Arc;

use redb::Database;

use super::browser_sessions::BrowserSession;
use super::ids;
use super::outbox::Outbox;
use super::password_hasher::PasswordHasher;
use super::refresh_sessions::{RefreshSessions, Session};
use super::signing::SigningKey;
use super::token_issuer::TokenIssuer;
use super::users::{AccountState, User, Users};

/// The users, and what their policies and hashes make of the rest.
pub struct Accounts {
    pub(super) users: Arc<Users>,
    /// With the lifetimes of the users file.
    pub(super) sessions: RefreshSessions,
    /// With the algorithm and the lifetime of the users file.
    pub(super) issuer: Arc<TokenIssuer>,
    /// With the most expensive hash of the users file.
    pub(super) password_hasher: PasswordHasher,
    /// Where messages with codes are put. Without it no code is sent.
    pub(super) outbox: Option<Arc<Outbox>>,
}

impl Accounts {
    /// The accounts of `users`. Tokens are signed with `key`, and name `issuer`.
    pub(super) fn new(
        users: Users,
        key: SigningKey,
        issuer: String,
        database: Arc<Database>,
    ) -> Self {
        let policy = users.token_policy;
        Self {
            sessions: RefreshSessions::new(database, policy.refresh_token_lifetime, policy.grace),
            issuer: Arc::new(TokenIssuer::new(key, issuer, policy.access_token_lifetime)),
            password_hasher: PasswordHasher::new(users.all().map(|user| user.password.expose())),
            outbox: users.outbox.as_deref().map(Outbox::new).map(Arc::new),
            users: Arc::new(users),
        }
    }

    /// The user of `session`, where a login would start it now: the account can be used, its
    /// registration stands, and the users file has the same password for it.
    pub(super) fn user_of(&self, session: &Session) -> Option<&Arc<User>> {
        self.users.by_id(&session.user).filter(|user| {
            let is_verified =
                user.email_verified && !user.unverified_applications.contains(&session.application);
            let is_same_password = session
                .password
                .as_ref()
                .is_none_or(|password| *password == password_fingerprint(user));
            user.state == AccountState::Active
                && is_verified
                && user.is_registered(&session.application)
                && is_same_password
        })
    }

    /// The user of a browser that is signed in at this server, where the account can still be used
    /// and the users file has the same password for it.
    pub(super) fn user_of_browser(&self, session: &BrowserSession) -> Option<&Arc<User>> {
        self.users.by_id(&session.user).filter(|user| {
            user.state == AccountState::Active
                && user.email_verified
                && session.password == password_fingerprint(user)
        })
    }

    /// Whether `session` goes on although `previous` is replaced by these accounts. For a session
    /// without a record of its password, the two users files are compared.
    pub(super) fn keeps(&self, session: &Session, previous: &Self) -> bool {
        let fingerprint = |accounts: &Self| {
            let user = accounts.users.by_id(&session.user);
            user.map(|user| password_fingerprint(user))
        };
        self.user_of(session).is_some()
            && (session.password.is_some() || fingerprint(self) == fingerprint(previous))
    }

    /// Whether a login of the user with this id that began under `previous` may be continued.
    pub(super) fn continues_login(&self, user: &str, previous: &Self) -> bool {
        let credentials = |accounts: &Self| {
            let user = accounts.users.by_id(user)?;
            Some((password_fingerprint(user), user.state))
        };
        let now = credentials(self);
        now.is_some() && now == credentials(previous)
    }
}

/// The SHA-256 of the password hash in the users file.
pub(super) fn password_fingerprint(user: &User) -> String {
    ids::sha256(user.password.expose())
}
