//! Ending: here at once, at the provider as soon as it answers (`docs/reference/sign-out.md`).

use std::sync::Arc;
use std::time::Duration;

use crate::model::credential::{CredentialKind, PresentedCredential};
use crate::model::secret::Secret;
use crate::model::timestamp::Timestamp;
use crate::model::token::RevocationKey;
use crate::provider::ProviderError;
use crate::system;
use crate::telemetry::audit;
use crate::telemetry::labels::CallResult;

use super::provider_client::{Unverified, result_of};
use super::{RequestContext, Runtime, SiteRuntime};

/// How long the provider is asked again.
const RETRY_FOR: Duration = Duration::from_secs(5 * 60);
/// Between the first and the second try; doubled up to half a minute.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How many renewals of the last minute are followed to the token that is good now.
const MOST_SUCCESSORS: usize = 16;

impl Runtime {
    /// Ends the sign-in that these belong to. What does not hold ends nothing: a made-up token must
    /// not sign somebody else out.
    pub async fn sign_out(
        self: &Arc<Self>,
        context: RequestContext<'_>,
        ending: PresentedCredential<'_>,
    ) {
        let RequestContext {
            site_runtime, now, ..
        } = context;
        let site = &site_runtime.site;
        let by_proof = match (ending.kind, ending.proof) {
            (CredentialKind::Session, Some(id)) => self.end_by_session(context, id).await,
            (CredentialKind::Jwt | CredentialKind::Bearer, Some(token)) => {
                self.end_by_token(context, token).await
            }
            (_, None) => None,
        };
        let ticket = ending
            .refresh
            .and_then(|sealed| self.sealing.open(&site.name, ending.kind, sealed));
        let user = match (by_proof, ticket) {
            (by_proof, Some(ticket)) => {
                self.revoke_here(
                    site_runtime,
                    &RevocationKey(ticket.session.clone()),
                    now.plus(site.cookie_max_age),
                )
                .await;
                let user = by_proof.map_or_else(|| ticket.sub.clone(), |ended| ended.user);
                // Another tab may have had it renewed a moment ago: then the newer one is what
                // still lives there.
                let mut newest = ticket;
                for _ in 0..MOST_SUCCESSORS {
                    let Some(next) = self.successor(site_runtime, ending.kind, &newest).await
                    else {
                        break;
                    };
                    newest = next;
                }
                revoke_at_provider(site_runtime, newest.refresh, newest.sub);
                Some(user)
            }
            (
                Some(Ended {
                    user,
                    refresh: Some(refresh),
                }),
                None,
            ) => {
                revoke_at_provider(site_runtime, refresh, user.clone());
                Some(user)
            }
            (by_proof, None) => by_proof.map(|ended| ended.user),
        };
        audit::signed_out(context.audit_context(), user.as_deref());
    }

    async fn end_by_token(&self, context: RequestContext<'_>, token: &str) -> Option<Ended> {
        let RequestContext {
            site_runtime, now, ..
        } = context;
        let claims = match site_runtime
            .provider
            .verify(token, &site_runtime.site.application_id, now)
            .await
        {
            Ok(verified) => verified.claims,
            Err(Unverified::Expired(claims)) => *claims,
            Err(Unverified::Invalid | Unverified::NoKeys) => return None,
        };
        // Renewed tokens of the same sign-in may live longer than this one, and this one longer
        // than cookies.
        let accepted = claims.expires.plus(site_runtime.provider.settings.leeway);
        self.revoke_here(
            site_runtime,
            &claims.session,
            now.plus(site_runtime.site.cookie_max_age).max(accepted),
        )
        .await;
        let user = claims
            .claims
            .get("sub")
            .and_then(|sub| sub.as_str())
            .map(str::to_owned)?;
        Some(Ended {
            user,
            refresh: None,
        })
    }

    async fn end_by_session(&self, context: RequestContext<'_>, id: &str) -> Option<Ended> {
        let RequestContext {
            site_runtime, now, ..
        } = context;
        let ended = self.session_to_end(context, id).await?;
        self.revoke_here(
            site_runtime,
            &ended.session,
            now.plus(site_runtime.site.cookie_max_age),
        )
        .await;
        self.end_session(id).await;
        Some(Ended {
            user: ended.sub.unwrap_or_default(),
            refresh: ended.refresh,
        })
    }

    /// Refuses everything of this sign-in from now on, and closes its open streams.
    pub(super) async fn revoke_here(
        &self,
        site_runtime: &SiteRuntime,
        session: &RevocationKey,
        until: Timestamp,
    ) {
        let now = self.clock().now();
        if let Err(error) = self
            .shared
            .stores
            .revocations
            .revoke(site_runtime.provider.realm(), session, until, now)
            .await
        {
            audit::store_failed(&error.0);
        }
        for site in &self.sites {
            if site.provider.realm() == site_runtime.provider.realm() {
                site.streams.end(session);
            }
        }
    }
}

/// What one proof stood for.
struct Ended {
    user: String,
    /// Where the proof leads to the refresh token.
    refresh: Option<Secret>,
}

/// Tells the provider, as often as it takes within five minutes.
pub(super) fn revoke_at_provider(site_runtime: &Arc<SiteRuntime>, refresh: Secret, user: String) {
    let site_runtime = Arc::clone(site_runtime);
    drop(system::detach(async move {
        let provider = &site_runtime.provider;
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
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }));
}
