//! What does the provider give for this refresh token? One flight for however many ask, and the
//! next one where what it brought has ended by now.

use std::net::IpAddr;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use tokio::task::JoinHandle;

use crate::model::credential::{CredentialKind, RefreshTicket, Renewable};
use crate::model::moment::Moment;
use crate::model::reason::Reason;
use crate::model::secret::Secret;
use crate::model::token::{IssuedTokens, Renewed, SessionKey};
use crate::store::RenewalKey;
use crate::system;
use crate::telemetry::audit;
use crate::telemetry::labels::RenewalResult;

use super::flight::Flight;
use super::landing::Outcome;
use super::leases::Turn;
use super::renewal::{Boarding, Landed, Renewal, Share, wait};
use super::{Caller, Guarded, Runtime};

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
    /// What the visitor carries from now on.
    Renewed(IssuedTokens),
    /// The refresh token is no good any more.
    Refused,
    /// Not this time.
    NotNow,
}

/// A pair whose token had ended is renewed in turn, but a chain of such pairs is no chain of good
/// faith.
const MOST_IN_TURN: usize = 4;

impl Runtime {
    /// New tokens for the presented refresh token, by one provider call however many ask.
    ///
    /// # Errors
    /// [`RenewFault`].
    pub async fn renew(
        self: &Arc<Self>,
        caller: Caller<'_>,
        presented: Renewable<'_>,
    ) -> Result<Renewed, RenewFault> {
        let Caller { guarded, .. } = caller;
        let result = match self
            .sealing
            .open(&guarded.site.name, presented.kind, presented.refresh)
        {
            Some(ticket) => self.renew_in_turn(caller, presented.kind, ticket).await,
            None => Err(RenewFault::Refused(Reason::SignedOut)),
        };
        guarded.metrics.renewal(match &result {
            Ok((_, Share::Own)) => RenewalResult::Renewed,
            Ok((_, Share::Waited)) => RenewalResult::Shared,
            Ok((_, Share::Remembered)) => RenewalResult::Replayed,
            Err(RenewFault::Refused(_)) => RenewalResult::Refused,
            Err(RenewFault::Trouble(_)) => RenewalResult::Unavailable,
        });
        // The old session is dead at once, whoever else presented it; one that could not be renewed
        // now lives on.
        if let (Some(session), Ok(_) | Err(RenewFault::Refused(_))) = (presented.session, &result) {
            self.end_session(session).await;
        }
        result.map(|(renewed, _)| renewed)
    }

    async fn renew_in_turn(
        self: &Arc<Self>,
        caller: Caller<'_>,
        kind: CredentialKind,
        mut ticket: RefreshTicket,
    ) -> Result<(Renewed, Share), RenewFault> {
        let Caller { guarded, now, .. } = caller;
        for _ in 0..MOST_IN_TURN {
            let landed = self.fly(caller, kind, &ticket).await?;
            let (renewal, share) = &*landed;
            match renewal {
                Renewal::Renewed(renewed) if self.is_revoked(guarded, &renewed.1, now) => {
                    return Err(RenewFault::Refused(Reason::Revoked));
                }
                Renewal::Renewed(renewed) => return Ok((renewed.0.clone(), *share)),
                Renewal::Ended(next) => ticket = (**next).clone(),
                Renewal::Refused(reason) => return Err(RenewFault::Refused(*reason)),
                Renewal::Replayed => {
                    self.end_replayed(caller, &ticket).await;
                    return Err(RenewFault::Refused(Reason::Revoked));
                }
                Renewal::Trouble(reason) => return Err(RenewFault::Trouble(*reason)),
            }
        }
        Err(RenewFault::Trouble(Reason::ProviderUnavailable))
    }

    /// The same, beside the upstream call.
    #[must_use]
    pub fn renew_ahead(
        self: &Arc<Self>,
        guarded: &Arc<Guarded>,
        presented: Renewable<'_>,
        client: Option<IpAddr>,
        request_id: &str,
    ) -> JoinHandle<RenewedAhead> {
        let (runtime, guarded) = (Arc::clone(self), Arc::clone(guarded));
        let (kind, refresh, request_id) = (
            presented.kind,
            presented.refresh.to_owned(),
            request_id.to_owned(),
        );
        let session = presented.session.map(str::to_owned);
        let client = client.unwrap_or(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED));
        system::detach(async move {
            let now = runtime.clock().now();
            let caller = Caller {
                guarded: &guarded,
                client,
                request_id: &request_id,
                now,
            };
            let presented = Renewable {
                kind,
                refresh: &refresh,
                session: session.as_deref(),
            };
            match runtime.renew(caller, presented).await {
                Ok(renewed) => RenewedAhead::Renewed(renewed.tokens),
                Err(RenewFault::Refused(_)) => RenewedAhead::Refused,
                Err(RenewFault::Trouble(_)) => RenewedAhead::NotNow,
            }
        })
    }

    pub(super) fn is_revoked(
        &self,
        guarded: &Guarded,
        ticket: &RefreshTicket,
        now: Moment,
    ) -> bool {
        self.shared.store.is_revoked(
            guarded.provider.realm(),
            &SessionKey(ticket.session.clone()),
            now,
        )
    }

    /// Joins the flight for this refresh token, or starts it.
    async fn fly(
        self: &Arc<Self>,
        caller: Caller<'_>,
        kind: CredentialKind,
        ticket: &RefreshTicket,
    ) -> Result<Landed, RenewFault> {
        let Caller { guarded, now, .. } = caller;
        if self.is_revoked(guarded, ticket, now) {
            return Err(RenewFault::Refused(Reason::Revoked));
        }
        let key = guarded.renewal_key(kind, &ticket.refresh);
        match self.shared.flights.board(key) {
            Boarding::Wait(arrival) => {
                let landed = wait(arrival).await;
                Ok(Arc::new((landed.0.clone(), Share::Waited)))
            }
            Boarding::Fly(takeoff) => {
                let flight = Flight {
                    runtime: Arc::clone(self),
                    guarded: Arc::clone(guarded),
                    kind,
                    key,
                    ticket: ticket.clone(),
                    client: caller.client,
                    request_id: caller.request_id.to_owned(),
                };
                // Detached: a client that goes away does not cancel what everybody else waits for.
                let landed = system::detach(flight.run(takeoff)).await;
                Ok(landed
                    .unwrap_or_else(|_| Arc::new((Renewal::Trouble(Reason::Internal), Share::Own))))
            }
        }
    }

    /// A copy of a token that was rotated away long ago: somebody has a copy of this sign-in, so it
    /// ends.
    async fn end_replayed(&self, caller: Caller<'_>, ticket: &RefreshTicket) {
        let Caller { guarded, now, .. } = caller;
        let session = SessionKey(ticket.session.clone());
        self.revoke_here(guarded, &session, now.plus(guarded.site.cookie_max_age))
            .await;
        audit::revoked(caller.occasion(), Some(&ticket.sub));
        audit::renewal_refused(caller.occasion(), &ticket.sub, Reason::Revoked);
    }

    /// The ticket that this refresh token was exchanged for a moment ago, where it was rotated.
    pub(super) async fn successor(
        &self,
        guarded: &Guarded,
        kind: CredentialKind,
        ticket: &RefreshTicket,
    ) -> Option<RefreshTicket> {
        let key = guarded.renewal_key(kind, &ticket.refresh);
        match self.shared.leases.take(key, self.clock().now()).await {
            Turn::Done(sealed) => match self.open_outcome(guarded, (kind, ticket), &sealed)? {
                Outcome::Issued { tokens, .. } => {
                    let next =
                        self.sealing
                            .open(&guarded.site.name, kind, tokens.refresh.as_deref()?)?;
                    (next.refresh != ticket.refresh).then_some(next)
                }
                Outcome::Unused(_) | Outcome::Refused(_) => None,
            },
            Turn::Ours(held) => {
                self.shared.leases.release(held).await;
                None
            }
            Turn::Busy | Turn::Spent => None,
        }
    }
}

impl Guarded {
    /// What keeps apart the renewals of sites, of kinds of clients, and of one site before and
    /// after a reload that changes whose tokens it takes.
    fn renewal_key(&self, kind: CredentialKind, refresh: &Secret) -> RenewalKey {
        let parts = [
            self.provider.realm(),
            &self.site.application_id,
            &self.site.name,
            kind.as_str(),
            refresh.expose(),
        ];
        let mut key = [0; 32];
        key.copy_from_slice(digest(&SHA256, parts.join("\0").as_bytes()).as_ref());
        RenewalKey(key)
    }
}
