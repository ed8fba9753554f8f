//! One renewal from the lease to the landing: whoever holds the lease calls the provider, all
//! others are given what that brought.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::model::credential::{CredentialKind, RefreshTicket};
use crate::model::reason::Reason;
use crate::model::timestamp::Timestamp;
use crate::model::token::{Principal, Renewed, TokenPair};
use crate::provider::ProviderError;
use crate::store::{LeaseKey, LeaseResult};
use crate::system;
use crate::telemetry::audit::{self, AuditContext};

use super::issuing::Fresh;
use super::landing::Outcome;
use super::leases::{self, Held, Turn};
use super::provider_client::Unverified;
use super::renewal::{Landed, Renewal, Share, Takeoff};
use super::signing_out::revoke_at_provider;
use super::{Runtime, SiteRuntime, checking};

/// How long a rotated token is known as spent after its window.
const SPENT_FOR: Duration = Duration::from_secs(24 * 60 * 60);
/// Somebody else's lease is looked at this often.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// One renewal, on its own feet.
pub(super) struct Flight {
    pub(super) runtime: Arc<Runtime>,
    pub(super) site_runtime: Arc<SiteRuntime>,
    pub(super) kind: CredentialKind,
    pub(super) key: LeaseKey,
    pub(super) ticket: RefreshTicket,
    pub(super) client: IpAddr,
    pub(super) request_id: String,
}

impl Flight {
    pub(super) async fn run(self, takeoff: Takeoff) -> Landed {
        let (renewal, share) = self.renewal().await;
        if share == Share::Own {
            let at = AuditContext {
                site: &self.site_runtime.site.name,
                request_id: &self.request_id,
                client: self.client,
            };
            match &renewal {
                Renewal::Renewed(_) | Renewal::Ended(_) => audit::renewed(at, &self.ticket.sub),
                Renewal::Refused(reason) | Renewal::Trouble(reason) => {
                    audit::renewal_refused(at, &self.ticket.sub, *reason);
                }
                // Told where the whole sign-in is ended for it.
                Renewal::Replayed => {}
            }
        }
        takeoff.land(renewal, share)
    }

    /// Whoever holds the lease calls the provider, all others get what that brings.
    async fn renewal(&self) -> (Renewal, Share) {
        let leases = &self.runtime.shared.leases;
        let watch = system::stopwatch();
        let mut share = Share::Remembered;
        loop {
            match leases.take(self.key, self.now()).await {
                Turn::Ours(held)
                    if self.kind == CredentialKind::Session && !leases.is_everybodys(&held) =>
                {
                    // A session could not be kept: the provider is not asked for what would be
                    // lost.
                    leases.release(held).await;
                    return (Renewal::Trouble(Reason::StoreUnavailable), Share::Own);
                }
                Turn::Ours(held) => return (self.call(held).await, Share::Own),
                Turn::Done(sealed) => return (self.done(&sealed).await, share),
                Turn::Spent => return (Renewal::Replayed, share),
                Turn::Busy if watch.elapsed() > self.patience() => {
                    return (Renewal::Trouble(Reason::ProviderUnavailable), share);
                }
                Turn::Busy => {
                    share = Share::Waited;
                    leases.changed(self.key, LOOK_EVERY).await;
                }
            }
        }
    }

    /// The holder's call, and one by whoever takes over from a holder that died.
    fn patience(&self) -> Duration {
        self.site_runtime.provider.settings.timeout * 2 + leases::SPAN
    }

    async fn call(&self, held: Held) -> Renewal {
        let leases = &self.runtime.shared.leases;
        let (renewal, outcome) = match self.ask(&held).await {
            Ok(pair) => self.used(pair).await,
            Err(ProviderError::Refused(_)) => refused(Reason::SignedOut),
            Err(ProviderError::Unavailable(_)) => {
                (Renewal::Trouble(Reason::ProviderUnavailable), None)
            }
            Err(ProviderError::Misconfigured(_)) => {
                (Renewal::Trouble(Reason::ProviderMisconfigured), None)
            }
        };
        let sealed = outcome.and_then(|outcome| {
            self.runtime
                .seal_outcome(&self.site_runtime, self.kind, &outcome)
        });
        match sealed {
            Some(sealed) => {
                leases
                    .land(held, self.landing(sealed, &renewal), self.now())
                    .await;
            }
            None => leases.release(held).await,
        }
        renewal
    }

    async fn ask(&self, held: &Held) -> Result<TokenPair, ProviderError> {
        let call = self.site_runtime.provider.refresh(&self.ticket.refresh);
        self.runtime
            .shared
            .leases
            .during(held, self.runtime.clock(), call)
            .await
    }

    fn landing(&self, sealed: Arc<[u8]>, renewal: &Renewal) -> LeaseResult {
        let now = self.now();
        let until = now.plus(self.runtime.settings.reuse_window);
        match renewal {
            Renewal::Renewed(renewed) if renewed.1.refresh != self.ticket.refresh => LeaseResult {
                sealed,
                expires_at: until,
                reused_until: Some(until.plus(SPENT_FOR)),
            },
            // A token that the provider reuses is renewed afresh once what it brought has ended.
            Renewal::Renewed(renewed) => LeaseResult {
                sealed,
                expires_at: until.min(renewed.0.principal.expires),
                reused_until: None,
            },
            Renewal::Ended(_) | Renewal::Refused(_) | Renewal::Replayed | Renewal::Trouble(_) => {
                LeaseResult {
                    sealed,
                    expires_at: until,
                    reused_until: None,
                }
            }
        }
    }

    /// What another request's renewal brought.
    async fn done(&self, sealed: &[u8]) -> Renewal {
        let (runtime, site_runtime) = (&self.runtime, &self.site_runtime);
        match runtime.open_outcome(site_runtime, (self.kind, &self.ticket), sealed) {
            Some(Outcome::Issued { tokens, access }) => {
                let open = |sealed: &str| {
                    runtime
                        .sealing
                        .open(&site_runtime.site.name, self.kind, sealed)
                };
                let ticket = match tokens.refresh.as_deref().map(open) {
                    None => self.ticket.clone(),
                    Some(Some(ticket)) => ticket,
                    // Sealed with a key that is gone.
                    Some(None) => return Renewal::Trouble(Reason::Internal),
                };
                match self.principal(&access).await {
                    Ok(principal) if principal.has_ended(self.now()) => {
                        Renewal::Ended(Box::new(ticket))
                    }
                    Ok(principal) => Renewal::Renewed(Box::new((
                        Renewed {
                            tokens,
                            principal,
                            access,
                        },
                        ticket,
                    ))),
                    Err(PrincipalError::Ended) => Renewal::Ended(Box::new(ticket)),
                    Err(fault) => fault.told(),
                }
            }
            Some(Outcome::Unused(pair)) => self.used(pair).await.0,
            Some(Outcome::Refused(reason)) => Renewal::Refused(reason),
            None => Renewal::Trouble(Reason::Internal),
        }
    }

    /// What becomes of the provider's pair, and what is kept of it.
    async fn used(&self, pair: TokenPair) -> (Renewal, Option<Outcome>) {
        let (runtime, site_runtime, now) = (&self.runtime, &self.site_runtime, self.now());
        let ticket = RefreshTicket {
            refresh: pair
                .refresh
                .clone()
                .unwrap_or_else(|| self.ticket.refresh.clone()),
            session_hash: None,
            ..self.ticket.clone()
        };
        // A sign-out that came in between wins, and what the provider has just issued is ended too.
        if runtime.is_revoked(site_runtime, &ticket, now) {
            revoke_at_provider(site_runtime, ticket.refresh.clone(), ticket.sub.clone());
            return refused(Reason::Revoked);
        }
        let principal = match self.principal(pair.access.expose()).await {
            Ok(principal) => principal,
            // It may prove somebody in a moment.
            Err(fault @ PrincipalError::NoKeys) => {
                return (fault.told(), Some(Outcome::Unused(pair)));
            }
            Err(PrincipalError::Another) => return refused(Reason::SignedOut),
            Err(fault @ (PrincipalError::Ended | PrincipalError::Unusable)) => {
                return (fault.told(), None);
            }
        };
        let mut pair = pair;
        if self.kind == CredentialKind::Bearer
            && pair.refresh.as_ref() == Some(&self.ticket.refresh)
        {
            // A client that keeps its tokens itself is told of what changed.
            pair.refresh = None;
        }
        let fresh = Fresh {
            pair: &pair,
            ticket: &ticket,
            principal: &principal,
            now,
        };
        match runtime.issue(site_runtime, self.kind, fresh).await {
            Ok(tokens) => {
                // Also where another id was presented with this token, or none.
                if let Some(session) = &self.ticket.session_hash {
                    runtime.end_session_known_as(session).await;
                }
                let access: Arc<str> = Arc::from(pair.access.expose());
                let outcome = Outcome::Issued {
                    tokens: tokens.clone(),
                    access: Arc::clone(&access),
                };
                (
                    Renewal::Renewed(Box::new((
                        Renewed {
                            tokens,
                            principal,
                            access,
                        },
                        ticket,
                    ))),
                    Some(outcome),
                )
            }
            // The next request may find a store that answers.
            Err(reason @ Reason::StoreUnavailable) => {
                (Renewal::Trouble(reason), Some(Outcome::Unused(pair)))
            }
            Err(reason) => (Renewal::Trouble(reason), None),
        }
    }

    /// Whom a new access token proves: it must be the person of the ticket.
    async fn principal(&self, access: &str) -> Result<Arc<Principal>, PrincipalError> {
        let (site_runtime, now) = (&self.site_runtime, self.now());
        let verified = match site_runtime
            .provider
            .verify(access, &site_runtime.site.application_id, now)
            .await
        {
            Ok(verified) => verified,
            Err(Unverified::NoKeys) => return Err(PrincipalError::NoKeys),
            Err(Unverified::Expired(_)) => return Err(PrincipalError::Ended),
            Err(Unverified::Invalid) => return Err(PrincipalError::Another),
        };
        let principal = checking::principal(site_runtime, verified.claims, now)
            .ok_or(PrincipalError::Unusable)?;
        if principal.identity.sub != self.ticket.sub {
            return Err(PrincipalError::Another);
        }
        let principal = Arc::new(principal);
        site_runtime
            .tokens
            .put(access, verified.generation, &principal);
        Ok(principal)
    }

    fn now(&self) -> Timestamp {
        self.runtime.clock().now()
    }
}

/// Why a new access token proves nobody.
enum PrincipalError {
    /// Its time is over; where it is new, the clocks disagree.
    Ended,
    /// The provider's keys are not there.
    NoKeys,
    /// It does not verify, or proves somebody else.
    Another,
    /// A claim cannot be forwarded.
    Unusable,
}

impl PrincipalError {
    /// What visitors are told: what an operator must mend signs nobody out.
    fn told(&self) -> Renewal {
        match self {
            Self::NoKeys => Renewal::Trouble(Reason::ProviderUnavailable),
            Self::Another => Renewal::Refused(Reason::SignedOut),
            Self::Ended | Self::Unusable => Renewal::Trouble(Reason::ProviderMisconfigured),
        }
    }
}

fn refused(reason: Reason) -> (Renewal, Option<Outcome>) {
    (Renewal::Refused(reason), Some(Outcome::Refused(reason)))
}
