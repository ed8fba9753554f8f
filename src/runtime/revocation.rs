//! Revocation of sign-ins: refused here at once, and ended at the provider as soon as it answers.

use std::sync::Arc;
use std::time::Duration;

use crate::model::reason::Reason;
use crate::model::refresh_ticket::RefreshTicket;
use crate::model::secret::Secret;
use crate::model::timestamp::Timestamp;
use crate::model::token::RevocationKey;
use crate::provider::ProviderError;
use crate::store::RevocationStore;
use crate::system::{self, Clock};
use crate::telemetry::audit;
use crate::telemetry::labels::CallResult;

use super::provider_client::{ProviderClient, result_of};
use super::request_context::RequestContext;
use super::site::SiteRuntime;

/// How long the provider is asked again when it does not answer.
const RETRY_FOR: Duration = Duration::from_secs(5 * 60);
/// The pause before the second attempt; each further pause is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause between two attempts.
const MAX_PAUSE: Duration = Duration::from_secs(30);

/// The sign-ins that were revoked.
pub struct Revocation {
    pub(super) store: Arc<dyn RevocationStore>,
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
        }
    }

    /// Revokes the sign-in of a refresh token that was presented again after it had been exchanged
    /// for another: somebody has a copy of it (RFC 9700, section 4.14.2).
    pub async fn revoke_reused(&self, context: RequestContext<'_>, ticket: &RefreshTicket) {
        let RequestContext {
            site_runtime, now, ..
        } = context;
        let key = RevocationKey(ticket.revocation_key.clone());
        let until = revoked_until(context, ticket.access_tokens_end(now));
        self.revoke(&site_runtime.provider, &key, until).await;
        audit::revoked(context.audit_context(), Some(&ticket.sub));
        audit::renewal_refused(context.audit_context(), &ticket.sub, Reason::Revoked);
    }
}

/// Until when a sign-in is revoked whose access tokens have all expired at `tokens_end`: until none
/// is accepted any more, and at least as long as its cookies may be kept.
pub(super) fn revoked_until(context: RequestContext<'_>, tokens_end: Timestamp) -> Timestamp {
    let site_runtime = context.site_runtime;
    let accepted_until = tokens_end.plus(site_runtime.provider.settings.leeway);
    context
        .now
        .plus(site_runtime.site.cookie_max_age)
        .max(accepted_until)
}

/// Ends a refresh token at the provider, in the background. Where the provider does not answer it
/// is asked again for five minutes.
pub(super) fn revoke_at_provider(provider: &Arc<ProviderClient>, refresh: Secret, user: String) {
    let provider = Arc::clone(provider);
    drop(system::detach(async move {
        let watch = system::stopwatch();
        let mut pause = FIRST_PAUSE;
        loop {
            let result = provider.revoke(&refresh).await;
            let label = result.as_ref().map_or_else(result_of, |()| CallResult::Ok);
            let again = matches!(result, Err(ProviderError::Unavailable(_)))
                && watch.elapsed() + pause < RETRY_FOR;
            if !again {
                audit::revoked_at_provider(&provider.name, &user, label);
                return;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(MAX_PAUSE);
        }
    }));
}
