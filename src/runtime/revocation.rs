//! Revocation of sign-ins: refused here at once, and ended at the provider as soon as it answers.

use std::sync::Arc;
use std::time::Duration;

use crate::model::credential::CredentialKind;
use crate::model::reason::Reason;
use crate::model::refresh_ticket::RefreshTicket;
use crate::model::sealing_keys::SealingKeys;
use crate::model::secret::Secret;
use crate::model::timestamp::Timestamp;
use crate::model::token::RevocationKey;
use crate::store::RevocationStore;
use crate::system::Clock;
use crate::telemetry::audit;
use crate::telemetry::labels::SignOutCause;

use super::provider_client::ProviderClient;
use super::request_context::RequestContext;
use super::revocation_queue::RevocationQueue;
use super::saved_state::SavedState;
use super::site::SiteRuntime;

/// The sign-ins that were revoked.
pub struct Revocation {
    pub(super) store: Arc<dyn RevocationStore>,
    pub(super) queue: Arc<RevocationQueue>,
    pub(super) saved_state: Arc<SavedState>,
    pub(super) sealing: Arc<SealingKeys>,
    pub(super) clock: Clock,
}

impl Revocation {
    /// Whether the sign-in `key` at `provider` was revoked by `now`.
    pub(super) fn is_revoked(
        &self,
        provider: &ProviderClient,
        key: &RevocationKey,
        now: Timestamp,
    ) -> bool {
        self.store.is_revoked(provider.realm(), key, now)
    }

    /// Whether the sign-in that a refresh token belongs to was revoked by `now`.
    pub(super) fn is_ticket_revoked(
        &self,
        provider: &ProviderClient,
        ticket: &RefreshTicket,
        now: Timestamp,
    ) -> bool {
        self.is_revoked(provider, &RevocationKey(ticket.revocation_key.clone()), now)
    }

    /// Whether the sign-in `key` was revoked by now, by a reading of the clock of its own: for
    /// whoever has waited since the request arrived.
    #[must_use]
    pub fn is_revoked_by_now(&self, site_runtime: &SiteRuntime, key: &RevocationKey) -> bool {
        self.is_revoked(&site_runtime.provider, key, self.clock.now())
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
    pub async fn revoke_reused(&self, context: RequestContext<'_>, ticket: &RefreshTicket) {
        let RequestContext {
            site_runtime, now, ..
        } = context;
        let key = RevocationKey(ticket.revocation_key.clone());
        let until = revoked_until(site_runtime, now, ticket.access_tokens_end(now));
        self.revoke(&site_runtime.provider, &key, until).await;
        let metrics = &site_runtime.metrics;
        metrics.unexpected_sign_out(SignOutCause::Replayed);
        let context = context.audit_context().of_sign_in(&ticket.revocation_key);
        audit::revoked(context, Some(&ticket.sub));
        audit::renewal_refused(context, &ticket.sub, Reason::Revoked);
    }
}

/// Until when a sign-in is revoked whose access tokens have all expired at `tokens_end`: until none
/// is accepted any more, and at least as long as its cookies and its session may be kept.
pub(super) fn revoked_until(
    site_runtime: &SiteRuntime,
    now: Timestamp,
    tokens_end: Timestamp,
) -> Timestamp {
    let accepted_until = tokens_end.plus(site_runtime.provider.settings.leeway);
    let site = &site_runtime.site;
    let session = match site.credential {
        CredentialKind::Session => site.session_lifetime.absolute,
        CredentialKind::Jwt | CredentialKind::Bearer => Duration::ZERO,
    };
    now.plus(site.cookie_max_age.max(session))
        .max(accepted_until)
}
