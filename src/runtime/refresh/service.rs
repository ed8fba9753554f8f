//! Refreshes of access tokens, as callers ask for them.

use std::ops::ControlFlow;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};

use crate::model::credential::{CredentialKind, RefreshRequest};
use crate::model::reason::Reason;
use crate::model::refresh_token_envelope::RefreshTokenEnvelope;
use crate::model::sealing_keys::SealingKeys;
use crate::model::secret::Secret;
use crate::model::token::TokenPair;
use crate::runtime::request_context::RequestContext;
use crate::runtime::revocation::Revocation;
use crate::runtime::sessions::Sessions;
use crate::runtime::site::SiteRuntime;
use crate::store::LeaseKey;
use crate::system::{self, Clock};
use crate::telemetry::audit;
use crate::telemetry::labels::{RenewalResult, SignOutCause};
use crate::telemetry::trace;

use super::backoff::RefreshBackoff;
use super::lock::{Acquire, Leases};
use super::outcome::{RefreshOutcome, RefreshSource};
use super::single_flight::{Role, SingleFlight};
use super::store_seal::StoreSeal;
use super::task::RefreshTask;
use super::worker::{RefreshWorker, TaskResult};

/// How many refreshes may follow each other where the tokens of each have expired. A longer chain
/// is not made by an honest client.
const MAX_CHAIN: usize = 4;

/// The refreshes of this process that run now.
pub(in crate::runtime) type InFlight = SingleFlight<TaskResult>;

/// Refreshes access tokens.
pub struct Refresh {
    pub(in crate::runtime) in_flight: Arc<InFlight>,
    pub(in crate::runtime) backoff: Arc<RefreshBackoff>,
    pub(in crate::runtime) worker: Arc<RefreshWorker>,
    pub(in crate::runtime) sealing: Arc<SealingKeys>,
    pub(in crate::runtime) leases: Arc<Leases>,
    pub(in crate::runtime) sessions: Arc<Sessions>,
    pub(in crate::runtime) revocation: Arc<Revocation>,
    pub(in crate::runtime) clock: Clock,
}

impl Refresh {
    /// Refreshes with the presented refresh token, by one call to the provider however many
    /// requests present it. Ends the session that was presented along with it, unless nothing was
    /// decided.
    ///
    /// On [`RefreshOutcome::Reused`] the caller revokes the sign-in:
    /// [`Revocation::revoke_reused`].
    pub async fn run(
        &self,
        context: RequestContext<'_>,
        presented: RefreshRequest<'_>,
    ) -> RefreshOutcome {
        let site_runtime = context.site_runtime;
        let outcome = match self.open(site_runtime, presented) {
            Some(envelope) => self.follow_chain(context, presented.kind, envelope).await,
            None => {
                let metrics = &site_runtime.metrics;
                metrics.unexpected_sign_out(SignOutCause::UnreadableCookie);
                audit::refresh_token_unreadable(context.audit_context());
                RefreshOutcome::Refused(Reason::SignedOut)
            }
        };
        site_runtime.metrics.renewal(label(&outcome));
        let decided = !matches!(outcome, RefreshOutcome::Unavailable(_));
        // A stored result may hand the same session out again.
        let handed_out = match &outcome {
            RefreshOutcome::Renewed { renewed, .. } => Some(&*renewed.tokens.token),
            RefreshOutcome::Refused(_)
            | RefreshOutcome::Reused(_)
            | RefreshOutcome::Unavailable(_) => None,
        };
        let ended = presented
            .session_id
            .filter(|session| decided && Some(*session) != handed_out);
        if let Some(session) = ended {
            self.sessions.end(session).await;
        }
        outcome
    }

    /// Whether a refresh of a token that is still valid would begin now: none with the same refresh
    /// token is under way in this process or failed a moment ago. Then the request need not wait.
    pub(in crate::runtime) fn may_begin(
        &self,
        site_runtime: &SiteRuntime,
        presented: RefreshRequest<'_>,
    ) -> bool {
        let Some(envelope) = self.open(site_runtime, presented) else {
            return true;
        };
        let key = lease_key(site_runtime, presented.kind, &envelope.refresh);
        let failed = self.backoff.pending(key, self.clock.monotonic());
        failed.is_none() && !self.in_flight.is_running(key)
    }

    fn open(
        &self,
        site_runtime: &SiteRuntime,
        presented: RefreshRequest<'_>,
    ) -> Option<RefreshTokenEnvelope> {
        let (site, kind) = (&site_runtime.site.name, presented.kind);
        RefreshTokenEnvelope::open(&self.sealing, site, kind, presented.refresh)
    }

    /// Refreshes with `envelope`, and where the tokens of an earlier refresh have expired by now,
    /// with the refresh token that came with them.
    async fn follow_chain(
        &self,
        context: RequestContext<'_>,
        kind: CredentialKind,
        mut envelope: RefreshTokenEnvelope,
    ) -> RefreshOutcome {
        let first = lease_key(context.site_runtime, kind, &envelope.refresh);
        for length in 0..MAX_CHAIN {
            match self.join_or_start(context, kind, &envelope).await {
                ControlFlow::Continue(next) => envelope = *next,
                ControlFlow::Break(RefreshOutcome::Unavailable(reason)) => {
                    if length > 1 {
                        let seal = self.seal(context.site_runtime, kind, first);
                        self.shorten_chain(context.site_runtime, seal, envelope)
                            .await;
                    }
                    return RefreshOutcome::Unavailable(reason);
                }
                ControlFlow::Break(RefreshOutcome::Renewed { envelope, .. })
                    if self.is_revoked(context, &envelope) =>
                {
                    return RefreshOutcome::Refused(Reason::Revoked);
                }
                ControlFlow::Break(outcome) => return outcome,
            }
        }
        RefreshOutcome::Unavailable(Reason::ProviderUnavailable)
    }

    /// Lets the checkpoint of the `first` lease lead to `last` at once. A provider that issues
    /// tokens which cannot be used for hours makes the chain longer with each attempt, and the
    /// client has the refresh token at its start.
    async fn shorten_chain(
        &self,
        site_runtime: &SiteRuntime,
        first: StoreSeal<'_>,
        last: RefreshTokenEnvelope,
    ) {
        let pair = TokenPair::new(Secret::new(""), Some(last.refresh));
        self.worker
            .put_checkpoint(&first, &pair, &site_runtime.site)
            .await;
    }

    /// Joins the refresh with this refresh token in this process, or starts it.
    async fn join_or_start(
        &self,
        context: RequestContext<'_>,
        kind: CredentialKind,
        envelope: &RefreshTokenEnvelope,
    ) -> TaskResult {
        if self.is_revoked(context, envelope) {
            return ControlFlow::Break(RefreshOutcome::Refused(Reason::Revoked));
        }
        let key = lease_key(context.site_runtime, kind, &envelope.refresh);
        if let Some(reason) = self.backoff.pending(key, self.clock.monotonic()) {
            return ControlFlow::Break(RefreshOutcome::Unavailable(reason));
        }
        let result = match self.in_flight.join(key) {
            Role::Follower(result) => result.wait().await.map(|result| match result {
                ControlFlow::Break(outcome) => ControlFlow::Break(outcome.shared()),
                ControlFlow::Continue(_) => result,
            }),
            Role::Leader(guard) => {
                let task = RefreshTask {
                    site_runtime: Arc::clone(context.site_runtime),
                    kind,
                    key,
                    envelope: envelope.clone(),
                    client: context.client,
                    request_id: context.request_id.to_owned(),
                };
                let worker = Arc::clone(&self.worker);
                let (backoff, clock) = (Arc::clone(&self.backoff), self.clock.clone());
                // Detached: a client that disconnects does not cancel what the others wait for.
                let handle = system::detach(trace::carry(async move {
                    let result = worker.run(&task).await;
                    match &result {
                        ControlFlow::Break(RefreshOutcome::Unavailable(reason)) => {
                            backoff.failed(key, *reason, clock.monotonic());
                        }
                        ControlFlow::Break(_) | ControlFlow::Continue(_) => backoff.decided(key),
                    }
                    guard.complete(result)
                }));
                handle.await.ok()
            }
        };
        result_of_task(result)
    }

    fn is_revoked(&self, context: RequestContext<'_>, envelope: &RefreshTokenEnvelope) -> bool {
        self.revocation
            .is_envelope_revoked(context.site_runtime, envelope, context.now)
    }

    fn seal<'a>(
        &'a self,
        site_runtime: &'a SiteRuntime,
        kind: CredentialKind,
        key: LeaseKey,
    ) -> StoreSeal<'a> {
        StoreSeal {
            sealing: &self.sealing,
            site: &site_runtime.site.name,
            kind,
            key,
        }
    }

    /// The envelope for which this one was exchanged, where the provider rotated the refresh token
    /// and the result is still stored.
    pub(in crate::runtime) async fn successor(
        &self,
        site_runtime: &SiteRuntime,
        kind: CredentialKind,
        envelope: &RefreshTokenEnvelope,
    ) -> Option<RefreshTokenEnvelope> {
        let key = lease_key(site_runtime, kind, &envelope.refresh);
        let (seal, now) = (self.seal(site_runtime, kind, key), self.clock.now());
        let next = match self.leases.acquire(key).await {
            Acquire::Completed(sealed) => {
                let refresh = seal.open_outcome(&sealed, now)?.ok()?.refresh?;
                RefreshTokenEnvelope::open(&self.sealing, &site_runtime.site.name, kind, &refresh)?
            }
            Acquire::Acquired(guard) => {
                // Tokens that were not issued yet are ended too.
                let kept = guard
                    .checkpoint()
                    .and_then(|sealed| seal.open_checkpoint(sealed, now));
                self.leases.release(guard).await;
                RefreshTokenEnvelope {
                    refresh: kept?.pair.refresh?,
                    ..envelope.clone()
                }
            }
            Acquire::Contended | Acquire::Reused => return None,
        };
        (next.refresh != envelope.refresh).then_some(next)
    }
}

fn label(outcome: &RefreshOutcome) -> RenewalResult {
    match outcome {
        RefreshOutcome::Renewed { source, .. } => match source {
            RefreshSource::Provider => RenewalResult::Renewed,
            RefreshSource::Shared => RenewalResult::Shared,
            RefreshSource::Replayed => RenewalResult::Replayed,
        },
        RefreshOutcome::Refused(_) | RefreshOutcome::Reused(_) => RenewalResult::Refused,
        RefreshOutcome::Unavailable(_) => RenewalResult::Unavailable,
    }
}

/// The key of the lease on a refresh token: apart for each site and kind of client, and for one
/// site before and after a reload that changes its provider or application.
fn lease_key(site_runtime: &SiteRuntime, kind: CredentialKind, refresh: &Secret) -> LeaseKey {
    let parts = [
        site_runtime.provider.realm(),
        &site_runtime.site.application_id,
        &site_runtime.site.name,
        kind.as_str(),
        refresh.expose(),
    ];
    let mut key = [0; 32];
    key.copy_from_slice(digest(&SHA256, parts.join("\0").as_bytes()).as_ref());
    LeaseKey(key)
}

/// The result of a task; where there is none, the task panicked, and that refuses nobody.
fn result_of_task(result: Option<TaskResult>) -> TaskResult {
    result.unwrap_or(ControlFlow::Break(RefreshOutcome::Unavailable(
        Reason::Internal,
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_that_panics_refuses_nobody() {
        let unavailable = |result| match result_of_task(result) {
            ControlFlow::Break(RefreshOutcome::Unavailable(reason)) => Some(reason),
            ControlFlow::Break(_) | ControlFlow::Continue(_) => None,
        };
        assert_eq!(unavailable(None), Some(Reason::Internal));
        let refused = RefreshOutcome::Refused(Reason::SignedOut);
        assert_eq!(unavailable(Some(ControlFlow::Break(refused))), None);
    }
}
