//! One refresh among all replicas: whoever holds the lease on the refresh token calls the provider,
//! all others are given the result.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::model::credential::CredentialKind;
use crate::model::reason::Reason;
use crate::model::refresh_token_envelope::RefreshTokenEnvelope;
use crate::model::sealing_keys::SealingKeys;
use crate::model::secret::Secret;
use crate::model::site::Site;
use crate::model::token::{CompletedRefresh, IssuedTokens, TokenPair};
use crate::provider::ProviderError;
use crate::runtime::revocation::MIN_KEPT_FOR;
use crate::runtime::saved_state::SavedState;
use crate::store::LeaseResult;
use crate::system::Clock;

use super::lock::{Acquire, LeaseGuard, Leases};
use super::new_token::{NewPair, NewToken, NewTokenError, verify_new_token};
use super::outcome::{RefreshOutcome, RefreshSource};
use super::pair_issuer::{PairError, PairIssuer};
use super::store_seal::{KeptPair, StoreSeal};
use super::task::RefreshTask;

/// How long new tokens wait for their key, which the provider may not have published everywhere. A
/// key that is unknown after that was withdrawn.
const KEY_WAIT: Duration = Duration::from_secs(30);
/// How often a lease that somebody else holds is tried again.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);

/// How a task ended: with an outcome, or with the envelope to refresh with next, because the tokens
/// of an earlier refresh have expired by now.
pub(super) type TaskResult = ControlFlow<RefreshOutcome, Box<RefreshTokenEnvelope>>;

/// Runs refreshes.
pub(in crate::runtime) struct RefreshWorker {
    pub clock: Clock,
    pub sealing: Arc<SealingKeys>,
    pub issuer: PairIssuer,
    pub leases: Arc<Leases>,
    pub saved_state: Arc<SavedState>,
    /// How long the result is handed out for the old refresh token.
    pub reuse_window: Duration,
}

impl RefreshWorker {
    /// Refreshes, or takes the result of whoever does or did.
    pub(super) async fn run(&self, task: &RefreshTask) -> TaskResult {
        let deadline = self.clock.monotonic() + task.patience();
        let mut source = RefreshSource::Replayed;
        loop {
            match self.leases.acquire(task.key).await {
                Acquire::Acquired(guard) => return self.lead(task, guard).await,
                Acquire::Completed(sealed) => return self.replay(task, &sealed, source).await,
                Acquire::Reused => {
                    let envelope = Box::new(task.envelope.clone());
                    return ControlFlow::Break(RefreshOutcome::Reused(envelope));
                }
                Acquire::Contended if self.clock.monotonic() > deadline => {
                    return failed(Reason::ProviderUnavailable);
                }
                Acquire::Contended => {
                    source = RefreshSource::Shared;
                    self.leases.wait_for_change(task.key, RETRY_INTERVAL).await;
                }
            }
        }
    }

    /// Refreshes as the holder of the lease, and stores the result for everybody who presents the
    /// old token. Until it is stored the lease is extended: if it expired while the new token is
    /// verified, another replica would present the old token, which is used.
    async fn lead(&self, task: &RefreshTask, guard: LeaseGuard) -> TaskResult {
        if task.kind == CredentialKind::Session && !self.leases.is_distributed(&guard) {
            // The session could not be stored: the provider is not asked for tokens that would be
            // lost.
            self.leases.release(guard).await;
            return failed(Reason::StoreUnavailable);
        }
        let work = self.refresh(task, &guard);
        let result = self.leases.with_heartbeat(&guard, work).await;
        let had_checkpoint = guard.checkpoint().is_some();
        let outcome = match result {
            ControlFlow::Break(outcome) => outcome,
            ControlFlow::Continue(envelope) => {
                self.leases.release(guard).await;
                return ControlFlow::Continue(envelope);
            }
        };
        match self.lease_result(task, &outcome) {
            Some(result) => self.leases.complete(guard, result).await,
            None => self.leases.release(guard).await,
        }
        if had_checkpoint {
            // Its tokens were issued, or are to be kept over a restart.
            self.saved_state.changed();
        }
        task.audit(&outcome);
        ControlFlow::Break(outcome)
    }

    /// Keeps the checkpoint in this process too: the shared store may be lost before its tokens can
    /// be used.
    async fn copy_checkpoint(&self, task: &RefreshTask, guard: &LeaseGuard) {
        let ttl = kept_for(&task.site_runtime.site);
        self.leases.copy_checkpoint(guard, ttl).await;
    }

    /// Issues the tokens of the checkpoint, or calls the provider for others. Where both are over,
    /// the result is the envelope to refresh with next.
    async fn refresh(&self, task: &RefreshTask, guard: &LeaseGuard) -> TaskResult {
        let (checkpoint, now) = (guard.checkpoint(), self.clock.now());
        let kept = checkpoint.and_then(|sealed| self.seal(task).open_checkpoint(sealed, now));
        if let Some(kept) = kept {
            let KeptPair { pair, since } = kept;
            let accepted = self.issuer.accept(task, &pair, RefreshSource::Replayed);
            match accepted.await {
                Ok(outcome) => return ControlFlow::Break(outcome),
                Err(PairError::Unchecked(reason)) => {
                    self.copy_checkpoint(task, guard).await;
                    return failed(reason);
                }
                Err(PairError::UnknownKey) if since.until(now) < KEY_WAIT => {
                    self.copy_checkpoint(task, guard).await;
                    return failed(Reason::ProviderUnavailable);
                }
                // The refresh token that came with them is good. Where it is the old one, the
                // provider is called with that.
                Err(PairError::UnknownKey | PairError::Unusable(_)) => {
                    if let Some(next) = task.next(&pair) {
                        return ControlFlow::Continue(Box::new(next));
                    }
                }
            }
        }
        if !self.leases.is_distributed(guard) && self.result_may_be_lost(task) {
            return failed(Reason::StoreUnavailable);
        }
        let site_runtime = &task.site_runtime;
        match site_runtime.provider.refresh(&task.envelope.refresh).await {
            Ok(pair) => {
                // First of all: whatever happens now, the new tokens are not lost.
                self.put_checkpoint(&self.seal(task), &pair, &site_runtime.site)
                    .await;
                let is_reusable = task.next(&pair).is_none();
                site_runtime
                    .reusable_refresh_tokens
                    .store(is_reusable, Ordering::Relaxed);
                let accepted = self.issuer.accept(task, &pair, RefreshSource::Provider);
                match accepted.await {
                    Ok(outcome) => ControlFlow::Break(outcome),
                    Err(error) => {
                        // A restart must not lose them either.
                        self.saved_state.changed();
                        failed(error.reason())
                    }
                }
            }
            Err(ProviderError::Refused(refused)) => {
                let result = self.refused(task, checkpoint).await;
                if matches!(result, ControlFlow::Break(RefreshOutcome::Refused(_))) {
                    task.refused_by_provider(&refused);
                }
                result
            }
            Err(ProviderError::Unavailable(_)) => failed(Reason::ProviderUnavailable),
            Err(ProviderError::Misconfigured(_)) => failed(Reason::ProviderMisconfigured),
        }
    }

    /// The provider refused the refresh token. It may be because another replica, whose lease
    /// expired meanwhile, was faster: then that one has left its tokens.
    async fn refused(&self, task: &RefreshTask, seen: Option<&[u8]>) -> TaskResult {
        let left = match self.leases.checkpoint(task.key).await {
            Ok(left) => left,
            Err(_) if self.result_may_be_lost(task) => {
                return failed(Reason::StoreUnavailable);
            }
            Err(_) => None,
        };
        let kept = left
            .filter(|sealed| seen != Some(&**sealed))
            .and_then(|sealed| self.seal(task).open_checkpoint(&sealed, self.clock.now()));
        let Some(kept) = kept else {
            return ControlFlow::Break(RefreshOutcome::Refused(Reason::SignedOut));
        };
        let accepted = self.issuer.accept(task, &kept.pair, RefreshSource::Shared);
        match accepted.await {
            Ok(outcome) => ControlFlow::Break(outcome),
            Err(error) => failed(error.reason()),
        }
    }

    fn seal<'a>(&'a self, task: &'a RefreshTask) -> StoreSeal<'a> {
        StoreSeal {
            sealing: &self.sealing,
            site: &task.site_runtime.site.name,
            kind: task.kind,
            key: task.key,
        }
    }

    /// Whether the shared store, which does not answer, may have the result of an earlier refresh
    /// with the same token. A provider that exchanges refresh tokens takes a second call for theft.
    ///
    /// Only what was due before the store was lost can have been refreshed by then, and results are
    /// shared for the reuse window. After that each replica decides for itself: a store that is
    /// lost does not stop renewals.
    fn result_may_be_lost(&self, task: &RefreshTask) -> bool {
        let site_runtime = &task.site_runtime;
        let Some(lost_for) = self.leases.lost_for() else {
            return false;
        };
        if lost_for >= self.reuse_window
            || site_runtime.reusable_refresh_tokens.load(Ordering::Relaxed)
        {
            return false;
        }
        let lost_at = self.clock.now().minus(lost_for);
        // Twice as early for unsafe methods.
        let ahead = site_runtime.site.refresh_ahead.saturating_mul(2);
        task.envelope.was_due(lost_at, ahead)
    }

    /// Keeps tokens of the provider for whoever acquires the lease next, as long as their refresh
    /// token may live.
    pub(super) async fn put_checkpoint(&self, seal: &StoreSeal<'_>, pair: &TokenPair, site: &Site) {
        let (ttl, now) = (kept_for(site), self.clock.now());
        if let Some(sealed) = seal.seal_checkpoint(pair, now, now.plus(ttl)) {
            let put = self.leases.put_checkpoint(seal.key, sealed, ttl).await;
            if put.is_err() {
                self.saved_state.server_failed();
            }
        }
    }

    /// What the lease is completed with. `None` for an outcome of which nothing is kept, or if the
    /// cipher fails.
    fn lease_result(&self, task: &RefreshTask, outcome: &RefreshOutcome) -> Option<LeaseResult> {
        let now = self.clock.now();
        let (ttl, reuse_ttl) = match outcome {
            RefreshOutcome::Renewed { envelope, .. }
                if envelope.refresh != task.envelope.refresh =>
            {
                // As long as a copy may be kept.
                let reuse_ttl = kept_for(&task.site_runtime.site);
                (self.reuse_window, Some(reuse_ttl))
            }
            // The provider does not rotate: the same refresh token is used again as soon as the
            // access token has expired.
            RefreshOutcome::Renewed { renewed, .. } => {
                let left = now.until(renewed.principal.expires_at);
                (self.reuse_window.min(left), None)
            }
            RefreshOutcome::Refused(_)
            | RefreshOutcome::Reused(_)
            | RefreshOutcome::Unavailable(_) => (self.reuse_window, None),
        };
        Some(LeaseResult {
            sealed: self.seal(task).seal_outcome(outcome, now.plus(ttl))?,
            ttl,
            reuse_ttl,
        })
    }

    /// The stored result of another refresh of the same token.
    async fn replay(&self, task: &RefreshTask, sealed: &[u8], source: RefreshSource) -> TaskResult {
        match self.seal(task).open_outcome(sealed, self.clock.now()) {
            Some(Ok(stored)) => {
                let access: Arc<str> = stored.access.into();
                let token = stored.session.map(Arc::from);
                let tokens = IssuedTokens {
                    kind: task.kind,
                    token: token.unwrap_or_else(|| Arc::clone(&access)),
                    refresh: stored.refresh.map(Arc::from),
                    remember: task.envelope.remember,
                };
                self.reissue(task, tokens, access, source).await
            }
            Some(Err(reason)) => ControlFlow::Break(RefreshOutcome::Refused(reason)),
            // Sealed with a key that was removed, or changed in the store.
            None => failed(Reason::Internal),
        }
    }

    /// Gives the client tokens that were issued before, unless they have expired.
    async fn reissue(
        &self,
        task: &RefreshTask,
        tokens: IssuedTokens,
        access: Arc<str>,
        source: RefreshSource,
    ) -> TaskResult {
        let (site_runtime, old) = (&task.site_runtime, &task.envelope);
        let envelope = match &tokens.refresh {
            None => old.clone(),
            Some(refresh) => {
                let site = &site_runtime.site.name;
                match RefreshTokenEnvelope::open(&self.sealing, site, task.kind, refresh) {
                    Some(envelope) => envelope,
                    // Sealed with a key that was removed.
                    None => return failed(Reason::Internal),
                }
            }
        };
        let envelope = Box::new(envelope);
        let is_exchanged = envelope.refresh != old.refresh;
        // What was told beside the access token is in the envelope. Its ID token may be one of an
        // earlier access token.
        let pair = TokenPair {
            access_expires: envelope.access_expires,
            ..TokenPair::new(Secret::new(&*access), None)
        };
        let new = NewPair {
            pair: &pair,
            kind: task.kind,
            last_id_token: envelope.id_token.as_ref(),
        };
        match verify_new_token(site_runtime, new, old, self.clock.now()).await {
            // Where the refresh token stays the same, the store still has this result, so there is
            // no other to be had: within the leeway the access token is good.
            Ok(new) if is_exchanged && new.principal.is_expired(self.clock.now()) => {
                ControlFlow::Continue(envelope)
            }
            // It was good once, so it has expired, or its key was withdrawn.
            Err(NewTokenError::Unusable(_)) => ControlFlow::Continue(envelope),
            Err(NewTokenError::UnknownKey) if is_exchanged => ControlFlow::Continue(envelope),
            Err(NewTokenError::UnknownKey) => failed(Reason::ProviderUnavailable),
            Err(NewTokenError::Unchecked(reason)) => failed(reason),
            Err(NewTokenError::NotThisUser | NewTokenError::NotRegistered) => {
                ControlFlow::Break(RefreshOutcome::Refused(Reason::SignedOut))
            }
            Ok(NewToken { principal, .. }) => ControlFlow::Break(RefreshOutcome::Renewed {
                renewed: CompletedRefresh {
                    tokens,
                    principal,
                    access,
                },
                envelope,
                source,
            }),
        }
    }
}

/// How long tokens that were not issued are kept, and used tokens are remembered.
fn kept_for(site: &Site) -> Duration {
    site.cookie_max_age.max(MIN_KEPT_FOR)
}

fn failed(reason: Reason) -> TaskResult {
    ControlFlow::Break(RefreshOutcome::Unavailable(reason))
}
