//! The audit log: one record per security event, with the target `audit` (threat model, R-43).
//!
//! Users are identified by their id at the provider. Before it is known, records contain a hash of
//! the sign-in name: enough to see that one account is under attack, without logging what may be a
//! password typed into the wrong field.

use std::fmt;
use std::net::IpAddr;

use aws_lc_rs::digest::{SHA256, digest};

use super::labels::{CallResult, HookEvent, HookResult};
use crate::model::reason::Reason;

/// The request that caused an event.
#[derive(Clone, Copy, Debug)]
pub struct AuditContext<'a> {
    /// The site's name in the configuration.
    pub site: &'a str,
    /// The request id, as in the access log.
    pub request_id: &'a str,
    /// The client address, from `X-Forwarded-For` if a trusted proxy sent it.
    pub client: IpAddr,
    /// The sign-in that the event belongs to, where it is known.
    pub session: Option<SignInHash>,
}

impl AuditContext<'_> {
    /// The same for an event of the sign-in that `key` names.
    #[must_use]
    pub fn of_sign_in(self, key: &str) -> Self {
        let session = Some(SignInHash::of(key));
        Self { session, ..self }
    }
}

/// A hash that all records of one sign-in have in common: 12 hexadecimal digits, in ASCII.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignInHash([u8; 12]);

impl SignInHash {
    /// The hash of the sign-in that `key` names.
    #[must_use]
    pub fn of(key: &str) -> Self {
        let hash = digest(&SHA256, key.as_bytes());
        let mut digits = [0; 12];
        for (pair, byte) in digits.chunks_exact_mut(2).zip(hash.as_ref()) {
            pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 0xF)]);
        }
        Self(digits)
    }

    /// The digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// The hexadecimal digit of a number below 16.
const fn digit(number: u8) -> u8 {
    if number < 10 {
        b'0' + number
    } else {
        b'a' - 10 + number
    }
}

/// A hash of a sign-in name: the first 64 bits of SHA-256. Names that differ only in case or in
/// surrounding white space have the same hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoginIdHash([u8; 8]);

impl LoginIdHash {
    /// The hash of `login_id` as the user typed it.
    #[must_use]
    pub fn of(login_id: &str) -> Self {
        let hash = digest(&SHA256, login_id.trim().to_lowercase().as_bytes());
        Self(hash.as_ref().first_chunk().copied().unwrap_or_default())
    }
}

impl fmt::Display for LoginIdHash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

/// What a provider has answered.
#[derive(Clone, Copy, Debug)]
pub struct ProviderAnswer<'a> {
    /// The status of its response.
    pub status: Option<u16>,
    /// Its word for the error.
    pub error: Option<&'a str>,
}

macro_rules! audit {
    ($level:ident, $event:literal, $context:expr, $($field:tt)*) => {
        tracing::$level!(
            target: "audit",
            event = $event,
            site = $context.site,
            request_id = $context.request_id,
            client = %$context.client,
            session = $context.session.as_ref().map(SignInHash::as_str),
            $($field)*
        )
    };
}

/// A user signed in and got a session.
pub fn signed_in(context: AuditContext<'_>, user: &str, account: LoginIdHash) {
    audit!(info, "signed_in", context, user, account = %account);
}

/// A sign-in attempt failed for this reason.
pub fn sign_in_refused(context: AuditContext<'_>, account: LoginIdHash, reason: Reason) {
    audit!(info, "sign_in_refused", context, account = %account, reason = reason.as_str());
}

/// What a provider says about a sign-in by redirect that it refused.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProviderError<'a> {
    /// Its error code.
    pub code: Option<&'a str>,
    /// Its explanation, for the operator.
    pub description: Option<&'a str>,
}

/// A browser came back from the provider, and nobody is signed in.
pub fn sign_in_failed(context: AuditContext<'_>, reason: Reason, told: ProviderError<'_>) {
    let (reason, error, description) = (reason.as_str(), told.code, told.description);
    audit!(info, "sign_in_failed", context, reason, error, description);
}

/// A second-factor code was sent for a sign-in.
pub fn code_sent(context: AuditContext<'_>, account: LoginIdHash) {
    audit!(info, "code_sent", context, account = %account);
}

/// A second-factor code was requested but not sent.
pub fn code_not_sent(context: AuditContext<'_>, account: LoginIdHash, reason: Reason) {
    audit!(info, "code_not_sent", context, account = %account, reason = reason.as_str());
}

/// A request was refused because the user lacks a role, or because no honest browser sends it.
pub fn refused(context: AuditContext<'_>, user: Option<&str>, reason: Reason) {
    audit!(info, "refused", context, user, reason = reason.as_str());
}

/// A service token was used, for the first time in this hour.
pub fn service_token_used(context: AuditContext<'_>, user: &str) {
    audit!(info, "service_token_used", context, user);
}

/// A session was refreshed with new tokens.
pub fn renewed(context: AuditContext<'_>, user: &str) {
    audit!(info, "renewed", context, user);
}

/// A session was not refreshed: the provider refused or did not respond.
pub fn renewal_refused(context: AuditContext<'_>, user: &str, reason: Reason) {
    audit!(
        info,
        "renewal_refused",
        context,
        user,
        reason = reason.as_str()
    );
}

/// The provider refused a refresh token. `status` is that of its response, `error` its word for the
/// error.
pub fn refresh_token_refused(
    context: AuditContext<'_>,
    user: &str,
    provider: &str,
    answer: ProviderAnswer<'_>,
) {
    let ProviderAnswer { status, error } = answer;
    audit!(
        info,
        "refresh_token_refused",
        context,
        user,
        provider,
        status,
        error
    );
}

/// A refresh cookie or token cannot be opened: it was changed, or it was sealed with a key that is
/// gone, or for another site.
pub fn refresh_token_unreadable(context: AuditContext<'_>) {
    audit!(info, "refresh_token_unreadable", context,);
}

/// A user signed out. `user` is known if the credentials were still readable.
pub fn signed_out(context: AuditContext<'_>, user: Option<&str>) {
    audit!(info, "signed_out", context, user);
}

/// A session was revoked: its tokens are refused from now on.
pub fn revoked(context: AuditContext<'_>, user: Option<&str>) {
    audit!(info, "revoked", context, user);
}

/// The provider was asked to revoke a refresh token. With a result other than `ok` the token may
/// still be valid there.
pub fn revoked_at_provider(provider: &str, user: &str, result: CallResult) {
    let result_label = result.as_str();
    match result {
        CallResult::Ok => {
            tracing::info!(target: "audit", event = "revoked_at_provider", provider, user, result = result_label);
        }
        CallResult::Refused | CallResult::Unavailable | CallResult::Misconfigured => {
            tracing::warn!(target: "audit", event = "revoked_at_provider", provider, user, result = result_label);
        }
    }
}

/// The users file of an embedded provider ended a session of this user: the user is gone, locked,
/// no longer registered, or has another password.
pub fn ended_by_users_file(provider: &str, user: &str) {
    tracing::info!(target: "audit", event = "ended_by_users_file", provider, user);
}

/// A message of a provider.
#[derive(Clone, Copy, Debug)]
pub struct HookRecord<'a> {
    /// The provider that it concerns; the names of several are separated by commas.
    pub provider: &'a str,
    /// Its event.
    pub event: HookEvent,
    /// What came of it.
    pub result: HookResult,
    /// Why it was not accepted.
    pub cause: Option<&'a str>,
    /// The user whose sign-ins it ends.
    pub user: Option<&'a str>,
    /// The address that it came from.
    pub client: IpAddr,
}

/// A provider sent a message that ends sign-ins, or somebody else did.
pub fn hook(record: HookRecord<'_>) {
    tracing::info!(
        target: "audit",
        event = "hook",
        provider = record.provider,
        hook = record.event.as_str(),
        result = record.result.as_str(),
        cause = record.cause,
        user = record.user,
        client = %record.client,
    );
}

/// A new configuration became active after a reload.
pub fn reloaded() {
    tracing::info!(target: "audit", event = "reloaded");
}

/// A new configuration was refused because of this number of problems; the old one stays active.
pub fn reload_refused(problems: usize) {
    tracing::warn!(target: "audit", event = "reload_refused", problems);
}

/// The store failed. `cause` is an error text of this program and contains no client data.
pub fn store_failed(cause: &str) {
    tracing::error!(target: "audit", event = "store_failed", cause);
}
