//! Tokens that the provider has issued at a refresh: checked, and issued to the client.

use std::sync::Arc;

use crate::model::credential::CredentialKind;
use crate::model::reason::Reason;
use crate::model::refresh_token_envelope::RefreshTokenEnvelope;
use crate::model::token::{CompletedRefresh, Principal, RevocationKey, TokenPair};
use crate::runtime::revocation::{Revocation, revoked_until};
use crate::runtime::sessions::Sessions;
use crate::runtime::tokens::issue::NewTokens;
use crate::system::Clock;
use crate::telemetry::audit;

use super::new_token::{NewPair, NewTokenError, verify_new_token};
use super::outcome::{RefreshOutcome, RefreshSource};
use super::task::RefreshTask;

/// Issues the provider's tokens to clients.
pub(in crate::runtime) struct PairIssuer {
    pub clock: Clock,
    pub sessions: Arc<Sessions>,
    pub revocation: Arc<Revocation>,
}

/// Why tokens of the provider were not issued to the client.
#[derive(Clone, Copy)]
pub(super) enum PairError {
    /// They may be issued later.
    Unchecked(Reason),
    /// They may be issued once the provider publishes their key, if it does.
    UnknownKey,
    /// Others are needed.
    Unusable(Reason),
}

impl PairError {
    /// What the client is told.
    pub fn reason(self) -> Reason {
        match self {
            Self::Unchecked(reason) | Self::Unusable(reason) => reason,
            Self::UnknownKey => Reason::ProviderUnavailable,
        }
    }
}

/// Tokens of the provider that passed their checks.
struct Accepted<'a> {
    pair: &'a TokenPair,
    envelope: RefreshTokenEnvelope,
    principal: Arc<Principal>,
    source: RefreshSource,
}

impl PairIssuer {
    /// Checks tokens that the provider gave, and issues them to the client.
    pub(super) async fn accept(
        &self,
        task: &RefreshTask,
        pair: &TokenPair,
        source: RefreshSource,
    ) -> Result<RefreshOutcome, PairError> {
        let now = self.clock.now();
        let refresh = pair.refresh.as_ref().unwrap_or(&task.envelope.refresh);
        let envelope = RefreshTokenEnvelope {
            refresh: refresh.clone(),
            session_hash: None,
            id_token: pair
                .id_token
                .clone()
                .or_else(|| task.envelope.id_token.clone()),
            ..task.envelope.clone()
        };
        // A sign-out in the meantime wins, and what the provider has just issued is ended too.
        let site_runtime = &task.site_runtime;
        if self
            .revocation
            .is_envelope_revoked(site_runtime, &envelope, now)
        {
            self.revoke_at_provider(task, &envelope).await;
            return Ok(RefreshOutcome::Refused(Reason::Revoked));
        }
        let new = NewPair {
            pair,
            kind: task.kind,
            last_id_token: task.envelope.id_token.as_ref(),
        };
        match verify_new_token(site_runtime, new, &task.envelope, now).await {
            Ok(new) => {
                let accepted = Accepted {
                    pair,
                    envelope: RefreshTokenEnvelope {
                        registered: new.registered || envelope.registered,
                        ..envelope
                    },
                    principal: new.principal,
                    source,
                };
                self.issue(task, accepted).await
            }
            Err(NewTokenError::Unchecked(reason)) => Err(PairError::Unchecked(reason)),
            Err(NewTokenError::UnknownKey) => Err(PairError::UnknownKey),
            Err(NewTokenError::Unusable(reason)) => Err(PairError::Unusable(reason)),
            Err(NewTokenError::NotThisUser) => Ok(RefreshOutcome::Refused(Reason::SignedOut)),
            Err(NewTokenError::NotRegistered) => {
                self.revoke_unregistered(task, envelope).await;
                Ok(RefreshOutcome::Refused(Reason::SignedOut))
            }
        }
    }

    /// Revokes the sign-in of a user who may not sign in any more: the access token that it has is
    /// valid for a while yet.
    async fn revoke_unregistered(&self, task: &RefreshTask, envelope: RefreshTokenEnvelope) {
        let provider = &task.site_runtime.provider;
        let key = RevocationKey(envelope.revocation_key.clone());
        let now = self.clock.now();
        let until = revoked_until(&task.site_runtime, now, envelope.access_tokens_end(now));
        self.revocation.revoke(provider, &key, until).await;
        audit::revoked(task.audit_context(), Some(&envelope.sub));
        self.revoke_at_provider(task, &envelope).await;
    }

    async fn revoke_at_provider(&self, task: &RefreshTask, envelope: &RefreshTokenEnvelope) {
        self.revocation
            .revoke_at_provider(
                &task.site_runtime.provider,
                &envelope.refresh,
                &envelope.sub,
            )
            .await;
    }

    async fn issue(
        &self,
        task: &RefreshTask,
        new: Accepted<'_>,
    ) -> Result<RefreshOutcome, PairError> {
        let Accepted {
            pair,
            envelope,
            principal,
            source,
        } = new;
        let mut pair = pair.clone();
        if task.kind == CredentialKind::Bearer
            && pair.refresh.as_ref() == Some(&task.envelope.refresh)
        {
            // A client that stores its tokens itself is told only what changed.
            pair.refresh = None;
        }
        let tokens = NewTokens {
            kind: task.kind,
            pair: &pair,
            envelope: &envelope,
            principal: &principal,
            now: self.clock.now(),
        };
        let tokens = match self.sessions.issue(&task.site_runtime, tokens).await {
            Ok(tokens) => tokens,
            Err(reason @ Reason::TokensTooLarge) => return Err(PairError::Unusable(reason)),
            Err(reason) => return Err(PairError::Unchecked(reason)),
        };
        // Also where the request presented the id of another session, or none.
        if let Some(hash) = &task.envelope.session_hash {
            self.sessions.end_by_hash(hash).await;
        }
        let access: Arc<str> = Arc::from(pair.access.expose());
        let renewed = CompletedRefresh {
            tokens,
            principal,
            access,
        };
        Ok(RefreshOutcome::Renewed {
            renewed,
            envelope: Box::new(envelope),
            source,
        })
    }
}
