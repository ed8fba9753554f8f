//! One refresh among all replicas: whoever holds the lease on the refresh token calls the provider,
//! all others are given the result.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::model::credential::CredentialKind;
use crate::model::reason::Reason;
use crate::model::refresh_ticket::RefreshTicket;
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
use super::pair_issuer::{PairError, PairIssuer, Settled};
use super::stored_outcome::{KeptPair, StoreSeal, StoredOutcome};
use super::task::RefreshTask;

/// How long new tokens wait for their key, which the provider may not have published everywhere. A
/// key that is unknown after that was withdrawn.
const KEY_WAIT: Duration = Duration::from_secs(30);
/// How often a lease that somebody else holds is tried again.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);

/// How a task ended: with an outcome, or with the ticket to refresh with next, because the tokens
/// of an earlier refresh have expired by now.
pub(super) type TaskResult = ControlFlow<RefreshOutcome, Box<RefreshTicket>>;

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

/// How the holder of a lease got on.
enum Progress {
    /// There is an outcome.
    Done(Settled),
    /// There is none. What the provider has issued stays as the checkpoint.
    Failed(Reason),
    /// The tokens of the checkpoint are over: this ticket is the next to refresh with.
    Next(Box<RefreshTicket>),
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
                    let ticket = Box::new(task.ticket.clone());
                    return ControlFlow::Break(RefreshOutcome::Reused(ticket));
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
        let progress = self.leases.with_heartbeat(&guard, work).await;
        let had_checkpoint = guard.checkpoint().is_some();
        let (outcome, stored) = match progress {
            Progress::Done(Settled { outcome, stored }) => (outcome, Some(stored)),
            Progress::Failed(reason) => (RefreshOutcome::Unavailable(reason), None),
            Progress::Next(ticket) => {
                self.leases.release(guard).await;
                return ControlFlow::Continue(ticket);
            }
        };
        match stored.and_then(|stored| self.lease_result(task, &stored, &outcome)) {
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

    /// Issues the tokens of the checkpoint, or calls the provider for others.
    async fn refresh(&self, task: &RefreshTask, guard: &LeaseGuard) -> Progress {
        let (checkpoint, now) = (guard.checkpoint(), self.clock.now());
        let kept = checkpoint.and_then(|sealed| self.seal(task).open_checkpoint(sealed, now));
        if let Some(kept) = kept {
            let KeptPair { pair, since } = kept;
            let accepted = self.issuer.accept(task, &pair, RefreshSource::Replayed);
            match accepted.await {
                Ok(settled) => return Progress::Done(settled),
                Err(PairError::Unchecked(reason)) => {
                    self.copy_checkpoint(task, guard).await;
                    return Progress::Failed(reason);
                }
                Err(PairError::UnknownKey) if since.until(now) < KEY_WAIT => {
                    self.copy_checkpoint(task, guard).await;
                    return Progress::Failed(Reason::ProviderUnavailable);
                }
                // The refresh token that came with them is good. Where it is the old one, the
                // provider is called with that.
                Err(PairError::UnknownKey | PairError::Unusable(_)) => {
                    if let Some(next) = task.next(&pair) {
                        return Progress::Next(Box::new(next));
                    }
                }
            }
        }
        if !self.leases.is_distributed(guard) && self.result_may_be_lost(task) {
            return Progress::Failed(Reason::StoreUnavailable);
        }
        let site_runtime = &task.site_runtime;
        match site_runtime.provider.refresh(&task.ticket.refresh).await {
            Ok(pair) => {
                // First of all: whatever happens now, the new tokens are not lost.
                self.put_checkpoint(&self.seal(task), &pair, &site_runtime.site)
                    .await;
                let is_reusable = task.next(&pair).is_none();
                site_runtime
                    .reusable_refresh_tokens
                    .store(is_reusable, Ordering::Relaxed);
                match self
                    .issuer
                    .accept(task, &pair, RefreshSource::Provider)
                    .await
                {
                    Ok(settled) => Progress::Done(settled),
                    Err(error) => {
                        // A restart must not lose them either.
                        self.saved_state.changed();
                        Progress::Failed(error.reason())
                    }
                }
            }
            Err(ProviderError::Refused(refused)) => {
                let progress = self.refused(task, checkpoint).await;
                if matches!(&progress, Progress::Done(settled) if matches!(settled.outcome, RefreshOutcome::Refused(_)))
                {
                    task.refused_by_provider(&refused);
                }
                progress
            }
            Err(ProviderError::Unavailable(_)) => Progress::Failed(Reason::ProviderUnavailable),
            Err(ProviderError::Misconfigured(_)) => Progress::Failed(Reason::ProviderMisconfigured),
        }
    }

    /// The provider refused the refresh token. It may be because another replica, whose lease
    /// expired meanwhile, was faster: then that one has left its tokens.
    async fn refused(&self, task: &RefreshTask, seen: Option<&[u8]>) -> Progress {
        let left = match self.leases.checkpoint(task.key).await {
            Ok(left) => left,
            Err(_) if self.result_may_be_lost(task) => {
                return Progress::Failed(Reason::StoreUnavailable);
            }
            Err(_) => None,
        };
        let kept = left
            .filter(|sealed| seen != Some(&**sealed))
            .and_then(|sealed| self.seal(task).open_checkpoint(&sealed, self.clock.now()));
        let Some(kept) = kept else {
            return Progress::Done(Settled::refused(Reason::SignedOut));
        };
        let accepted = self.issuer.accept(task, &kept.pair, RefreshSource::Shared);
        match accepted.await {
            Ok(settled) => Progress::Done(settled),
            Err(error) => Progress::Failed(error.reason()),
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
        task.ticket.was_due(lost_at, ahead)
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

    /// What the lease is completed with. `None` only if the cipher fails.
    fn lease_result(
        &self,
        task: &RefreshTask,
        stored: &StoredOutcome,
        outcome: &RefreshOutcome,
    ) -> Option<LeaseResult> {
        let now = self.clock.now();
        let (ttl, reuse_ttl) = match outcome {
            RefreshOutcome::Renewed { ticket, .. } if ticket.refresh != task.ticket.refresh => {
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
            sealed: self.seal(task).seal_outcome(stored, now.plus(ttl))?,
            ttl,
            reuse_ttl,
        })
    }

    /// The stored result of another refresh of the same token.
    async fn replay(&self, task: &RefreshTask, sealed: &[u8], source: RefreshSource) -> TaskResult {
        match self.seal(task).open_outcome(sealed, self.clock.now()) {
            Some(StoredOutcome::Issued {
                access,
                refresh,
                session,
            }) => {
                let access: Arc<str> = access.into();
                let tokens = IssuedTokens {
                    kind: task.kind,
                    token: session.map_or_else(|| Arc::clone(&access), Arc::from),
                    refresh: refresh.map(Arc::from),
                    remember: task.ticket.remember,
                };
                self.reissue(task, tokens, access, source).await
            }
            Some(StoredOutcome::SignedOut) => {
                ControlFlow::Break(RefreshOutcome::Refused(Reason::SignedOut))
            }
            Some(StoredOutcome::Revoked) => {
                ControlFlow::Break(RefreshOutcome::Refused(Reason::Revoked))
            }
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
        let (site_runtime, old) = (&task.site_runtime, &task.ticket);
        let ticket = match &tokens.refresh {
            None => old.clone(),
            Some(refresh) => {
                let site = &site_runtime.site.name;
                match RefreshTicket::open(&self.sealing, site, task.kind, refresh) {
                    Some(ticket) => ticket,
                    // Sealed with a key that was removed.
                    None => return failed(Reason::Internal),
                }
            }
        };
        let ticket = Box::new(ticket);
        // What was told beside the access token is in the ticket. Its ID token may be one of an
        // earlier access token.
        let pair = TokenPair {
            access_expires: ticket.access_expires,
            ..TokenPair::new(Secret::new(&*access), None)
        };
        let new = NewPair {
            pair: &pair,
            kind: task.kind,
            last_id_token: ticket.id_token.as_ref(),
        };
        match verify_new_token(site_runtime, new, old, self.clock.now()).await {
            // Where the refresh token stays the same, the store still has this result, so there is
            // no other to be had: within the leeway the access token is good.
            Ok(new)
                if ticket.refresh != old.refresh && new.principal.is_expired(self.clock.now()) =>
            {
                ControlFlow::Continue(ticket)
            }
            // It was good once, so it has expired, or its key was withdrawn.
            Err(NewTokenError::Unusable(_)) => ControlFlow::Continue(ticket),
            Err(NewTokenError::UnknownKey) if ticket.refresh != old.refresh => {
                ControlFlow::Continue(ticket)
            }
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
                ticket,
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
