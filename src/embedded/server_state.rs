//! The state that the handlers of the API share.

use std::sync::Arc;

use super::account_changes::AccountChanges;
use super::outbox::Outbox;
use super::password_hasher::PasswordHasher;
use super::pending_logins::PendingLogins;
use super::refresh_sessions::RefreshSessions;
use super::statistics::Statistics;
use super::token_issuer::TokenIssuer;
use super::trusted_devices::TrustedDevices;
use super::users::Users;
use crate::model::secret::Secret;
use crate::system::Clock;

/// The state that the handlers of the API share.
pub(super) struct ServerState {
    pub(super) users: Users,
    pub(super) account_changes: AccountChanges,
    pub(super) trusted_devices: TrustedDevices,
    /// Where messages with codes are put. Without it no code is sent.
    pub(super) outbox: Option<Outbox>,
    pub(super) password_hasher: PasswordHasher,
    pub(super) sessions: RefreshSessions,
    pub(super) issuer: TokenIssuer,
    /// Logins that wait for a second-factor code, by `twoFactorId`.
    pub(super) pending_codes: PendingLogins<PendingCode>,
    /// Ids of users who must choose a new password, by `changePasswordId`.
    pub(super) pending_password_changes: PendingLogins<String>,
    /// Ids of users who have just changed their password, by `oneTimePassword`.
    pub(super) one_time_passwords: PendingLogins<String>,
    /// The value of `Authorization` that clients with the API key send.
    pub(super) api_key: Secret,
    pub(super) clock: Clock,
    pub(super) statistics: Arc<Statistics>,
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
