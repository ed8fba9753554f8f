//! The state that the handlers of the API share.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use redb::Database;

use super::account_overrides::AccountChanges;
use super::accounts::Accounts;
use super::browser_sessions::BrowserSessions;
use super::logout_queue::{LogoutQueue, PendingLogout};
use super::openid::clients::OpenIdSettings;
use super::openid::openid_state::OpenId;
use super::outbox::Outbox;
use super::password_hasher::PasswordHasher;
use super::pending_logins::PendingLogins;
use super::refresh_sessions::{RefreshSessions, Session, SessionFilter};
use super::statistics::Statistics;
use super::token_issuer::TokenIssuer;
use super::trusted_devices::TrustedDevices;
use super::users::Users;
use crate::model::secret::Secret;
use crate::system::Clock;

/// How long a login waits for its second-factor code.
const CODE_LIFETIME: Duration = Duration::from_secs(300);

/// How long a login waits for a new password.
const PASSWORD_CHANGE_LIFETIME: Duration = Duration::from_secs(600);

/// How long the one-time password after a change of password is valid.
const ONE_TIME_PASSWORD_LIFETIME: Duration = Duration::from_secs(60);

/// The state that the handlers of the API share.
pub(super) struct ServerState {
    accounts: ArcSwap<Accounts>,
    pub(super) account_changes: AccountChanges,
    pub(super) trusted_devices: TrustedDevices,
    /// Logins that wait for a second-factor code, by `twoFactorId`.
    pub(super) pending_codes: PendingLogins<PendingCode>,
    /// Ids of users who must choose a new password, by `changePasswordId`.
    pub(super) pending_password_changes: PendingLogins<String>,
    /// Ids of users who have just changed their password, by `oneTimePassword`.
    pub(super) one_time_passwords: PendingLogins<String>,
    /// Sign-in by redirect.
    pub(super) openid: OpenId,
    /// The browsers that are signed in at this server's own page.
    pub(super) browser_sessions: BrowserSessions,
    /// Clients that have not been told yet that their session has ended.
    pub(super) logouts: LogoutQueue,
    /// The value of `Authorization` that clients with the API key send.
    pub(super) api_key: Secret,
    pub(super) clock: Clock,
    pub(super) statistics: Arc<Statistics>,
}

impl ServerState {
    /// The state of a server with these accounts.
    pub(super) fn new(
        accounts: Accounts,
        database: Arc<Database>,
        api_key: Secret,
        clock: Clock,
    ) -> Self {
        Self {
            accounts: ArcSwap::from_pointee(accounts),
            account_changes: AccountChanges::new(Arc::clone(&database)),
            trusted_devices: TrustedDevices::new(Arc::clone(&database)),
            openid: OpenId::default(),
            browser_sessions: BrowserSessions::new(Arc::clone(&database)),
            logouts: LogoutQueue::new(database),
            pending_codes: PendingLogins::new(CODE_LIFETIME),
            pending_password_changes: PendingLogins::new(PASSWORD_CHANGE_LIFETIME),
            one_time_passwords: PendingLogins::new(ONE_TIME_PASSWORD_LIFETIME),
            api_key,
            clock,
            statistics: Arc::default(),
        }
    }

    /// The accounts in force. A handler that needs several things of them takes them once.
    pub(super) fn accounts(&self) -> Arc<Accounts> {
        self.accounts.load_full()
    }

    /// The users in force.
    pub(super) fn users(&self) -> Arc<Users> {
        Arc::clone(&self.accounts.load().users)
    }

    /// The sessions, with the lifetimes in force.
    pub(super) fn sessions(&self) -> RefreshSessions {
        self.accounts.load().sessions.clone()
    }

    /// The issuer of access tokens in force.
    pub(super) fn issuer(&self) -> Arc<TokenIssuer> {
        Arc::clone(&self.accounts.load().issuer)
    }

    /// The hasher of passwords in force.
    pub(super) fn password_hasher(&self) -> PasswordHasher {
        self.accounts.load().password_hasher.clone()
    }

    /// The outbox in force.
    pub(super) fn outbox(&self) -> Option<Arc<Outbox>> {
        self.accounts.load().outbox.clone()
    }

    /// Puts `accounts` in force, and ends what they do not allow: sessions, which are returned, and
    /// logins that are not completed.
    ///
    /// # Errors
    /// If the database fails. The accounts are in force all the same, and sessions that they do not
    /// allow are not refreshed.
    pub(super) fn replace_accounts(&self, accounts: Accounts) -> Result<Vec<Session>, redb::Error> {
        let previous = self.accounts.swap(Arc::new(accounts));
        let current = self.accounts();
        let is_over = |user: &str| !current.continues_login(user, &previous);
        self.pending_codes
            .remove_if(|pending| is_over(&pending.user));
        self.pending_password_changes
            .remove_if(|user| is_over(user));
        self.one_time_passwords.remove_if(|user| is_over(user));
        self.browser_sessions
            .retain(|session| current.user_of_browser(session).is_some())?;
        let ended = current.sessions.end_others(
            |session| current.keeps(session, &previous),
            self.clock.now(),
        )?;
        self.tell_clients(&ended)?;
        Ok(ended)
    }

    /// The settings of sign-in by redirect; `None` where nobody signs in by redirect.
    pub(super) fn openid_settings(&self) -> Option<Arc<OpenIdSettings>> {
        self.openid.settings.load_full()
    }

    /// Ends the sessions that `filter` selects. Where it selects all sessions of a user, the user's
    /// browsers are signed out of this server too.
    ///
    /// # Errors
    /// If the database fails.
    pub(super) fn end_sessions(&self, filter: &SessionFilter) -> Result<(), redb::Error> {
        if let (Some(user), None) = (&filter.user, &filter.application) {
            self.browser_sessions
                .retain(|session| session.user != *user)?;
        }
        self.end_where(|session| filter.matches(session))
    }

    /// Ends `session` and tells its client. It may have ended already.
    ///
    /// # Errors
    /// If the database fails.
    pub(super) fn end_session(&self, session: Session) -> Result<(), redb::Error> {
        self.sessions().end(&session.id)?;
        self.tell_clients(&[session])
    }

    /// Signs the browser with this session out of this server, and ends the sessions that were
    /// started from it.
    ///
    /// # Errors
    /// If the database fails.
    pub(super) fn end_browser_session(&self, id: &str) -> Result<(), redb::Error> {
        // First this one, so that no session is started from it afterwards.
        self.browser_sessions.retain(|session| session.id != id)?;
        self.end_where(|session| session.browser_session.as_deref() == Some(id))
    }

    fn end_where(&self, is_ended: impl Fn(&Session) -> bool) -> Result<(), redb::Error> {
        let ended = self
            .sessions()
            .end_others(|session| !is_ended(session), self.clock.now())?;
        self.tell_clients(&ended)
    }

    /// Queues a logout token for the client of each of these sessions that takes one.
    fn tell_clients(&self, ended: &[Session]) -> Result<(), redb::Error> {
        let Some(settings) = self.openid_settings() else {
            return Ok(());
        };
        let is_told = |session: &&Session| {
            let client = settings.client(&session.application);
            session.browser_session.is_some()
                && client.is_some_and(|client| client.backchannel_logout_uri.is_some())
        };
        let logouts: Vec<PendingLogout> = ended
            .iter()
            .filter(is_told)
            .map(|session| PendingLogout {
                session: session.id.clone(),
                user: session.user.clone(),
                client: session.application.clone(),
                until: session.expires,
            })
            .collect();
        if logouts.is_empty() {
            return Ok(());
        }
        self.logouts.push(&logouts)
    }
}

/// A login that waits for a second-factor code.
#[derive(Clone)]
pub(super) struct PendingCode {
    /// The user's id.
    pub(super) user: String,
    /// The application to sign in to, if the login named one.
    pub(super) application: Option<String>,
    /// The number of codes that were tried.
    pub(super) attempts: u32,
    /// The code that was sent last. Codes sent before it are no longer valid.
    pub(super) sent_code: Option<Secret>,
    /// The number of codes that were sent.
    pub(super) sent_messages: u32,
}
