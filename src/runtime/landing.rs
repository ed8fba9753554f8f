//! The result of a renewal as it rests in a store: sealed, for this process, its successor and its
//! replicas to open.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::credential::{CredentialKind, RefreshTicket};
use crate::model::reason::Reason;
use crate::model::secret::Secret;
use crate::model::token::{IssuedTokens, TokenPair};
use crate::system;

use super::{Runtime, SiteRuntime};

/// What a flight brought home.
pub(super) enum Outcome {
    /// New tokens as the visitor carries them, and the access token itself.
    Issued {
        tokens: IssuedTokens,
        access: Arc<str>,
    },
    /// The provider's pair, which could not be used yet: it is kept, so that no rotated token is
    /// lost.
    Unused(TokenPair),
    /// A definite no: `signed_out` or `revoked`.
    Refused(Reason),
}

#[derive(Serialize, Deserialize)]
enum Resting {
    Issued {
        access: String,
        refresh: Option<String>,
        session: Option<String>,
    },
    Unused {
        access: String,
        refresh: Option<String>,
    },
    SignedOut,
    Revoked,
}

impl Runtime {
    /// Seals `outcome` for the renewals of one site's clients of one kind. `None` only if the
    /// cipher itself fails.
    pub(super) fn seal_outcome(
        &self,
        site_runtime: &SiteRuntime,
        kind: CredentialKind,
        outcome: &Outcome,
    ) -> Option<Arc<[u8]>> {
        let resting = match outcome {
            Outcome::Issued { tokens, access } => Resting::Issued {
                access: access.to_string(),
                refresh: tokens.refresh.as_deref().map(str::to_owned),
                session: (kind == CredentialKind::Session).then(|| tokens.proof.to_string()),
            },
            Outcome::Unused(pair) => Resting::Unused {
                access: pair.access.expose().to_owned(),
                refresh: pair
                    .refresh
                    .as_ref()
                    .map(|refresh| refresh.expose().to_owned()),
            },
            Outcome::Refused(Reason::Revoked) => Resting::Revoked,
            Outcome::Refused(_) => Resting::SignedOut,
        };
        let body = serde_json::to_vec(&resting).ok()?;
        self.sealing
            .seal_bytes(&purpose(site_runtime, kind), body, system::random())
            .map(Arc::from)
    }

    /// Opens what [`Runtime::seal_outcome`] made for the same site and kind; `ticket` is that of
    /// the old token.
    pub(super) fn open_outcome(
        &self,
        site_runtime: &SiteRuntime,
        (kind, ticket): (CredentialKind, &RefreshTicket),
        sealed: &[u8],
    ) -> Option<Outcome> {
        let body = self
            .sealing
            .open_bytes(&purpose(site_runtime, kind), sealed)?;
        Some(match serde_json::from_slice(&body).ok()? {
            Resting::Issued {
                access,
                refresh,
                session,
            } => {
                let access: Arc<str> = access.into();
                let proof = session.map_or_else(|| Arc::clone(&access), Arc::from);
                let refresh = refresh.map(Arc::from);
                let tokens = IssuedTokens {
                    kind,
                    proof,
                    refresh,
                    remember: ticket.remember,
                };
                Outcome::Issued { tokens, access }
            }
            Resting::Unused { access, refresh } => Outcome::Unused(TokenPair {
                access: Secret::new(access),
                refresh: refresh.map(Secret::new),
            }),
            Resting::SignedOut => Outcome::Refused(Reason::SignedOut),
            Resting::Revoked => Outcome::Refused(Reason::Revoked),
        })
    }
}

fn purpose(site_runtime: &SiteRuntime, kind: CredentialKind) -> String {
    format!(
        "vestibule renewal\0{}\0{}",
        kind.as_str(),
        site_runtime.site.name
    )
}
