//! Sign-outs: refused here at once, and ended at the provider as soon as it answers
//! (`docs/reference/sign-out.md`).

use std::sync::Arc;

use crate::model::credential::{CredentialKind, PresentedCredential};
use crate::model::redirect_result::ProviderAddress;
use crate::model::refresh_token_envelope::RefreshTokenEnvelope;
use crate::model::sealing_keys::SealingKeys;
use crate::model::secret::Secret;
use crate::model::timestamp::Timestamp;
use crate::model::token::RevocationKey;
use crate::provider::EndSessionRequest;
use crate::provider::verify::token_key;
use crate::telemetry::audit;

use super::refresh::Refresh;
use super::request_context::RequestContext;
use super::revocation::{Revocation, revoked_until};
use super::sessions::{Revocable, Sessions};
use super::token_check::VerifyTokenError;
use super::unchecked_logouts::UncheckedLogouts;

/// How many refreshes are followed to the refresh token that is valid now.
const MAX_SUCCESSORS: usize = 16;

/// Signs people out.
pub struct Logout {
    sealing: Arc<SealingKeys>,
    sessions: Arc<Sessions>,
    refresh: Arc<Refresh>,
    revocation: Arc<Revocation>,
    unchecked: UncheckedLogouts,
}

/// The sign-in that one credential belongs to.
struct EndedLogin {
    user: String,
    key: RevocationKey,
    /// The refresh token, where the credential leads to it.
    refresh: Option<Secret>,
}

impl Logout {
    /// Opens refresh tokens with `sealing`, and ends what they and sessions lead to.
    pub(super) fn new(
        sealing: &Arc<SealingKeys>,
        sessions: &Arc<Sessions>,
        refresh: &Arc<Refresh>,
        revocation: &Arc<Revocation>,
    ) -> Self {
        Self {
            sealing: Arc::clone(sealing),
            sessions: Arc::clone(sessions),
            refresh: Arc::clone(refresh),
            revocation: Arc::clone(revocation),
            unchecked: UncheckedLogouts::default(),
        }
    }

    /// Ends the sign-in that the presented tokens belong to. A token that does not verify or open
    /// ends nothing, or anybody could sign others out with tokens that they made up.
    ///
    /// Returns where the browser is sent to sign out at the provider too, where people sign in
    /// there.
    pub async fn run(
        &self,
        context: RequestContext<'_>,
        presented: PresentedCredential<'_>,
    ) -> Option<ProviderAddress> {
        let (kind, site_runtime) = (presented.kind, context.site_runtime);
        let by_credential = match (kind, presented.token) {
            (CredentialKind::Session, Some(id)) => self.by_session(context, id).await,
            (CredentialKind::Jwt | CredentialKind::Bearer, Some(token)) => {
                self.by_token(context, token).await
            }
            (_, None) => None,
        };
        let envelope = presented.refresh.and_then(|sealed| {
            RefreshTokenEnvelope::open(&self.sealing, &site_runtime.site.name, kind, sealed)
        });
        let id_token = envelope
            .as_ref()
            .and_then(|envelope| envelope.id_token.clone());
        let mut at = context.audit_context();
        let user = match (by_credential, envelope) {
            (by_credential, Some(envelope)) => {
                let sub = envelope.sub.clone();
                at = at.of_sign_in(&envelope.revocation_key);
                self.by_envelope(context, kind, envelope).await;
                Some(by_credential.map_or(sub, |ended| ended.user))
            }
            (Some(EndedLogin { user, key, refresh }), None) => {
                at = at.of_sign_in(&key.0);
                if let Some(refresh) = refresh {
                    self.revocation
                        .revoke_at_provider(&site_runtime.provider, &refresh, &user)
                        .await;
                }
                Some(user)
            }
            (None, None) => None,
        };
        audit::signed_out(at, user.as_deref());
        let site = &site_runtime.site;
        site_runtime
            .provider
            .end_session_address(EndSessionRequest {
                id_token: id_token.as_ref(),
                return_uri: &format!("{}{}", context.origin(), site.after_logout),
            })
    }

    async fn by_token(&self, context: RequestContext<'_>, token: &str) -> Option<EndedLogin> {
        let RequestContext {
            site_runtime, now, ..
        } = context;
        let provider = &site_runtime.provider;
        let claims = match provider
            .verify(token, &site_runtime.site.application_id, now)
            .await
        {
            Ok(verified) => verified.claims,
            Err(VerifyTokenError::Expired(claims) | VerifyTokenError::NotYetValid(claims)) => {
                *claims
            }
            Err(
                VerifyTokenError::Invalid
                | VerifyTokenError::NotForUs
                | VerifyTokenError::TooLarge
                | VerifyTokenError::UnknownKey,
            ) => return None,
            Err(VerifyTokenError::KeyNotLookedUp | VerifyTokenError::NoKeys) => {
                self.revoke_unchecked(context, &token_key(token)).await;
                return None;
            }
        };
        // A token that was issued by now in the place of this one lives as long as this one.
        let lifetime = claims.issued.unwrap_or(now).until(claims.expires);
        let tokens_end = claims.expires.max(now.plus(lifetime));
        self.revoke(context, &claims.session, tokens_end).await;
        let user = claims.claims.get("sub")?.as_str()?.to_owned();
        Some(EndedLogin {
            user,
            key: claims.session,
            refresh: None,
        })
    }

    async fn by_session(&self, context: RequestContext<'_>, id: &str) -> Option<EndedLogin> {
        let revocable = self.sessions.revocable(context, id).await;
        // Also where its record does not open here: another version may open it.
        self.sessions.end(id).await;
        let ended = match revocable {
            Revocable::Session(ended) => ended,
            Revocable::Nothing => return None,
            Revocable::Unread(key) => {
                self.revoke_unchecked(context, &key).await;
                return None;
            }
        };
        self.revoke(context, &ended.key, ended.access_expires).await;
        Some(EndedLogin {
            user: ended.sub.unwrap_or_default(),
            key: ended.key,
            refresh: ended.refresh,
        })
    }

    async fn by_envelope(
        &self,
        context: RequestContext<'_>,
        kind: CredentialKind,
        envelope: RefreshTokenEnvelope,
    ) {
        let site_runtime = context.site_runtime;
        let tokens_end = envelope.access_tokens_end(context.now);
        let key = RevocationKey(envelope.revocation_key.clone());
        self.revoke(context, &key, tokens_end).await;
        // Another tab may have refreshed a moment ago: the newest refresh token is the one that is
        // valid at the provider.
        let mut newest = envelope;
        for _ in 0..MAX_SUCCESSORS {
            let next = self.refresh.successor(site_runtime, kind, &newest).await;
            let Some(next) = next else { break };
            newest = next;
        }
        self.revocation
            .revoke_at_provider(&site_runtime.provider, &newest.refresh, &newest.sub)
            .await;
    }

    /// Refuses a credential that nobody can check now, whatever it turns out to be: the keys of the
    /// provider or the store are out of reach. Only who holds it can name it, so nobody else is
    /// signed out.
    async fn revoke_unchecked(&self, context: RequestContext<'_>, key: &RevocationKey) {
        if self.unchecked.take(context.now) {
            self.revoke(context, key, context.now).await;
        } else {
            tracing::error!(
                site = context.site_runtime.site.name,
                "too many sign-outs could not be checked: one was not carried out"
            );
        }
    }

    async fn revoke(
        &self,
        context: RequestContext<'_>,
        key: &RevocationKey,
        tokens_end: Timestamp,
    ) {
        let until = revoked_until(context.site_runtime, context.now, tokens_end);
        self.revocation
            .revoke(&context.site_runtime.provider, key, until)
            .await;
    }
}
