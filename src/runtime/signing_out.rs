//! Ending: here at once, at the provider as soon as it answers (contract, section 9).

use std::sync::Arc;
use std::time::Duration;

use crate::model::moment::Moment;
use crate::model::secret::Secret;
use crate::model::token::SessionKey;
use crate::provider::ProviderError;
use crate::system;
use crate::telemetry::audit;
use crate::telemetry::labels::CallResult;

use super::vouching::{Unverified, result_of};
use super::{Caller, Guarded, Runtime};

/// How long the provider is asked again.
const RETRY_FOR: Duration = Duration::from_secs(5 * 60);
/// Between the first and the second try; doubled up to half a minute.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How many renewals of the last minute are followed to the token that is good now.
const MOST_SUCCESSORS: usize = 16;

impl Runtime {
    /// Ends the sign-in that these belong to. What does not hold ends nothing: a made-up token must not sign
    /// somebody else out.
    pub async fn sign_out(self: &Arc<Self>, caller: Caller<'_>, access: Option<&str>, refresh: Option<&str>) {
        let Caller { guarded, now, .. } = caller;
        let site = &guarded.site;
        let mut user = None;
        if let Some(token) = access {
            let claims = match guarded.provider.verify(token, &site.application_id, now).await {
                Ok(verified) => Some(verified.claims),
                Err(Unverified::Expired(claims)) => Some(*claims),
                Err(Unverified::Invalid | Unverified::NoKeys) => None,
            };
            if let Some(claims) = claims {
                user = claims.claims.get("sub").and_then(|sub| sub.as_str()).map(str::to_owned);
                // Renewed tokens of the same sign-in may live longer than this one, and this one longer than cookies.
                let accepted = claims.expires.plus(guarded.provider.settings.leeway);
                self.revoke_here(guarded, &claims.session, now.plus(site.cookie_max_age).max(accepted)).await;
            }
        }
        if let Some(ticket) = refresh.and_then(|sealed| self.sealing.open(&site.name, site.credential, sealed)) {
            self.revoke_here(guarded, &SessionKey(ticket.session.clone()), now.plus(site.cookie_max_age)).await;
            user.get_or_insert_with(|| ticket.sub.clone());
            // Another tab may have had it renewed a moment ago: then the newer one is what still lives there.
            let scope = guarded.renewal_scope();
            let mut newest = ticket.refresh;
            for _ in 0..MOST_SUCCESSORS {
                let Some(next) = self.shared.renewals.successor(&scope, &newest) else { break };
                newest = next.refresh;
            }
            revoke_at_provider(guarded, newest, ticket.sub);
        }
        audit::signed_out(caller.occasion(), user.as_deref());
    }

    /// Refuses everything of this sign-in from now on, and closes its open streams.
    pub(super) async fn revoke_here(&self, guarded: &Guarded, session: &SessionKey, until: Moment) {
        let now = self.clock().now();
        if let Err(error) = self.shared.store.revoke(guarded.provider.realm(), session, until, now).await {
            audit::store_failed(&error.0);
        }
        for site in &self.sites {
            if site.provider.realm() == guarded.provider.realm() {
                site.streams.end(session);
            }
        }
    }
}

/// Tells the provider, as often as it takes within five minutes.
pub(super) fn revoke_at_provider(guarded: &Arc<Guarded>, refresh: Secret, user: String) {
    let guarded = Arc::clone(guarded);
    drop(system::detach(async move {
        let provider = &guarded.provider;
        let watch = system::stopwatch();
        let mut pause = FIRST_PAUSE;
        loop {
            let result = provider.revoke(&refresh).await;
            let label = result.as_ref().map_or_else(result_of, |()| CallResult::Ok);
            let again = matches!(result, Err(ProviderError::Unavailable(_))) && watch.elapsed() + pause < RETRY_FOR;
            if !again {
                audit::revoked_at_provider(&provider.name, &user, label);
                return;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }));
}
