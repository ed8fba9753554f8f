//! Tokens that the provider has issued at a refresh: checked, and issued to the client.

use std::sync::Arc;

use crate::model::credential::CredentialKind;
use crate::model::reason::Reason;
use crate::model::refresh_ticket::RefreshTicket;
use crate::model::token::{CompletedRefresh, Principal, RevocationKey, TokenPair};
use crate::runtime::revocation::{Revocation, revoked_until};
use crate::runtime::sessions::Sessions;
use crate::runtime::tokens::issue::NewTokens;
use crate::system::Clock;
use crate::telemetry::audit;

use super::new_token::{NewPair, NewTokenError, verify_new_token};
use super::outcome::{RefreshOutcome, RefreshSource};
use super::stored_outcome::StoredOutcome;
use super::task::RefreshTask;

/// Issues the provider's tokens to clients.
pub(in crate::runtime) struct PairIssuer {
    pub clock: Clock,
    pub sessions: Arc<Sessions>,
    pub revocation: Arc<Revocation>,
}

/// The outcome of a refresh, and what the store keeps of it.
pub(super) struct Settled {
    pub outcome: RefreshOutcome,
    pub stored: StoredOutcome,
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
    ticket: RefreshTicket,
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
    ) -> Result<Settled, PairError> {
        let now = self.clock.now();
        let refresh = pair.refresh.as_ref().unwrap_or(&task.ticket.refresh);
        let ticket = RefreshTicket {
            refresh: refresh.clone(),
            session_hash: None,
            id_token: pair
                .id_token
                .clone()
                .or_else(|| task.ticket.id_token.clone()),
            ..task.ticket.clone()
        };
        // A sign-out in the meantime wins, and what the provider has just issued is ended too.
        let site_runtime = &task.site_runtime;
        if self
            .revocation
            .is_ticket_revoked(site_runtime, &ticket, now)
        {
            self.revoke_at_provider(task, &ticket).await;
            return Ok(Settled::refused(Reason::Revoked));
        }
        let new = NewPair {
            pair,
            kind: task.kind,
            last_id_token: task.ticket.id_token.as_ref(),
        };
        match verify_new_token(site_runtime, new, &task.ticket, now).await {
            Ok(new) => {
                let accepted = Accepted {
                    pair,
                    ticket: RefreshTicket {
                        registered: new.registered || ticket.registered,
                        ..ticket
                    },
                    principal: new.principal,
                    source,
                };
                self.issue(task, accepted).await
            }
            Err(NewTokenError::Unchecked(reason)) => Err(PairError::Unchecked(reason)),
            Err(NewTokenError::UnknownKey) => Err(PairError::UnknownKey),
            Err(NewTokenError::Unusable(reason)) => Err(PairError::Unusable(reason)),
            Err(NewTokenError::NotThisUser) => Ok(Settled::refused(Reason::SignedOut)),
            Err(NewTokenError::NotRegistered) => {
                self.revoke_unregistered(task, ticket).await;
                Ok(Settled::refused(Reason::SignedOut))
            }
        }
    }

    /// Revokes the sign-in of a user who may not sign in any more: the access token that it has is
    /// valid for a while yet.
    async fn revoke_unregistered(&self, task: &RefreshTask, ticket: RefreshTicket) {
        let provider = &task.site_runtime.provider;
        let key = RevocationKey(ticket.revocation_key.clone());
        let now = self.clock.now();
        let until = revoked_until(&task.site_runtime, now, ticket.access_tokens_end(now));
        self.revocation.revoke(provider, &key, until).await;
        audit::revoked(task.audit_context(), Some(&ticket.sub));
        self.revoke_at_provider(task, &ticket).await;
    }

    async fn revoke_at_provider(&self, task: &RefreshTask, ticket: &RefreshTicket) {
        self.revocation
            .revoke_at_provider(&task.site_runtime.provider, &ticket.refresh, &ticket.sub)
            .await;
    }

    async fn issue(&self, task: &RefreshTask, new: Accepted<'_>) -> Result<Settled, PairError> {
        let Accepted {
            pair,
            ticket,
            principal,
            source,
        } = new;
        let mut pair = pair.clone();
        if task.kind == CredentialKind::Bearer
            && pair.refresh.as_ref() == Some(&task.ticket.refresh)
        {
            // A client that stores its tokens itself is told only what changed.
            pair.refresh = None;
        }
        let tokens = NewTokens {
            kind: task.kind,
            pair: &pair,
            ticket: &ticket,
            principal: &principal,
            now: self.clock.now(),
        };
        let tokens = match self.sessions.issue(&task.site_runtime, tokens).await {
            Ok(tokens) => tokens,
            Err(reason @ Reason::TokensTooLarge) => return Err(PairError::Unusable(reason)),
            Err(reason) => return Err(PairError::Unchecked(reason)),
        };
        // Also where the request presented the id of another session, or none.
        if let Some(hash) = &task.ticket.session_hash {
            self.sessions.end_by_hash(hash).await;
        }
        let access: Arc<str> = Arc::from(pair.access.expose());
        let stored = StoredOutcome::issued(&tokens, &access);
        let renewed = CompletedRefresh {
            tokens,
            principal,
            access,
        };
        let outcome = RefreshOutcome::Renewed {
            renewed,
            ticket: Box::new(ticket),
            source,
        };
        Ok(Settled { outcome, stored })
    }
}

impl Settled {
    /// A refusal, which is stored.
    pub fn refused(reason: Reason) -> Self {
        Self {
            outcome: RefreshOutcome::Refused(reason),
            stored: StoredOutcome::refused(reason),
        }
    }
}
