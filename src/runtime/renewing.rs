//! What does the provider give for this refresh token? One flight for however many ask, and the
//! next one where what it brought has ended by now.

use std::net::IpAddr;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use tokio::task::JoinHandle;

use crate::model::credential::{CredentialKind, RefreshRequest, RefreshTicket};
use crate::model::reason::Reason;
use crate::model::secret::Secret;
use crate::model::timestamp::Timestamp;
use crate::model::token::{IssuedTokens, Renewed, RevocationKey};
use crate::store::LeaseKey;
use crate::system;
use crate::telemetry::audit;
use crate::telemetry::labels::RenewalResult;

use super::flight::Flight;
use super::landing::Outcome;
use super::leases::Turn;
use super::renewal::{Boarding, Landed, Renewal, Share, wait};
use super::{RequestContext, Runtime, SiteRuntime};

/// Why there are no new tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefreshError {
    /// A definite no: `signed_out` or `revoked`.
    Refused(Reason),
    /// No answer, or one that cannot be used.
    Trouble(Reason),
}

/// What came of a renewal beside the upstream call.
#[derive(Clone, Debug)]
pub enum EarlyRefresh {
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
    /// [`RefreshError`].
    pub async fn renew(
        self: &Arc<Self>,
        context: RequestContext<'_>,
        presented: RefreshRequest<'_>,
    ) -> Result<Renewed, RefreshError> {
        let RequestContext { site_runtime, .. } = context;
        let result =
            match self
                .sealing
                .open(&site_runtime.site.name, presented.kind, presented.refresh)
            {
                Some(ticket) => self.renew_in_turn(context, presented.kind, ticket).await,
                None => Err(RefreshError::Refused(Reason::SignedOut)),
            };
        site_runtime.metrics.renewal(match &result {
            Ok((_, Share::Own)) => RenewalResult::Renewed,
            Ok((_, Share::Waited)) => RenewalResult::Shared,
            Ok((_, Share::Remembered)) => RenewalResult::Replayed,
            Err(RefreshError::Refused(_)) => RenewalResult::Refused,
            Err(RefreshError::Trouble(_)) => RenewalResult::Unavailable,
        });
        // The old session is dead at once, whoever else presented it; one that could not be renewed
        // now lives on.
        if let (Some(session), Ok(_) | Err(RefreshError::Refused(_))) = (presented.session, &result)
        {
            self.end_session(session).await;
        }
        result.map(|(renewed, _)| renewed)
    }

    async fn renew_in_turn(
        self: &Arc<Self>,
        context: RequestContext<'_>,
        kind: CredentialKind,
        mut ticket: RefreshTicket,
    ) -> Result<(Renewed, Share), RefreshError> {
        let RequestContext {
            site_runtime, now, ..
        } = context;
        for _ in 0..MOST_IN_TURN {
            let landed = self.fly(context, kind, &ticket).await?;
            let (renewal, share) = &*landed;
            match renewal {
                Renewal::Renewed(renewed) if self.is_revoked(site_runtime, &renewed.1, now) => {
                    return Err(RefreshError::Refused(Reason::Revoked));
                }
                Renewal::Renewed(renewed) => return Ok((renewed.0.clone(), *share)),
                Renewal::Ended(next) => ticket = (**next).clone(),
                Renewal::Refused(reason) => return Err(RefreshError::Refused(*reason)),
                Renewal::Replayed => {
                    self.end_replayed(context, &ticket).await;
                    return Err(RefreshError::Refused(Reason::Revoked));
                }
                Renewal::Trouble(reason) => return Err(RefreshError::Trouble(*reason)),
            }
        }
        Err(RefreshError::Trouble(Reason::ProviderUnavailable))
    }

    /// The same, beside the upstream call.
    #[must_use]
    pub fn renew_ahead(
        self: &Arc<Self>,
        site_runtime: &Arc<SiteRuntime>,
        presented: RefreshRequest<'_>,
        client: Option<IpAddr>,
        request_id: &str,
    ) -> JoinHandle<EarlyRefresh> {
        let (runtime, site_runtime) = (Arc::clone(self), Arc::clone(site_runtime));
        let (kind, refresh, request_id) = (
            presented.kind,
            presented.refresh.to_owned(),
            request_id.to_owned(),
        );
        let session = presented.session.map(str::to_owned);
        let client = client.unwrap_or(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED));
        system::detach(async move {
            let now = runtime.clock().now();
            let context = RequestContext {
                site_runtime: &site_runtime,
                client,
                request_id: &request_id,
                now,
            };
            let presented = RefreshRequest {
                kind,
                refresh: &refresh,
                session: session.as_deref(),
            };
            match runtime.renew(context, presented).await {
                Ok(renewed) => EarlyRefresh::Renewed(renewed.tokens),
                Err(RefreshError::Refused(_)) => EarlyRefresh::Refused,
                Err(RefreshError::Trouble(_)) => EarlyRefresh::NotNow,
            }
        })
    }

    pub(super) fn is_revoked(
        &self,
        site_runtime: &SiteRuntime,
        ticket: &RefreshTicket,
        now: Timestamp,
    ) -> bool {
        self.shared.stores.revocations.is_revoked(
            site_runtime.provider.realm(),
            &RevocationKey(ticket.session.clone()),
            now,
        )
    }

    /// Joins the flight for this refresh token, or starts it.
    async fn fly(
        self: &Arc<Self>,
        context: RequestContext<'_>,
        kind: CredentialKind,
        ticket: &RefreshTicket,
    ) -> Result<Landed, RefreshError> {
        let RequestContext {
            site_runtime, now, ..
        } = context;
        if self.is_revoked(site_runtime, ticket, now) {
            return Err(RefreshError::Refused(Reason::Revoked));
        }
        let key = site_runtime.renewal_key(kind, &ticket.refresh);
        match self.shared.flights.board(key) {
            Boarding::Wait(arrival) => {
                let landed = wait(arrival).await;
                Ok(Arc::new((landed.0.clone(), Share::Waited)))
            }
            Boarding::Fly(takeoff) => {
                let flight = Flight {
                    runtime: Arc::clone(self),
                    site_runtime: Arc::clone(site_runtime),
                    kind,
                    key,
                    ticket: ticket.clone(),
                    client: context.client,
                    request_id: context.request_id.to_owned(),
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
    async fn end_replayed(&self, context: RequestContext<'_>, ticket: &RefreshTicket) {
        let RequestContext {
            site_runtime, now, ..
        } = context;
        let session = RevocationKey(ticket.session.clone());
        self.revoke_here(
            site_runtime,
            &session,
            now.plus(site_runtime.site.cookie_max_age),
        )
        .await;
        audit::revoked(context.audit_context(), Some(&ticket.sub));
        audit::renewal_refused(context.audit_context(), &ticket.sub, Reason::Revoked);
    }

    /// The ticket that this refresh token was exchanged for a moment ago, where it was rotated.
    pub(super) async fn successor(
        &self,
        site_runtime: &SiteRuntime,
        kind: CredentialKind,
        ticket: &RefreshTicket,
    ) -> Option<RefreshTicket> {
        let key = site_runtime.renewal_key(kind, &ticket.refresh);
        match self.shared.leases.take(key, self.clock().now()).await {
            Turn::Done(sealed) => match self.open_outcome(site_runtime, (kind, ticket), &sealed)? {
                Outcome::Issued { tokens, .. } => {
                    let next = self.sealing.open(
                        &site_runtime.site.name,
                        kind,
                        tokens.refresh.as_deref()?,
                    )?;
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

impl SiteRuntime {
    /// What keeps apart the renewals of sites, of kinds of clients, and of one site before and
    /// after a reload that changes whose tokens it takes.
    fn renewal_key(&self, kind: CredentialKind, refresh: &Secret) -> LeaseKey {
        let parts = [
            self.provider.realm(),
            &self.site.application_id,
            &self.site.name,
            kind.as_str(),
            refresh.expose(),
        ];
        let mut key = [0; 32];
        key.copy_from_slice(digest(&SHA256, parts.join("\0").as_bytes()).as_ref());
        LeaseKey(key)
    }
}
