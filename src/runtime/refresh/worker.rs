//! One refresh among all replicas: whoever holds the lease on the refresh token calls the provider,
//! all others are given the result.

use std::net::IpAddr;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use crate::model::credential::CredentialKind;
use crate::model::reason::Reason;
use crate::model::refresh_ticket::RefreshTicket;
use crate::model::sealing_keys::SealingKeys;
use crate::model::secret::Secret;
use crate::model::timestamp::Timestamp;
use crate::model::token::{CompletedRefresh, IssuedTokens, Principal, TokenPair};
use crate::provider::ProviderError;
use crate::runtime::revocation::Revocation;
use crate::runtime::sessions::Sessions;
use crate::runtime::site::SiteRuntime;
use crate::runtime::tokens::issue::NewTokens;
use crate::store::{LeaseKey, LeaseResult};
use crate::system::{self, Clock};
use crate::telemetry::audit::{self, AuditContext};

use super::lock::{Acquire, LEASE_TTL, LeaseGuard, Leases};
use super::new_token::{NewTokenError, verify_new_token};
use super::outcome::{RefreshOutcome, RefreshSource, StoredOutcome};

/// How often a lease that somebody else holds is tried again.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);

/// How a task ended: with an outcome, or with the ticket to refresh with next, because the tokens of
/// an earlier refresh have expired by now.
pub(super) type TaskResult = ControlFlow<RefreshOutcome, Box<RefreshTicket>>;

/// Runs refreshes.
pub(in crate::runtime) struct RefreshWorker {
    pub clock: Clock,
    pub sealing: Arc<SealingKeys>,
    pub sessions: Arc<Sessions>,
    pub revocation: Arc<Revocation>,
    pub leases: Arc<Leases>,
    /// How long the result is handed out for the old refresh token.
    pub reuse_window: Duration,
}

/// A refresh token to use, and the request that presented it.
pub(super) struct RefreshTask {
    pub site_runtime: Arc<SiteRuntime>,
    pub kind: CredentialKind,
    pub key: LeaseKey,
    pub ticket: RefreshTicket,
    pub client: IpAddr,
    pub request_id: String,
}

/// The outcome of a task, and what the store keeps of it.
struct Completed {
    outcome: RefreshOutcome,
    stored: Option<StoredOutcome>,
}

/// Tokens of the provider that passed their checks.
struct Accepted {
    pair: TokenPair,
    ticket: RefreshTicket,
    principal: Arc<Principal>,
    /// When the provider answered.
    now: Timestamp,
}

impl RefreshWorker {
    /// Refreshes, or takes the result of whoever does or did.
    pub(super) async fn run(&self, task: &RefreshTask) -> TaskResult {
        let unavailable = |reason| ControlFlow::Break(RefreshOutcome::Unavailable(reason));
        let watch = system::stopwatch();
        let mut source = RefreshSource::Replayed;
        loop {
            match self.leases.acquire(task.key, self.clock.now()).await {
                Acquire::Acquired(guard) => {
                    let outcome = self.lead(task, guard).await;
                    task.audit(&outcome);
                    return ControlFlow::Break(outcome);
                }
                Acquire::Completed(sealed) => return self.replay(task, &sealed, source).await,
                Acquire::Reused => {
                    let ticket = Box::new(task.ticket.clone());
                    return ControlFlow::Break(RefreshOutcome::Reused(ticket));
                }
                Acquire::Contended if watch.elapsed() > task.patience() => {
                    return unavailable(Reason::ProviderUnavailable);
                }
                Acquire::Contended => {
                    source = RefreshSource::Shared;
                    self.leases.wait_for_change(task.key, RETRY_INTERVAL).await;
                }
            }
        }
    }

    /// Calls the provider, and stores the result for everybody who presents the old token.
    async fn lead(&self, task: &RefreshTask, guard: LeaseGuard) -> RefreshOutcome {
        if task.kind == CredentialKind::Session && !self.leases.is_distributed(&guard) {
            // The session could not be stored: the provider is not asked for tokens that would be
            // lost.
            self.leases.release(guard).await;
            return RefreshOutcome::Unavailable(Reason::StoreUnavailable);
        }
        let call = task.site_runtime.provider.refresh(&task.ticket.refresh);
        let answer = self.leases.with_heartbeat(&guard, &self.clock, call).await;
        let Completed { outcome, stored } = match answer {
            Ok(pair) => self.accept(task, pair, RefreshSource::Provider).await,
            Err(ProviderError::Refused(_)) => Completed::refused(Reason::SignedOut),
            Err(ProviderError::Unavailable(_)) => {
                Completed::unavailable(Reason::ProviderUnavailable)
            }
            Err(ProviderError::Misconfigured(_)) => {
                Completed::unavailable(Reason::ProviderMisconfigured)
            }
        };
        let site = &task.site_runtime.site;
        match stored.and_then(|stored| stored.seal(&self.sealing, site, task.kind)) {
            Some(sealed) => {
                let result = self.lease_result(task, sealed, &outcome);
                self.leases.complete(guard, result, self.clock.now()).await;
            }
            None => self.leases.release(guard).await,
        }
        outcome
    }

    fn lease_result(
        &self,
        task: &RefreshTask,
        sealed: Arc<[u8]>,
        outcome: &RefreshOutcome,
    ) -> LeaseResult {
        let expires_at = self.clock.now().plus(self.reuse_window);
        let (expires_at, reused_until) = match outcome {
            RefreshOutcome::Renewed { ticket, .. } if ticket.refresh != task.ticket.refresh => {
                // As long as the cookie of a copy may be kept.
                let reused_until = expires_at.plus(task.site_runtime.site.cookie_max_age);
                (expires_at, Some(reused_until))
            }
            // The provider does not rotate: the same refresh token is used again as soon as the
            // access token has expired.
            RefreshOutcome::Renewed { renewed, .. } => {
                (expires_at.min(renewed.principal.expires_at), None)
            }
            RefreshOutcome::Refused(_)
            | RefreshOutcome::Reused(_)
            | RefreshOutcome::Unavailable(_) => (expires_at, None),
        };
        LeaseResult {
            sealed,
            expires_at,
            reused_until,
        }
    }

    /// The stored result of another refresh of the same token.
    async fn replay(&self, task: &RefreshTask, sealed: &[u8], source: RefreshSource) -> TaskResult {
        let site = &task.site_runtime.site;
        match StoredOutcome::open(&self.sealing, site, task.kind, sealed) {
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
            Some(StoredOutcome::Unused { access, refresh }) => {
                let pair = TokenPair {
                    access: Secret::new(access),
                    refresh: refresh.map(Secret::new),
                };
                ControlFlow::Break(self.accept(task, pair, source).await.outcome)
            }
            Some(StoredOutcome::SignedOut) => {
                ControlFlow::Break(RefreshOutcome::Refused(Reason::SignedOut))
            }
            Some(StoredOutcome::Revoked) => {
                ControlFlow::Break(RefreshOutcome::Refused(Reason::Revoked))
            }
            None => internal_error(),
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
                    None => return internal_error(),
                }
            }
        };
        let ticket = Box::new(ticket);
        let verified = verify_new_token(site_runtime, &access, &old.sub, self.clock.now()).await;
        match verified {
            Ok(principal) if principal.is_expired(self.clock.now()) => {
                ControlFlow::Continue(ticket)
            }
            Err(NewTokenError::Expired) => ControlFlow::Continue(ticket),
            Err(error) => ControlFlow::Break(error.outcome()),
            Ok(principal) => ControlFlow::Break(RefreshOutcome::Renewed {
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

    /// Checks the tokens that the provider gave, and issues them to the client.
    async fn accept(
        &self,
        task: &RefreshTask,
        pair: TokenPair,
        source: RefreshSource,
    ) -> Completed {
        let (provider, now) = (&task.site_runtime.provider, self.clock.now());
        let refresh = pair.refresh.as_ref().unwrap_or(&task.ticket.refresh);
        let ticket = RefreshTicket {
            refresh: refresh.clone(),
            session_hash: None,
            ..task.ticket.clone()
        };
        // A sign-out in the meantime wins, and what the provider has just issued is ended too.
        if self.revocation.is_ticket_revoked(provider, &ticket, now) {
            self.revocation
                .revoke_at_provider(provider, &ticket.refresh, &ticket.sub)
                .await;
            return Completed::refused(Reason::Revoked);
        }
        match verify_new_token(
            &task.site_runtime,
            pair.access.expose(),
            &task.ticket.sub,
            self.clock.now(),
        )
        .await
        {
            Ok(principal) => {
                let new = Accepted {
                    pair,
                    ticket,
                    principal,
                    now,
                };
                self.issue(task, new, source).await
            }
            // The keys may be there in a moment.
            Err(error @ NewTokenError::NoKeys) => Completed {
                outcome: error.outcome(),
                stored: Some(StoredOutcome::unused(&pair)),
            },
            Err(NewTokenError::NotThisUser) => Completed::refused(Reason::SignedOut),
            Err(error @ (NewTokenError::Expired | NewTokenError::UnusableClaims)) => Completed {
                outcome: error.outcome(),
                stored: None,
            },
        }
    }

    async fn issue(&self, task: &RefreshTask, new: Accepted, source: RefreshSource) -> Completed {
        let Accepted {
            mut pair,
            ticket,
            principal,
            now,
        } = new;
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
            now,
        };
        match self.sessions.issue(&task.site_runtime, tokens).await {
            Ok(tokens) => {
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
                Completed {
                    outcome: RefreshOutcome::Renewed {
                        renewed,
                        ticket: Box::new(ticket),
                        source,
                    },
                    stored: Some(stored),
                }
            }
            // The store may answer the next request.
            Err(reason @ Reason::StoreUnavailable) => Completed {
                outcome: RefreshOutcome::Unavailable(reason),
                stored: Some(StoredOutcome::unused(&pair)),
            },
            Err(reason) => Completed::unavailable(reason),
        }
    }
}

impl RefreshTask {
    /// How long to wait for whoever holds the lease: for its call, and for the call of whoever takes
    /// over if it dies.
    fn patience(&self) -> Duration {
        self.site_runtime.provider.settings.timeout * 2 + LEASE_TTL
    }

    /// Records what the call to the provider led to.
    fn audit(&self, outcome: &RefreshOutcome) {
        let context = AuditContext {
            site: &self.site_runtime.site.name,
            request_id: &self.request_id,
            client: self.client,
        };
        match outcome {
            RefreshOutcome::Renewed { .. } => audit::renewed(context, &self.ticket.sub),
            RefreshOutcome::Refused(reason) | RefreshOutcome::Unavailable(reason) => {
                audit::renewal_refused(context, &self.ticket.sub, *reason);
            }
            // Recorded by whoever revokes the sign-in.
            RefreshOutcome::Reused(_) => {}
        }
    }
}

impl Completed {
    /// A refusal, which is stored.
    fn refused(reason: Reason) -> Self {
        Self {
            outcome: RefreshOutcome::Refused(reason),
            stored: Some(StoredOutcome::refused(reason)),
        }
    }

    /// No usable answer, of which nothing is stored.
    fn unavailable(reason: Reason) -> Self {
        Self {
            outcome: RefreshOutcome::Unavailable(reason),
            stored: None,
        }
    }
}

fn internal_error() -> TaskResult {
    ControlFlow::Break(RefreshOutcome::Unavailable(Reason::Internal))
}
