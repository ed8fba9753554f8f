//! One record per event of security, with the target `audit` (threat model, R-43).
//!
//! People are named by the provider's id; where none is known yet, by a hash of what they typed:
//! enough to see that one account is under attack, without writing down what may be a password
//! typed into the wrong field.

use std::fmt;
use std::net::IpAddr;

use aws_lc_rs::digest::{SHA256, digest};

use super::labels::CallResult;
use crate::model::reason::Reason;

/// The request an event belongs to.
#[derive(Clone, Copy, Debug)]
pub struct AuditContext<'a> {
    /// The site's name.
    pub site: &'a str,
    /// The request's id.
    pub request_id: &'a str,
    /// The believed client address.
    pub client: IpAddr,
}

/// The name somebody signs in with, beyond recognition: equal for spellings that differ in case or
/// outer space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoginIdHash([u8; 8]);

impl LoginIdHash {
    /// The hash of a sign-in name as typed.
    #[must_use]
    pub fn of(login_id: &str) -> Self {
        let whole = digest(&SHA256, login_id.trim().to_lowercase().as_bytes());
        Self(whole.as_ref().first_chunk().copied().unwrap_or_default())
    }
}

impl fmt::Display for LoginIdHash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

macro_rules! audit {
    ($level:ident, $event:literal, $at:expr, $($field:tt)*) => {
        tracing::$level!(
            target: "audit",
            event = $event,
            site = $at.site,
            request_id = $at.request_id,
            client = %$at.client,
            $($field)*
        )
    };
}

/// Somebody signed in.
pub fn signed_in(at: AuditContext<'_>, user: &str, account: LoginIdHash) {
    audit!(info, "signed_in", at, user, account = %account);
}

/// An attempt to sign in did not lead to a session.
pub fn sign_in_refused(at: AuditContext<'_>, account: LoginIdHash, reason: Reason) {
    audit!(info, "sign_in_refused", at, account = %account, reason = reason.as_str());
}

/// A sign-in that waits for a code was sent one.
pub fn code_sent(at: AuditContext<'_>, account: LoginIdHash) {
    audit!(info, "code_sent", at, account = %account);
}

/// No code was sent.
pub fn code_not_sent(at: AuditContext<'_>, account: LoginIdHash, reason: Reason) {
    audit!(info, "code_not_sent", at, account = %account, reason = reason.as_str());
}

/// A request was refused that an honest browser would not send, or that lacks a role.
pub fn refused(at: AuditContext<'_>, user: Option<&str>, reason: Reason) {
    audit!(info, "refused", at, user, reason = reason.as_str());
}

/// A session got new tokens.
pub fn renewed(at: AuditContext<'_>, user: &str) {
    audit!(info, "renewed", at, user);
}

/// The provider would not renew a session, or did not answer.
pub fn renewal_refused(at: AuditContext<'_>, user: &str, reason: Reason) {
    audit!(info, "renewal_refused", at, user, reason = reason.as_str());
}

/// Somebody signed out; `user` where the credentials still told who.
pub fn signed_out(at: AuditContext<'_>, user: Option<&str>) {
    audit!(info, "signed_out", at, user);
}

/// A session's tokens are refused from now on.
pub fn revoked(at: AuditContext<'_>, user: Option<&str>) {
    audit!(info, "revoked", at, user);
}

/// The provider was told to end a refresh token; anything but `ok` means it may still be good
/// there.
pub fn revoked_at_provider(provider: &str, user: &str, result: CallResult) {
    let result_word = result.as_str();
    match result {
        CallResult::Ok => {
            tracing::info!(target: "audit", event = "revoked_at_provider", provider, user, result = result_word);
        }
        CallResult::Refused | CallResult::Unavailable | CallResult::Misconfigured => {
            tracing::warn!(target: "audit", event = "revoked_at_provider", provider, user, result = result_word);
        }
    }
}

/// A new configuration is in force.
pub fn reloaded() {
    tracing::info!(target: "audit", event = "reloaded");
}

/// A new configuration was refused for so many problems; the old one stays.
pub fn reload_refused(problems: usize) {
    tracing::warn!(target: "audit", event = "reload_refused", problems);
}

/// The store failed. `cause` is the program's own words, never what a client sent.
pub fn store_failed(cause: &str) {
    tracing::error!(target: "audit", event = "store_failed", cause);
}
