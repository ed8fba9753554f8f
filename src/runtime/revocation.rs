//! Revocation of sign-ins: refused here at once, and ended at the provider as soon as it answers.
//!
//! A sign-in is revoked by itself, or with everything that was issued to its user, to its
//! application or by its provider up to a time. `iat` has whole seconds: of a token from the very
//! second of that time nobody can tell on which side it is. It counts as expired, so that its
//! refresh token decides, which knows more ([`RefreshTokenEnvelope::was_issued_by`]).

use std::sync::Arc;
use std::time::Duration;

use crate::model::credential::CredentialKind;
use crate::model::known_device::TrustGiven;
use crate::model::reason::Reason;
use crate::model::refresh_token_envelope::RefreshTokenEnvelope;
use crate::model::sealing_keys::SealingKeys;
use crate::model::secret::Secret;
use crate::model::site::Site;
use crate::model::timestamp::Timestamp;
use crate::model::token::{Principal, RevocationKey, TokenError};
use crate::store::{self, RevocationId, RevocationStore};
use crate::system::Clock;
use crate::telemetry::audit;
use crate::telemetry::labels::SignOutCause;

use super::provider_client::ProviderClient;
use super::request_context::RequestContext;
use super::revocation_ids::{RevocationIds, groups};
use super::revocation_queue::RevocationQueue;
use super::saved_state::SavedState;
use super::site::SiteRuntime;

/// How long a revocation is kept at least, tokens that were not issued, and the memory of a used
/// token. The gateway does not know how long a refresh token lives, and the cookie of a browser session
/// may outlive `cookies.max_age`.
pub(super) const MIN_KEPT_FOR: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// What was revoked is not where a restart would find it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotStoredError;

impl std::fmt::Display for NotStoredError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("the revocation is not stored")
    }
}

impl std::error::Error for NotStoredError {}

/// The sign-ins that were revoked.
pub struct Revocation {
    pub(super) store: Arc<dyn RevocationStore>,
    pub(super) queue: Arc<RevocationQueue>,
    pub(super) saved_state: Arc<SavedState>,
    pub(super) sealing: Arc<SealingKeys>,
    pub(super) clock: Clock,
}

impl Revocation {
    /// Whether a token is revoked at `now`.
    ///
    /// # Errors
    /// `revoked`; or `expired` where nobody can tell whether it was issued before or after a
    /// revocation.
    pub(super) fn check(&self, ids: &RevocationIds, now: Timestamp) -> Result<(), TokenError> {
        // Read first: what is revoked during the check is found by the next one.
        let generation = self.store.generation();
        if ids.passed_at(generation) {
            return Ok(());
        }
        let own = std::iter::once(ids.sign_in).chain(ids.credential);
        if own
            .into_iter()
            .any(|id| self.store.issued_by(id, now).is_some())
        {
            return Err(TokenError::Revoked);
        }
        let groups = ids.groups.iter();
        let revoked_by = groups
            .filter_map(|group| self.store.issued_by(*group, now))
            .max();
        if let Some(event) = revoked_by {
            check_issued(ids.issued, event)?;
        }
        ids.set_passed_at(generation);
        Ok(())
    }

    /// Whether the sign-in `key` at `provider` was revoked by `now`.
    pub(super) fn is_revoked(
        &self,
        provider: &ProviderClient,
        key: &RevocationKey,
        now: Timestamp,
    ) -> bool {
        self.store.is_revoked(provider.realm(), key, now)
    }

    /// Whether the sign-in that a refresh token of the site belongs to was revoked by `now`.
    pub(super) fn is_envelope_revoked(
        &self,
        site_runtime: &SiteRuntime,
        envelope: &RefreshTokenEnvelope,
        now: Timestamp,
    ) -> bool {
        let provider = &site_runtime.provider;
        let key = RevocationKey(envelope.revocation_key.clone());
        if self.is_revoked(provider, &key, now) {
            return true;
        }
        self.events(site_runtime, &envelope.sub, now)
            .any(|event| envelope.was_issued_by(event))
    }

    /// Whether the trust of a user in a device was given before everything of the user was revoked.
    pub(super) fn is_trust_revoked(&self, site_runtime: &SiteRuntime, given: &TrustGiven) -> bool {
        self.events(site_runtime, &given.user, self.clock.now())
            .any(|event| given.at <= event)
    }

    /// The times up to which what was issued to a user for the site is revoked at `now`.
    fn events(
        &self,
        site_runtime: &SiteRuntime,
        user: &str,
        now: Timestamp,
    ) -> impl Iterator<Item = Timestamp> {
        let (realm, application) = (
            site_runtime.provider.realm(),
            &site_runtime.site.application_id,
        );
        let groups = groups(realm, application, user).into_iter();
        groups.filter_map(move |group| self.store.issued_by(group, now))
    }

    /// Whether the token of `principal` at a site is revoked by now, by a reading of the clock of
    /// its own: for whoever has waited since the request arrived.
    #[must_use]
    pub fn is_revoked_by_now(&self, site_runtime: &SiteRuntime, principal: &Principal) -> bool {
        let ids = site_runtime.revocation_ids(principal);
        self.check(&ids, self.clock.now()).is_err()
    }

    /// Refuses every token and session of the sign-in `key` until `until`, at every site of
    /// `provider`. Its open streams close: [`OpenStreams`](super::streams::OpenStreams) listens to
    /// the store.
    pub(super) async fn revoke(
        &self,
        provider: &ProviderClient,
        key: &RevocationKey,
        until: Timestamp,
    ) {
        let (realm, now) = (provider.realm(), self.clock.now());
        if let Err(error) = self.store.revoke(realm, key, until, now).await {
            audit::store_failed(&error.0);
            self.saved_state.server_failed();
        } else {
            self.saved_state.changed();
        }
    }

    /// Adds revocations, and returns once they are where a restart does not lose them.
    ///
    /// # Errors
    /// They are not there yet. The tokens are refused all the same.
    pub(super) async fn revoke_all(
        &self,
        revocations: &[store::Revocation],
        now: Timestamp,
    ) -> Result<(), NotStoredError> {
        if let Err(error) = self.store.revoke_all(revocations, now).await {
            audit::store_failed(&error.0);
            self.saved_state.server_failed();
            return Err(NotStoredError);
        }
        self.saved_state.saved().await.map_err(|()| NotStoredError)
    }

    /// Whether a message that counts once was received by `now`.
    pub(super) fn is_used(&self, message: RevocationId, now: Timestamp) -> bool {
        self.store.issued_by(message, now).is_some()
    }

    /// Marks a message as received. Returns whether it is the first time.
    ///
    /// # Errors
    /// It is not stored.
    pub(super) async fn mark_used(
        &self,
        message: RevocationId,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<bool, NotStoredError> {
        let marked = self.store.mark_used(message, until, now).await;
        self.saved_state.changed();
        marked.map_err(|error| {
            audit::store_failed(&error.0);
            NotStoredError
        })
    }

    /// Has the provider told, in the background, to revoke a refresh token.
    pub(super) async fn revoke_at_provider(
        &self,
        provider: &ProviderClient,
        refresh: &Secret,
        user: &str,
    ) {
        self.queue
            .push(&self.sealing, provider, refresh, user)
            .await;
    }

    /// Revokes the sign-in of a refresh token that was presented again after it had been exchanged
    /// for another: somebody has a copy of it (RFC 9700, section 4.14.2).
    pub async fn revoke_reused(
        &self,
        context: RequestContext<'_>,
        envelope: &RefreshTokenEnvelope,
    ) {
        let RequestContext {
            site_runtime, now, ..
        } = context;
        let key = RevocationKey(envelope.revocation_key.clone());
        let until = revoked_until(site_runtime, now, envelope.access_tokens_end(now));
        self.revoke(&site_runtime.provider, &key, until).await;
        let metrics = &site_runtime.metrics;
        metrics.unexpected_sign_out(SignOutCause::Replayed);
        let context = context.audit_context().of_sign_in(&envelope.revocation_key);
        audit::revoked(context, Some(&envelope.sub));
        audit::renewal_refused(context, &envelope.sub, Reason::Revoked);
    }
}

/// Whether a token that was issued at `issued`, in whole seconds as a rule, is revoked by an event
/// that ended what was issued by then.
fn check_issued(issued: Option<Timestamp>, event: Timestamp) -> Result<(), TokenError> {
    match issued {
        Some(issued) if issued > event => Ok(()),
        Some(issued) if issued.secs() == event.secs() && is_whole(issued) => {
            Err(TokenError::Expired)
        }
        Some(_) => Err(TokenError::Revoked),
        None => Err(TokenError::Expired),
    }
}

const fn is_whole(issued: Timestamp) -> bool {
    issued.millis().is_multiple_of(1000)
}

/// Until when a sign-in is revoked whose access tokens have all expired at `tokens_end`: until none
/// is accepted any more, and at least as long as its cookies and its session may be kept.
pub(super) fn revoked_until(
    site_runtime: &SiteRuntime,
    now: Timestamp,
    tokens_end: Timestamp,
) -> Timestamp {
    let accepted_until = tokens_end.plus(site_runtime.provider.settings.leeway);
    now.plus(kept_for(&site_runtime.site)).max(accepted_until)
}

/// How long the revocation of a sign-in is kept: as long as its cookies and its session, at least.
pub(super) fn kept_for(site: &Site) -> Duration {
    let session = match site.credential {
        CredentialKind::Session => site.session_lifetime.absolute,
        CredentialKind::Jwt | CredentialKind::Bearer => Duration::ZERO,
    };
    site.cookie_max_age.max(session).max(MIN_KEPT_FOR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_revoked_by_what_came_after_it() {
        let event = Timestamp::from_millis(5_500);
        let check = |millis| check_issued(Some(Timestamp::from_millis(millis)), event);
        let revoked = Err(TokenError::Revoked);
        assert_eq!(
            (check(0), check(4_000), check(4_999)),
            (revoked, revoked, revoked)
        );
        assert_eq!(check(5_000), Err(TokenError::Expired), "before or after");
        // With a fraction it says more.
        assert_eq!((check(5_499), check(5_500)), (revoked, revoked));
        assert_eq!(
            (check(5_501), check(6_000), check(9_000)),
            (Ok(()), Ok(()), Ok(()))
        );
        assert_eq!(check_issued(None, event), Err(TokenError::Expired));
    }
}
