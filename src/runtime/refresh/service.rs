//! Refreshes of access tokens, as callers ask for them.

use std::ops::ControlFlow;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};

use crate::model::credential::{CredentialKind, RefreshRequest};
use crate::model::reason::Reason;
use crate::model::refresh_ticket::RefreshTicket;
use crate::model::sealing_keys::SealingKeys;
use crate::model::secret::Secret;
use crate::runtime::request_context::RequestContext;
use crate::runtime::revocation::Revocation;
use crate::runtime::sessions::Sessions;
use crate::runtime::site::SiteRuntime;
use crate::store::LeaseKey;
use crate::system::{self, Clock};
use crate::telemetry::labels::RenewalResult;

use super::lock::{Acquire, Leases};
use super::outcome::{RefreshOutcome, RefreshSource, StoredOutcome};
use super::single_flight::{Role, SingleFlight};
use super::worker::{RefreshTask, RefreshWorker, TaskResult};

/// How many refreshes may follow each other where the tokens of each have expired. A longer chain is
/// not made by an honest client.
const MAX_CHAIN: usize = 4;

/// The refreshes of this process that run now.
pub(in crate::runtime) type InFlight = SingleFlight<TaskResult>;

/// Refreshes access tokens.
pub struct Refresh {
    pub(in crate::runtime) in_flight: Arc<InFlight>,
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
        let RequestContext { site_runtime, .. } = context;
        let kind = presented.kind;
        let outcome = match RefreshTicket::open(
            &self.sealing,
            &site_runtime.site.name,
            kind,
            presented.refresh,
        ) {
            Some(ticket) => self.follow_chain(context, kind, ticket).await,
            None => RefreshOutcome::Refused(Reason::SignedOut),
        };
        site_runtime.metrics.renewal(label(&outcome));
        let decided = !matches!(outcome, RefreshOutcome::Unavailable(_));
        if let Some(session) = presented.session_id.filter(|_| decided) {
            self.sessions.end(session).await;
        }
        outcome
    }

    /// Refreshes with `ticket`, and where the tokens of an earlier refresh have expired by now, with
    /// the refresh token that came with them.
    async fn follow_chain(
        &self,
        context: RequestContext<'_>,
        kind: CredentialKind,
        mut ticket: RefreshTicket,
    ) -> RefreshOutcome {
        for _ in 0..MAX_CHAIN {
            match self.join_or_start(context, kind, &ticket).await {
                ControlFlow::Continue(next) => ticket = *next,
                ControlFlow::Break(RefreshOutcome::Renewed { ticket, .. })
                    if self.is_revoked(context, &ticket) =>
                {
                    return RefreshOutcome::Refused(Reason::Revoked);
                }
                ControlFlow::Break(outcome) => return outcome,
            }
        }
        RefreshOutcome::Unavailable(Reason::ProviderUnavailable)
    }

    /// Joins the refresh with this refresh token in this process, or starts it.
    async fn join_or_start(
        &self,
        context: RequestContext<'_>,
        kind: CredentialKind,
        ticket: &RefreshTicket,
    ) -> TaskResult {
        if self.is_revoked(context, ticket) {
            return ControlFlow::Break(RefreshOutcome::Refused(Reason::Revoked));
        }
        let key = lease_key(context.site_runtime, kind, &ticket.refresh);
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
                    ticket: ticket.clone(),
                    client: context.client,
                    request_id: context.request_id.to_owned(),
                };
                let worker = Arc::clone(&self.worker);
                // Detached: a client that disconnects does not cancel what the others wait for.
                let handle = system::detach(async move { guard.complete(worker.run(&task).await) });
                handle.await.ok()
            }
        };
        // The task panicked: that refuses nobody.
        result.unwrap_or(ControlFlow::Break(RefreshOutcome::Unavailable(
            Reason::Internal,
        )))
    }

    fn is_revoked(&self, context: RequestContext<'_>, ticket: &RefreshTicket) -> bool {
        let provider = &context.site_runtime.provider;
        self.revocation
            .is_ticket_revoked(provider, ticket, context.now)
    }

    /// The ticket for which this one was exchanged within the reuse window, where the provider
    /// rotated the refresh token.
    pub(in crate::runtime) async fn successor(
        &self,
        site_runtime: &SiteRuntime,
        kind: CredentialKind,
        ticket: &RefreshTicket,
    ) -> Option<RefreshTicket> {
        let key = lease_key(site_runtime, kind, &ticket.refresh);
        match self.leases.acquire(key, self.clock.now()).await {
            Acquire::Completed(sealed) => {
                let site = &site_runtime.site;
                match StoredOutcome::open(&self.sealing, site, kind, &sealed)? {
                    StoredOutcome::Issued { refresh, .. } => {
                        let next = RefreshTicket::open(&self.sealing, &site.name, kind, &refresh?)?;
                        (next.refresh != ticket.refresh).then_some(next)
                    }
                    StoredOutcome::Unused { .. }
                    | StoredOutcome::SignedOut
                    | StoredOutcome::Revoked => None,
                }
            }
            Acquire::Acquired(guard) => {
                self.leases.release(guard).await;
                None
            }
            Acquire::Contended | Acquire::Reused => None,
        }
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

/// The key of the lease on a refresh token: apart for each site and kind of client, and for one site
/// before and after a reload that changes its provider or application.
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
