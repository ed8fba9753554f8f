//! What does the provider give for this refresh token? The flight of [`super::renewal`], filled with its calls.

use std::net::IpAddr;
use std::sync::Arc;

use tokio::task::JoinHandle;

use crate::model::cookie::MAX_TOGETHER;
use crate::model::credential::RefreshTicket;
use crate::model::moment::Moment;
use crate::model::reason::Reason;
use crate::model::token::{IssuedTokens, Renewed, SessionKey, TokenPair};
use crate::provider::ProviderError;
use crate::system;
use crate::telemetry::audit::{self, Occasion};
use crate::telemetry::labels::RenewalResult;

use super::renewal::{Boarding, Renewal, Share, Takeoff, wait};
use super::signing_out::revoke_at_provider;
use super::vouching::Unverified;
use super::{Caller, Guarded, Runtime, checking};

/// Why there are no new tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RenewFault {
    /// A definite no: `signed_out` or `revoked`.
    Refused(Reason),
    /// No answer, or one that cannot be used.
    Trouble(Reason),
}

/// What came of a renewal beside the upstream call.
#[derive(Clone, Debug)]
pub enum RenewedAhead {
    /// New tokens for the visitor's cookies.
    Renewed(IssuedTokens),
    /// The refresh token is no good any more.
    Refused,
    /// Not this time.
    NotNow,
}

/// A pair whose token had ended is renewed in turn, but a chain of such pairs is no chain of good faith.
const MOST_IN_TURN: usize = 4;

impl Runtime {
    /// New tokens for the sealed refresh token, by one provider call however many ask.
    ///
    /// # Errors
    /// [`RenewFault`].
    pub async fn renew(self: &Arc<Self>, caller: Caller<'_>, sealed: &str) -> Result<Renewed, RenewFault> {
        let Caller { guarded, now, .. } = caller;
        let site = &guarded.site;
        let Some(mut ticket) = self.sealing.open(&site.name, site.credential, sealed) else {
            guarded.metrics.renewal(RenewalResult::Refused);
            return Err(RenewFault::Refused(Reason::SignedOut));
        };
        for _ in 0..MOST_IN_TURN {
            let (renewal, share) = self.fly(caller, &ticket).await?;
            match &*renewal {
                Renewal::Renewed(landed) if self.is_revoked(guarded, &landed.1, now) => {
                    guarded.metrics.renewal(RenewalResult::Refused);
                    return Err(RenewFault::Refused(Reason::Revoked));
                }
                // A remembered pair whose own token has ended: its refresh token is renewed in turn.
                Renewal::Renewed(landed) if landed.0.visitor.expires <= now && share != Share::Own => {
                    ticket = landed.1.clone();
                }
                Renewal::Renewed(landed) => {
                    guarded.metrics.renewal(match share {
                        Share::Own => RenewalResult::Renewed,
                        Share::Waited => RenewalResult::Shared,
                        Share::Remembered => RenewalResult::Replayed,
                    });
                    return Ok(landed.0.clone());
                }
                Renewal::Refused(reason) => {
                    guarded.metrics.renewal(RenewalResult::Refused);
                    return Err(RenewFault::Refused(*reason));
                }
                Renewal::Trouble(reason) => {
                    guarded.metrics.renewal(RenewalResult::Unavailable);
                    return Err(RenewFault::Trouble(*reason));
                }
                Renewal::Unchecked(_) => {
                    guarded.metrics.renewal(RenewalResult::Unavailable);
                    return Err(RenewFault::Trouble(Reason::ProviderUnavailable));
                }
            }
        }
        guarded.metrics.renewal(RenewalResult::Unavailable);
        Err(RenewFault::Trouble(Reason::ProviderUnavailable))
    }

    /// The same, beside the upstream call.
    #[must_use]
    pub fn renew_ahead(
        self: &Arc<Self>,
        guarded: &Arc<Guarded>,
        sealed: &str,
        client: Option<IpAddr>,
        request_id: &str,
    ) -> JoinHandle<RenewedAhead> {
        let (runtime, guarded) = (Arc::clone(self), Arc::clone(guarded));
        let (sealed, request_id) = (sealed.to_owned(), request_id.to_owned());
        let client = client.unwrap_or(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED));
        system::detach(async move {
            let now = runtime.clock().now();
            let caller = Caller { guarded: &guarded, client, request_id: &request_id, now };
            match runtime.renew(caller, &sealed).await {
                Ok(renewed) => RenewedAhead::Renewed(renewed.tokens),
                Err(RenewFault::Refused(_)) => RenewedAhead::Refused,
                Err(RenewFault::Trouble(_)) => RenewedAhead::NotNow,
            }
        })
    }

    fn is_revoked(&self, guarded: &Guarded, ticket: &RefreshTicket, now: Moment) -> bool {
        self.shared.store.is_revoked(guarded.provider.realm(), &SessionKey(ticket.session.clone()), now)
    }

    /// Joins the flight for this refresh token, or starts it.
    async fn fly(
        self: &Arc<Self>,
        caller: Caller<'_>,
        ticket: &RefreshTicket,
    ) -> Result<(Arc<Renewal>, Share), RenewFault> {
        let Caller { guarded, now, .. } = caller;
        if self.is_revoked(guarded, ticket, now) {
            guarded.metrics.renewal(RenewalResult::Refused);
            return Err(RenewFault::Refused(Reason::Revoked));
        }
        match self.shared.renewals.board(&guarded.renewal_scope(), &ticket.refresh, now) {
            Boarding::Wait(flight) => Ok((wait(flight).await, Share::Waited)),
            Boarding::Remembered(renewal) => Ok((renewal, Share::Remembered)),
            Boarding::Replayed(session) => {
                self.end_replayed(caller, ticket, session).await;
                Err(RenewFault::Refused(Reason::Revoked))
            }
            Boarding::Fly(takeoff) => {
                let flight = Flight {
                    runtime: Arc::clone(self),
                    guarded: Arc::clone(guarded),
                    ticket: ticket.clone(),
                    client: caller.client,
                    request_id: caller.request_id.to_owned(),
                };
                // Detached: a client that goes away does not cancel what everybody else waits for.
                let landed = system::detach(flight.run(takeoff)).await;
                Ok((landed.unwrap_or_else(|_| Arc::new(Renewal::Trouble(Reason::Internal))), Share::Own))
            }
        }
    }

    /// A copy of a token that was rotated away long ago: somebody has a copy of this sign-in, so it ends.
    async fn end_replayed(&self, caller: Caller<'_>, ticket: &RefreshTicket, session: String) {
        let Caller { guarded, now, .. } = caller;
        guarded.metrics.renewal(RenewalResult::Refused);
        self.revoke_here(guarded, &SessionKey(session), now.plus(guarded.site.cookie_max_age)).await;
        audit::revoked(caller.occasion(), Some(&ticket.sub));
        audit::renewal_refused(caller.occasion(), &ticket.sub, Reason::Revoked);
    }
}

/// One call for new tokens, on its own feet.
struct Flight {
    runtime: Arc<Runtime>,
    guarded: Arc<Guarded>,
    ticket: RefreshTicket,
    client: IpAddr,
    request_id: String,
}

impl Flight {
    async fn run(self, mut takeoff: Takeoff) -> Arc<Renewal> {
        let unchecked = takeoff.unchecked.take();
        let renewal = self.renewal(unchecked).await;
        let at = Occasion { site: &self.guarded.site.name, request_id: &self.request_id, client: self.client };
        match &renewal {
            Renewal::Renewed(_) => audit::renewed(at, &self.ticket.sub),
            Renewal::Refused(reason) | Renewal::Trouble(reason) => {
                audit::renewal_refused(at, &self.ticket.sub, *reason);
            }
            Renewal::Unchecked(_) => audit::renewal_refused(at, &self.ticket.sub, Reason::ProviderUnavailable),
        }
        let window = self.runtime.settings.reuse_window;
        takeoff.land(&self.ticket, renewal, self.runtime.clock().now(), window)
    }

    async fn renewal(&self, unchecked: Option<TokenPair>) -> Renewal {
        let provider = &self.guarded.provider;
        let pair = match unchecked {
            Some(pair) => pair,
            None => match provider.refresh(&self.ticket.refresh).await {
                Ok(pair) => pair,
                Err(ProviderError::Refused(_)) => return Renewal::Refused(Reason::SignedOut),
                Err(ProviderError::Unavailable(_)) => return Renewal::Trouble(Reason::ProviderUnavailable),
                Err(ProviderError::Misconfigured(_)) => return Renewal::Trouble(Reason::ProviderMisconfigured),
            },
        };
        let now = self.runtime.clock().now();
        let ticket = RefreshTicket {
            refresh: pair.refresh.clone().unwrap_or_else(|| self.ticket.refresh.clone()),
            ..self.ticket.clone()
        };
        // A sign-out that came in between wins, and what the provider has just issued is ended too.
        if self.runtime.is_revoked(&self.guarded, &ticket, now) {
            revoke_at_provider(&self.guarded, ticket.refresh.clone(), ticket.sub.clone());
            return Renewal::Refused(Reason::Revoked);
        }
        let verified = match provider.verify(pair.access.expose(), &self.guarded.site.application_id, now).await {
            Ok(verified) => verified,
            Err(Unverified::NoKeys) => return Renewal::Unchecked(pair),
            // Clocks that disagree are for an operator to mend, not for visitors to sign in again and again.
            Err(Unverified::Expired(_)) => return Renewal::Trouble(Reason::ProviderMisconfigured),
            Err(Unverified::Invalid) => return Renewal::Refused(Reason::SignedOut),
        };
        let generation = verified.generation;
        match checking::visitor(&self.guarded, verified.claims, now) {
            Some(visitor) if visitor.identity.sub == self.ticket.sub => {
                let visitor = Arc::new(visitor);
                match self.runtime.seal(&self.guarded, &pair, &ticket) {
                    Ok(tokens) => {
                        self.guarded.tokens.put(pair.access.expose(), generation, &visitor);
                        Renewal::Renewed(Box::new((Renewed { tokens, visitor }, ticket)))
                    }
                    Err(reason) => Renewal::Trouble(reason),
                }
            }
            Some(_) => Renewal::Refused(Reason::SignedOut),
            None => Renewal::Trouble(Reason::ProviderMisconfigured),
        }
    }
}

impl Runtime {
    /// The pair as the visitor's cookies carry it.
    pub(super) fn seal(
        &self,
        guarded: &Guarded,
        pair: &TokenPair,
        ticket: &RefreshTicket,
    ) -> Result<IssuedTokens, Reason> {
        let site = &guarded.site;
        let refresh = match &pair.refresh {
            None => None,
            Some(_) => {
                let sealed = self.sealing.seal(&site.name, site.credential, ticket, system::random());
                Some(Arc::from(sealed.ok_or(Reason::Internal)?))
            }
        };
        let access: Arc<str> = Arc::from(pair.access.expose());
        if access.len() + refresh.as_ref().map_or(0, |text: &Arc<str>| text.len()) > MAX_TOGETHER {
            tracing::error!(
                site = site.name,
                bytes = access.len(),
                "the provider's tokens are too large for cookies: use credential = \"session\", or fewer claims"
            );
            return Err(Reason::TokensTooLarge);
        }
        Ok(IssuedTokens { access, refresh, remember: ticket.remember })
    }
}
