//! One renewal from the lease to the landing: whoever holds the lease calls the provider, all
//! others are given what that brought.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::model::credential::{CredentialKind, RefreshTicket};
use crate::model::moment::Moment;
use crate::model::reason::Reason;
use crate::model::token::{Renewed, TokenPair, Visitor};
use crate::provider::ProviderError;
use crate::store::{Landing, RenewalKey};
use crate::system;
use crate::telemetry::audit::{self, Occasion};

use super::issuing::Fresh;
use super::landing::Outcome;
use super::leases::{self, Held, Turn};
use super::renewal::{Landed, Renewal, Share, Takeoff};
use super::signing_out::revoke_at_provider;
use super::vouching::Unverified;
use super::{Guarded, Runtime, checking};

/// How long a rotated token is known as spent after its window.
const SPENT_FOR: Duration = Duration::from_secs(24 * 60 * 60);
/// Somebody else's lease is looked at this often.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// One renewal, on its own feet.
pub(super) struct Flight {
    pub(super) runtime: Arc<Runtime>,
    pub(super) guarded: Arc<Guarded>,
    pub(super) kind: CredentialKind,
    pub(super) key: RenewalKey,
    pub(super) ticket: RefreshTicket,
    pub(super) client: IpAddr,
    pub(super) request_id: String,
}

impl Flight {
    pub(super) async fn run(self, takeoff: Takeoff) -> Landed {
        let (renewal, share) = self.renewal().await;
        if share == Share::Own {
            let at = Occasion {
                site: &self.guarded.site.name,
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
        self.guarded.provider.settings.timeout * 2 + leases::SPAN
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
                .seal_outcome(&self.guarded, self.kind, &outcome)
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
        let call = self.guarded.provider.refresh(&self.ticket.refresh);
        self.runtime
            .shared
            .leases
            .during(held, self.runtime.clock(), call)
            .await
    }

    fn landing(&self, sealed: Arc<[u8]>, renewal: &Renewal) -> Landing {
        let now = self.now();
        let until = now.plus(self.runtime.settings.reuse_window);
        match renewal {
            Renewal::Renewed(renewed) if renewed.1.refresh != self.ticket.refresh => Landing {
                sealed,
                until,
                spent_until: Some(until.plus(SPENT_FOR)),
            },
            // A token that the provider reuses is renewed afresh once what it brought has ended.
            Renewal::Renewed(renewed) => Landing {
                sealed,
                until: until.min(renewed.0.visitor.expires),
                spent_until: None,
            },
            Renewal::Ended(_) | Renewal::Refused(_) | Renewal::Replayed | Renewal::Trouble(_) => {
                Landing {
                    sealed,
                    until,
                    spent_until: None,
                }
            }
        }
    }

    /// What another request's renewal brought.
    async fn done(&self, sealed: &[u8]) -> Renewal {
        let (runtime, guarded) = (&self.runtime, &self.guarded);
        match runtime.open_outcome(guarded, (self.kind, &self.ticket), sealed) {
            Some(Outcome::Issued { tokens, access }) => {
                let open =
                    |sealed: &str| runtime.sealing.open(&guarded.site.name, self.kind, sealed);
                let ticket = match tokens.refresh.as_deref().map(open) {
                    None => self.ticket.clone(),
                    Some(Some(ticket)) => ticket,
                    // Sealed with a key that is gone.
                    Some(None) => return Renewal::Trouble(Reason::Internal),
                };
                match self.visitor(&access).await {
                    Ok(visitor) if visitor.has_ended(self.now()) => {
                        Renewal::Ended(Box::new(ticket))
                    }
                    Ok(visitor) => Renewal::Renewed(Box::new((
                        Renewed {
                            tokens,
                            visitor,
                            access,
                        },
                        ticket,
                    ))),
                    Err(NoVisitor::Ended) => Renewal::Ended(Box::new(ticket)),
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
        let (runtime, guarded, now) = (&self.runtime, &self.guarded, self.now());
        let ticket = RefreshTicket {
            refresh: pair
                .refresh
                .clone()
                .unwrap_or_else(|| self.ticket.refresh.clone()),
            begun: None,
            ..self.ticket.clone()
        };
        // A sign-out that came in between wins, and what the provider has just issued is ended too.
        if runtime.is_revoked(guarded, &ticket, now) {
            revoke_at_provider(guarded, ticket.refresh.clone(), ticket.sub.clone());
            return refused(Reason::Revoked);
        }
        let visitor = match self.visitor(pair.access.expose()).await {
            Ok(visitor) => visitor,
            // It may prove somebody in a moment.
            Err(fault @ NoVisitor::NoKeys) => return (fault.told(), Some(Outcome::Unused(pair))),
            Err(NoVisitor::Another) => return refused(Reason::SignedOut),
            Err(fault @ (NoVisitor::Ended | NoVisitor::Unusable)) => return (fault.told(), None),
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
            visitor: &visitor,
            now,
        };
        match runtime.issue(guarded, self.kind, fresh).await {
            Ok(tokens) => {
                // Also where another id was presented with this token, or none.
                if let Some(session) = &self.ticket.begun {
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
                            visitor,
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
    async fn visitor(&self, access: &str) -> Result<Arc<Visitor>, NoVisitor> {
        let (guarded, now) = (&self.guarded, self.now());
        let verified = match guarded
            .provider
            .verify(access, &guarded.site.application_id, now)
            .await
        {
            Ok(verified) => verified,
            Err(Unverified::NoKeys) => return Err(NoVisitor::NoKeys),
            Err(Unverified::Expired(_)) => return Err(NoVisitor::Ended),
            Err(Unverified::Invalid) => return Err(NoVisitor::Another),
        };
        let visitor =
            checking::visitor(guarded, verified.claims, now).ok_or(NoVisitor::Unusable)?;
        if visitor.identity.sub != self.ticket.sub {
            return Err(NoVisitor::Another);
        }
        let visitor = Arc::new(visitor);
        guarded.tokens.put(access, verified.generation, &visitor);
        Ok(visitor)
    }

    fn now(&self) -> Moment {
        self.runtime.clock().now()
    }
}

/// Why a new access token proves nobody.
enum NoVisitor {
    /// Its time is over; where it is new, the clocks disagree.
    Ended,
    /// The provider's keys are not there.
    NoKeys,
    /// It does not verify, or proves somebody else.
    Another,
    /// A claim cannot be forwarded.
    Unusable,
}

impl NoVisitor {
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
