//! From the provider's pair to what the visitor carries.

use std::sync::Arc;

use crate::model::cookie::MAX_CHUNKED_TOTAL;
use crate::model::credential::{CredentialKind, RefreshTicket};
use crate::model::reason::Reason;
use crate::model::timestamp::Timestamp;
use crate::model::token::{IssuedTokens, Principal, TokenPair};
use crate::system;

use super::{Runtime, SiteRuntime};

/// A pair whose access token was verified.
pub(super) struct Fresh<'a> {
    pub(super) pair: &'a TokenPair,
    /// What is sealed with the refresh token.
    pub(super) ticket: &'a RefreshTicket,
    pub(super) principal: &'a Principal,
    pub(super) now: Timestamp,
}

impl Runtime {
    /// The pair as clients of `kind` carry it; for sessions one is begun.
    pub(super) async fn issue(
        &self,
        site_runtime: &SiteRuntime,
        kind: CredentialKind,
        fresh: Fresh<'_>,
    ) -> Result<IssuedTokens, Reason> {
        let Fresh {
            pair,
            ticket,
            principal,
            now,
        } = fresh;
        let site = &site_runtime.site;
        let (proof, session_hash) = match kind {
            CredentialKind::Session => {
                let session_hash = self
                    .begin_session(site_runtime, (pair, ticket), principal, now)
                    .await?;
                (session_hash.id, Some(session_hash.known_as))
            }
            CredentialKind::Jwt | CredentialKind::Bearer => (Arc::from(pair.access.expose()), None),
        };
        let refresh: Option<Arc<str>> = match &pair.refresh {
            None => None,
            Some(_) => {
                let ticket = RefreshTicket {
                    session_hash,
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
                site_runtime,
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

fn fits_cookies(site_runtime: &SiteRuntime, bytes: usize) -> Result<(), Reason> {
    if bytes <= MAX_CHUNKED_TOTAL {
        return Ok(());
    }
    tracing::error!(
        site = site_runtime.site.name,
        bytes,
        "the provider's tokens are too large for cookies: use credential = \"session\", or fewer claims"
    );
    Err(Reason::TokensTooLarge)
}
