//! From the provider's pair to what the visitor carries.

use std::sync::Arc;

use crate::model::cookie::MAX_TOGETHER;
use crate::model::credential::{CredentialKind, RefreshTicket};
use crate::model::moment::Moment;
use crate::model::reason::Reason;
use crate::model::token::{IssuedTokens, TokenPair, Visitor};
use crate::system;

use super::{Guarded, Runtime};

/// A pair whose access token was verified.
pub(super) struct Fresh<'a> {
    pub(super) pair: &'a TokenPair,
    /// What is sealed with the refresh token.
    pub(super) ticket: &'a RefreshTicket,
    pub(super) visitor: &'a Visitor,
    pub(super) now: Moment,
}

impl Runtime {
    /// The pair as clients of `kind` carry it; for sessions one is begun.
    pub(super) async fn issue(
        &self,
        guarded: &Guarded,
        kind: CredentialKind,
        fresh: Fresh<'_>,
    ) -> Result<IssuedTokens, Reason> {
        let Fresh {
            pair,
            ticket,
            visitor,
            now,
        } = fresh;
        let site = &guarded.site;
        let (proof, begun) = match kind {
            CredentialKind::Session => {
                let begun = self
                    .begin_session(guarded, (pair, ticket), visitor, now)
                    .await?;
                (begun.id, Some(begun.known_as))
            }
            CredentialKind::Jwt | CredentialKind::Bearer => (Arc::from(pair.access.expose()), None),
        };
        let refresh: Option<Arc<str>> = match &pair.refresh {
            None => None,
            Some(_) => {
                let ticket = RefreshTicket {
                    begun,
                    ..ticket.clone()
                };
                let sealed = self
                    .sealing
                    .seal(&site.name, kind, &ticket, system::random());
                Some(Arc::from(sealed.ok_or(Reason::Internal)?))
            }
        };
        if kind != CredentialKind::Bearer {
            fits_cookies(
                guarded,
                proof.len() + refresh.as_ref().map_or(0, |text| text.len()),
            )?;
        }
        Ok(IssuedTokens {
            kind,
            proof,
            refresh,
            remember: ticket.remember,
        })
    }
}

fn fits_cookies(guarded: &Guarded, bytes: usize) -> Result<(), Reason> {
    if bytes <= MAX_TOGETHER {
        return Ok(());
    }
    tracing::error!(
        site = guarded.site.name,
        bytes,
        "the provider's tokens are too large for cookies: use credential = \"session\", or fewer claims"
    );
    Err(Reason::TokensTooLarge)
}
